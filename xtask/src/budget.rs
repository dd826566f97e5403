//! `xtask/budget.toml`: how long a suite may take, and how much work it is asked to do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    minutes: u64,
    #[serde(default)]
    suite: BTreeMap<String, Share>,
}

/// What one suite gets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    minutes: Option<u64>,
    /// How often it repeats what it repeats (`PORTHOLE_ROUNDS`).
    rounds: Option<u32>,
    /// The same for `cargo xtask faults`.
    campaign: Option<u32>,
    /// How long it watches what it watches (`PORTHOLE_SECONDS`).
    seconds: Option<u32>,
}

/// Environment variable with the number of rounds that a suite should do.
pub const ROUNDS: &str = "PORTHOLE_ROUNDS";
/// Environment variable with the number of seconds that a suite should watch.
pub const SECONDS: &str = "PORTHOLE_SECONDS";

impl Budget {
    /// The budget of this workspace.
    pub fn load() -> Result<Self> {
        toml::from_str(include_str!("../budget.toml")).context("xtask/budget.toml")
    }

    /// The longest that `suite` may take.
    pub fn time(&self, suite: &str) -> Duration {
        let share = self.suite.get(suite).and_then(|share| share.minutes);
        Duration::from_secs(60 * share.unwrap_or(self.minutes))
    }

    /// The amount of work for `suite`, as environment variables.
    pub fn work(&self, suite: &str) -> Vec<(&'static str, String)> {
        let share = self.suite.get(suite).cloned().unwrap_or_default();
        let work = [(ROUNDS, share.rounds), (SECONDS, share.seconds)];
        work.into_iter().filter_map(|(name, amount)| Some((name, amount?.to_string()))).collect()
    }

    /// How often `cargo xtask faults` repeats what `suite` repeats; as often as on every change if nothing is said.
    pub fn campaign(&self, suite: &str) -> Option<u32> {
        self.suite.get(suite).and_then(|share| share.campaign.or(share.rounds))
    }

    /// Whether `suite` has a number of its own for `cargo xtask faults`.
    pub fn has_campaign(&self, suite: &str) -> bool {
        self.suite.get(suite).is_some_and(|share| share.campaign.is_some())
    }

    /// An error if a suite is listed that does not exist.
    pub fn check<'a>(&self, suites: impl Iterator<Item = &'a str>) -> Result<()> {
        let suites: Vec<&str> = suites.collect();
        match self.suite.keys().find(|listed| !suites.contains(&listed.as_str())) {
            Some(listed) => bail!("xtask/budget.toml lists `{listed}`, and there is no such suite"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        let crash = "[suite.\"tests/crash\"]\nminutes = 9\nrounds = 20\n";
        let fault = "[suite.\"tests/fault_x\"]\nrounds = 4\ncampaign = 100\n";
        toml::from_str(&format!("minutes = 5\n{crash}{fault}")).unwrap()
    }

    #[test]
    fn a_suite_gets_its_own_share_or_the_default() {
        assert_eq!(budget().time("tests/crash"), Duration::from_secs(540));
        assert_eq!(budget().time("media"), Duration::from_secs(300));
        assert_eq!(budget().work("tests/crash"), [(ROUNDS, "20".to_owned())]);
        assert_eq!(budget().work("media"), []);
        let campaign = |suite| budget().campaign(suite);
        assert_eq!((campaign("tests/fault_x"), campaign("tests/crash")), (Some(100), Some(20)));
        assert_eq!(campaign("media"), None);
    }

    #[test]
    fn a_listed_suite_must_exist() {
        budget().check(["media", "tests/crash", "tests/fault_x"].into_iter()).unwrap();
        let error = budget().check(["media", "tests/fault_x"].into_iter()).unwrap_err().to_string();
        assert_eq!(error, "xtask/budget.toml lists `tests/crash`, and there is no such suite");
    }
}
