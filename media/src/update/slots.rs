//! The state of the slots: two sectors, of which only the older one is ever written. `board/boot.cmd` reads and writes the same.
//!
//! A sector is what U-Boot's `env export -c` makes: the CRC-32 of the rest (little-endian), then `NAME=VALUE` texts, each with a zero
//! behind it, then zeros. A write that is torn fails the checksum, and the other copy counts.

use std::fmt;

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// Where on the card the two copies are, in bytes.
pub const COPIES: [u64; 2] = [0x1000 * SECTOR as u64, 0x3000 * SECTOR as u64];
/// How often a version is started before it has to have proved itself: once, and again after two power cuts.
pub const TRIES: u32 = 3;
/// Where the CRC-32 ends.
const TEXTS: usize = 4;
/// U-Boot compares numbers of 32 bits with a sign.
const MOST_WRITES: u32 = i32::MAX as u32;

/// Where a version lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// The first one, which a new card has.
    #[default]
    A,
    /// The second one.
    B,
}

/// What the sectors say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The slot that is known to work.
    pub active: Slot,
    /// The one that is being tried.
    pub trial: Option<Slot>,
    /// How often that may still be started.
    pub tries: u32,
}

/// Both sectors as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// What counts.
    pub state: State,
    /// How often the sectors were written.
    writes: u32,
    /// Which copy is written next.
    older: usize,
}

/// What the boot loader does with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// What it starts; if that cannot be read, the other one.
    pub slot: Slot,
    /// Whether that was written before, with one try less.
    pub trying: Option<State>,
}

