//! Whether the HLS of a recording can be played to its end: both playlists, and each segment that they name.
//!
//! ```text
//! hls/NAME/NAME.m3u8 --> NAME-out.m3u8 --> NAME-<camera>-<n>.ts: there, and whole packets of MPEG-TS
//! ```
//!
//! Footage is not read: no ledger tells what it should be.

use super::report::{Kind, Report};
use super::walk::shown;
use crate::chop::is_name;
use crate::folder::{Error, Folder};
use crate::sweep::leaving;
use crate::sweep::recordings::{is_segment, playlists};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a packet of MPEG-TS (ISO/IEC 13818-1, 2.4.3.2), and the first of them.
const PACKET: u64 = 188;
const SYNC: u8 = 0x47;
/// How often HLS is looked at that chop makes anew meanwhile.
const MOST_LOOKS: usize = 3;

/// What there is in a folder below `hls/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// HLS, which may be at fault: the report says how.
    Here,
    /// HLS that the sweep is removing.
    Leaving,
    /// None, or none any more.
    Nothing,
}

/// Looks at `hls/NAME/`, and reports what is missing or damaged in it.
pub fn look(path: &Path, report: &mut Report) -> Found {
    let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name)) else {
        return Found::Nothing;
    };
    let mut problems = Report::default();
    for _ in 0..MOST_LOOKS {
        problems = Report::default();
        match judge(path, name, &mut problems) {
            Ok(Some(Found::Here)) => break,
            Ok(Some(found)) => return found,
            Ok(None) => {}
            Err(error) => {
                problems.problem(Kind::Unreadable, &shown(path), error);
                break;
            }
        }
    }
    report.problems.append(&mut problems.problems);
    Found::Here
}

/// `None` if it was made anew meanwhile.
fn judge(path: &Path, name: &str, report: &mut Report) -> Result<Option<Found>, Error> {
    // Links are not followed.
    let parent = path.parent().map(Folder::open).transpose()?;
    let open = || parent.as_ref().map_or(Ok(None), |parent| parent.folder(name));
    let Some(folder) = open()? else { return Ok(Some(Found::Nothing)) };
    if !is_ours(&folder, name)? {
        return Ok(Some(Found::Nothing));
    }
    let [multivariant, media] = playlists(name);
    if let Some(text) = playlist(&folder, &multivariant, report)?
        && !text.lines().any(|line| line == media)
    {
        report.problem(
            Kind::BrokenHls,
            &shown(&path.join(&multivariant)),
            format!("it does not name {media}"),
        );
    }
    if let Some(text) = playlist(&folder, &media, report)? {
        segments(&folder, name, &text, report)?;
    }
    // What was missing may have left just now: the mark is made first, and removed last.
    let Some(now) = open()? else { return Ok(Some(Found::Nothing)) };
    if now.look(leaving::file(name))?.is_some() {
        return Ok(Some(Found::Leaving));
    }
    Ok((report.is_clean() || now.look(".")? == folder.look(".")?).then_some(Found::Here))
}

