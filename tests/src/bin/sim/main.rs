//! Runs the simulator: one seed with its trace, or many on all cores (`cargo xtask sim`).

use clap::Parser;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tests::sim::variant::{BAD, GOOD, Variant};
use tests::sim::{Outcome, run};

/// Simulate edges, network and remote host under faults.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Arguments {
    /// Repeat this seed and print what happens
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Who is on each side: the name of a row, or the beginning of it
    #[arg(long, default_value = "ours")]
    variant: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rows = || GOOD.iter().chain(&BAD);
    let named = |row: &&Variant| row.name == arguments.variant;
    let begins = |row: &&Variant| row.name.starts_with(&arguments.variant);
    let Some(variant) = rows().find(named).or_else(|| rows().find(begins)) else {
        eprintln!("there is no such row; there are:");
        rows().for_each(|row| eprintln!("  {}", row.name));
        return ExitCode::FAILURE;
    };
    let broken = match arguments.seed {
        Some(seed) => repeat(seed, variant),
        None => search(arguments.from..arguments.from + arguments.seeds, variant),
    };
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one seed with its trace; whether an invariant broke.
fn repeat(seed: u64, variant: &Variant) -> bool {
    let outcome = run(seed, variant, true);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{}", line(seed, &outcome));
    outcome.broken.is_some()
}

/// Runs many seeds on all cores; whether an invariant broke in one.
fn search(seeds: std::ops::Range<u64>, variant: &Variant) -> bool {
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let (turns, receipts, broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run(seed, variant, false);
                    turns.fetch_add(outcome.turns, Ordering::Relaxed);
                    receipts.fetch_add(outcome.receipts as u64, Ordering::Relaxed);
                    if outcome.broken.is_some() {
                        broken.fetch_add(1, Ordering::Relaxed);
                        println!("{}", line(seed, &outcome));
                    }
                }
            });
        }
    });
    let broken = broken.into_inner();
    println!(
        "{}: {} seeds, {} receipts, {} turns, {broken} broken, {:.1} s",
        variant.name,
        seeds.end - seeds.start,
        receipts.into_inner(),
        turns.into_inner(),
        begun.elapsed().as_secs_f64()
    );
    broken > 0
}

fn line(seed: u64, outcome: &Outcome) -> String {
    let Outcome { broken, turns, time, receipts, .. } = outcome;
    let broken = broken.as_deref().unwrap_or("every invariant holds");
    format!(
        "seed {seed}: {broken} ({receipts} receipts, {turns} turns, {:.1} s of virtual time)",
        time.as_secs_f64()
    )
}
