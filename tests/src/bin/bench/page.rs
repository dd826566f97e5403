//! The page `docs/ref/performance.md`: written by a run of all rows, and renewed by one of some.

use std::fmt::{self, Display, Formatter};

use anyhow::{Result, ensure};

/// What the page says.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// On what the whole of it was measured.
    pub machine: String,
    /// A line of the table for each figure.
    pub figures: Vec<[String; 5]>,
    /// Figures that fall short, with what was tried.
    pub short: Vec<(String, String)>,
    /// Rows, with how each is measured.
    pub how: Vec<(String, String)>,
}

const INTRODUCTION: &str =
    "Written by `cargo xtask bench`, which measures the appliance and its peers in the same run.";
const FIGURES: &str = "| figure | must reach | measured | peer | verdict |\n|---|---|---|---|---|\n";
const SHORT: &str = "## What falls short, and what was tried\n";
const HOW: &str = "## How each row is measured\n";
const ROWS: &str = "| row | how |\n|---|---|\n";

impl Page {
    /// Reads a page as it was written.
    pub fn parse(text: &str) -> Result<Self> {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(machine) = line.strip_prefix(INTRODUCTION) {
                page.machine = machine.trim().to_owned();
            } else if let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) {
                let cells: Vec<String> = cells.split(" | ").map(str::to_owned).collect();
                match <[String; 5]>::try_from(cells) {
                    Ok(cells) if cells[0] != "figure" => page.figures.push(cells),
                    Ok(_) => {}
                    Err(cells) => page.how.extend(row(&cells)),
                }
            } else if let Some((what, tried)) =
                line.strip_prefix("**").and_then(|line| line.split_once("**: "))
            {
                page.short.push((what.to_owned(), tried.to_owned()));
            }
        }
        ensure!(page.to_string() == text, "the page is not as it was written: measure all rows");
        Ok(page)
    }

    /// Takes over what was measured anew; what is said of the machine stays.
    pub fn renew(&mut self, newer: Self) {
        let is_new = |what: &str| newer.figures.iter().any(|cells| cells[0] == what);
        self.short.retain(|(what, _)| !is_new(what));
        self.short.extend(newer.short);
        for cells in newer.figures {
            put(&mut self.figures, cells, |cells| &cells[0]);
        }
        for row in newer.how {
            put(&mut self.how, row, |(name, _)| name);
        }
    }
}

/// A row of the second table.
fn row(cells: &[String]) -> Option<(String, String)> {
    let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((name.to_owned(), cells.get(1..)?.join(" | ")))
}

/// In the place of the one with the same name, or at the end.
fn put<T>(list: &mut Vec<T>, one: T, name: impl Fn(&T) -> &String) {
    match list.iter_mut().find(|other| name(other) == name(&one)) {
        Some(place) => *place = one,
        None => list.push(one),
    }
}

impl Display for Page {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "# Performance\n\n{INTRODUCTION} {}\n\n{FIGURES}", self.machine)?;
        for cells in &self.figures {
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        if !self.short.is_empty() {
            write!(f, "\n{SHORT}")?;
        }
        for (what, tried) in &self.short {
            write!(f, "\n**{what}**: {tried}\n")?;
        }
        write!(f, "\n{HOW}\n{ROWS}")?;
        for (name, how) in &self.how {
            writeln!(f, "| `{name}` | {how} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(figures: &[(&str, &str)], short: &[&str], how: &[&str]) -> Page {
        let cells = |&(what, measured): &(&str, &str)| [what, "-", measured, "-", "met"].map(str::to_owned);
        let pair = |what: &&str| (what.to_string(), format!("of {what}"));
        Page {
            machine: "Here: 2 cores.".to_owned(),
            figures: figures.iter().map(cells).collect(),
            short: short.iter().map(pair).collect(),
            how: how.iter().map(pair).collect(),
        }
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        for short in [&[][..], &["delay"], &["delay", "size"]] {
            let page = page(&[("delay", "70 ms"), ("size", "3 (2 of 1)")], short, &["live", "size"]);
            assert_eq!(Page::parse(&page.to_string()).unwrap(), page);
        }
        let text = page(&[("delay", "70 ms")], &[], &["live"]).to_string();
        assert!(Page::parse(&(text + "By hand.\n")).is_err());
    }

    #[test]
    fn what_was_measured_anew_takes_the_place_of_what_was() {
        let mut whole = page(&[("delay", "70 ms"), ("size", "3")], &["delay", "size"], &["live", "size"]);
        whole.renew(page(&[("size", "2"), ("start", "1 s")], &["start"], &["size", "board"]));
        let both = [("delay", "70 ms"), ("size", "2"), ("start", "1 s")];
        assert_eq!(whole, page(&both, &["delay", "start"], &["live", "size", "board"]));
    }

    #[test]
    fn the_page_that_is_there_can_be_renewed() {
        let path = ::tests::workspace().join("docs/ref/performance.md");
        Page::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    }
}
