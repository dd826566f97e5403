//! The rate control: which QP a picture is coded at. Values in, values out; docs/design/encode.md has the reasons.
//!
//! ```text
//! base QP      one for a GOP, from what this footage costs and from the balance of the account
//!   - 6        for the IDR: what stands still keeps its quality for the whole GOP
//!   raised     for a single picture, when its predicted size does not fit what is left of the peak
//! ```
//!
//! Three accounts:
//! - *cost*: bits a second that the footage would take at QP 26, averaged over half a minute;
//! - *balance*: bits that were allowed and not spent, or the debt;
//! - *window*: what was spent in the last second. [`RateControl::admit`] refuses what would break the peak, so that the
//!   bound holds however wrong a prediction was.

use super::activity::Activity;
use heapless::Deque;
use media::Ticks90k;

/// Lowest and highest base QP: below, more bits cannot be seen; above, the picture is better left out.
pub const BASE_QP: (f64, f64) = (18.0, 44.0);

/// No picture is coded below this QP.
pub const LEAST_QP: u8 = 14;

/// The last resort for a single picture (ISO/IEC 14496-10: QP is 0 to 51).
pub const MOST_QP: u8 = 51;

/// How much lower the QP of an IDR is.
pub const IDR_OFFSET: f64 = 6.0;

/// The QP that costs are stated at.
const REFERENCE_QP: f64 = 26.0;

/// Six steps of QP double the quantiser step, and about halve the size.
const QP_PER_HALF: f64 = 6.0;

/// The share of the bitrate that is aimed at: an average must not end above what was asked for.
const AIM: f64 = 0.99;

/// Seconds over which the cost is averaged.
const COST_SECONDS: f64 = 30.0;

/// Seconds that the first guess of the cost weighs as much as.
const GUESS_SECONDS: f64 = 1.0;

/// Bits a sample that ordinary footage costs at the reference QP: the first guess.
const GUESS_BITS_PER_SAMPLE: f64 = 0.12;

/// Seconds in which the balance is to be evened out.
const BALANCE_SECONDS: f64 = 8.0;

/// Seconds of the bitrate that can be saved up.
const MOST_CREDIT_SECONDS: f64 = 6.0;

/// How far the base QP goes from one GOP to the next.
const MOST_STEP: f64 = 1.0;

/// The share of what is left of the peak that one P picture may be predicted to take. It is also the safety: the peak holds
/// even if the picture is eight times as large as predicted.
const P_SHARE: f64 = 0.125;

/// The same for an IDR, which can be coded again when it comes out too large.
const IDR_SHARE: f64 = 0.4;

/// Pictures in the window; more than the 60 a second that the configuration allows.
const MOST_PICTURES: usize = 128;

/// What is known of a picture before it is coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Its time.
    pub pts: Ticks90k,
    /// It starts a GOP.
    pub idr: bool,
    /// How hard it looks.
    pub activity: Activity,
}

/// What bounds the stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bits a second over about a minute.
    pub bitrate: f64,
    /// Bits in any one second.
    pub peak: f64,
    /// Luma samples a second, for the first guess.
    pub samples: f64,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    pts: Ticks90k,
    bits: f64,
    idr: bool,
}

/// The rate control of one camera.
#[derive(Debug)]
pub struct RateControl {
    limits: Limits,
    /// QP of the P pictures of this GOP before rounding.
    base: f64,
    /// The same, rounded so that the rounding errors of all GOPs cancel out.
    rounded: f64,
    rounding: f64,
    cost: Mean,
    balance: f64,
    window: Deque<Spent, MOST_PICTURES>,
    /// Cost and begin of the GOP in flight.
    gop: Option<(Ticks90k, f64)>,
    last: Option<Ticks90k>,
    idr_size: SizeModel,
    p_size: SizeModel,
    /// Temporal activity of the picture before: when it doubles, the scene has changed.
    temporal: f64,
}

