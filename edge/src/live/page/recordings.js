// The recordings that are on the edge, newest first, by day; one can be open and plays in its place.

import { arrange, h, icon, text } from './dom.js';
import { bytes, clock, day, duration } from './format.js';

const STATES = {
  growing: ['Recording', 'busy'],
  sealed: ['On the edge', ''],
  uploading: ['Uploading', 'busy'],
  receipted: ['Archived', 'good'],
};
/** Rows before "Show more", and with each press of it. */
const PAGE = 12;

export class Recordings {
  #rows = new Map();
  #days = new Map();
  #open = null;
  #most = PAGE;
  #last = [[], false];

  /** Fills `list`; `summary`, `empty` and `more` (a button) say how much there is. */
  constructor({ list, summary, empty, more }) {
    Object.assign(this, { list, summary, empty, more });
    more.addEventListener('click', () => {
      this.#most += PAGE;
      this.show(...this.#last);
    });
  }

  /** Shows `recordings` (status::Recording, oldest first); the name of the camera where there are several. */
  show(recordings, several) {
    this.#last = [recordings, several];
    const total = recordings.reduce((sum, one) => sum + one.bytes, 0);
    text(this.summary, recordings.length ? `${recordings.length} · ${bytes(total)}` : '');
    this.empty.hidden = recordings.length > 0;
    const shown = recordings.slice(-this.#most).reverse();
    this.more.hidden = shown.length === recordings.length;
    text(this.more, `Show ${Math.min(PAGE, recordings.length - shown.length)} more`);
    this.#forget(recordings);
    const items = [];
    for (const recording of shown) {
      const title = recording.start ? day(new Date(recording.start)) : 'Before the clock was set';
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
      row = new Row(recording, several, () => this.#toggle(recording.name));
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
  constructor({ name, camera }, several, toggle) {
    this.url = `/recordings/${encodeURIComponent(name)}.mp4`;
    this.name = name;
    this.camera = camera;
    this.title = h('span', { class: 'title' });
    this.length = h('span', { class: 'length' });
    this.size = h('span', { class: 'soft size' });
    this.state = h('span', { class: 'state' });
    this.button = h('button', { class: 'open', 'aria-expanded': 'false', onclick: toggle },
      icon('play'), this.title, several && h('span', { class: 'soft camera' }, camera), this.length, this.size, this.state);
    this.download = h('a', { class: 'tool', href: this.url, download: `${name}.mp4`, title: 'Download' }, icon('download'));
    this.element = h('li', { class: 'recording' }, this.button, this.download);
  }

  /** The date can come later than the recording: when the clock is set. */
  update({ seconds, bytes: size, state, start }) {
    const title = start ? clock(new Date(start)) : this.name;
    this.label = `${this.camera}, ${title}`;
    text(this.title, title);
    this.download.setAttribute('aria-label', `Download ${this.label}`);
    const [label, tone] = STATES[state] ?? [state, ''];
    text(this.length, duration(seconds));
    text(this.size, bytes(size));
    text(this.state, label);
    this.state.className = `state ${tone}`;
  }

  play() {
    this.button.setAttribute('aria-expanded', 'true');
    this.button.querySelector('use').setAttribute('href', '#i-close');
    this.video = h('video', { class: 'replay', controls: true, playsinline: true, preload: 'metadata', src: this.url, 'aria-label': this.label });
    this.video.addEventListener('error', () => this.video?.replaceWith(h('p', { class: 'replay failed' }, 'This recording cannot be played. It may have left the edge.')));
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
