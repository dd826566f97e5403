// The picture: one <video> at the live edge, one for the past, a canvas that keeps the last picture while neither has one, and what
// a viewer does with them.
//
//             seek, pause                     LIVE
//   live ──────────────────> past (playing | paused) ─────> live
//    each is shown when its first picture is there; until then the last one stays, dimmed when nothing moves

import { text } from './dom.js';
import { stamp } from './format.js';
import { RingPlayer } from './ring_player.js';
import { canFeed } from './sink.js';

/** Milliseconds that a hidden page goes on watching, if it makes no sound. */
const HIDDEN = 10_000;
/** Milliseconds between two seeks while the marker is dragged. */
const SEEK_EVERY = 120;

export class Stage extends EventTarget {
  #clock;
  #camera = null;
  #mode = 'live';
  #paused = false;
  #muted = true;
  #volume = 1;
  #shown = null;
  #asked = null;
  #seekTimer = null;
  #hiddenTimer = null;

  /**
   * `root` holds the elements of index.html; `clock` is a MediaClock, `live` the LivePlayer of its live <video>. Sends `change`
   * whenever something else is to be said.
   */
  constructor(root, clock, live) {
    super();
    this.root = root;
    this.#clock = clock;
    this.liveVideo = root.querySelector('.live-video');
    this.pastVideo = root.querySelector('.past-video');
    this.still = root.querySelector('.still');
    this.notice = root.querySelector('.notice');
    this.live = live;
    this.past = new RingPlayer(this.pastVideo);
    this.live.addEventListener('state', (event) => this.#liveState(event.detail.state));
    this.past.addEventListener('picture', () => this.#pastPicture());
    this.past.addEventListener('restart', () => this.#keep());
    this.past.addEventListener('failed', () => this.goLive());
    this.liveVideo.addEventListener('resize', () => this.#shape());
    document.addEventListener('visibilitychange', () => this.#visibility());
    this.#apply();
  }

  get camera() { return this.#camera; }
  get mode() { return this.#mode; }
  get paused() { return this.#paused; }
  get muted() { return this.#muted; }
  get volume() { return this.#volume; }
  /** `live`, `connecting`, `waiting` or `stopped` of the live edge. */
  get state() { return this.live.state; }
  /** Whether the past can be shown: it takes Media Source Extensions. */
  get canScrub() { return canFeed(); }

  /** Media time of the picture on screen; null where the browser plays by itself and does not tell. */
  get position() {
    if (!this.canScrub) return null;
    return this.#mode === 'live' ? this.liveVideo.currentTime : (this.#asked ?? this.past.position);
  }

  /** Shows `camera` live. */
  show(camera) {
    if (camera === this.#camera) return;
    this.#keep();
    this.#shown = null;
    this.past.stop();
    // It may play that camera already.
    if (this.live.camera !== camera) this.live.stop();
    this.#camera = camera;
    this.#mode = 'live';
    this.#paused = false;
    this.#apply();
    if (this.live.state === 'live') this.#reveal(this.liveVideo);
  }

  /** Shows nothing: the page shows something else. */
  stop() {
    this.#camera = null;
    this.past.stop();
    this.live.stop();
  }

  goLive() {
    if (this.#mode === 'live') return;
    this.#keep();
    this.past.stop();
    this.#asked = null;
    this.#mode = 'live';
    this.#paused = false;
    this.#apply();
  }

  /** Shows the picture of media time `time`, and goes on from there unless paused. */
  seek(time) {
    if (!this.canScrub || !this.#camera) return;
    if (this.#mode === 'live') this.#leaveLive();
    this.#asked = time;
    this.#seekTimer ??= setTimeout(() => {
      this.#seekTimer = null;
      if (this.#mode === 'past' && this.#asked !== null) this.past.seek(this.#camera, this.#asked, !this.#muted);
    }, SEEK_EVERY);
    this.#changed();
  }

  togglePause() {
    if (!this.#camera) return;
    this.#paused = !this.#paused;
    if (!this.canScrub) {
      if (this.#paused) this.liveVideo.pause();
      else this.liveVideo.play().catch(() => {});
    } else if (this.#mode === 'live') {
      const time = this.position;
      this.#leaveLive();
      this.#asked = time;
    } else if (!this.#paused && this.#asked !== null) {
      this.seek(this.#asked);
    }
    this.#apply();
  }

  toggleMute() {
    this.#muted = !this.#muted;
    // With sound it is another stream.
    if (this.#mode === 'live') this.#keep();
    this.#apply();
    if (this.#mode === 'past' && !this.#paused) this.seek(this.position);
  }

  /** 0 to 1; anything above 0 is heard. */
  setVolume(volume) {
    this.#volume = volume;
    if (this.#muted === volume > 0) this.toggleMute();
    this.#apply();
  }

  /** Saves the picture on screen as a PNG file; false if there is none. */
  snapshot() {
    const source = [this.liveVideo, this.pastVideo].find((video) => video === this.#shown && video.readyState >= 2) ?? this.still;
    const [width, height] = [source.videoWidth ?? source.width, source.videoHeight ?? source.height];
    if (!width || (source === this.still && this.still.hidden)) return false;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.getContext('2d').drawImage(source, 0, 0);
    const date = this.#clock.date(this.position) ?? new Date();
    canvas.toBlob((blob) => {
      const href = URL.createObjectURL(blob);
      Object.assign(document.createElement('a'), { href, download: `${this.#camera}-${stamp(date)}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
    }, 'image/png');
    return true;
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.root.requestFullscreen) this.root.requestFullscreen().catch(() => {});
    else this.liveVideo.webkitEnterFullscreen?.();
  }

  /** Says `line` over the picture, with `detail` below; nothing when empty. */
  say(line, detail = '') {
    text(this.notice.querySelector('.line'), line);
    text(this.notice.querySelector('.detail'), detail);
    this.notice.hidden = line === '';
  }

  #leaveLive() {
    this.#keep();
    this.live.stop();
    this.#mode = 'past';
    this.#apply();
  }

  #liveState(state) {
    if (state === 'waiting') this.#keep();
    if (state === 'live' && this.#mode === 'live') this.#reveal(this.liveVideo);
    this.#changed();
  }

  #pastPicture() {
    if (this.#mode !== 'past') return;
    if (this.#seekTimer === null) this.#asked = this.#paused ? this.past.position : null;
    this.#reveal(this.pastVideo);
    if (!this.#paused) this.pastVideo.play().catch(() => {});
    this.#changed();
  }

  /** Keeps the picture on screen, until another one is there. */
  #keep() {
    const video = this.#shown;
    if (video && video.readyState >= 2) {
      this.still.width = video.videoWidth;
      this.still.height = video.videoHeight;
      this.still.getContext('2d').drawImage(video, 0, 0);
    }
    this.still.hidden = !this.still.width || this.#shown === null;
  }

  #reveal(video) {
    this.#shown = video;
    this.still.hidden = true;
    this.liveVideo.classList.toggle('behind', video !== this.liveVideo);
    this.pastVideo.classList.toggle('behind', video !== this.pastVideo);
    this.#shape();
  }

  /** The page is laid out around the shape of the picture. */
  #shape() {
    const { videoWidth, videoHeight } = this.liveVideo;
    if (videoWidth) document.documentElement.style.setProperty('--ratio', videoWidth / videoHeight);
  }

  #apply() {
    for (const video of [this.liveVideo, this.pastVideo]) {
      video.muted = this.#muted;
      video.volume = this.#volume;
    }
    if (this.#mode === 'live' && this.#camera && !document.hidden) this.live.start(this.#camera, !this.#muted);
    if (this.#mode === 'past') {
      if (this.#paused) this.pastVideo.pause();
      else if (this.#shown === this.pastVideo) this.pastVideo.play().catch(() => {});
    }
    this.#changed();
  }

  #visibility() {
    clearTimeout(this.#hiddenTimer);
    if (!document.hidden) this.#apply();
    else if (this.#muted) this.#hiddenTimer = setTimeout(() => this.#rest(), HIDDEN);
  }

  #rest() {
    this.#keep();
    this.live.stop();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
