// Recordings, newest first, by day; one can be open and plays in its place. The pages of an edge and of a remote host share it: what
// differs between them is the `place`.

import { arrange, h, icon, text } from './dom.js';
import { bytes, clock, day, duration } from './format.js';

/** Rows before "Show more", and with each press of it. */
const PAGE = 12;

export class Recordings {
  #rows = new Map();
  #days = new Map();
  #open = null;
  #most = PAGE;
  #last = [[], false];

  /**
   * Fills `list`; `summary`, `empty` and `more` (a button) say how much there is. `place` says `states` (`[label, tone]` of each),
   * what plays a recording (`sources`: `{ src, type }` each, the best first; none: it cannot be played), the `file` to download
   * (or null), and what it means when nothing plays (`lost`). `wanted` is called when more rows are.
   */
  constructor({ list, summary, empty, more }, place) {
    Object.assign(this, { list, summary, empty, more, place });
    more.addEventListener('click', () => {
      this.#most += PAGE;
      this.show(...this.#last);
      place.wanted?.();
    });
  }

  /** Rows that are shown, if there are so many. */
  get most() {
    return this.#most;
  }

  /**
   * Shows `recordings`, oldest first; the name of the camera where there are `several`; `all` tells `{ count, bytes }` where there are more
   * than these.
   */
  show(recordings, several, all = { count: recordings.length, bytes: recordings.reduce((sum, one) => sum + one.bytes, 0) }) {
    this.#last = [recordings, several, all];
    text(this.summary, all.count ? `${all.count} · ${bytes(all.bytes)}` : '');
    this.empty.hidden = all.count > 0;
    const shown = recordings.slice(-this.#most).reverse();
    this.more.hidden = shown.length >= all.count;
    text(this.more, `Show ${Math.min(PAGE, all.count - shown.length)} more`);
    this.#forget(recordings);
    const items = [];
    for (const recording of shown) {
      const date = recording.start ?? recording.arrived;
      const title = date ? day(new Date(date)) : 'Before the clock was set';
      if (items.at(-1)?.title !== title) items.push({ title, heading: this.#day(title), rows: [] });
      items.at(-1).rows.push(this.#row(recording, several));
    }
    arrange(this.list, items.flatMap(({ heading, rows }) => [heading, ...rows]));
  }

  #forget(recordings) {
    const names = new Set(recordings.map((recording) => recording.name));
    for (const name of this.#rows.keys()) {
      // One that plays stays until it is closed, even if its file has gone.
      if (!names.has(name) && this.#open !== name) this.#rows.delete(name);
    }
  }

  #day(title) {
    if (!this.#days.has(title)) this.#days.set(title, h('li', { class: 'day' }, h('h3', {}, title)));
    return this.#days.get(title);
  }

  #row(recording, several) {
    let row = this.#rows.get(recording.name);
    if (!row) {
      row = new Row(this.place, recording, several, () => this.#toggle(recording.name));
      this.#rows.set(recording.name, row);
    }
    row.update(recording);
    return row.element;
  }

  #toggle(name) {
    const before = this.#open;
    this.#open = before === name ? null : name;
    this.#rows.get(before)?.close();
    if (this.#open) this.#rows.get(name).play();
  }
}

class Row {
  constructor(place, { name, camera }, several, toggle) {
    Object.assign(this, { place, name, camera });
    this.title = h('span', { class: 'title', title: name });
    this.length = h('span', { class: 'length' });
    this.size = h('span', { class: 'soft size' });
    this.state = h('span', { class: 'state' });
    this.button = h('button', { class: 'open', 'aria-expanded': 'false', onclick: toggle },
      icon('play'), this.title, several && h('span', { class: 'soft camera' }, camera), this.length, this.size, this.state);
    this.download = h('a', { class: 'tool', download: `${name}.mp4`, title: 'Download' }, icon('download'));
    this.reason = h('p', { class: 'reason' });
    this.element = h('li', { class: 'recording' }, this.button, this.download, this.reason);
  }

  /** The date can come later than the recording: when the clock is set. */
  update(recording) {
    this.recording = recording;
    const { seconds, bytes: size, state, start, reason } = recording;
    const title = start ? clock(new Date(start)) : this.name;
    this.label = `${this.camera}, ${title}`;
    text(this.title, title);
    this.download.setAttribute('aria-label', `Download ${this.label}`);
    const [label, tone] = this.place.states[state] ?? [state, ''];
    text(this.length, seconds == null ? '' : duration(seconds));
    text(this.size, bytes(size));
    text(this.state, label);
    this.state.className = `state ${tone}`;
    text(this.reason, reason ?? '');
    this.reason.hidden = !reason;
    this.button.disabled = this.place.sources(recording).length === 0 && !this.video;
    const file = this.place.file(recording);
    this.download.hidden = !file;
    if (file) this.download.href = file;
  }

  play() {
    this.button.setAttribute('aria-expanded', 'true');
    this.button.querySelector('use').setAttribute('href', '#i-close');
    const lost = () => this.video?.replaceWith(h('p', { class: 'replay failed' }, this.place.lost));
    const sources = this.place.sources(this.recording).map((source) => h('source', source));
    this.video = h('video', { class: 'replay', controls: true, playsinline: true, preload: 'metadata', 'aria-label': this.label }, ...sources);
    // Of sources that cannot be had the last one says so; of what breaks off later the element itself.
    for (const one of [sources.at(-1), this.video]) one?.addEventListener('error', lost);
    this.element.append(this.video);
    this.video.play().catch(() => {});
  }

  close() {
    this.button.setAttribute('aria-expanded', 'false');
    this.button.querySelector('use').setAttribute('href', '#i-play');
    this.element.querySelector('.replay')?.remove();
    this.video = null;
  }
}
