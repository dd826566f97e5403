//! What the network does in one round, all of it drawn from the round's seed.

use std::time::Duration;

use tests::proxy::{Cut, Proxy, Told, Way};
use tests::sim::random::Random;

/// What every connection suffers for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    /// Nothing.
    Clear,
    /// Nothing passes.
    Stalled,
    /// What is sent arrives two seconds later, each way.
    Late,
    /// 64 kb/s, each way.
    Slow,
}

/// A round.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the first connections end, in their order.
    pub cuts: Vec<Cut>,
    /// What comes one after the other, each with its length.
    pub spells: Vec<(Spell, Duration)>,
}

impl Spell {
    /// Lets it begin; the one before ends.
    pub fn begin(self, proxy: &Proxy) {
        proxy.stall(self == Self::Stalled);
        proxy.delay(if self == Self::Late { Duration::from_secs(2) } else { Duration::ZERO });
        proxy.slow_down(if self == Self::Slow { 8_000 } else { 0 });
    }
}

impl Plan {
    /// The round of this seed.
    pub fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let cuts = (0..random.from_to(1, 3)).map(|_| cut(&random)).collect();
        let spell = |_| {
            let spells = [Spell::Clear, Spell::Stalled, Spell::Late, Spell::Slow];
            let spell = random.pick(&spells).copied().unwrap_or(Spell::Clear);
            (spell, Duration::from_millis(random.from_to(200, 4000)))
        };
        Self { cuts, spells: (0..4).map(spell).collect() }
    }
}

/// At any byte: as likely in the first kilobyte, while the keys are exchanged, as in the last megabyte.
fn cut(random: &Random) -> Cut {
    let way = if random.once_in(2) { Way::Requests } else { Way::Replies };
    let most = if way == Way::Requests { 22 } else { 14 };
    let after = random.below(1 << random.from_to(8, most));
    // A client that is not told waits for half a minute, and so does the round.
    let told = match random.below(8) {
        0 => Told::Server,
        1 | 2 => Told::Client,
        3..=5 => Told::Reset,
        _ => Told::Both,
    };
    Cut { way, after, told }
}
