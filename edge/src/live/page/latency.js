// Frame to screen: how old each picture is when the browser shows it.

/** Milliseconds of measurements that are kept. */
const KEEP = 60_000;

export class Latency {
  #seen = [];

  /** Watches `video`, whose media time is the edge's, by `clock` (a MediaClock). */
  constructor(video, clock) {
    this.video = video;
    this.clock = clock;
    if (video.requestVideoFrameCallback) this.#watch();
  }

  #watch() {
    this.video.requestVideoFrameCallback((now, picture) => {
      const shown = this.clock.media(picture.expectedDisplayTime / 1000);
      const age = shown === null ? NaN : (shown - picture.mediaTime) * 1000;
      // Frames of a seek and of a join are not those that a viewer waits for.
      if (age > -100 && age < 10_000 && !this.video.seeking) this.#seen.push({ now, age });
      const old = this.#seen.findIndex((one) => one.now > now - KEEP);
      this.#seen.splice(0, Math.max(0, old));
      this.#watch();
    });
  }

  /** Forgets everything: another stream begins. */
  reset() {
    this.#seen = [];
  }

  /** Milliseconds of the pictures of the last second: their median, or null. */
  now() {
    return quantile(this.#since(1000), 0.5);
  }

  /** Milliseconds that 95 of 100 pictures of the last minute stayed below, or null. */
  p95() {
    return quantile(this.#seen.map((one) => one.age), 0.95);
  }

  #since(milliseconds) {
    const from = performance.now() - milliseconds;
    return this.#seen.filter((one) => one.now >= from).map((one) => one.age);
  }
}

function quantile(values, share) {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
