//! `cargo xtask model`: every row of the handshake's model, `tests/model/upload.pml`.
//!
//! ```text
//! upload.pml -- spin FLAGS --> pan.c -- gcc --> pan --> errors: 0 or 1, states
//! ```
//!
//! A row either must hold, or is a variant that is known to be bad: if the model finds no fault in one of those, it is the
//! model that is bad. The number of states says how much was looked at; only whether there were errors is judged.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{command, deps, workspace};

/// One run of the model.
struct Row {
    name: &'static str,
    /// Whether the invariants must hold; else an error must be found.
    holds: bool,
    /// Who is on each side, and how many faults there are.
    flags: &'static str,
}

const ROWS: &[Row] = &[
    holds("ours", ""),
    holds("ours, two power cuts", "-DRCRASH=2 -DDROPS=1 -DWCRASH=0"),
    holds("ours, the edge never returns", "-DEDGE_DIES -DDROPS=1"),
    holds("ours, a part is taken too soon", "-DTOO_SOON -DPROMPT -DDROPS=1 -DWCRASH=0"),
    holds("our edge, script workers", "-DSCRIPT_WORKER -DPROMPT -DRCRASH=0 -DWCRASH=0"),
    holds("our edge, one worker of each", "-DMIXED -DRCRASH=0 -DWCRASH=1"),
    holds("script edge, our remote", "-DSCRIPT_EDGE -DDURABLE_RM -DNOLIVE"),
    holds("the camera spoils what it sent", "-DEVIL -DNOLIVE -DDROPS=0 -DECRASH=0"),
    fails("ours without fsync", "-DNOFSYNC"),
    fails("ours, and half a part counts as whole", "-DTOO_SOON -DPROMPT -DUNSEALED -DNOLIVE"),
    fails("ours, and a part is cut", "-DCUT -DNOLIVE"),
    fails("ours, and the seal stands once", "-DONE_SEAL -DNOLIVE"),
    fails("ours, and any part counts as ours", "-DANY_PART -DNOLIVE"),
    fails("ours without the copy", "-DEVIL -DNOCOPY -DNOLIVE -DDROPS=0 -DECRASH=0"),
    fails("script edge, plain rm", "-DSCRIPT_EDGE -DNOLIVE"),
    fails(
        "scripts, run again after a drop",
        "-DSCRIPT_EDGE -DSCRIPT_EDGE_RETRY -DSCRIPT_WORKER -DRCRASH=0 -DWCRASH=0 -DNOLIVE -DDROPS=1 -DECRASH=0",
    ),
    fails("scripts, power cut", "-DSCRIPT_EDGE -DSCRIPT_WORKER -DWCRASH=0 -DDROPS=0 -DECRASH=0 -DNOLIVE"),
    fails(
        "scripts, one drop is stuck",
        "-DSCRIPT_EDGE -DSCRIPT_WORKER -DRCRASH=0 -DWCRASH=0 -DDROPS=1 -DECRASH=0",
    ),
    fails("our edge, script workers, a late lock", "-DSCRIPT_WORKER -DRCRASH=0 -DWCRASH=0"),
    fails("our edge, script workers, power cut", "-DSCRIPT_WORKER -DWCRASH=0 -DNOLIVE"),
];

const fn holds(name: &'static str, flags: &'static str) -> Row {
    Row { name, holds: true, flags }
}

const fn fails(name: &'static str, flags: &'static str) -> Row {
    Row { name, holds: false, flags }
}

/// Runs every row and prints what came of it; whether all are as they must be.
pub fn run() -> Result<bool> {
    deps::install(deps::Purpose::Test)?;
    let folder = workspace::target().join("model");
    let mut good = true;
    for row in ROWS {
        let found = check(row, &folder).with_context(|| row.name.to_owned())?;
        good &= (found.errors == 0) == row.holds;
        let must = if row.holds { "must hold" } else { "must fail" };
        let did = if found.errors == 0 { "holds" } else { "fails" };
        println!("{:<38} {must}, {did:<6} {:>9} states", row.name, found.states);
    }
    Ok(good)
}

/// What a run found.
#[derive(Debug, PartialEq)]
struct Found {
    errors: u64,
    states: u64,
}

fn check(row: &Row, folder: &Path) -> Result<Found> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut spin = command::command("spin");
    spin.args(row.flags.split_whitespace()).arg("-a").arg(workspace::root().join("tests/model/upload.pml"));
    // Spin speaks of labels that a variant does not use.
    let made = spin.current_dir(folder).output().context("spin")?;
    ensure!(made.status.success(), "spin: {}", String::from_utf8_lossy(&made.stdout));
    let mut gcc = command::command("gcc");
    gcc.args(["-O2", "-DSAFETY", "-DCOLLAPSE", "-w", "-o", "pan", "pan.c"]);
    command::run(gcc.current_dir(folder))?;
    let mut pan = command::command(folder.join("pan"));
    let output = pan.arg("-m200000").current_dir(folder).output().context("pan")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(!text.contains("search depth too small"), "the search was cut short:\n{text}");
    found(&text).with_context(|| format!("pan printed no result:\n{text}"))
}

/// Reads what pan prints at its end.
fn found(text: &str) -> Option<Found> {
    let errors = text.lines().find_map(|line| line.split_once("errors: ")?.1.trim().parse().ok())?;
    let states =
        text.lines().find_map(|line| line.split_once(" states, stored")?.0.trim().parse::<f64>().ok());
    Some(Found { errors, states: states? as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_read_from_what_pan_prints() {
        let text = "State-vector 76 byte, depth reached 99, errors: 0\n  1968417 states, stored\n 7 states, matched\n";
        assert_eq!(found(text), Some(Found { errors: 0, states: 1_968_417 }));
        let text = "pan:1: assertion violated (at depth 65)\nerrors: 1\n 1.5e+06 states, stored\n";
        assert_eq!(found(text), Some(Found { errors: 1, states: 1_500_000 }));
        assert_eq!(found("pan: out of memory\n"), None);
    }
}
