//! Sound in step with the picture: a film clapper on the board (`board/testbed/clapper.c`), seen and heard in the live view. All times are of the
//! board's own clock, which drivers stamp with and which media time is: how slow the emulator is does not matter.

use super::*;
use tests::wait::wait_until;
use tests::work::saw;

/// Nobody notices sound that is so late, or so early (ITU-R BT.1359-1, threshold of detectability), in seconds.
const LATE: f64 = 0.125;
const EARLY: f64 = 0.045;
/// Further than this the claps are not seen from where the driver saw them, but for one or the other: pictures may be missing just there.
const MOST_OFF: f64 = 0.060;

/// When the live view showed a picture turn white, and when a tone began, for some seconds.
struct Seen {
    flashes: Vec<f64>,
    tones: Vec<f64>,
}

fn watch(board: &Board) -> Result<Seen> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostats", "-copyts", "-rw_timeout", "60000000", "-t", "7", "-i"]);
    ffmpeg.arg(board.web.url(&format!("/live/{CAMERA}/stream.mp4")));
    ffmpeg.args(["-map", "0:v", "-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-"]);
    ffmpeg.args([
        "-f",
        "null",
        "-",
        "-map",
        "0:a",
        "-af",
        "silencedetect=noise=-30dB:d=0.5",
        "-f",
        "null",
        "-",
    ]);
    let output = ffmpeg.stdin(Stdio::null()).output()?;
    let (pictures, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let after = |line: &str, name: &str| -> Option<f64> {
        line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
    };
    let (mut flashes, mut time, mut was_white) = (Vec::new(), None, true);
    for line in pictures.lines() {
        time = after(line, "pts_time:").or(time);
        if let Some(luma) = after(line, "YAVG=") {
            let white = luma > 128.0;
            flashes.extend(time.filter(|_| white && !was_white));
            was_white = white;
        }
    }
    // The end of the stream ends a silence too: a tone is what another one follows.
    let (mut tones, mut end) = (Vec::new(), None);
    for line in told.lines() {
        end = after(line, "silence_end: ").or(end);
        if line.contains("silence_start: ") {
            tones.extend(end.take());
        }
    }
    ensure!(flashes.len() > 1 && tones.len() > 1, "{flashes:?} {tones:?}: {told}");
    Ok(Seen { flashes, tones })
}

/// The claps so far: when each was due, and the driver's time of its picture.
fn claps(board: &mut Board) -> Result<Vec<(f64, f64)>> {
    let log = board.run("cat /run/clapper.log")?;
    let pair =
        |line: &str| Some((line.split_once(' ')?.0.parse().ok()?, line.split_once(' ')?.1.parse().ok()?));
    Ok(log.lines().filter_map(pair).collect())
}

/// The one of `times` that is nearest to `time`, less that.
fn off(times: impl Iterator<Item = f64>, time: f64) -> f64 {
    times.map(|other| time - other).min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::INFINITY)
}

/// The largest of them, whichever sign it has.
fn worst(offs: &[f64]) -> f64 {
    offs.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::INFINITY)
}

/// The largest of all but one of them: of several pictures one may be missing where it mattered.
fn worst_but_one(offs: &[f64]) -> f64 {
    let mut offs: Vec<f64> = offs.iter().map(|off| off.abs()).collect();
    offs.sort_by(f64::total_cmp);
    if offs.len() > 2 {
        offs.pop();
    }
    offs.pop().unwrap_or(f64::INFINITY)
}

#[test]
fn sound_is_in_step_with_the_picture_and_stays_where_it_is_when_the_cameras_clock_goes_wrong() {
    let mut board = Board::boot().unwrap();
    board
        .run("modprobe snd-aloop && modprobe v4l2loopback video_nr=9 exclusive_caps=1 card_label=Film")
        .unwrap();
    board
        .run("clapper /dev/video9 /dev/snd/pcmC0D0p > /run/clapper.log 2>&1 & echo $! > /run/clapper.pid")
        .unwrap();
    wait_until("a clap", PATIENCE, || claps(&mut board).is_ok_and(|claps| !claps.is_empty()))
        .unwrap_or_else(|error| panic!("{error}: {:?}", board.run("cat /run/clapper.log")));
    let configuration = looking_at("v4l2:/dev/video9", "").replace("\"none\"", "\"hw:0,1\"");
    board.start_edge(&configuration).unwrap();
    wait_for_pictures(&mut board).unwrap();

    for clock in ["true", "jittered", "wrong"] {
        let seen = watch(&board).unwrap_or_else(|error| panic!("{clock}: {error}\n{}", board.edge_log()));
        let claps = claps(&mut board).unwrap();
        let heard: Vec<f64> =
            seen.tones.iter().map(|&tone| off(claps.iter().map(|clap| clap.0), tone)).collect();
        // A time that nobody can believe leaves that of arrival: near the one when it was due, as fast as the emulator is.
        let believable = clock != "wrong";
        let taken = claps.iter().map(|&(due, stamp)| if believable { stamp } else { due });
        let shown: Vec<f64> = seen.flashes.iter().map(|&flash| off(taken.clone(), flash)).collect();
        saw(format!("a {clock} clock: heard {heard:.3?}, shown {shown:.3?} seconds late"));
        assert!((-EARLY..LATE).contains(&worst(&heard)), "{clock}: {heard:?}");
        assert!(!believable || worst_but_one(&shown) < MOST_OFF, "{clock}: {shown:?}");
        board.run("kill -USR1 $(cat /run/clapper.pid)").unwrap();
    }
}