impl Slot {
    /// The one that it is not.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// By its letter.
    pub fn named(letter: &str) -> Option<Self> {
        match letter {
            "a" => Some(Self::A),
            "b" => Some(Self::B),
            _ => None,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

impl State {
    /// What the boot loader does; `writable`: whether it can write the sectors.
    pub fn boot(self, writable: bool) -> Boot {
        match self.trial {
            Some(slot) if self.tries > 0 && writable => {
                Boot { slot, trying: Some(Self { tries: self.tries - 1, ..self }) }
            }
            _ => Boot { slot: self.active, trying: None },
        }
    }
}

impl Slots {
    /// What counts of the two copies; a card on which neither is whole has slot A, and nothing is being tried.
    pub fn of(copies: [&[u8; SECTOR]; 2]) -> Self {
        let mut slots = Self::default();
        for (n, copy) in copies.into_iter().enumerate() {
            if let Some((writes, state)) = parse(copy).filter(|(writes, _)| *writes > slots.writes) {
                slots = Self { state, writes, older: 1 - n };
            }
        }
        slots
    }

    /// The copy to write for `state`, and what to write there; `None` when there were more writes than can be counted.
    pub fn next(&self, state: State) -> Option<(usize, [u8; SECTOR])> {
        let writes = self.writes.checked_add(1).filter(|writes| *writes <= MOST_WRITES)?;
        Some((self.older, sector(writes, state)))
    }
}

fn sector(writes: u32, state: State) -> [u8; SECTOR] {
    let State { active, trial, tries } = state;
    let trial = trial.map_or_else(|| "none".to_owned(), |slot| slot.to_string());
    let texts = format!("p_active={active}\0p_seq={writes:#x}\0p_trial={trial}\0p_tries={tries:x}\0\0");
    let mut sector = [0; SECTOR];
    // 61 bytes at most.
    sector[TEXTS..TEXTS + texts.len()].copy_from_slice(texts.as_bytes());
    let sum = crc32fast::hash(&sector[TEXTS..]);
    sector[..TEXTS].copy_from_slice(&sum.to_le_bytes());
    sector
}

fn parse(sector: &[u8; SECTOR]) -> Option<(u32, State)> {
    let (sum, texts) = sector.split_first_chunk::<TEXTS>()?;
    if crc32fast::hash(texts) != u32::from_le_bytes(*sum) {
        return None;
    }
    let texts = std::str::from_utf8(texts).ok()?;
    let value = |name: &str| texts.split('\0').find_map(|text| text.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| {
        let text = value(name)?;
        u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    let trial = match value("p_trial")? {
        "none" => None,
        letter => Some(Slot::named(letter)?),
    };
    let writes = number("p_seq").filter(|writes| *writes <= MOST_WRITES)?;
    Some((writes, State { active: Slot::named(value("p_active")?)?, trial, tries: number("p_tries")? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: [u8; SECTOR] = [0; SECTOR];

    /// A card's two sectors.
    type Card = [[u8; SECTOR]; 2];

    fn read(card: &Card) -> Slots {
        Slots::of([&card[0], &card[1]])
    }

    fn written(mut card: Card, state: State) -> Card {
        let (copy, sector) = read(&card).next(state).expect("can be counted");
        card[copy] = sector;
        card
    }

    fn trial(tries: u32) -> State {
        State { active: Slot::A, trial: Some(Slot::B), tries }
    }

    /// All that a card goes through in an update that is kept, one that is not, and the next one.
    fn life() -> Vec<State> {
        let kept = State { active: Slot::B, trial: None, tries: 0 };
        let back = State { active: Slot::B, trial: Some(Slot::A), tries: 3 };
        vec![trial(3), trial(2), trial(1), kept, back, State { tries: 0, ..back }, kept]
    }

    #[test]
    fn a_sector_is_what_u_boot_writes() {
        let sector = sector(26, trial(2));
        let texts = b"p_active=a\0p_seq=0x1a\0p_trial=b\0p_tries=2\0\0";
        assert_eq!(&sector[4..4 + texts.len()], texts);
        assert_eq!(parse(&sector), Some((26, trial(2))));
        // As `env export -c` wrote it in U-Boot 2025.01.
        assert_eq!(parse(&EMPTY), None);
    }

    #[test]
    fn what_is_started_follows_from_the_state() {
        let idle = State::default();
        assert_eq!(idle.boot(true), Boot { slot: Slot::A, trying: None });
        assert_eq!(trial(3).boot(true), Boot { slot: Slot::B, trying: Some(trial(2)) });
        assert_eq!(trial(1).boot(true), Boot { slot: Slot::B, trying: Some(trial(0)) });
        assert_eq!(trial(0).boot(true), Boot { slot: Slot::A, trying: None }, "no tries left");
        assert_eq!(
            trial(3).boot(false),
            Boot { slot: Slot::A, trying: None },
            "who cannot count does not try"
        );
    }

    #[test]
    fn writes_alternate_and_the_newer_copy_counts() {
        let mut card = [EMPTY; 2];
        for (n, state) in life().into_iter().enumerate() {
            let before = card;
            card = written(card, state);
            assert_eq!(read(&card).state, state);
            assert_eq!(card[1 - n % 2], before[1 - n % 2], "write {n} went to the older copy");
        }
    }

    #[test]
    fn a_torn_write_leaves_the_state_before_or_the_one_after() {
        let mut card = [EMPTY; 2];
        for state in life() {
            let whole = written(card, state);
            let (before, after) = (read(&card), read(&whole));
            let copy = before.older;
            for cut in 0..=SECTOR {
                // The first bytes arrived, the last ones did, or what did not arrive reads as an erased block.
                for fill in [None, Some(0x00), Some(0xFF)] {
                    for front in [true, false] {
                        let mut torn = card;
                        let rest = fill.map_or(card[copy], |byte| [byte; SECTOR]);
                        let (first, last) = if front { (&whole[copy], &rest) } else { (&rest, &whole[copy]) };
                        torn[copy][..cut].copy_from_slice(&first[..cut]);
                        torn[copy][cut..].copy_from_slice(&last[cut..]);
                        let found = read(&torn).state;
                        assert!(found == before.state || found == after.state, "cut at {cut}: {found:?}");
                        let next = written(torn, trial(3));
                        assert_eq!(read(&next).state, trial(3), "and the next write counts");
                    }
                }
            }
            card = whole;
        }
    }

    #[test]
    fn a_sector_that_nobody_wrote_says_nothing() {
        let with = |texts: &str| {
            let mut sector = [0; SECTOR];
            sector[TEXTS..TEXTS + texts.len()].copy_from_slice(texts.as_bytes());
            let sum = crc32fast::hash(&sector[TEXTS..]);
            sector[..TEXTS].copy_from_slice(&sum.to_le_bytes());
            sector
        };
        assert!(parse(&with("p_seq=0x1\0p_tries=0\0p_active=a\0p_trial=none\0")).is_some());
        for wrong in [
            "p_seq=0x1\0p_tries=0\0p_active=c\0p_trial=none\0",
            "p_seq=0x1\0p_tries=0\0p_trial=none\0",
            "p_seq=0x80000000\0p_tries=0\0p_active=a\0p_trial=none\0",
            "p_seq=?\0p_tries=0\0p_active=a\0p_trial=none\0",
            "",
        ] {
            assert_eq!(parse(&with(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn writes_are_not_counted_beyond_what_u_boot_compares() {
        let card = [sector(MOST_WRITES, trial(1)), EMPTY];
        assert_eq!(read(&card).state, trial(1));
        assert_eq!(read(&card).next(trial(0)), None);
    }
}
