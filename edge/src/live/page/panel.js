// The instruments beside the picture: latency, pictures and bits a second, viewers, the ring; camera, upload and health in words.

import { h, s, text } from './dom.js';
import { bitrate, bytes, duration, span } from './format.js';
import { Line } from './health.js';

/** Points of the latency curve: one a second. */
const POINTS = 60;
/** Milliseconds at the top of the curve, unless latency is above that. */
const TOP = 150;

const FAILURES = {
  unreachable: 'The remote host cannot be reached.',
  slow: 'The remote host is too slow.',
  host_key: 'The remote host has changed its key. Nothing is sent until somebody has checked why.',
  key_refused: 'The remote host does not take this device’s key. Enrol it there.',
  no_permission: 'The remote host does not let this device write.',
  disk_full: 'The remote host’s disk is full.',
  account_full: 'The remote host’s disk has room, but its account for this device is full.',
  name_clash: 'Another device’s recording of the same name is already there.',
  local: 'A recording on this device cannot be read.',
  protocol: 'The remote host answered with an error.',
};

/** What the camera does: `[tone, line, detail]`. */
export function describeCamera(camera) {
  if (!camera) return ['', 'No camera', ''];
  if (camera.state === 'streaming') {
    const { device, width, height, format, fps, video } = camera;
    const encoded = video && (video.width !== width || video.height !== height) ? ` → ${video.width} × ${video.height}` : '';
    return ['good', 'Streaming', `${device} · ${width} × ${height}${encoded} · ${Number(fps.toFixed(2))} fps ${format}`];
  }
  if (camera.state === 'gone') return ['bad', 'Camera gone', camera.error];
  return ['warn', 'Opening', ''];
}

/** What the upload does: `[tone, line, detail, share done or null]`. */
export function describeUpload(upload) {
  if (!upload) return ['', 'No remote host', 'Recordings stay on this device.', null];
  const { state, failure, pending, remote } = upload;
  const waiting = pending === 1 ? '1 recording waits' : `${pending} recordings wait`;
  if (failure) {
    const again = state.state === 'backing_off' ? ` Next try in ${span(state.seconds)}.` : '';
    return ['bad', pending ? waiting : 'Upload failed', `${FAILURES[failure.kind] ?? failure.message}${again}`, null];
  }
  const risk = Math.max(0, ...(upload.at_risk ?? []).map(({ seconds }) => seconds));
  if (Number.isFinite(upload.seconds_to_full)) {
    return ['warn', `The backlog grows, ${bytes(upload.pending_bytes)} to go`, `The link is slower than the stream: the disk is full in ${span(upload.seconds_to_full)}. · ${remote}`, null];
  }
  if (Number.isFinite(upload.seconds_to_finish)) {
    return ['good', `Sending, ${bytes(upload.pending_bytes)} to go`, `${waiting}, done in ${span(upload.seconds_to_finish)} · ${remote}`, null];
  }
  if (!pending && risk && ['idle', 'sending'].includes(state.state)) {
    return ['good', 'Archived while it is recorded', `${risk.toFixed(1)} s are on this device alone · ${remote}`, null];
  }
  if (state.state === 'sending') {
    return ['good', `Sending, ${bytes(state.bytes - state.sent)} to go`, `${waiting} · ${remote}`, state.bytes ? state.sent / state.bytes : 0];
  }
  if (state.state === 'connecting') return ['good', 'Connecting', remote, null];
  if (state.state === 'backing_off') return ['warn', waiting, `Next try in ${span(state.seconds)}.`, null];
  return ['good', pending ? waiting : 'All recordings archived', remote, null];
}

/** Whether all stages move: `[tone, line, detail]`. */
export function describeHealth(healthy, stages) {
  const stuck = (stages ?? []).filter((stage) => !stage.moving).map((stage) => stage.stage);
  if (stuck.length) return ['bad', `Not moving: ${stuck.join(', ')}`, 'The log of the appliance says more.'];
  return healthy ? ['good', 'All stages are moving', ''] : ['bad', 'A stage is not moving', ''];
}

export class Panel {
  #curve = [];

  constructor(root) {
    const readout = (label) => {
      const value = h('dd', {}, '–');
      return [h('div', {}, h('dt', {}, label), value), value];
    };
    this.latency = h('output', { class: 'figure' }, '–');
    this.unit = h('span', { class: 'unit' }, 'ms');
    this.line = s('polyline', { class: 'curve' });
    this.note = h('p', { class: 'soft note' });
    const [fps, fpsValue] = readout('Pictures');
    const [rate, rateValue] = readout('Stream');
    const [viewers, viewersValue] = readout('Viewers');
    const [ring, ringValue] = readout('Ring');
    Object.assign(this, { fps: fpsValue, rate: rateValue, viewers: viewersValue, ring: ringValue });
    this.camera = new Line('Camera');
    this.upload = new Line('Upload');
    this.health = new Line('Health');
    root.append(
      h('section', { class: 'latency' }, h('h2', {}, 'Frame to screen'), h('p', { class: 'big' }, this.latency, this.unit),
        s('svg', { class: 'graph', viewBox: `0 0 ${POINTS - 1} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.line), this.note),
      h('dl', { class: 'readouts' }, fps, rate, viewers, ring),
      this.camera.element, this.upload.element, this.health.element);
  }

  /** Once a second. `picture`: `{ latency, p95, uncertainty (ms), fps, bits }`, values null where there are none. */
  showPicture({ latency, p95, uncertainty, fps, bits }) {
    text(this.latency, latency === null ? '–' : String(Math.round(latency)));
    this.unit.hidden = latency === null;
    const sure = Number.isFinite(uncertainty) ? `clock ±${Math.max(1, Math.ceil(uncertainty))} ms` : 'the edge’s clock is not known yet';
    text(this.note, p95 === null ? 'Measured while the live picture plays' : `95 % below ${Math.round(p95)} ms · ${sure}`);
    this.#curve.push(latency);
    if (this.#curve.length > POINTS) this.#curve.shift();
    const top = Math.max(TOP, ...this.#curve);
    const first = POINTS - this.#curve.length;
    const points = this.#curve.map((value, n) => value === null ? null : `${first + n},${(40 - 38 * (value / top)).toFixed(1)}`);
    this.line.setAttribute('points', points.filter(Boolean).join(' '));
    text(this.fps, fps ? `${fps.toFixed(0)} /s` : '–');
    text(this.rate, bits ? bitrate(bits) : '–');
  }

  /** What `/api` tells; `null` while the edge does not answer. */
  showStatus(status, stages, camera) {
    const ring = camera?.ring;
    text(this.viewers, status ? String(status.viewers) : '–');
    text(this.ring, ring ? `${duration(ring.end - ring.start)} · ${bytes(ring.bytes)}` : '–');
    if (!status) {
      for (const line of [this.camera, this.upload, this.health]) line.show('', 'Not known', '');
      return;
    }
    this.camera.show(...describeCamera(camera));
    this.upload.show(...describeUpload(status.upload));
    this.health.show(...describeHealth(status.healthy, stages));
  }
}
