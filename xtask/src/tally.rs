//! Counting: what the test programs report, and the table at the end.

use std::fmt::Write;
use std::time::Duration;

/// How many tests of a suite passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
}

impl Count {
    /// A suite that is one check: it passed or it failed.
    pub fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into() }
    }

    /// The tests that `output` of Rust's test programs reports. A program that died before its report, or that ended badly
    /// though no test failed, counts as one failure more.
    pub fn of_tests(output: &str, ended_well: bool) -> Self {
        let mut count = Self::default();
        for report in output.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            count.passed += number_before(report, " passed");
            count.failed += number_before(report, " failed");
        }
        if !ended_well && count.failed == 0 {
            count.failed = 1;
        }
        count
    }
}

/// The number that stands before `word` in `3 passed; 0 failed`.
fn number_before(report: &str, word: &str) -> usize {
    let number = report.split_once(word).and_then(|(before, _)| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The names of the tests that failed, in the order of the output.
pub fn failed_tests(output: &str) -> Vec<&str> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    lines.collect()
}

/// A line of the table.
pub struct Row {
    /// The suite.
    pub name: String,
    /// Its count.
    pub count: Count,
    /// How long it took.
    pub took: Duration,
    /// How long it may take.
    pub limit: Duration,
    /// What is to be said of it: empty, or why it failed.
    pub note: String,
}

/// The table of all suites and, as the last line, the sum that `.ci/run` ends with.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<28} {:>6} {:>6} {:>8} {:>8}\n", "suite", "passed", "failed", "took", "may take");
    let mut sum = Count::default();
    for row in rows {
        sum.passed += row.count.passed;
        sum.failed += row.count.failed;
        let _ = writeln!(
            text,
            "{:<28} {:>6} {:>6} {:>6.1} s {:>6} s  {}",
            row.name,
            row.count.passed,
            row.count.failed,
            row.took.as_secs_f64(),
            row.limit.as_secs(),
            row.note
        );
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n\n{} passed, {} failed", lines.join("\n"), sum.passed, sum.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_PROGRAMS: &str = "\
running 2 tests
test one ... ok
test two ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn the_reports_of_all_test_programs_are_added_up() {
        assert_eq!(Count::of_tests(TWO_PROGRAMS, false), Count { passed: 13, failed: 1 });
        assert_eq!(failed_tests(TWO_PROGRAMS), ["two"]);
    }

    #[test]
    fn a_program_that_dies_counts_as_a_failure() {
        assert_eq!(
            Count::of_tests("running 2 tests\ntest one ... ok\n", false),
            Count { passed: 0, failed: 1 }
        );
        assert_eq!(Count::of_tests("", true), Count::default());
    }

    #[test]
    fn the_last_line_of_the_table_is_the_sum() {
        let row = |name: &str, passed, failed, note: &str| Row {
            name: name.into(),
            count: Count { passed, failed },
            took: Duration::from_millis(1500),
            limit: Duration::from_secs(300),
            note: note.into(),
        };
        assert_eq!(
            table(&[row("fmt", 1, 0, ""), row("media", 40, 2, "see media.log")]),
            "\
suite                        passed failed     took may take
fmt                               1      0    1.5 s    300 s
media                            40      2    1.5 s    300 s  see media.log

41 passed, 2 failed"
        );
    }
}
