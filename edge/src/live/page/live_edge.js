// Keeps the screen a constant, small time behind the live edge: a control law without a clock, a timer or a player of its own.
//
//   what arrived:    ────────────────────────────┤ end of buffer, before the next unit comes
//   what is shown:   ───────────────────────┤ position, less what the screen is late
//                                           └───┘ slack: must be the reserve when units come late, not when they come well
//
// Each arrival says how far the buffer reached at that moment (`end - now`). The worst arrivals of the last seconds are the
// schedule that playback can rely on; the distance between that schedule and the screen is the slack. Playing a little
// faster or slower moves the position, never the schedule, so the law does not chase its own tail: a calm network
// settles at the lowest delay, a jittery one at the delay that its jitter needs.
//
// A machine that was busy for a moment hands over at once what came meanwhile: many late units, but one delay. So moments are
// counted, not units.
//
// A browser brings pictures to the screen in a rhythm of refreshes, and keeps it while playback goes at one rate, even when it has come to
// show each picture a refresh or two later than the position asks for. Another rate for a moment lets it find a better one: so the law goes
// by what is on the screen, and corrects by a whole per cent at once or not at all.

/** Seconds in hand when a unit comes as late as units do come: pictures alone need little ... */
export const RESERVE = 0.05;
/** ... but browsers do not start sound with less than about 0.2 s of it. */
export const RESERVE_WITH_SOUND = 0.22;
/** Seconds of arrivals that are remembered. */
export const WINDOW = 4;
/** Seconds that are one moment. */
const MOMENT = 0.25;
/** Moments that may be later than the schedule, since one delay can lie across two, and the share of them while there are few. */
const LATE_MOMENTS = 2;
const LATE_SHARE = 1 / 3;
/** Errors below this many seconds are left alone, and larger ones corrected to half of it: no screen is nearer than half a refresh. */
export const DEAD_BAND = 0.01;
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
/** Seconds within which running dry again is a habit, and not chance; but within SAME seconds it is still the same time. */
const HABIT = 15;
const SAME = 1;
/** Seconds that are kept in hand on top for each time of that habit, at most, and how many of them are given back in a second. */
const EXTRA = 0.015;
const MOST_EXTRA = 0.03;
const GIVEN_BACK = 0.002;
/** A join is over with less error than this many seconds, judged from more arrivals than a few. */
const SETTLED = 0.015;
const FEW = 5;
/** Rate per second of error, later and at the join. */
const GAIN = 1;
const GAIN_AT_JOIN = 3;
/** Steps of the rate: fewer changes for the player to follow. */
const STEP = 0.005;
/** Pictures by which the screen is judged, and how many seconds late it is believed to be at most. */
const PICTURES = 9;
const MOST_LATE = 0.02;

export class LiveEdge {
  /** The worst arrival of each moment in the window: `{ moment, lead }`. */
  #moments = [];
  #arrivals = 0;
  #joinEnds = null;
  #correcting = false;
  #extra = { now: 0, seconds: 0 };
  #dry = -Infinity;
  /** Seconds that the last pictures were late on the screen. */
  #screen = [];

  /** Keeps `reserve` seconds in hand. */
  constructor(reserve = RESERVE) {
    this.reserve = reserve;
  }

  /** A unit arrives at `now`, when the buffer ends at media time `end`; both in seconds. */
  arrived(now, end) {
    this.#joinEnds ??= now + JOIN;
    this.#arrivals += 1;
    const moment = Math.floor(now / MOMENT);
    const last = this.#moments.at(-1);
    if (last?.moment === moment) last.lead = Math.min(last.lead, end - now);
    else this.#moments.push({ moment, lead: end - now });
    while (this.#moments[0].moment <= moment - WINDOW / MOMENT) this.#moments.shift();
  }

  /** Playback ran dry at `now`. Once is chance; if it becomes a habit, more shall be in hand for a while. */
  starved(now) {
    const since = now - this.#dry;
    if (since < SAME) return;
    this.#dry = now;
    if (since > HABIT) return;
    this.#extra = { now, seconds: Math.min(MOST_EXTRA, this.#more(now) + EXTRA) };
  }

  #more(now) {
    return Math.max(0, this.#extra.seconds - (now - this.#extra.now) * GIVEN_BACK);
  }

  /** A picture came to the screen `late` seconds after the position had reached it; early when negative. */
  shown(late) {
    this.#screen.push(late);
    if (this.#screen.length > PICTURES) this.#screen.shift();
  }

  /** Seconds that the screen is late. One that is early counts as punctual: it stays so while playback falls back, until it runs dry. */
  #late() {
    if (this.#screen.length < PICTURES) return 0;
    const median = this.#screen.toSorted((a, b) => a - b)[PICTURES >> 1];
    return Math.min(MOST_LATE, Math.max(0, median));
  }

  /** Forgets what arrived: the clock or the stream is another one. */
  reset() {
    this.#moments = [];
    this.#arrivals = 0;
    this.#joinEnds = null;
  }

  /** Seconds by which the screen, while playback is at `position`, is further behind than it must be; negative when it is too close. */
  error(now, position) {
    if (this.#moments.length === 0) return 0;
    const leads = this.#moments.map((moment) => moment.lead).sort((a, b) => a - b);
    const schedule = leads[Math.min(LATE_MOMENTS, Math.floor(leads.length * LATE_SHARE))];
    return schedule - this.reserve - this.#more(now) - (position - this.#late() - now);
  }

  /** What the player shall do: `{ rate }`, or `{ rate: 1, position }` to jump there. */
  step(now, position) {
    const error = this.error(now, position);
    const judged = this.#arrivals > FEW;
    if (error < SETTLED && judged) this.#joinEnds = now;
    const joining = now < this.#joinEnds;
    if (error > (joining && judged ? JUMP_AT_JOIN : JUMP)) return { rate: 1, position: position + error };
    this.#correcting = Math.abs(error) > (this.#correcting ? DEAD_BAND / 2 : DEAD_BAND);
    if (!this.#correcting) return { rate: 1 };
    const [gain, fastest] = joining ? [GAIN_AT_JOIN, FASTEST_AT_JOIN] : [GAIN, FASTEST];
    return { rate: Math.min(fastest, Math.max(SLOWEST, 1 + Math.round((gain * error) / STEP) * STEP)) };
  }
}
