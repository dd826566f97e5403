//! Recordings as HLS: what `porthole-remote chop` makes is the recording to the bit and to the tick, and players play it.

mod crash;
mod exact;
mod foreign;
mod playing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use media::mp4::{About, Growing, Step};
use media::{Gop, WallTime};
use tempfile::TempDir;

#[path = "../../../media/tests/common/mod.rs"]
mod common;

/// A folder with recordings and with what is made of them.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What ffmpeg makes with these options, as `NAME.mp4`.
    fn ffmpeg(&self, name: &str, options: &str) -> PathBuf {
        let path = self.path(&format!("{name}.mp4"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-y"]).args(options.split_whitespace()).arg(&path);
        let output = ffmpeg.output().unwrap();
        assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
        path
    }

    /// A recording of our own, growing or sealed.
    fn recording(&self, name: &str, gops: &[Gop], start: Option<WallTime>, sealed: bool) -> PathBuf {
        let about = About { camera: "door".to_owned(), start };
        let (mut growing, mut steps) = Growing::begin(&gops[0], &about).unwrap();
        for gop in &gops[1..] {
            steps.extend(growing.append(gop).unwrap());
        }
        if sealed {
            steps.extend(growing.seal(&about));
        }
        let mut file = Vec::new();
        for step in &steps {
            if let Step::Write { offset, bytes } = step {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                file.resize(end.max(file.len()), 0);
                file[start..end].copy_from_slice(bytes);
            }
        }
        let path = self.path(&format!("{name}.mp4"));
        fs::write(&path, file).unwrap();
        path
    }

    fn command(&self, file: &Path) -> Command {
        let mut chop = Command::new(tests::built("porthole-remote"));
        chop.arg("chop").arg(file).arg("--out").arg(self.path("hls")).env("RUST_BACKTRACE", "0");
        chop
    }

    fn run(&self, file: &Path) -> Output {
        self.command(file).output().unwrap()
    }

    /// Makes HLS of a recording.
    fn chop(&self, file: &Path) -> Hls {
        let output = self.run(file);
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        self.made(file)
    }

    fn made(&self, file: &Path) -> Hls {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        Hls { folder: self.path("hls").join(&name), name }
    }

    /// Why there is no HLS of a file; nothing of it is left.
    fn refusal(&self, file: &Path) -> String {
        let output = self.run(file);
        assert!(!output.status.success(), "{} was taken", file.display());
        assert!(!self.made(file).folder.exists());
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }
}

/// What was made of a recording.
struct Hls {
    folder: PathBuf,
    name: String,
}

impl Hls {
    fn playlist(&self) -> String {
        self.folder.join(format!("{}.m3u8", self.name)).to_str().unwrap().to_owned()
    }

    fn multivariant(&self) -> String {
        fs::read_to_string(self.playlist()).unwrap()
    }

    fn media(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}-out.m3u8", self.name))).unwrap()
    }

    /// The files of the segments, in order.
    fn segments(&self) -> Vec<PathBuf> {
        let media = self.media();
        media.lines().filter(|line| line.ends_with(".ts")).map(|name| self.folder.join(name)).collect()
    }

    /// All segments in one file. (Read over the playlist, ffmpeg 5.1 gives the first frame of sound twice the same time stamp.)
    fn joined(&self) -> String {
        let bytes: Vec<u8> = self.segments().iter().flat_map(|segment| fs::read(segment).unwrap()).collect();
        let path = self.folder.with_extension("ts");
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The durations of the segments in seconds.
    fn durations(&self) -> Vec<f64> {
        let media = self.media();
        let values = media.lines().filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(','));
        values.map(|value| value.parse().unwrap()).collect()
    }

    /// Every file and its bytes.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap());
        let read =
            |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }
}
