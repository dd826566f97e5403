//! Sound through ALSA, from a card whose other end the test has.

use super::*;
use tests::wait::wait_until;

/// A card (snd-aloop) of which the edge hears what is played into it.
const MICROPHONE: &str = "hw:0,1";

fn hearing(board: &mut Board) -> Result<()> {
    board.run("modprobe snd-aloop")?;
    tone(board)?;
    let listening = format!(
        "audio.device = \"{MICROPHONE}\"\nrecord.enabled = false\nlive.listen = \"0.0.0.0:8080\"\n\
         [[camera]]\nname = \"{CAMERA}\"\nsource = \"pattern\"\n"
    );
    board.start_edge(&listening)
}

/// Plays a tone into the card until it is killed.
fn tone(board: &mut Board) -> Result<()> {
    let play = "speaker-test -D hw:0,0 -c 2 -r 48000 -F S16_LE -t sine -f 440 > /run/tone.log 2>&1";
    board.run(&format!("{play} & echo $! > /run/tone.pid")).map(drop)
}

/// Mean level in dB of the sound of three seconds of the live view; `None` while there is none.
fn level(board: &Board) -> Option<f64> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-rw_timeout", "60000000", "-t", "3", "-i"]);
    ffmpeg.arg(board.web.url(&format!("/live/{CAMERA}/stream.mp4")));
    ffmpeg.args(["-vn", "-af", "volumedetect", "-f", "null", "-"]).stdin(Stdio::null());
    let told = String::from_utf8_lossy(&ffmpeg.output().ok()?.stderr).into_owned();
    told.split_once("mean_volume: ")?.1.split(' ').next()?.parse().ok()
}

fn wait_for_the_tone(board: &mut Board) {
    let heard = || level(board).is_some_and(|level| level > -40.0);
    let waited = wait_until("the tone", PATIENCE, heard);
    waited.unwrap_or_else(|error| panic!("{error}: {:?} {}", level(board), board.edge_log()));
}

#[test]
fn what_a_card_hears_is_heard_in_the_live_view() {
    let mut board = Board::boot().unwrap();
    hearing(&mut board).unwrap();
    wait_for_the_tone(&mut board);
    let log = board.edge_log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_card_that_is_unplugged_and_comes_back_is_heard_again() {
    let mut board = Board::boot().unwrap();
    hearing(&mut board).unwrap();
    wait_for_the_tone(&mut board);
    board.run("kill $(cat /run/tone.pid)").unwrap();
    board.run("echo snd_aloop.0 > /sys/bus/platform/drivers/snd_aloop/unbind").unwrap();
    wait_until("silence", PATIENCE, || level(&board).is_none_or(|level| level < -60.0)).unwrap();
    board.run("echo snd_aloop.0 > /sys/bus/platform/drivers/snd_aloop/bind").unwrap();
    tone(&mut board).unwrap();
    wait_for_the_tone(&mut board);
}
