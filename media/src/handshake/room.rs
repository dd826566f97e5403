//! Which recording leaves an edge when room is needed. Pure: a list in, one victim out.
//!
//! ```text
//! without an upload host   too old, or room needed:  the oldest leaves
//! with an upload host      room needed:              1. the oldest with a receipt leaves
//!                                                    2. the oldest whose upload has not begun is thinned to its IDRs
//!                                                    3. all of those are thinned: the oldest of them is dropped
//!                                                    4. the oldest whose upload has begun is dropped, whole as it is:
//!                                                       what is there of it must remain its beginning
//! ```
//!
//! What grows always stays.

use super::Journal;

/// What the choice rests on, of one recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Rises from the oldest to the newest.
    pub order: u64,
    /// How far its upload has come; `None`: it grows.
    pub sealed: Option<Journal>,
    /// Its upload has begun.
    pub begun: bool,
    /// Only its IDRs are left.
    pub thinned: bool,
    /// Days since it began, if its date is known.
    pub days: Option<f64>,
}

impl Item {
    /// It is sealed, and nothing of it is on the way.
    fn waits(&self) -> bool {
        self.sealed == Some(Journal::Sealed) && !self.begun
    }
}

/// What must be done to have room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// Remove this one: nobody misses it.
    Leave(u64),
    /// Keep nothing of this one but its IDRs.
    Thin(u64),
    /// Remove this one: footage is lost.
    Drop(u64),
}

/// The recording that is thinned next, if one may be and `uploading` is as in [`next_victim`]. That takes room for a copy of its IDRs beside it, which
/// must be left until then.
pub fn next_thinned(items: impl Iterator<Item = Item>, uploading: bool) -> Option<u64> {
    items.filter(|item| uploading && item.waits() && !item.thinned).map(|item| item.order).min()
}

/// The recording of those on which nobody has begun that is dropped first: also where there is no room to thin another one.
pub fn next_dropped(items: impl Iterator<Item = Item>) -> Option<u64> {
    items.filter(Item::waits).map(|item| item.order).min()
}

/// The next one to go, if any must and any may.
///
/// `uploading`: there is an upload host. `most_days`: how long recordings stay without one. `needed`: there is not enough room.
pub fn next_victim(
    items: impl Iterator<Item = Item> + Clone,
    uploading: bool,
    most_days: u32,
    needed: bool,
) -> Option<Victim> {
    let oldest = |keep: &dyn Fn(&Item) -> bool| items.clone().filter(keep).map(|item| item.order).min();
    let stands = |item: &Item, journal| item.sealed == Some(journal);
    if !uploading {
        let too_old = |item: &Item| item.days.is_some_and(|days| days > f64::from(most_days));
        return oldest(&|item| item.sealed.is_some() && (needed || too_old(item))).map(Victim::Leave);
    }
    if !needed {
        return None;
    }
    oldest(&|item| stands(item, Journal::Acknowledged))
        .map(Victim::Leave)
        .or_else(|| next_thinned(items.clone(), uploading).map(Victim::Thin))
        .or_else(|| next_dropped(items.clone()).map(Victim::Drop))
        .or_else(|| oldest(&|item| stands(item, Journal::Sealed)).map(Victim::Drop))
        .or_else(|| oldest(&|item| stands(item, Journal::Committing)).map(Victim::Drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grows(order: u64) -> Item {
        Item { order, sealed: None, begun: false, thinned: false, days: None }
    }

    fn item(order: u64, journal: Journal) -> Item {
        Item { sealed: Some(journal), ..grows(order) }
    }

    #[test]
    fn with_an_upload_host_receipts_leave_first_then_the_oldest_is_thinned_then_dropped_what_travels_last() {
        let growing = grows(1);
        let begun = Item { begun: true, ..item(2, Journal::Sealed) };
        let committing = Item { begun: true, ..item(3, Journal::Committing) };
        let thinned = Item { thinned: true, ..item(4, Journal::Sealed) };
        let sealed = item(5, Journal::Sealed);
        let receipted = Item { begun: true, ..item(6, Journal::Acknowledged) };
        let next = |items: &[Item]| next_victim(items.iter().copied(), true, 7, true);
        let all = [growing, committing, begun, thinned, sealed, receipted];
        assert_eq!(next(&all), Some(Victim::Leave(6)));
        assert_eq!(next(&all[..5]), Some(Victim::Thin(5)));
        assert_eq!(next(&all[..4]), Some(Victim::Drop(4)));
        assert_eq!(next(&all[..3]), Some(Victim::Drop(2)));
        assert_eq!(next(&all[..2]), Some(Victim::Drop(3)));
        assert_eq!(next(&all[..1]), None, "what grows stays");
        assert_eq!(next_thinned(all.into_iter(), true), Some(5));
        assert_eq!(next_thinned(all.into_iter(), false), None, "nothing is thinned without one");
    }

    #[test]
    fn with_an_upload_host_nothing_leaves_while_there_is_room() {
        let old = Item { days: Some(1000.0), ..item(1, Journal::Acknowledged) };
        assert_eq!(next_victim([old].into_iter(), true, 7, false), None);
    }

    #[test]
    fn without_an_upload_host_the_oldest_leaves_by_age_and_by_room() {
        let aged = |order, days| Item { days, ..item(order, Journal::Sealed) };
        let items = [grows(1), aged(2, None), aged(3, Some(7.1)), aged(4, Some(6.9))];
        let next = |needed| next_victim(items.iter().copied(), false, 7, needed);
        assert_eq!(next(false), Some(Victim::Leave(3)), "an unknown date is no age");
        assert_eq!(next(true), Some(Victim::Leave(2)));
    }
}
