// Plays the past: whole segments out of the ring, appended to a <video> of its own, from any second that is still there.
//
// Each seek starts a fill: it fetches segments from that place on, keeps some seconds ahead of what is shown, and ends when the
// next seek begins. Pictures and sound are separate lanes, as they are separate renditions in HLS; where sound begins or ends,
// playback starts again with the lanes that there are from there on.

import { BoxSplitter, tracks } from './boxes.js';
import { fetchPlaylist, fetchSpans, place, segmentAt } from './ring.js';
import { Sink } from './sink.js';

/** Seconds that are fetched ahead of what is shown. */
const AHEAD = 6;
/** Seconds that stay behind it, for small steps back. */
const KEEP = 30;
/** Milliseconds between two looks at how far playback is. */
const LOOK = 250;

export class RingPlayer extends EventTarget {
  #video;
  #camera = null;
  #sound = false;
  #sink = null;
  #opening = null;
  #lanes = [];
  #maps = [];
  #fill = null;
  #wanted = null;

  constructor(video) {
    super();
    this.#video = video;
    video.addEventListener('seeked', () => this.#shown());
  }

  /** Media time of what is shown, or of what was asked for and is on its way. */
  get position() {
    return this.#wanted ?? this.#video.currentTime;
  }

  /**
   * Shows `camera` at media time `time`. Sends `picture` once it is on screen, `restart` before a moment without one, `failed` if
   * it cannot be shown.
   */
  seek(camera, time, sound) {
    if (camera !== this.#camera || sound !== this.#sound) this.stop();
    this.#camera = camera;
    this.#sound = sound;
    this.#wanted = time;
    this.#fill?.abort();
    const fill = (this.#fill = new AbortController());
    this.#run(time, fill.signal).catch((error) => this.#give(fill, error));
  }

  stop() {
    this.#fill?.abort();
    this.#fill = null;
    this.#sink?.close();
    this.#sink = null;
    this.#wanted = null;
  }

  #give(fill, error) {
    if (fill.signal.aborted) return;
    this.stop();
    this.dispatchEvent(new CustomEvent('failed', { detail: String(error) }));
  }

  #shown() {
    this.#wanted = null;
    this.dispatchEvent(new Event('picture'));
  }

  async #run(time, signal) {
    let landed = this.#sink?.has(time) ?? false;
    if (landed) this.#video.currentTime = time;
    else this.#sink?.clear();
    let placed = await this.#load(signal);
    // What is in the buffer stays; the fill goes on behind it.
    let at = segmentAt(placed[0], landed ? this.#sink.end() + 0.1 : time);
    if (at < 0) at = placed[0].length - (landed ? 0 : 1);
    if (at < 0) throw new Error('the ring is empty');
    await this.#open(placed, placed[0][Math.min(at, placed[0].length - 1)], signal);
    while (!signal.aborted) {
      if (landed) await this.#pace(signal);
      const segment = placed[0][at];
      const there = segment ? renditions(placed, segment) : [];
      if (!segment) {
        const last = placed[0].at(-1)?.sequence ?? -1;
        await wait(1000, signal);
        placed = await this.#load(signal);
        at = placed[0].findIndex((one) => one.sequence > last);
        if (at < 0) at = placed[0].length;
      } else if (segment.gap || there.length === this.#lanes.length) {
        await this.#append(there, signal);
        if (!landed) landed = this.#land(time, segment);
        at += 1;
      } else {
        await this.#playOut(signal);
        this.dispatchEvent(new Event('restart'));
        this.stop();
        this.seek(this.#camera, segment.from, this.#sound);
      }
    }
  }

  /** The placed segments of pictures and, with sound, of sound. */
  async #load(signal) {
    const names = this.#sound ? ['video', 'audio'] : ['video'];
    const [spans, ...lists] = await Promise.all([
      fetchSpans(this.#camera, signal), ...names.map((track) => fetchPlaylist(this.#camera, track, signal)),
    ]);
    return lists.filter((list, n) => n === 0 || list.length).map((list) => place(list, spans));
  }

  /** Opens a lane for each rendition that `segment` has, unless they are open. */
  async #open(placed, segment, signal) {
    if (!this.#sink) {
      const inits = await Promise.all(renditions(placed, segment).map(({ map }) => this.#fetch(map, signal)));
      const codecs = inits.map((init) => {
        const moov = new BoxSplitter().push(init).find((box) => box.type === 'moov');
        return tracks(moov.bytes)[0].codec;
      });
      this.#sink = new Sink(this.#video, (error) => this.#give(this.#fill, error));
      this.#opening = this.#sink.open(...codecs);
      this.#maps = [];
    }
    this.#lanes = await this.#opening;
  }

  /** Appends a segment: `there` is one of each rendition. */
  async #append(there, signal) {
    await Promise.all(there.map(async ({ map, uri }, n) => {
      if (map !== this.#maps[n]) {
        this.#maps[n] = map;
        this.#lanes[n].append(await this.#fetch(map, signal));
      }
      this.#lanes[n].append(await this.#fetch(uri, signal));
    }));
    await Promise.all(this.#lanes.map((lane) => lane.idle()));
  }

  async #fetch(name, signal) {
    const response = await fetch(`/live/${encodeURIComponent(this.#camera)}/${name}`, { signal });
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Goes to `time`, or to the nearest picture of the `segment` just appended; false if it brought none. */
  #land(time, segment) {
    if (this.#sink.has(time)) {
      this.#video.currentTime = time;
      return true;
    }
    const begin = this.#sink.beginAfter(segment.from - segment.seconds);
    if (begin === undefined) return false;
    this.#video.currentTime = begin;
    return true;
  }

  /** Waits until everything that was appended has been shown. */
  async #playOut(signal) {
    while (this.#video.currentTime < this.#sink.end() - LOOK / 1000) await wait(LOOK, signal);
  }

  /** Waits until more is needed; steps over holes; lets go of the past. */
  async #pace(signal) {
    for (;;) {
      signal.throwIfAborted();
      const { currentTime, readyState } = this.#video;
      const next = this.#sink.beginAfter(currentTime);
      if (readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !this.#video.seeking && next !== undefined) this.#video.currentTime = next;
      this.#sink.trim(currentTime - KEEP);
      if (this.#sink.end() < currentTime + AHEAD) return;
      await wait(LOOK, signal);
    }
  }
}

/** `segment` of the pictures and, where there is one, that of the sound. */
function renditions(placed, { sequence }) {
  return placed.map((list) => list.find((one) => one.sequence === sequence && !one.gap)).filter(Boolean);
}

function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
