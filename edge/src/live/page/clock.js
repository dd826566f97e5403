// The edge's clocks as this browser knows them: media time (seconds since the edge booted) and the wall clock that belongs to it.
//
//   sent ──────── answer made: now.media ───────── received      offset = now.media - (sent + received) / 2
//
// Half of the round trip bounds the error, so the quickest of the last round trips is believed.

/** Round trips that are remembered. */
const SAMPLES = 16;

export class MediaClock {
  #samples = [];
  #wall = null;

  /**
   * A round trip: begin and end in seconds of `performance.now()`, and what the edge's clocks said in between: `media` in seconds,
   * `wall` in milliseconds since 1970, or null while it is not set.
   */
  sample(sent, received, { media, wall }) {
    const offset = media - (sent + received) / 2;
    const best = this.#best();
    // After a reboot of the edge media time begins anew: nothing from before holds.
    if (best && Math.abs(offset - best.offset) > 1 + best.trip + received - sent) this.#samples = [];
    this.#samples.push({ offset, trip: received - sent });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.#wall = wall === null ? null : wall - media * 1000;
  }

  #best() {
    return this.#samples.reduce((best, sample) => (best && best.trip <= sample.trip ? best : sample), null);
  }

  /** Media time at `now` (seconds of `performance.now()`), or null before the first sample. */
  media(now = performance.now() / 1000) {
    const best = this.#best();
    return best && now + best.offset;
  }

  /** The most by which media time can be wrong, in seconds. */
  uncertainty() {
    const best = this.#best();
    return best ? best.trip / 2 : Infinity;
  }

  /** The wall time (Date) of `media`, or null while the edge's wall clock is not set. */
  date(media) {
    return this.#wall === null || media === null ? null : new Date(this.#wall + media * 1000);
  }
}