impl RateControl {
    /// Starts with a guess from the number of samples.
    pub fn new(limits: Limits) -> Self {
        let guess = GUESS_BITS_PER_SAMPLE * limits.samples;
        let base = qp_for(guess, limits.bitrate * AIM).clamp(BASE_QP.0, BASE_QP.1);
        Self {
            limits,
            base,
            rounded: base.round(),
            rounding: 0.0,
            cost: Mean { value: guess, seconds: GUESS_SECONDS },
            balance: 0.0,
            window: Deque::new(),
            gop: None,
            last: None,
            idr_size: SizeModel { bits_per_activity: guess / 30.0 },
            p_size: SizeModel { bits_per_activity: guess / 100.0 },
            temporal: 0.0,
        }
    }

    /// Holds other bounds from now on. What was learnt of the scene stays.
    pub fn retarget(&mut self, limits: Limits) {
        if limits != self.limits {
            self.limits = limits;
            self.balance = 0.0;
        }
    }

    /// The QP to code this picture at.
    pub fn plan(&mut self, facts: &Facts) -> u8 {
        self.forget(facts.pts);
        if facts.idr {
            self.next_gop(facts.pts);
        }
        let planned = if facts.idr { self.rounded - IDR_OFFSET } else { self.rounded };
        let fits = qp_for(self.predicted(facts), self.allowance(facts));
        planned.max(fits.ceil()).clamp(f64::from(LEAST_QP), f64::from(MOST_QP)) as u8
    }

    /// Whether this picture, which took `bits` at `qp`, may be sent; if so, it is entered in the accounts.
    pub fn admit(&mut self, facts: &Facts, qp: u8, bits: f64) -> bool {
        let at_reference = bits * size_ratio(f64::from(qp) - REFERENCE_QP);
        self.learn(facts, at_reference);
        if self.spent(|_| true) + bits > self.limits.peak {
            return false;
        }
        self.temporal = facts.activity.temporal;
        let span = self.last.map_or(0.0, |last| (facts.pts - last).as_secs_f64().clamp(0.0, 1.0));
        self.last = Some(facts.pts);
        let most_credit = MOST_CREDIT_SECONDS * self.limits.bitrate;
        self.balance = (self.balance + span * self.limits.bitrate * AIM - bits).min(most_credit);
        let relative = if facts.idr { size_ratio(IDR_OFFSET) } else { 1.0 };
        if let Some((_, cost)) = &mut self.gop {
            *cost += at_reference * relative;
        }
        if self.window.is_full() {
            self.merge_oldest();
        }
        let _fits = self.window.push_back(Spent { pts: facts.pts, bits, idr: facts.idr });
        true
    }

    /// What was coded is the best guess of what comes next, also if it was too large to be sent.
    fn learn(&mut self, facts: &Facts, at_reference: f64) {
        if !facts.idr {
            self.p_size.learn(change(facts), at_reference, 0.3);
            return;
        }
        self.idr_size.learn(facts.activity.spatial, at_reference, 1.0);
        if self.is_new_scene(facts) {
            // How well its motion can be predicted is not known yet: at worst, not at all.
            self.p_size.raise_to(&self.idr_size);
        }
    }

    fn is_new_scene(&self, facts: &Facts) -> bool {
        facts.activity.temporal > 2.0 * self.temporal + 1.0
    }

    /// The base QP of the GOP in flight, as pictures are coded.
    pub fn base_qp(&self) -> f64 {
        self.rounded
    }

    fn next_gop(&mut self, start: Ticks90k) {
        let Some((begin, cost)) = self.gop.replace((start, 0.0)) else { return };
        let seconds = (start - begin).as_secs_f64();
        if !(0.1..=2.0).contains(&seconds) {
            return;
        }
        self.cost.add(cost / seconds, seconds);
        let evened = 1.0 + self.balance / (BALANCE_SECONDS * self.limits.bitrate);
        let wanted = qp_for(self.cost.value, self.limits.bitrate * AIM * evened.clamp(0.4, 1.6));
        self.base += (wanted - self.base).clamp(-MOST_STEP, MOST_STEP);
        self.base = self.base.clamp(BASE_QP.0, BASE_QP.1);
        self.rounded = (self.base + self.rounding).round();
        self.rounding += self.base - self.rounded;
    }

