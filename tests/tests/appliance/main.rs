//! The image on a board: what starts it again, which slot it starts from, what the host is called, its live view, its network, and what is plugged into it.

mod chain;
mod network;
mod plugged;
mod trial;
mod view;

use anyhow::{Context, Result, ensure};
use media::update::slots::{COPIES, SECTOR};
use media::update::{Slot, Slots, State};
use tests::appliance::{Appliance, Partition, ask_until};

/// Stops all of user space; the kernel goes on.
const FREEZE: &str =
    "for group in system.slice init.scope; do echo 1 > /sys/fs/cgroup/$group/cgroup.freeze; done";
const PANIC: &str = "echo c > /proc/sysrq-trigger";

/// The two copies of the state of the slots on the card.
fn copies(appliance: &Appliance) -> Result<[[u8; SECTOR]; 2]> {
    let copy = |at| -> Result<[u8; SECTOR]> { Ok(appliance.read(at, SECTOR as u64)?.as_slice().try_into()?) };
    Ok([copy(COPIES[0])?, copy(COPIES[1])?])
}

/// Where the next state is written on the card, and what.
fn next(appliance: &Appliance, state: State) -> Result<(usize, [u8; SECTOR])> {
    let [first, second] = copies(appliance)?;
    Slots::of([&first, &second]).next(state).context("too many writes")
}

fn try_b(tries: u32) -> State {
    State { active: Slot::A, trial: Some(Slot::B), tries }
}

/// A trial is started as often as it may be; a panic and frozen user space start the board again; a slot that cannot be read is passed over.
fn starts() -> Result<()> {
    let mut appliance = Appliance::flash()?;
    appliance.fill_slot_b()?;
    let (older, counts) = next(&appliance, try_b(1))?;
    appliance.write(COPIES[older], &counts)?;
    // The newer copy is torn: the older one counts.
    let (newer, tried) = next(&appliance, try_b(0))?;
    let mut torn = tried;
    torn[100] ^= 1;
    appliance.write(COPIES[newer], &torn)?;
    appliance.put("porthole.toml", &Appliance::owner_says("barn-7", ""))?;

    appliance.power_on()?;
    ensure!(appliance.slot()? == "b", "a trial with a try left is not started");
    // U-Boot flushes nothing.
    appliance.run("dd if=/dev/null of=/dev/vda conv=notrunc,fsync")?;
    let counted = copies(&appliance)?;
    ensure!(counted[older] == counts && counted[newer] == tried, "{counted:?}");
    let panic = appliance.console().len();
    appliance.run_last(PANIC)?;
    appliance.wait_for_start(1)?;
    let said = appliance.console()[panic..].to_owned();
    ensure!(said.contains("Kernel panic") && said.contains("Rebooting in 5 seconds"), "{said}");

    ensure!(appliance.slot()? == "a", "a trial without a try left is started");
    appliance.wait_for_pictures()?;
    host_is_named(&mut appliance)?;
    let watchdog =
        appliance.run("cat /sys/class/watchdog/watchdog0/identity /sys/class/watchdog/watchdog0/timeout")?;
    ensure!(watchdog == "Software Watchdog\n60\n", "{watchdog}");
    // The edge notes that the trial is over.
    let over = State { active: Slot::A, trial: None, tries: 0 };
    let state = |[first, second]: &[[u8; SECTOR]; 2]| Slots::of([first, second]).state;
    ask_until("the end of the trial", || copies(&appliance).is_ok_and(|now| state(&now) == over))?;
    let written = copies(&appliance)?;
    appliance.run_last(FREEZE)?;
    // Of the kernel in slot A nothing is left to start.
    appliance.write(appliance.start_of(Partition::SlotA)?, &vec![0; 1 << 20])?;
    appliance.wait_for_start(2)?;

    ensure!(appliance.slot()? == "b", "the other slot is not started");
    ensure!(
        copies(&appliance)? == written,
        "a start of an active slot has written: {:?}",
        copies(&appliance)
    );
    Ok(())
}

/// Name and time zone of `porthole.toml` are the host's, and follow what is set on the page.
fn host_is_named(appliance: &mut Appliance) -> Result<()> {
    let now = |appliance: &mut Appliance| {
        appliance.run("cat /proc/sys/kernel/hostname; readlink -f /etc/localtime")
    };
    let named = |appliance: &mut Appliance, what: &str| {
        let mut last = Ok(String::new());
        ask_until(what, || {
            last = now(appliance);
            last.as_ref().is_ok_and(|last| last == what)
        })
        .with_context(|| format!("{last:?}"))
    };
    named(appliance, "barn-7\n/usr/share/zoneinfo/Europe/Berlin\n")?;
    appliance.post("/api/setup/device", r#"{ "name": "barn-8", "time_zone": "Asia/Tokyo" }"#)?;
    named(appliance, "barn-8\n/usr/share/zoneinfo/Asia/Tokyo\n")
}

#[test]
fn whatever_stands_still_or_cannot_be_read_the_board_starts_again_from_a_slot_that_works() {
    starts().unwrap_or_else(|error| panic!("{error:?}"));
}
