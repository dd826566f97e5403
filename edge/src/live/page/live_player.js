// Plays `stream.mp4` of a camera in a <video>: one fragment for each access unit, appended as it comes, a tenth of a second
// behind the live edge; returns by itself when the edge or the network was away.
//
//   stopped ──start──> connecting ──first picture──> live
//                       ^    ^                        │ stream ends, error, or nothing for 3 s
//                       │    └──── back-off, online ──┴─> waiting

import { Backoff } from './backoff.js';
import { BoxSplitter, concat, fragmentTrack, tracks } from './boxes.js';
import { LiveEdge, RESERVE, RESERVE_WITH_SOUND } from './live_edge.js';
import { Sink, canFeed } from './sink.js';

/** Milliseconds without data after which the connection counts as dead. */
const SILENCE = 3000;
/** Seconds behind the newest picture at which a new viewer starts. */
const JOIN_BEHIND = 0.15;
const JOIN_BEHIND_WITH_SOUND = 0.35;
/** Seconds after which a jump that has not arrived is made again, to what is newest then. */
const SEEK_PATIENCE = 1;
/** Seconds that stay in the buffer behind what is shown. */
const KEEP = 10;

export class LivePlayer extends EventTarget {
  #video;
  #camera = null;
  #sound = false;
  #running = null;
  #backoff = new Backoff();
  #wake = () => {};
  #state = 'stopped';
  /** Totals of what arrived: `pictures`, `bytes`. */
  totals = { pictures: 0, bytes: 0 };

  /** `video` is the player's own: nobody else sets its source or its rate. */
  constructor(video) {
    super();
    this.#video = video;
    globalThis.addEventListener('online', () => this.#wake());
    for (const event of ['playing', 'loadeddata']) video.addEventListener(event, () => this.#pictured());
  }

  /** `stopped`, `connecting`, `live` or `waiting`. */
  get state() {
    return this.#state;
  }

  /** The name of the camera that it plays or tries to, or null. */
  get camera() {
    return this.#running && this.#camera;
  }

  /** Shows `camera`; with `sound`, which costs some delay, or without. */
  start(camera, sound) {
    if (this.#running && this.#camera === camera && this.#sound === sound) return;
    this.stop();
    this.#camera = camera;
    this.#sound = sound;
    this.#backoff.reset();
    this.#running = new AbortController();
    if (canFeed()) this.#run(this.#running.signal);
    else this.#runHls(this.#running.signal);
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    this.#say('stopped');
  }

  /** Tries again at once, if it waits. */
  retry() {
    this.#wake();
  }

  #say(state, detail = '') {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: { state, detail } }));
  }

  #pictured() {
    if (this.#state !== 'connecting' || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#backoff.reset();
    this.#say('live');
  }

  async #run(stopped) {
    while (!stopped.aborted) {
      this.#say('connecting');
      const reason = await this.#session(stopped).then(() => 'the stream ended', String);
      if (stopped.aborted) return;
      this.#say('waiting', reason);
      await this.#pause(this.#backoff.next());
    }
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One connection, from request to end; rejects with what went wrong. */
  async #session(stopped) {
    const over = new AbortController();
    const end = (error) => over.abort(error);
    stopped.addEventListener('abort', () => end(stopped.reason), { signal: over.signal });
    const watchdog = new Watchdog(SILENCE, () => end(new Error('no data for 3 s')));
    const feed = new Feed(this.#video, this.#sound, this.totals, end);
    try {
      const url = `/live/${encodeURIComponent(this.#camera)}/stream.mp4${this.#sound ? '' : '?audio=0'}`;
      const response = await fetch(url, { cache: 'no-store', signal: over.signal });
      if (!response.ok) throw new Error(`the edge answered ${response.status}`);
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        over.signal.throwIfAborted();
        if (done) return;
        watchdog.feed();
        this.totals.bytes += value.length;
        await feed.push(value);
      }
    } finally {
      watchdog.stop();
      // Before the element is emptied: who listens keeps the last picture.
      if (!stopped.aborted) this.#say('waiting');
      feed.close();
      end();
    }
  }

  /** Without Media Source Extensions the browser plays HLS by itself; the page only starts it again. */
  async #runHls(stopped) {
    const video = this.#video;
    while (!stopped.aborted) {
      this.#say('connecting');
      video.src = `/live/${encodeURIComponent(this.#camera)}/master.m3u8`;
      video.play().catch(() => {});
      await new Promise((resolve) => {
        for (const event of ['error', 'ended']) video.addEventListener(event, resolve, { once: true });
        stopped.addEventListener('abort', resolve, { once: true });
      });
      if (stopped.aborted) break;
      this.#say('waiting');
      await this.#pause(this.#backoff.next());
    }
    video.removeAttribute('src');
    video.load();
  }
}

