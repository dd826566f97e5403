// How long to wait before the next try: doubling, bounded, with jitter, so that the viewers of an edge that restarts do not
// all come back at the same instant.

export class Backoff {
  #tries = 0;

  /** `first` and `most` in milliseconds; `random` gives 0 to 1. */
  constructor(first = 250, most = 5000, random = Math.random) {
    this.first = first;
    this.most = most;
    this.random = random;
  }

  /** Milliseconds to wait now: between half of the current step and all of it. */
  next() {
    const step = Math.min(this.most, this.first * 2 ** this.#tries);
    this.#tries += 1;
    return step * (0.5 + 0.5 * this.random());
  }

  /** The try succeeded. */
  reset() {
    this.#tries = 0;
  }
}
