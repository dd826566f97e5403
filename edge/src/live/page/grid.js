// All cameras at once: a live picture each, without sound; one press shows that camera alone.

import { h, text } from './dom.js';
import { LivePlayer } from './live_player.js';

const WORDS = { live: '', connecting: 'Connecting', waiting: 'No picture', stopped: '' };

export class Grid {
  #tiles = [];

  /** Fills `root`; `choose` is called with the name of a camera. */
  constructor(root, choose) {
    this.root = root;
    this.choose = choose;
    document.addEventListener('visibilitychange', () => this.#follow());
  }

  get shown() {
    return !this.root.hidden;
  }

  show(cameras) {
    this.hide();
    this.#tiles = cameras.map((camera) => new Tile(camera, () => this.choose(camera)));
    this.root.replaceChildren(...this.#tiles.map((tile) => tile.element));
    this.root.hidden = false;
    this.#follow();
  }

  hide() {
    for (const tile of this.#tiles) tile.player.stop();
    this.#tiles = [];
    this.root.replaceChildren();
    this.root.hidden = true;
  }

  #follow() {
    for (const { player, camera } of this.#tiles) {
      if (document.hidden) player.stop();
      else player.start(camera, false);
    }
  }
}

class Tile {
  constructor(camera, onclick) {
    this.camera = camera;
    const video = h('video', { muted: true, playsinline: true, tabindex: -1 });
    video.muted = true;
    const state = h('span', { class: 'soft' });
    this.element = h('button', { class: 'tile', onclick }, video, h('span', { class: 'caption' }, camera, state));
    this.player = new LivePlayer(video);
    this.player.addEventListener('state', (event) => {
      text(state, WORDS[event.detail.state]);
      this.element.classList.toggle('dim', event.detail.state !== 'live');
    });
  }
}