/// Whether there is anything in it that chop made; other folders are none of our business.
fn is_ours(folder: &Folder, name: &str) -> Result<bool, Error> {
    let of_chop = |file: &str| {
        is_segment(file, name)
            || file == leaving::file(name)
            || playlists(name).iter().any(|ours| ours == file)
    };
    for file in folder.names()? {
        if file?.to_str().is_some_and(of_chop) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a playlist says, if it can be read.
fn playlist(folder: &Folder, file: &str, report: &mut Report) -> Result<Option<String>, Error> {
    let place = shown(&folder.path().join(file));
    let Some(bytes) = folder.read(file, leaving::MOST_BYTES)? else {
        report.problem(Kind::BrokenHls, &place, "this playlist is not here");
        return Ok(None);
    };
    let text = String::from_utf8(bytes).ok().filter(|text| text.starts_with("#EXTM3U\n"));
    if text.is_none() {
        report.problem(Kind::BrokenHls, &place, "it is no playlist");
    }
    Ok(text)
}

/// Looks at the segments that a media playlist names.
fn segments(folder: &Folder, name: &str, text: &str, report: &mut Report) -> Result<(), Error> {
    let [_, media] = playlists(name);
    let place = shown(&folder.path().join(media));
    let mut count = 0;
    for segment in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        count += 1;
        if !is_segment(segment, name) {
            report.problem(
                Kind::BrokenHls,
                &place,
                format!("it names {segment:?}, which is no segment of it"),
            );
            continue;
        }
        let why = match folder.open_file(segment)? {
            None => Some("this segment is not here"),
            Some(file) => {
                fault(&file).map_err(|source| Error::new("read", &folder.path().join(segment), source))?
            }
        };
        if let Some(why) = why {
            report.problem(Kind::BrokenHls, &shown(&folder.path().join(segment)), why);
        }
    }
    if count == 0 || !text.ends_with("#EXT-X-ENDLIST\n") {
        report.problem(Kind::BrokenHls, &place, "the end of this playlist is missing");
    }
    Ok(())
}

/// What is wrong with a segment, by its size and the first byte of its first and its last packet.
fn fault(file: &File) -> io::Result<Option<&'static str>> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(Some("this segment is empty"));
    }
    if size % PACKET != 0 {
        return Ok(Some("this segment does not end with a whole packet"));
    }
    for at in [0, size - PACKET] {
        let mut first = [0];
        file.read_exact_at(&mut first, at)?;
        if first != [SYNC] {
            return Ok(Some("this segment is no MPEG-TS"));
        }
    }
    Ok(None)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::check::{Keys, check};
    use std::fs;

    /// HLS of two segments, as chop leaves it.
    pub fn make(hls: &Path, name: &str) {
        let folder = hls.join(name);
        fs::create_dir_all(&folder).expect("makes");
        let write = |file: String, bytes: &[u8]| fs::write(folder.join(file), bytes).expect("writes");
        let mut packets = [0; 2 * PACKET as usize];
        (packets[0], packets[PACKET as usize]) = (SYNC, SYNC);
        write(format!("{name}-front-0.ts"), &packets);
        write(format!("{name}-front-1.ts"), &packets);
        let segments = format!("#EXTINF:6.00000,\n{name}-front-0.ts\n#EXTINF:6.00000,\n{name}-front-1.ts\n");
        write(format!("{name}-out.m3u8"), format!("#EXTM3U\n{segments}#EXT-X-ENDLIST\n").as_bytes());
        write(format!("{name}.m3u8"), format!("#EXTM3U\n{name}-out.m3u8\n").as_bytes());
    }

    /// What is wrong below a folder: files and what of them.
    fn problems(dir: &Path) -> Vec<(String, String)> {
        let report = check(&[dir.to_owned()], &Keys::Enrolled(Vec::new())).expect("checks");
        let told = |problem: &crate::check::Problem| {
            assert_eq!(problem.kind, Kind::BrokenHls);
            assert!(report.to_string().contains(&format!("PROBLEM  {}: {}", problem.file, problem.detail)));
            let file = Path::new(&problem.file).strip_prefix(dir).expect("in it");
            (shown(file), problem.detail.clone())
        };
        report.problems.iter().map(told).collect()
    }

    #[test]
    fn hls_that_is_whole_or_leaves_or_is_none_is_no_problem() {
        let dir = tempfile::tempdir().expect("dir");
        let hls = dir.path().join("hls");
        for name in ["a", "2026-11-21-06-15-00-aaaaaaaa-0000000001"] {
            make(&hls, name);
        }
        fs::create_dir_all(hls.join("films/old")).expect("makes");
        fs::write(hls.join("films/a.ts"), "").expect("writes");
        fs::write(hls.join("readme.m3u8"), "").expect("writes");
        std::os::unix::fs::symlink("/etc", hls.join("link")).expect("links");
        assert_eq!(problems(dir.path()), []);
        assert_eq!(problems(&hls), []);

        fs::write(hls.join("a/a.leaving"), "v1 1 1\n").expect("writes");
        for left in ["a.m3u8", "a-out.m3u8", "a-front-0.ts", "a-front-1.ts"] {
            fs::remove_file(hls.join("a").join(left)).expect("removes");
            assert_eq!(problems(dir.path()), [], "{left}");
        }
    }

    #[test]
    fn whatever_of_hls_is_missing_or_damaged_is_named() {
        let faults: [(&str, Option<&[u8]>, &str); 10] = [
            ("a.m3u8", None, "this playlist is not here"),
            ("a.m3u8", Some(b"#EXTM3U\nb-out.m3u8\n"), "it does not name a-out.m3u8"),
            ("a-out.m3u8", None, "this playlist is not here"),
            ("a-out.m3u8", Some(b"\xff"), "it is no playlist"),
            ("a-out.m3u8", Some(b"#EXTM3U\na-front-0.ts\n"), "the end of this playlist is missing"),
            (
                "a-out.m3u8",
                Some(b"#EXTM3U\n../x.ts\n#EXT-X-ENDLIST\n"),
                "it names \"../x.ts\", which is no segment of it",
            ),
            ("a-front-1.ts", None, "this segment is not here"),
            ("a-front-1.ts", Some(b""), "this segment is empty"),
            (
                "a-front-1.ts",
                Some(&[SYNC; 2 * PACKET as usize - 1]),
                "this segment does not end with a whole packet",
            ),
            ("a-front-1.ts", Some(&[0; 2 * PACKET as usize]), "this segment is no MPEG-TS"),
        ];
        for (file, bytes, why) in faults {
            let dir = tempfile::tempdir().expect("dir");
            make(&dir.path().join("hls"), "a");
            let path = dir.path().join("hls/a").join(file);
            match bytes {
                None => fs::remove_file(path).expect("removes"),
                Some(bytes) => fs::write(path, bytes).expect("writes"),
            }
            assert_eq!(problems(dir.path()), [(format!("hls/a/{file}"), why.to_owned())]);
        }
    }

    #[test]
    fn where_the_hls_alone_was_kept_it_is_missed() {
        let dir = tempfile::tempdir().expect("dir");
        make(&dir.path().join("hls"), "a");
        fs::create_dir(dir.path().join("archive")).expect("makes");
        fs::write(dir.path().join("archive/a.sha256"), "digest").expect("writes");
        assert_eq!(problems(dir.path()), []);
        assert_eq!(problems(&dir.path().join("archive")), []);
        fs::remove_dir_all(dir.path().join("hls/a")).expect("removes");
        let report = check(&[dir.path().to_owned()], &Keys::Enrolled(Vec::new())).expect("checks");
        assert_eq!((report.problems.len(), report.problems[0].kind), (1, Kind::Absent), "{report}");
    }
}