/** From bytes of the stream to pictures of the element. */
class Feed {
  #splitter = new BoxSplitter();
  #edge;
  #sink;
  #lane = null;
  #pictures;
  #ftyp = new Uint8Array(0);
  #moof = null;
  #joined = false;
  #jumped = 0;
  #watching;

  constructor(video, sound, totals, onerror) {
    this.video = video;
    this.sound = sound;
    this.totals = totals;
    this.#edge = new LiveEdge(sound ? RESERVE_WITH_SOUND : RESERVE);
    this.#sink = new Sink(video, onerror);
    video.addEventListener('waiting', this.#starved);
    this.#watch();
  }

  /** Tells the law how far the screen is off the position. */
  #watch() {
    this.#watching = this.video.requestVideoFrameCallback?.((_, picture) => {
      const now = performance.now();
      const due = this.video.currentTime - picture.mediaTime;
      if (!this.video.seeking) this.#edge.shown(due - (now - picture.expectedDisplayTime) / 1000);
      this.#watch();
    });
  }

  #starved = () => {
    if (this.#joined && !this.video.seeking) this.#edge.starved(performance.now() / 1000);
  };

  async push(bytes) {
    const fragments = [];
    for (const box of this.#splitter.push(bytes)) {
      if (box.type === 'ftyp') this.#ftyp = box.bytes;
      else if (box.type === 'moov') await this.#open(box.bytes);
      else if (box.type === 'moof') this.#moof = box.bytes;
      else if (box.type === 'mdat' && this.#moof) {
        if (fragmentTrack(this.#moof) === this.#pictures) this.totals.pictures += 1;
        fragments.push(this.#moof, box.bytes);
        this.#moof = null;
      }
    }
    if (fragments.length === 0) return;
    if (!this.#lane) throw new Error('fragments before their moov');
    // The backlog of a join comes as one piece and is appended as one.
    this.#edge.arrived(performance.now() / 1000, this.#sink.end());
    this.#lane.append(concat(fragments));
  }

  async #open(moov) {
    const all = tracks(moov);
    this.#pictures = all.find((track) => track.kind === 'vide')?.id;
    [this.#lane] = await this.#sink.open(all.map((track) => track.codec).join());
    this.#lane.buffer.addEventListener('updateend', () => this.#follow());
    this.#lane.append(concat([this.#ftyp, moov]));
  }

  /** After each append: start, stay close to the live edge, let go of the past. */
  #follow() {
    const { video } = this;
    const now = performance.now() / 1000;
    const end = this.#sink.end();
    if (end === 0) return;
    const behind = this.sound ? JOIN_BEHIND_WITH_SOUND : JOIN_BEHIND;
    if (!this.#joined) {
      this.#joined = true;
      // What arrives while the decoder starts says nothing about how punctual arrivals are.
      video.addEventListener('playing', () => this.#edge.reset(), { once: true });
      this.#jump(now, end - behind);
      video.play().catch(() => {});
    } else if (!video.seeking && video.currentTime < this.#sink.begin() && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) {
      // Pictures are missing, and those before them have been shown.
      this.#jump(now, end - behind);
    } else if (!video.seeking) {
      const { rate, position } = this.#edge.step(now, video.currentTime);
      if (position !== undefined) this.#jump(now, position);
      if (video.playbackRate !== rate) video.playbackRate = rate;
    } else if (now - this.#jumped > SEEK_PATIENCE) {
      this.#jump(now, end - behind);
    }
    this.#sink.trim(video.currentTime - KEEP);
  }

  /** Goes to `position`, or to where the buffer begins: before that there is nothing to wait for. */
  #jump(now, position) {
    this.#jumped = now;
    this.video.currentTime = Math.max(position, this.#sink.begin());
  }

  close() {
    this.video.removeEventListener('waiting', this.#starved);
    this.video.cancelVideoFrameCallback?.(this.#watching);
    this.#sink.close();
  }
}

/** Calls `onsilence` once when it is not fed for `milliseconds`. */
class Watchdog {
  constructor(milliseconds, onsilence) {
    this.arm = () => setTimeout(onsilence, milliseconds);
    this.timer = this.arm();
  }

  feed() {
    clearTimeout(this.timer);
    this.timer = this.arm();
  }

  stop() {
    clearTimeout(this.timer);
  }
}
