// A <video> fed through Media Source Extensions: source buffers with a bounded queue in front of each.

/** Bytes that may wait for one source buffer; a player that is further behind starts again. */
const MOST_QUEUED = 16 << 20;

/** Media Source Extensions as this browser has them (iPhones: the managed kind), or undefined. */
export const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

/** Whether `video` can be fed with H.264 and AAC by the page. */
export const canFeed = () => Boolean(Source?.isTypeSupported('video/mp4; codecs="avc1.42C01E,mp4a.40.2"'));

export class Sink {
  #source = new Source();
  #lanes = [];
  #url = URL.createObjectURL(this.#source);
  #opened;
  #failed;

  /** Takes `video` over; whatever it played before is gone. `onerror` is told why the sink stopped. */
  constructor(video, onerror) {
    this.video = video;
    this.#failed = onerror;
    video.disableRemotePlayback = true;
    this.#opened = new Promise((resolve) => this.#source.addEventListener('sourceopen', resolve, { once: true }));
    video.src = this.#url;
  }

  /** Opens one lane (source buffer) for each of `codecs`, such as `avc1.42C01E`; all lanes must be opened at once. */
  async open(...codecs) {
    await this.#opened;
    URL.revokeObjectURL(this.#url);
    this.#source.duration = Infinity;
    this.#lanes = codecs.map((codec) => new Lane(this.#source.addSourceBuffer(`video/mp4; codecs="${codec}"`), this.#failed));
    return this.#lanes;
  }

  /** End in seconds of the newest buffered range, 0 without any. */
  end() {
    const { buffered } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  /** Begin in seconds of the newest buffered range, 0 without any. */
  begin() {
    const { buffered } = this.video;
    return buffered.length ? buffered.start(buffered.length - 1) : 0;
  }

  /** Whether `time` can be played at once. */
  has(time) {
    const { buffered } = this.video;
    for (let n = 0; n < buffered.length; n++) {
      if (time >= buffered.start(n) && time < buffered.end(n)) return true;
    }
    return false;
  }

  /** Where the next buffered range after `time` begins, or undefined. */
  beginAfter(time) {
    const { buffered } = this.video;
    for (let n = 0; n < buffered.length; n++) {
      if (buffered.start(n) > time) return buffered.start(n);
    }
    return undefined;
  }

  /** Lets go of what ends before `time`. */
  trim(time) {
    for (const lane of this.#lanes) lane.trim(time);
  }

  /** Lets go of everything in the buffer. */
  clear() {
    for (const lane of this.#lanes) lane.clear();
  }

  /** Lets go of everything; the element shows nothing afterwards. */
  close() {
    this.#failed = () => {};
    for (const lane of this.#lanes) lane.close();
    // Somebody else may have taken the element over by now.
    if (this.video.src !== this.#url) return;
    this.video.removeAttribute('src');
    this.video.load();
  }
}

class Lane {
  #queue = [];
  #queued = 0;
  #trim = 0;
  #clear = false;
  #closed = false;
  #waiting = [];

  constructor(buffer, onerror) {
    this.buffer = buffer;
    this.onerror = onerror;
    buffer.addEventListener('updateend', () => this.#next());
  }

  append(bytes) {
    this.#queued += bytes.length;
    if (this.#queued > MOST_QUEUED) {
      this.onerror(new Error('the player does not keep up'));
      return;
    }
    this.#queue.push(bytes);
    this.#next();
  }

  /** Resolves once everything that was appended so far is in the buffer. */
  idle() {
    if (this.#closed || (!this.buffer.updating && this.#queue.length === 0)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  trim(time) {
    this.#trim = time;
  }

  clear() {
    this.#queue = [];
    this.#queued = 0;
    this.#clear = true;
    this.#next();
  }

  close() {
    this.#closed = true;
    this.#queue = [];
    this.#settle();
  }

  #settle() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #next() {
    if (this.#closed || this.buffer.updating) return;
    try {
      const { buffered } = this.buffer;
      // Whole seconds at a time: removing costs as much as appending.
      if (this.#clear) {
        this.#clear = false;
        this.buffer.remove(0, Infinity);
      } else if (buffered.length && this.#trim - buffered.start(0) > 5) {
        this.buffer.remove(buffered.start(0), this.#trim);
      } else if (this.#queue.length) {
        const bytes = this.#queue.shift();
        this.#queued -= bytes.length;
        this.buffer.appendBuffer(bytes);
      } else {
        this.#settle();
      }
    } catch (error) {
      this.#closed = true;
      this.onerror(error);
    }
  }
}
