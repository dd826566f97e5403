//! The process that writes to the card ends at random instants: whatever is started then is one of the two versions, whole.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::dice::Dice;
use tests::edge::Settings;
use tests::wait::PATIENCE;
use tests::work::{rounds, saw};

use crate::board::Board;

#[test]
fn an_update_that_is_cut_at_any_instant_leaves_one_of_the_two_versions() -> Result<()> {
    let mut board = Board::new(Settings::default())?;
    let mut dice = Dice::from_environment();
    let bundle = board.bundle("1.1.0+0")?;
    // How long one takes when nobody disturbs it.
    let began = Instant::now();
    board.update(&bundle)?;
    let whole = began.elapsed();
    board.started.recv_timeout(PATIENCE).context("nothing was started")?;
    let (mut old, mut new) = (0, 0);
    for round in 0..rounds(3) {
        let state = board.slots()?.state;
        board.write_state(media::update::State { trial: None, tries: 0, ..state })?;
        let pause = Duration::from_secs_f64(whole.as_secs_f64() * dice.roll());
        let mut command = board.updating(&bundle);
        let update = thread::spawn(move || command.output());
        let id = board.started.recv_timeout(PATIENCE).context("nothing was started")?;
        thread::sleep(pause);
        // It may have ended by itself.
        let _gone = kill(Pid::from_raw(id.try_into()?), Signal::SIGKILL);
        update.join().expect("porthole-edge update")?;
        match board.would_boot().with_context(|| format!("round {round}, cut after {pause:?}"))?.as_str() {
            "1.0.0+0" => old += 1,
            "1.1.0+0" => new += 1,
            other => panic!("started {other}"),
        }
    }
    saw(format!("{old} cuts left the old version to start, {new} the new one; an update took {whole:?}"));
    board.update(&bundle)?;
    assert_eq!(board.would_boot()?, "1.1.0+0", "the next update is whole");
    Ok(())
}
