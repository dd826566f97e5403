// Keeps playback a constant, small time behind the live edge: a control law without a clock, a timer or a player of its own.
//
//   what arrived:   ────────────────────────────┤ end of buffer, before the next unit comes
//   what is shown:  ───────────────────────┤ position
//                                          └───┘ slack: must be the reserve when units come late, not when they come well
//
// Each arrival says how far the buffer reached at that moment (`end - now`). The worst arrivals of the last seconds are the
// schedule that playback can rely on; the distance between that schedule and the position is the slack. Playing a little
// faster or slower moves the position, never the schedule, so the law does not chase its own tail: a calm network
// settles at the lowest delay, a jittery one at the delay that its jitter needs.

/** Seconds in hand when a unit comes as late as units do come: pictures alone need little ... */
export const RESERVE = 0.03;
/** ... but browsers do not start sound with less than about 0.2 s of it. */
export const RESERVE_WITH_SOUND = 0.22;
/** Seconds of arrivals that are remembered. */
export const WINDOW = 4;
/** Of those, the share that may come later than the schedule: one late picture must not slow everything that follows. */
export const LATE_SHARE = 0.05;
/** Errors below this many seconds are left alone. */
export const DEAD_BAND = 0.004;
/** Slowest and fastest playback: neither is noticed. */
export const SLOWEST = 0.97;
export const FASTEST = 1.06;
/** Fastest playback after a join, when nobody has seen yet how fast things move there: until it is where it must be ... */
export const FASTEST_AT_JOIN = 1.3;
/** ... but for this many seconds at most. */
export const JOIN = 5;
/** Seconds too far behind from which playback jumps instead of hurrying; less at a join, which is a jump anyway. */
export const JUMP = 1;
const JUMP_AT_JOIN = 0.25;
/** Seconds that are kept in hand on top after playback ran dry once, at most, and in how many seconds half of that is forgiven. */
const EXTRA = 0.015;
const MOST_EXTRA = 0.06;
const FORGIVEN = 15;
/** A join is over with less error than this many seconds, judged from more arrivals than a few. */
const SETTLED = 0.015;
const FEW = 5;
/** Rate per second of error, later and at the join. */
const GAIN = 1;
const GAIN_AT_JOIN = 3;
/** Arrivals that are remembered at most, whatever the frame rate. */
const MOST = 1024;

export class LiveEdge {
  #arrivals = [];
  #joinEnds = null;
  #extra = { now: 0, seconds: 0 };

  /** Keeps `reserve` seconds in hand. */
  constructor(reserve = RESERVE) {
    this.reserve = reserve;
  }

  /** A unit arrives at `now`, when the buffer ends at media time `end`; both in seconds. */
  arrived(now, end) {
    this.#joinEnds ??= now + JOIN;
    this.#arrivals.push({ now, lead: end - now });
    const old = this.#arrivals.findIndex((arrival) => arrival.now > now - WINDOW);
    this.#arrivals.splice(0, Math.max(old, this.#arrivals.length - MOST));
  }

  /** Playback ran dry at `now`: what was in hand was too little here, so for a while it shall be more. */
  starved(now) {
    this.#extra = { now, seconds: Math.min(MOST_EXTRA, this.#more(now) + EXTRA) };
  }

  #more(now) {
    return this.#extra.seconds * 0.5 ** ((now - this.#extra.now) / FORGIVEN);
  }

  /** Forgets what arrived: the clock or the stream is another one. */
  reset() {
    this.#arrivals = [];
    this.#joinEnds = null;
  }

  /** Seconds by which playback at `position` is further behind than it must be; negative when it is too close. */
  error(now, position) {
    if (this.#arrivals.length === 0) return 0;
    const leads = this.#arrivals.map((arrival) => arrival.lead).sort((a, b) => a - b);
    const schedule = leads[Math.floor(leads.length * LATE_SHARE)];
    return schedule - this.reserve - this.#more(now) - (position - now);
  }

  /** What the player shall do: `{ rate }`, or `{ rate: 1, position }` to jump there. */
  step(now, position) {
    const error = this.error(now, position);
    const judged = this.#arrivals.length > FEW;
    if (error < SETTLED && judged) this.#joinEnds = now;
    const joining = now < this.#joinEnds;
    if (error > (joining && judged ? JUMP_AT_JOIN : JUMP)) return { rate: 1, position: position + error };
    if (Math.abs(error) < DEAD_BAND) return { rate: 1 };
    const [gain, fastest] = joining ? [GAIN_AT_JOIN, FASTEST_AT_JOIN] : [GAIN, FASTEST];
    const rate = Math.min(fastest, Math.max(SLOWEST, 1 + gain * error));
    // Steps of half a per cent: fewer changes for the player to follow.
    return { rate: Math.round(rate * 200) / 200 };
  }
}
