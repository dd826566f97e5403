//! Whose turn it is in an uploader: what grows, each in turn, then the newest of what is sealed. Pure.

/// A recording for which there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// A recorder adds to it.
    pub grows: bool,
    /// The turn in which it was last served.
    pub served: u64,
    /// Rises from the oldest to the newest.
    pub order: u64,
}

/// The one to serve, of those for which there is something to do.
pub fn next<T>(due: impl Iterator<Item = (T, Due)> + Clone) -> Option<T> {
    let live = due.clone().filter(|(_, due)| due.grows).min_by_key(|(_, due)| due.served);
    live.or_else(|| due.max_by_key(|(_, due)| due.order)).map(|(which, _)| which)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_comes_first_each_in_turn_and_then_the_newest() {
        let due = |grows, served, order| Due { grows, served, order };
        let all = [
            ("old", due(false, 0, 1)),
            ("new", due(false, 9, 2)),
            ("yard", due(true, 8, 3)),
            ("front", due(true, 7, 4)),
        ];
        assert_eq!(next(all.into_iter()), Some("front"));
        assert_eq!(next(all.into_iter().take(3)), Some("yard"));
        assert_eq!(next(all.into_iter().take(2)), Some("new"), "also when it was served last");
        assert_eq!(next(all.into_iter().take(1)), Some("old"));
        assert_eq!(next(all.into_iter().take(0)), None);
    }
}
