//! `cargo xtask faults`: every suite `tests/fault_ROW`, and every other one with a `campaign` in `xtask/budget.toml`, as often as that asks for.
//!
//! A suite says what it saw in lines with `saw: ` (`tests::work::saw`); they stand below its row in the table.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::budget::{Budget, ROUNDS};
use crate::cargo::TestProgram;
use crate::suite::{self, Ending};
use crate::tally::Count;
use crate::test;

/// What the names of suites begin with, and those of them that are about faults alone.
const SUITE: &str = "tests/";
const FAULT: &str = "fault_";
/// A campaign may take its time; only one that stands still is given up.
const LIMIT: Duration = Duration::from_secs(12 * 3600);
/// What a suite writes before each thing that it saw.
const SAW: &str = "saw: ";

/// A line of the table, with what belongs below it.
struct Row {
    name: String,
    rounds: String,
    count: Count,
    took: Duration,
    note: String,
    saw: Vec<String>,
}

/// Runs the rows whose name contains one of `only`; all of them if that is empty. Returns whether all passed.
pub fn run(only: &[String]) -> Result<bool> {
    let programs = test::build()?;
    let (budget, interrupted) = (Budget::load()?, suite::interruptions()?);
    let mut rows = Vec::new();
    for (row, program) in choose(&programs, &budget, only)? {
        let mut command = test::start(program);
        command.arg("--nocapture");
        let campaign = budget.campaign(&program.name).map(|rounds| rounds.to_string());
        let rounds = std::env::var(ROUNDS).ok().or(campaign);
        command.envs(rounds.iter().map(|rounds| (ROUNDS, rounds)));
        println!("{row} ...");
        let outcome = suite::run(&program.name, command, LIMIT, &interrupted)?;
        if outcome.ending == Ending::Interrupted {
            bail!("interrupted in {row}");
        }
        let row = Row {
            name: row.to_owned(),
            rounds: rounds.unwrap_or_else(|| "-".to_owned()),
            count: Count::of_tests(&outcome.output, outcome.ending == Ending::Well),
            took: outcome.took,
            note: test::note(&outcome),
            saw: outcome.output.lines().filter_map(seen).map(str::to_owned).collect(),
        };
        if row.count.failed > 0 {
            println!("{}--- the above is {}, kept in {}", outcome.output, row.name, outcome.log.display());
        }
        rows.push(row);
    }
    println!("\n{}", table(&rows));
    Ok(rows.iter().all(|row| row.count.failed == 0))
}

/// The suites among `programs` that are asked for, by the name of their row.
fn choose<'a>(
    programs: &'a [TestProgram],
    budget: &Budget,
    only: &[String],
) -> Result<Vec<(&'a str, &'a TestProgram)>> {
    let row = |program: &'a TestProgram| {
        let name = program.name.strip_prefix(SUITE)?;
        name.strip_prefix(FAULT).or(budget.has_campaign(&program.name).then_some(name))
    };
    let rows = programs.iter().filter_map(|program| Some((row(program)?, program)));
    let wanted = |row: &str| only.is_empty() || only.iter().any(|part| row.contains(part.as_str()));
    let chosen: Vec<_> = rows.clone().filter(|(row, _)| wanted(row)).collect();
    let all: Vec<&str> = rows.map(|(row, _)| row).collect();
    ensure!(!chosen.is_empty(), "there is no such row; there are {}", all.join(", "));
    Ok(chosen)
}

/// What a line of a suite says that it saw. The name of its test may stand before that.
fn seen(line: &str) -> Option<&str> {
    Some(line.split_once(SAW)?.1)
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<12} {:>7} {:>6} {:>6} {:>8}\n", "row", "rounds", "passed", "failed", "took");
    for Row { name, rounds, count, took, note, saw } in rows {
        let (passed, failed, took) = (count.passed, count.failed, took.as_secs_f64());
        let line = format!("{name:<12} {rounds:>7} {passed:>6} {failed:>6} {took:>6.0} s  {note}");
        let _ = writeln!(text, "{}", line.trim_end());
        saw.iter().for_each(|saw| text.push_str(&format!("    {saw}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> TestProgram {
        TestProgram { name: name.to_owned(), executable: "/t".into(), folder: "/w".into() }
    }

    #[test]
    fn rows_are_found_by_a_part_of_their_name() {
        let programs =
            ["media", "tests/crash", "tests/board", "tests/fault_disk", "tests/fault_kills"].map(program);
        let budget = Budget::load().unwrap();
        let rows = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|&part| part.to_owned()).collect();
            choose(&programs, &budget, &only)
                .map(|rows| rows.iter().map(|row| row.0.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(rows(&[]).unwrap(), ["board", "disk", "kills"]);
        assert_eq!(rows(&["kill"]).unwrap(), ["kills"]);
        let error = rows(&["flood"]).unwrap_err().to_string();
        assert_eq!(error, "there is no such row; there are board, disk, kills");
    }

    #[test]
    fn what_a_suite_saw_stands_below_its_row() {
        let saw = ["test one ... saw: 7 kills", "saw: 3 s", "nothing"].into_iter().filter_map(seen);
        let row = Row {
            name: "kills".to_owned(),
            rounds: "100".to_owned(),
            count: Count { passed: 2, failed: 0 },
            took: Duration::from_secs(61),
            note: String::new(),
            saw: saw.map(str::to_owned).collect(),
        };
        assert_eq!(
            table(&[row]),
            "\
row           rounds passed failed     took
kills            100      2      0     61 s
    7 kills
    3 s
"
        );
    }
}
