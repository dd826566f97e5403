// The last two minutes as a bar: footage solid, holes hatched, the picture on screen a marker. Drag it, click it, or use arrow keys.
//
//   -2:00                       -1:00                         now
//   ▐██████████████▌░░░░▐███████████████████|█████████████████▌
//                                           position

import { arrange, h, text } from './dom.js';
import { clock as clockTime, duration } from './format.js';

/** Closer to the live edge than this many seconds is live: the ring has only whole seconds to offer. */
export const LIVE_WITHIN = 2.5;
/** Seconds for which the newest footage is taken to grow since the edge was asked. */
const TRUSTED = 6;
/** Seconds that the bar covers at least. */
const LEAST = 120;
/** Seconds that stay between a seek and the oldest footage, which is about to leave the ring. */
const LEAVING = 4;
/** Seconds of a step with the arrow keys, and with Page Up and Page Down. */
export const STEP = 5;
const PAGE = 30;

export class Timeline extends EventTarget {
  #root;
  #clock;
  #seconds = LEAST;
  #spans = [];
  #now = null;
  #position = null;
  #dragging = false;

  /** Fills `root`; `clock` (a MediaClock) dates what is under the pointer. Sends `seek` (detail: media time) and `live`. */
  constructor(root, clock) {
    super();
    this.#root = root;
    this.#clock = clock;
    this.footage = h('div', { class: 'footage' });
    this.marker = h('div', { class: 'marker' });
    this.tip = h('div', { class: 'tip', hidden: true });
    this.bar = h('div', {
      class: 'bar', role: 'slider', tabindex: 0, 'aria-label': 'Time', 'aria-orientation': 'horizontal',
      onpointerdown: (event) => this.#grab(event),
      onpointermove: (event) => this.#move(event),
      onpointerup: (event) => this.#drop(event),
      onpointercancel: () => { this.#dragging = false; },
      onpointerleave: () => { this.tip.hidden = true; },
      onkeydown: (event) => this.#key(event),
    }, h('div', { class: 'track' }, this.footage), this.marker, this.tip);
    this.scale = h('div', { class: 'scale', 'aria-hidden': 'true' });
    root.append(this.bar, this.scale);
    this.#label();
  }

  /** What the ring holds: `{ start, end, placeholder }` in media time, oldest first. */
  set(spans) {
    this.#spans = spans.filter(({ placeholder }) => !placeholder).map(({ start, end }) => [start, end]);
    const held = spans.length ? spans.at(-1).end - spans[0].start : 0;
    // A ring of two minutes holds a second or two more while its oldest segment leaves.
    const seconds = Math.max(LEAST, Math.ceil((held - 5) / 60) * 60);
    if (seconds === this.#seconds) return;
    this.#seconds = seconds;
    this.#label();
  }

  /** Draws the bar at media time `now`, with the picture of media time `position` on screen; `live` or scrubbed back. */
  draw(now, position, live) {
    this.#now = now;
    if (now === null) return;
    if (!this.#dragging) this.#position = live ? now : position;
    this.#drawFootage();
    this.#root.classList.toggle('scrubbed', !live);
    this.marker.style.setProperty('--at', this.#share(this.#position));
    const behind = Math.max(0, now - this.#position);
    this.bar.setAttribute('aria-valuemin', -this.#seconds);
    this.bar.setAttribute('aria-valuemax', 0);
    this.bar.setAttribute('aria-valuenow', -Math.round(behind));
    this.bar.setAttribute('aria-valuetext', live ? 'live' : `${Math.round(behind)} seconds ago`);
  }

  /** Moves by `seconds` from where the picture is. */
  step(seconds) {
    if (this.#now !== null) this.#go(this.#position + seconds);
  }

  #drawFootage() {
    const shown = this.#spans.map(([from, to], n) => {
      // Footage that reached now goes on growing until the edge says otherwise, or nothing.
      const open = n === this.#spans.length - 1 && this.#now - to < TRUSTED;
      return [this.#share(from), this.#share(open ? Math.max(to, this.#now) : to)];
    }).filter(([from, to]) => to > from);
    const pieces = shown.map((_, n) => this.footage.children[n] ?? h('div', { class: 'span' }));
    arrange(this.footage, pieces);
    shown.forEach(([from, to], n) => {
      pieces[n].style.setProperty('--from', from);
      pieces[n].style.setProperty('--to', to);
    });
  }

  /** Where media time is on the bar: 0 its left end, 1 now. */
  #share(time) {
    return Math.min(1, Math.max(0, 1 - (this.#now - time) / this.#seconds));
  }

  #label() {
    const steps = 4;
    arrange(this.scale, Array.from({ length: steps + 1 }, (_, n) => {
      const back = this.#seconds * (1 - n / steps);
      return h('span', {}, back ? `\u2212${duration(back)}` : 'now');
    }));
  }

  #timeAt(event) {
    const { left, width } = this.bar.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    return this.#now - (1 - share) * this.#seconds;
  }

  #grab(event) {
    if (event.button !== 0 || this.#now === null) return;
    this.bar.setPointerCapture(event.pointerId);
    this.#dragging = true;
    this.#move(event);
  }

  #move(event) {
    if (this.#now === null) return;
    const time = this.#timeAt(event);
    this.#showTip(time);
    if (this.#dragging) this.#go(time);
  }

  #drop(event) {
    if (!this.#dragging) return;
    this.#dragging = false;
    this.tip.hidden = event.pointerType !== 'mouse';
  }

  #showTip(time) {
    const date = this.#clock.date(time);
    const back = `\u2212${duration(this.#now - time)}`;
    this.tip.hidden = false;
    this.tip.style.setProperty('--at', this.#share(time));
    text(this.tip, date ? `${clockTime(date)}  ${back}` : back);
  }

  #go(time) {
    const oldest = (this.#spans[0]?.[0] ?? this.#now) + LEAVING;
    const wanted = Math.max(time, oldest);
    if (wanted > this.#now - LIVE_WITHIN) {
      this.#position = this.#now;
      this.dispatchEvent(new Event('live'));
    } else {
      this.#position = wanted;
      this.dispatchEvent(new CustomEvent('seek', { detail: wanted }));
    }
  }

  #key(event) {
    const steps = { ArrowLeft: -STEP, ArrowRight: STEP, PageDown: -PAGE, PageUp: PAGE, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(steps[event.key]);
  }
}
