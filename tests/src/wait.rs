//! Waiting for a condition.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for anything that is going to happen on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `condition` gives a value. An error names `what` was waited for.
pub fn wait_for<T>(what: &str, patience: Duration, condition: impl FnMut() -> Option<T>) -> Result<T> {
    wait_with(Duration::from_millis(10), what, patience, condition)
}

/// The same, with a `pause` between questions whose answers cost something.
pub fn wait_with<T>(
    pause: Duration,
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {patience:?} in vain for {what}");
        }
        std::thread::sleep(pause);
    }
}

/// Asks again and again until `condition` holds.
pub fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    wait_for(what, patience, || condition().then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_never_holds_is_named() {
        let error = wait_until("the moon", Duration::ZERO, || false).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns in vain for the moon");
        let mut left = 3;
        let countdown = || {
            left -= 1;
            (left == 0).then_some("gone")
        };
        assert_eq!(wait_for("zero", PATIENCE, countdown).unwrap(), "gone");
    }
}
