//! Figures with their verdicts, on a terminal and as the page `docs/ref/performance.md`.

use std::fmt::{self, Display, Write};

use anyhow::Result;

use crate::page::Page;

/// What came out of a row.
pub struct Outcome {
    /// The row.
    pub name: &'static str,
    /// How it is measured.
    pub how: &'static str,
    /// Its figures, or why there are none.
    pub figures: Result<Vec<Figure>>,
}

/// One figure of the table.
pub struct Figure {
    what: String,
    unit: Unit,
    measured: f64,
    detail: String,
    limit: Option<Limit>,
    aim: Option<f64>,
    peer: String,
    tried: &'static str,
}

/// What a figure counts.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// Bytes, shown as MiB.
    MiB,
    /// So many times as much as the peer.
    Times,
    /// Structural similarity, 1 at most.
    Ssim,
    /// Thousand bits a second.
    Kbps,
    /// Seconds of CPU time in a second.
    CpuPerSecond,
    /// Things.
    Count,
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Ms => format!("{value:.0} ms"),
            Self::Seconds => format!("{value:.2} s"),
            Self::MiB => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::Times => format!("{value:.2} x"),
            Self::Ssim => format!("{value:.4}"),
            Self::Kbps => format!("{value:.1} kb/s"),
            Self::CpuPerSecond => format!("{value:.3} CPU s/s"),
            Self::Count => format!("{value:.0}"),
        }
    }

    /// A limit as somebody would write it: without zeros at the end.
    fn show_limit(self, value: f64) -> String {
        let shown = self.show(value);
        let (number, unit) = shown.split_once(' ').unwrap_or((&shown, ""));
        let short =
            if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
        if unit.is_empty() { short.to_owned() } else { format!("{short} {unit}") }
    }
}

impl Figure {
    /// What was measured (NaN: it was not), as yet without anything that it must reach.
    pub fn new(what: impl Into<String>, unit: Unit, measured: f64) -> Self {
        let (detail, peer, tried) = (String::new(), "-".to_owned(), "Nothing was tried yet.");
        Self { what: what.into(), unit, measured, detail, limit: None, aim: None, peer, tried }
    }

    /// It must not be larger.
    pub fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(Limit::AtMost(limit)), ..self }
    }

    /// It must not be smaller.
    pub fn at_least(self, limit: f64) -> Self {
        Self { limit: Some(Limit::AtLeast(limit)), ..self }
    }

    /// It would be nice if it reached this.
    pub fn aim(self, aim: f64) -> Self {
        Self { aim: Some(aim), ..self }
    }

    /// What the figure comes from.
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// What the peer reached.
    pub fn peer(self, peer: impl Into<String>) -> Self {
        Self { peer: peer.into(), ..self }
    }

    /// What was tried so that it reaches its limit: told only where it does not.
    pub fn tried(self, tried: &'static str) -> Self {
        Self { tried, ..self }
    }

    fn verdict(&self) -> Verdict {
        let reached = |value: f64| match self.limit {
            None => None,
            Some(Limit::AtMost(_)) => Some(self.measured <= value),
            Some(Limit::AtLeast(_)) => Some(self.measured >= value),
        };
        let limit = match self.limit {
            None => return Verdict::None,
            Some(_) if self.measured.is_nan() => return Verdict::Unknown,
            Some(Limit::AtMost(limit) | Limit::AtLeast(limit)) => limit,
        };
        match (reached(limit), self.aim.and_then(reached)) {
            (Some(true), Some(true)) => Verdict::Aim,
            (Some(true), _) => Verdict::Met,
            _ => Verdict::Short,
        }
    }

    fn must(&self) -> String {
        let limit = match self.limit {
            None => return "-".to_owned(),
            Some(Limit::AtMost(limit)) => format!("<= {}", self.unit.show_limit(limit)),
            Some(Limit::AtLeast(limit)) => format!(">= {}", self.unit.show_limit(limit)),
        };
        match self.aim {
            Some(aim) => format!("{limit} (aim {})", self.unit.show_limit(aim)),
            None => limit,
        }
    }

    fn measured(&self) -> String {
        if self.measured.is_nan() {
            return self.detail.clone();
        }
        let value = self.unit.show(self.measured);
        if self.detail.is_empty() { value } else { format!("{value} ({})", self.detail) }
    }

    fn cells(&self) -> [String; 5] {
        [self.what.clone(), self.must(), self.measured(), self.peer.clone(), self.verdict().to_string()]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// Nothing was asked for.
    None,
    /// Nobody looked.
    Unknown,
    /// As good as hoped for.
    Aim,
    /// As good as asked for.
    Met,
    /// Worse than asked for.
    Short,
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "-",
            Self::Unknown => "not measured",
            Self::Aim => "met, and the aim",
            Self::Met => "met",
            Self::Short => "**falls short**",
        })
    }
}

