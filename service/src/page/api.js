// Asking the edge: JSON over GET, with a deadline, again and again, and less often when nobody looks.

/** Milliseconds that an answer may take. */
const DEADLINE = 5000;

/** The JSON at `path`; rejects with what went wrong. The 503 of `/healthz` is an answer too. */
export async function get(path, signal = AbortSignal.timeout(DEADLINE)) {
  const response = await fetch(path, { cache: 'no-store', signal });
  if (!response.ok && response.status !== 503) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** Calls `work` (which may reject) at once, then `every` milliseconds after it has ended; ten times less often when hidden. */
export class Poll {
  #timer;

  constructor(every, work) {
    this.every = every;
    this.work = work;
    document.addEventListener('visibilitychange', () => document.hidden || this.now());
    this.now();
  }

  /** Does it now. */
  async now() {
    clearTimeout(this.#timer);
    const turn = (this.turn = {});
    await this.work().catch(() => {});
    if (turn !== this.turn) return;
    this.#timer = setTimeout(() => this.now(), this.every * (document.hidden ? 10 : 1));
  }
}