    /// Bits at the reference QP that this picture is likely to take.
    fn predicted(&self, facts: &Facts) -> f64 {
        let as_intra = self.idr_size.bits(facts.activity.spatial);
        let as_p = self.p_size.bits(change(facts));
        match facts.idr {
            true => as_intra,
            false if self.is_new_scene(facts) => as_p.max(as_intra),
            false => as_p,
        }
    }

    /// Bits that this picture may be predicted to take.
    fn allowance(&self, facts: &Facts) -> f64 {
        let idr = self.spent(|spent| spent.idr);
        let p = self.spent(|spent| !spent.idr);
        if facts.idr {
            return IDR_SHARE * (self.limits.peak - p - idr);
        }
        // The next IDR must find room when this one leaves the window.
        let next_idr =
            self.idr_size.bits(facts.activity.spatial) / size_ratio(self.rounded - IDR_OFFSET - REFERENCE_QP);
        P_SHARE * (self.limits.peak - p - idr.max(next_idr.min(self.limits.peak / 2.0)))
    }

    fn spent(&self, which: impl Fn(&Spent) -> bool) -> f64 {
        self.window.iter().filter(|spent| which(spent)).map(|spent| spent.bits).sum()
    }

    /// Drops from the window what is a second old at `now`.
    fn forget(&mut self, now: Ticks90k) {
        while self.window.front().is_some_and(|spent| spent.pts <= now - Ticks90k::SECOND) {
            self.window.pop_front();
        }
    }

    fn merge_oldest(&mut self) {
        if let (Some(oldest), Some(next)) = (self.window.pop_front(), self.window.front_mut()) {
            next.bits += oldest.bits;
        }
    }
}

/// A mean over about [`COST_SECONDS`].
#[derive(Debug)]
struct Mean {
    value: f64,
    seconds: f64,
}

impl Mean {
    fn add(&mut self, value: f64, seconds: f64) {
        self.seconds = (self.seconds + seconds).min(COST_SECONDS);
        self.value += (value - self.value) * seconds / self.seconds;
    }
}

/// Predicts the size of a picture at the reference QP: proportional to its activity.
#[derive(Debug)]
struct SizeModel {
    bits_per_activity: f64,
}

impl SizeModel {
    /// Activity of a picture that shows nothing: headers take bits too.
    const LEAST: f64 = 0.5;

    fn bits(&self, activity: f64) -> f64 {
        self.bits_per_activity * activity.max(Self::LEAST)
    }

    fn raise_to(&mut self, other: &Self) {
        self.bits_per_activity = self.bits_per_activity.max(other.bits_per_activity);
    }

    fn learn(&mut self, activity: f64, bits: f64, weight: f64) {
        self.bits_per_activity += weight * (bits / activity.max(Self::LEAST) - self.bits_per_activity);
    }
}

/// What a P picture has to code: what changed, but never more than all of it.
fn change(facts: &Facts) -> f64 {
    facts.activity.temporal.min(facts.activity.spatial)
}

/// How many times smaller a picture is when its QP is raised by `steps`.
fn size_ratio(steps: f64) -> f64 {
    (steps / QP_PER_HALF).exp2()
}

/// The QP at which what takes `bits` at the reference QP takes `allowed` bits.
fn qp_for(bits: f64, allowed: f64) -> f64 {
    if allowed <= 0.0 {
        return f64::from(MOST_QP);
    }
    REFERENCE_QP + QP_PER_HALF * (bits / allowed).log2()
}