impl Outcome {
    fn rows(&self) -> Vec<[String; 5]> {
        match &self.figures {
            Ok(figures) => figures.iter().map(Figure::cells).collect(),
            Err(error) => {
                let reason = format!("{error:#}").replace(['\n', '|'], " ");
                let cells = [self.name, "-", &reason, "-", "**not measured**"];
                vec![cells.map(str::to_owned)]
            }
        }
    }

    /// The figures that are worse than asked for.
    fn short(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().flatten().filter(|figure| figure.verdict() == Verdict::Short)
    }
}

/// One row for a terminal.
pub fn plain(outcome: &Outcome) -> String {
    let mut text = String::new();
    for [what, must, measured, peer, verdict] in outcome.rows() {
        let verdict = verdict.replace('*', "");
        let _ = writeln!(text, "  {what}: {measured}; must reach {must}; peer {peer}; {verdict}");
    }
    text
}

/// The page.
pub fn page(machine: &str, outcomes: &[Outcome]) -> Page {
    let short = outcomes.iter().flat_map(Outcome::short);
    Page {
        machine: machine.to_owned(),
        figures: outcomes.iter().flat_map(Outcome::rows).collect(),
        short: short.map(|figure| (figure.what.clone(), figure.tried.to_owned())).collect(),
        how: outcomes.iter().map(|outcome| (outcome.name.to_owned(), outcome.how.to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn outcome(figures: Result<Vec<Figure>>) -> Outcome {
        Outcome { name: "delay", how: "With a clock.", figures }
    }

    #[test]
    fn verdicts_follow_from_limit_and_aim() {
        let figure = |measured| Figure::new("delay", Unit::Ms, measured).at_most(95.0).aim(70.0);
        let verdicts = [70.0, 95.0, 95.1, f64::NAN].map(|measured| figure(measured).verdict());
        assert_eq!(verdicts, [Verdict::Aim, Verdict::Met, Verdict::Short, Verdict::Unknown]);
        let ssim = |measured| Figure::new("quality", Unit::Ssim, measured).at_least(0.955);
        assert_eq!([0.955, 0.9549].map(|measured| ssim(measured).verdict()), [Verdict::Met, Verdict::Short]);
        assert_eq!(Figure::new("size", Unit::MiB, 1.0).verdict(), Verdict::None);
    }

    #[test]
    fn the_page_tells_what_falls_short() {
        let met = Figure::new("delay", Unit::Ms, 70.4).at_most(95.0).aim(70.0).peer("3934 ms");
        let met = met.tried("A smaller buffer.");
        let short = Figure::new("quality", Unit::Ssim, 0.9512).at_least(0.955).detail("400 kb/s");
        let short = short.tried("Another quantizer.");
        let outcomes = [outcome(Ok(vec![met, short])), outcome(Err(anyhow!("no camera")))];
        assert_eq!(
            page("Here.", &outcomes).to_string(),
            "\
# Performance

Written by `cargo xtask bench`, which measures the appliance and its peers in the same run. Here.

| figure | must reach | measured | peer | verdict |
|---|---|---|---|---|
| delay | <= 95 ms (aim 70 ms) | 70 ms | 3934 ms | met |
| quality | >= 0.955 | 0.9512 (400 kb/s) | - | **falls short** |
| delay | - | no camera | - | **not measured** |

## What falls short, and what was tried

**quality**: Another quantizer.

## How each row is measured

| row | how |
|---|---|
| `delay` | With a clock. |
| `delay` | With a clock. |
"
        );
    }

    #[test]
    fn a_terminal_gets_one_line_for_a_figure() {
        let size = Figure::new("size", Unit::MiB, 12.5 * 1024.0 * 1024.0).at_most(16.0 * 1024.0 * 1024.0);
        assert_eq!(plain(&outcome(Ok(vec![size]))), "  size: 12.5 MiB; must reach <= 16 MiB; peer -; met\n");
    }
}
