//! Developer commands: `cargo xtask demo | test | bench | arm | deb | image | bundle | boot | yocto | deps | crash | faults | model |
//! sim | fuzz | container`.
//!
//! This crate builds on a machine that has Rust and nothing else: it installs what the others need, builds them, and
//! starts them. What a command does once everything is there lives in the crate `tests`.
//!
//! ```text
//! main -> deps      what must be installed, and how           apt | npm | pip
//!      -> test      every suite within its minutes            budget, cargo, suite, tally
//!      -> faults    the suites of faults, in full
//!      -> model     the model of the handshake, row by row
//!      -> cross     the edge for a board              debian
//!      -> deb       its Debian package                    licences
//!      -> board     its image, and boards in QEMU     debian
//!      -> yocto     the lists of crates in yocto-layer/    licences
//!      -> container the remote host's image            debian
//!      -> fuzz      the fuzz targets under libFuzzer
//!      -> launch    build a program of `tests` and become it  demo, bench, sim
//! ```

mod board;
mod budget;
mod cargo;
mod command;
mod container;
mod cross;
mod deb;
mod debian;
mod deps;
mod faults;
mod fuzz;
mod launch;
mod licences;
mod model;
mod suite;
mod tally;
mod test;
mod workspace;
mod yocto;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Developer commands of Porthole.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start an edge and a remote host of its own on this machine and show what goes on
    Demo {
        /// What follows goes to the demo: --source, --port, --seconds (see `cargo xtask demo -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install what is missing, then run every check and every test
    Test {
        /// Run only the suites whose name contains one of these
        only: Vec<String>,
    },
    /// Measure the appliance against its peers and write docs/ref/performance.md
    Bench {
        /// What follows goes to the bench: --row, --long (see `cargo xtask bench -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the edge for boards with an armv7 processor, or another target, and weigh it
    Arm {
        /// What it is for
        #[arg(long, value_enum, default_value = "armv7")]
        target: cross::Target,
        /// Run the unit tests too, under an emulator
        #[arg(long)]
        test: bool,
        /// Build it as `cross` does, in a container that Cross.toml describes, but without Docker
        #[arg(long, conflicts_with = "test")]
        container: bool,
        /// In the container, only compile the libraries, and check the rest
        #[arg(long, requires = "container")]
        check: bool,
    },
    /// Make a Debian package of the edge
    Deb {
        /// What it is for; this machine, unless named
        #[arg(long, value_enum, default_value_t = cross::Target::here())]
        target: cross::Target,
        /// The program to pack, instead of building it
        #[arg(long)]
        edge: Option<std::path::PathBuf>,
    },
    /// Make the file that goes on the card of a board
    Image(board::image::Wishes),
    /// Make an update from an image, and sign it
    Bundle(board::bundle::Wishes),
    /// Make that file and boot it in QEMU, with its console on this terminal
    Boot,
    /// Make what the tests of cameras and sound boot in QEMU: a bare board with drivers, tools and the edge
    Testbed,
    /// Kill the edge at random instants while it records and uploads, and look for lost footage
    Crash {
        /// How many kills
        #[arg(long, default_value_t = 500)]
        rounds: u32,
    },
    /// Run the suites of faults (tests/tests/fault_*) as often as a campaign asks for, and show what each saw
    Faults {
        /// Run only the rows whose name contains one of these
        rows: Vec<String>,
    },
    /// Simulate edges, network and remote host in one thread under faults: many seeds, or one with its trace
    Sim {
        /// What follows goes to the simulator: --seed, --seeds, --variant (see `cargo xtask sim -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the model of the handshake: every row must hold, or must fail if it is known to be bad
    Model,
    /// Feed the parsers what nobody would send, and look for faults
    Fuzz {
        /// Run only these targets; each has a folder in fuzz/corpus
        targets: Vec<String>,
        /// How long, all targets together
        #[arg(long, default_value_t = 60)]
        minutes: u32,
    },
    /// Build the image of remote/Containerfile and start it, without fetching any image
    Container,
    /// Write anew what the Yocto layer knows of crates and their licences
    Yocto,
    /// Install the packages that a purpose needs, without doing anything else
    Deps {
        #[arg(value_enum, default_value = "bench")]
        purpose: deps::Purpose,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo { arguments } => launch::demo(&arguments),
        Command::Bench { arguments } => launch::bench(&arguments),
        Command::Test { only } => test::run(&only),
        Command::Arm { target, container: true, check, .. } => cross::contained(target, check),
        Command::Arm { target, test, .. } => cross::run(target, test),
        Command::Deb { target, edge } => deb::make(target, edge).map(|_| true),
        Command::Image(wishes) => board::image::make(&wishes).map(|_| true),
        Command::Bundle(wishes) => board::bundle::make(&wishes).map(|()| true),
        Command::Boot => board::boot::run().map(|()| true),
        Command::Testbed => board::testbed::make().map(|()| true),
        Command::Crash { rounds } => test::crash(rounds),
        Command::Faults { rows } => faults::run(&rows),
        Command::Sim { arguments } => launch::sim(&arguments),
        Command::Model => model::run(),
        Command::Fuzz { targets, minutes } => {
            fuzz::run(&targets, Duration::from_secs(60 * u64::from(minutes)))
        }
        Command::Container => container::run().map(|()| true),
        Command::Yocto => yocto::make().map(|()| true),
        Command::Deps { purpose } => deps::install(purpose).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
