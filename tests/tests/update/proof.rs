//! A version on trial: kept when what worked before works again, and gone otherwise.

use std::fs;

use anyhow::Result;
use media::update::{Slot, State};
use serde_json::json;
use tests::edge::Settings;
use tests::sshd::{Sshd, View};

use crate::board::Board;

const KEPT: State = State { active: Slot::B, trial: None, tries: 0 };
const BACK: State = State { active: Slot::A, trial: None, tries: 0 };

impl Board {
    /// Waits until the edge wants the board to start again, and does that as the boot loader does; gives the version.
    fn restart(&mut self) -> Result<String> {
        let flag = self.flag("restart");
        self.edge.wait_until("the wish to start again", |_| flag.exists())?;
        assert!(self.edge.terminate()?.success());
        let version = self.boot()?;
        self.edge.start_again()?;
        Ok(version)
    }

    fn wait_for_outcome(&mut self) -> Result<()> {
        let memory = self.edge.file("update.json");
        self.edge.wait_until("the outcome of the update", |_| {
            fs::read_to_string(&memory).is_ok_and(|text| !text.contains("\"outcome\":null"))
        })
    }

    /// Writes the configuration in one step: what is started for the card reads it whenever it is started.
    fn write_config(&self, text: &str) -> Result<()> {
        let new = self.edge.file("new.toml");
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.edge.file("edge.toml"))?)
    }

    /// Waits until the camera gave pictures for long enough to be missed.
    fn wait_for_pictures(&mut self) -> Result<()> {
        self.edge
            .wait_until("pictures", |edge| edge.metric("porthole_edge_ring_seconds{camera=\"front\"}") >= 4.0)
    }
}

#[test]
fn an_update_is_written_beside_what_runs_tried_and_kept_once_a_recording_has_its_receipt() -> Result<()> {
    let sshd = Sshd::start(View::Whole)?;
    let mut board = Board::new(Settings::default().upload_to(&sshd)?)?;
    sshd.authorize(&board.edge.public_key()?)?;
    board.edge.start_again()?;
    board.wait_for_pictures()?;
    board.edge.wait_until("an upload", |edge| edge.metric("porthole_edge_upload_bytes_total") > 0.0)?;
    let bundle = board.bundle("1.1.0+0")?;
    board.update_well(&bundle)?;
    let trial = State { active: Slot::A, trial: Some(Slot::B), tries: 3 };
    assert_eq!(board.slots()?.state, trial);
    assert_eq!(board.restart()?, "1.1.0+0");
    assert_eq!(board.memory()["before"], json!({ "cameras": ["front"], "remote": true }));
    board.wait_for_outcome()?;
    assert_eq!(board.memory()["outcome"], "kept");
    assert_eq!(board.slots()?.state, KEPT);
    assert!(board.flag("kept").exists());
    let receipts = board.edge.recordings()?.into_iter().filter(|recording| recording["state"] == "receipted");
    let seconds: Vec<f64> = receipts.filter_map(|recording| recording["seconds"].as_f64()).collect();
    assert!(seconds.iter().any(|seconds| (10.0..20.0).contains(seconds)), "{seconds:?}");
    assert_eq!(board.would_boot()?, "1.1.0+0");
    // And the next one goes to the first slot.
    let bundle = board.bundle("1.1.0+1")?;
    board.update_well(&bundle)?;
    assert_eq!(board.slots()?.state, State { active: Slot::B, trial: Some(Slot::A), tries: 3 });
    Ok(())
}

#[test]
fn a_version_without_the_picture_that_there_was_goes_away_by_itself() -> Result<()> {
    let mut board = Board::new(Settings::default())?;
    board.edge.start_again()?;
    board.wait_for_pictures()?;
    let bundle = board.bundle("1.1.0+0")?;
    board.update_well(&bundle)?;
    let config = fs::read_to_string(board.edge.file("edge.toml"))?;
    let flag = board.flag("restart");
    board.edge.wait_until("the wish to start again", |_| flag.exists())?;
    let blind = config.replace("source = \"pattern\"", "source = \"v4l2:/dev/video99\"");
    board.write_config(&blind.replace("proof_seconds = 60", "proof_seconds = 5"))?;
    assert_eq!(board.restart()?, "1.1.0+0");
    board.wait_for_outcome()?;
    assert_eq!(board.memory()["outcome"], json!({ "returned": "no picture of camera front" }));
    board.write_config(&config)?;
    assert_eq!(board.restart()?, "1.0.0+0");
    assert_eq!(board.slots()?.state, BACK);
    Ok(())
}

#[test]
fn a_version_that_never_comes_up_runs_out_of_tries_and_the_one_before_says_so() -> Result<()> {
    let mut board = Board::new(Settings::default())?;
    board.edge.start_again()?;
    let bundle = board.bundle("1.1.0+0")?;
    board.update_well(&bundle)?;
    let flag = board.flag("restart");
    board.edge.wait_until("the wish to start again", |_| flag.exists())?;
    assert!(board.edge.terminate()?.success());
    let versions: Vec<String> = (0..4).map(|_| board.boot()).collect::<Result<_>>()?;
    assert_eq!(versions, ["1.1.0+0", "1.1.0+0", "1.1.0+0", "1.0.0+0"]);
    board.edge.start_again()?;
    board.wait_for_outcome()?;
    assert_eq!(
        board.memory()["outcome"],
        json!({ "returned": "it was started 3 times, and did not prove itself" })
    );
    let card = || board.slots().is_ok_and(|slots| slots.state == BACK);
    tests::wait::wait_until("nothing to be tried", tests::wait::PATIENCE, card)
}
