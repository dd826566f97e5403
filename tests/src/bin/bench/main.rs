//! The bench: what the appliance must reach, measured against what somebody would use instead, in the same run.
//!
//! ```text
//! main -> a module for each row of the table: latency, ll_hls, cpu, quality, memory, fan_out, segments, chop, restart,
//!         upload, links; instructions and board, of the edge as it is built for boards
//!           |-> peer      ffmpeg, fed by a camera of its own, with nginx in front
//!           |-> viewers   clients of stream.mp4
//!           `-> polling   clients of a playlist and its segments
//!      -> table           verdicts      -> page   docs/ref/performance.md
//!      -> machine         what it was measured on
//! ```
//!
//! `cargo xtask bench` builds it optimised and installs what it needs. Unlike tests, a bench lets time pass: that is what it
//! measures.

mod board;
mod chop;
mod cpu;
mod fan_out;
mod instructions;
mod latency;
mod links;
mod ll_hls;
mod machine;
mod memory;
mod nginx;
mod page;
mod peer;
mod polling;
mod quality;
mod restart;
mod segments;
mod table;
mod upload;
mod viewers;

use std::cell::OnceCell;
use std::fs;
use std::time::Duration;

use ::tests::browser::Watched;
use ::tests::edge::{Edge, Settings};
use ::tests::footage;
use anyhow::{Context, Result, bail};
use clap::Parser;

use page::Page;
use table::{Figure, Outcome};

/// Measures the appliance against its peers and writes docs/ref/performance.md.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Measure these rows alone
    #[arg(long)]
    row: Vec<String>,
    /// Put what these rows say in the place of what docs/ref/performance.md has of them; without --row all of it is written
    #[arg(long, requires = "row")]
    write: bool,
    /// Also watch the page for ten minutes, for its drift
    #[arg(long)]
    long: bool,
}

/// A row of the table.
struct Row {
    name: &'static str,
    /// How it is measured.
    how: &'static str,
    measure: fn(&Bench) -> Result<Vec<Figure>>,
}

const ROWS: [Row; 13] = [
    Row { name: "latency", how: latency::HOW, measure: latency::measure },
    Row { name: "ll_hls", how: ll_hls::HOW, measure: ll_hls::measure },
    Row { name: "cpu", how: cpu::HOW, measure: cpu::measure },
    Row { name: "quality", how: quality::HOW, measure: quality::measure },
    Row { name: "memory", how: memory::HOW, measure: memory::measure },
    Row { name: "fan_out", how: fan_out::HOW, measure: fan_out::measure },
    Row { name: "segments", how: segments::HOW, measure: segments::measure },
    Row { name: "chop", how: chop::HOW, measure: chop::measure },
    Row { name: "restart", how: restart::HOW, measure: restart::measure },
    Row { name: "upload", how: upload::HOW, measure: upload::measure },
    Row { name: "links", how: links::HOW, measure: links::measure },
    Row { name: "instructions", how: instructions::HOW, measure: instructions::measure },
    Row { name: "board", how: board::HOW, measure: board::measure },
];

/// What the rows share.
struct Bench {
    /// Whether to watch for ten minutes.
    long: bool,
    /// What a viewer of the peer's HLS saw, once a row has asked.
    peer_delay: OnceCell<Watched>,
}

/// Seconds of footage; it is played in a loop.
const FOOTAGE: u32 = 60;
/// What passes before a measurement, so that nobody is measured while it starts.
const SETTLE: Duration = Duration::from_secs(5);

impl Bench {
    /// An edge that plays the footage, with what is drawn or heard besides by `parameters`; recordings are long and the
    /// caps on connections out of the way.
    fn edge(&self, parameters: &str) -> Result<Edge> {
        Edge::start(self.settings(parameters)?)
    }

    /// The configuration of that edge.
    fn settings(&self, parameters: &str) -> Result<Settings> {
        let source = format!("file:{}{parameters}", footage::y4m(FOOTAGE)?.display());
        let settings = Settings::default().camera("front", &source).set("record.minutes", 15);
        Ok(settings.set("live.max_connections", 512).set("live.max_per_address", 512))
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let wanted = rows(&options.row)?;
    let machine = machine::describe()?;
    let bench = Bench { long: options.long, peer_delay: OnceCell::new() };
    let mut outcomes = Vec::new();
    for row in &wanted {
        println!("{} ...", row.name);
        let outcome = Outcome { name: row.name, how: row.how, figures: (row.measure)(&bench) };
        print!("{}", table::plain(&outcome));
        outcomes.push(outcome);
    }
    if options.row.is_empty() || options.write {
        let path = ::tests::workspace().join("docs/ref/performance.md");
        let mut page = table::page(&machine, &outcomes);
        if options.write {
            let newer = std::mem::replace(&mut page, Page::parse(&fs::read_to_string(&path)?)?);
            page.renew(newer);
        }
        fs::write(&path, page.to_string()).with_context(|| path.display().to_string())?;
        println!("Written to {}", path.display());
    }
    Ok(())
}

fn rows(names: &[String]) -> Result<Vec<&'static Row>> {
    if let Some(unknown) = names.iter().find(|name| ROWS.iter().all(|row| row.name != name.as_str())) {
        bail!("there is no row {unknown}: there are {}", ROWS.map(|row| row.name).join(", "));
    }
    Ok(ROWS.iter().filter(|row| names.is_empty() || names.iter().any(|name| name == row.name)).collect())
}

/// The middle one of some values; the upper one of two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
