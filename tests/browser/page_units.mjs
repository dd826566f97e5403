// The parts of the page that compute and touch neither a document nor a network. PAGE names the folder with all its files.
//
//   PAGE=... node --test page_units.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const page = (module) => import(pathToFileURL(`${process.env.PAGE}/${module}`));
const { LiveEdge, DEAD_BAND, RESERVE, FASTEST, SLOWEST } = await page('live_edge.js');
const { Backoff } = await page('backoff.js');
const { MediaClock } = await page('clock.js');
const { BoxSplitter, concat, fragmentTrack, tracks } = await page('boxes.js');
const { parsePlaylist, place, segmentAt } = await page('ring.js');
const { describeCamera, describeHealth, describeUpload } = await page('panel.js');
const format = await page('format.js');

const FRAME = 1 / 30;

/**
 * A screen as Chromium treats it: refreshed 60 times a second, and the rhythm in which pictures came to it is kept until playback goes
 * at another rate for a while, even when it no longer suits the position.
 */
class Screen {
  /** Seconds that the newest picture on it is behind the newest picture taken. */
  behind = null;
  #steady = 0;

  /** A picture becomes due while playback is `behind` at this rate; returns how late it comes. */
  show(now, behind, rate) {
    if (rate === 1) this.#steady = now;
    if (this.behind === null || now - this.#steady > 0.1) this.behind = Math.round(behind * 60) / 60;
    return this.behind - behind;
  }
}

/**
 * Plays `seconds` of a stream whose pictures come `late(n)` seconds after they were taken, with the law in charge of the rate.
 * Returns how far behind the newest picture taken playback is in the end, how often and when it ran dry, and how far behind it was at
 * each second.
 */
function play(edge, seconds, late, behind, screen = new Screen()) {
  let position = -behind;
  let rate = 1;
  let dry = false;
  let end = 0;
  let n = 0;
  const step = 0.005;
  const track = [];
  const starved = [];
  for (let now = 0; now < seconds; now += step) {
    if (now >= track.length) track.push(now - position);
    const come = () => (n + 1) * FRAME + late(n) <= now;
    while (come()) {
      // Units of a backlog come one by one, at once.
      edge.arrived(now, end);
      n += 1;
      end = n * FRAME;
      edge.shown(screen.show(now, now - position, rate));
      const order = edge.step(now, position);
      rate = order.rate;
      position = order.position ?? position;
    }
    const moved = position + step * rate < end;
    if (moved) position += step * rate;
    else if (!dry && now > 2) {
      starved.push(now);
      edge.starved(now);
    }
    dry = !moved;
  }
  return { behind: seconds - position, dry: starved.length, starved, track };
}

/** A machine that is busy from 60 s to 70 s: eight delays of 0.1 to 0.4 s. */
function burst(n) {
  const taken = (n + 1) * FRAME;
  if (taken < 60 || taken > 70) return 0;
  const into = (taken - 60) % 1.25;
  const delay = 0.1 + 0.1 * (Math.floor((taken - 60) / 1.25) % 4);
  return Math.max(0, delay - into);
}

test('a punctual stream is followed closely, wherever playback began', () => {
  for (const start of [0.1, 0.3, 0.8, 5]) {
    const { behind, dry } = play(new LiveEdge(), 30, () => 0, start);
    assert.ok(behind > RESERVE && behind < RESERVE + 2 * FRAME, `${start}: ${behind}`);
    assert.equal(dry, 0);
  }
});

test('a stream that comes unevenly is followed at the distance that it needs', () => {
  let seed = 1;
  const uneven = () => (seed = (seed * 16807) % 2147483647) / 2147483647 * 0.15;
  const lateness = Array.from({ length: 2000 }, uneven);
  const { behind } = play(new LiveEdge(), 60, (n) => lateness[n], 0.1);
  assert.ok(behind > 0.14 && behind < 0.26, String(behind));
});

test('one late picture does not slow down what follows', () => {
  const { behind } = play(new LiveEdge(), 20, (n) => (n === 450 ? 0.3 : 0), 0.1);
  assert.ok(behind < 0.12, String(behind));
});

test('the rate stays where nobody notices it once the join is over', () => {
  const edge = new LiveEdge();
  for (let n = 0; n < 300; n += 1) {
    edge.arrived(n * FRAME, n * FRAME);
    edge.step(n * FRAME, n * FRAME - RESERVE);
  }
  assert.deepEqual(edge.step(10, 10 - RESERVE), { rate: 1 });
  assert.deepEqual(edge.step(10, 9.2), { rate: FASTEST });
  assert.deepEqual(edge.step(10, 10.2), { rate: SLOWEST });
  const { rate, position } = edge.step(10, 8);
  assert.equal(rate, 1);
  assert.ok(Math.abs(position - (10 - FRAME - RESERVE)) < 2 * FRAME, String(position));
});

test('units that come late together are one delay', () => {
  // Nothing for 0.6 s, then eighteen units at once.
  const { track } = play(new LiveEdge(), 30, (n) => Math.max(0, n >= 450 && n < 468 ? (468 - n) * FRAME : 0), 0.1);
  assert.ok(Math.max(...track.slice(16)) < 0.75, String(track));
  assert.ok(Math.max(...track.slice(26)) - track[14] < 2 * DEAD_BAND, String(track));
});

test('half a minute after the machine was busy the picture is as near as before, and nothing ran dry meanwhile', () => {
  const { track, starved } = play(new LiveEdge(), 600, burst, 0.1);
  const before = track[59];
  const after = track.slice(100).map((behind) => behind - before);
  assert.ok(starved.length > 1 && starved.at(-1) < 71, String(starved));
  assert.ok(Math.max(...after.map(Math.abs)) < DEAD_BAND, String(track));
});

test('running dry is chance once, and twice a reason to keep more in hand for a while', () => {
  const edge = new LiveEdge();
  for (let n = 0; n < 60; n += 1) edge.arrived(n * FRAME, n * FRAME);
  const before = edge.error(2, 1.9);
  const more = (now) => before - edge.error(now, now - 0.1);
  const near = (value, expected) => assert.ok(Math.abs(value - expected) < 1e-9, `${value}, not ${expected}`);
  edge.starved(2);
  edge.starved(2.1);
  near(more(2.1), 0);
  edge.starved(6);
  near(more(6), 0.015);
  for (const now of [7.5, 9, 10.5, 12]) edge.starved(now);
  near(more(12), 0.03);
  near(more(17), 0.02);
  near(more(27), 0);
});

test('what counts is when pictures are on the screen', () => {
  const screen = new Screen();
  const edge = new LiveEdge();
  const { track } = play(edge, 20, () => 0, 0.1, screen);
  const near = screen.behind;
  // The browser lost its rhythm for a moment, and shows every picture one refresh later than it could.
  screen.behind += 1 / 60;
  let now = 20;
  let position = now - track[19];
  let rate = 1;
  for (let n = 0; n < 90; n += 1) {
    now += FRAME;
    position += rate * FRAME;
    edge.arrived(now, now - FRAME);
    ({ rate } = edge.step(now, position));
    edge.shown(screen.show(now, now - position, rate));
  }
  assert.equal(rate, 1);
  assert.ok(screen.behind - near < 1e-9, `${screen.behind} after ${near}`);
});

test('the back-off doubles up to its bound, with jitter, and starts again', () => {
  const backoff = new Backoff(250, 5000, () => 1);
  assert.deepEqual(Array.from({ length: 7 }, () => backoff.next()), [250, 500, 1000, 2000, 4000, 5000, 5000]);
  backoff.reset();
  assert.equal(backoff.next(), 250);
  assert.equal(new Backoff(250, 5000, () => 0).next(), 125);
});

test('the clock believes the quickest round trip, and forgets everything when the edge reboots', () => {
  const clock = new MediaClock();
  assert.equal(clock.media(5), null);
  clock.sample(10, 10.4, { media: 1000.1, wall: null });
  assert.ok(Math.abs(clock.media(10) - 999.9) < 1e-9);
  clock.sample(20, 20.01, { media: 1010.005, wall: 1_700_000_000_000 });
  clock.sample(30, 30.9, { media: 1020.1, wall: 1_700_000_010_095 });
  assert.ok(Math.abs(clock.media(30) - 1020) < 1e-9);
  assert.ok(Math.abs(clock.uncertainty() - 0.005) < 1e-9);
  assert.equal(clock.date(1020.1).getTime(), 1_700_000_010_095);
  clock.sample(40, 40.01, { media: 3.005, wall: null });
  assert.ok(Math.abs(clock.media(40) - 3) < 1e-9);
  assert.equal(clock.date(3), null);
});

const bytes = (...values) => Uint8Array.from(values);
const ascii = (name) => [...name].map((letter) => letter.charCodeAt(0));
function box(name, ...parts) {
  const content = concat(parts);
  const size = content.length + 8;
  return concat([bytes(size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255, ...ascii(name)), content]);
}

test('boxes are whole however the stream is cut, and a size that cannot be is an error', () => {
  const stream = concat([box('ftyp', bytes(1, 2, 3)), box('moof'), box('mdat', new Uint8Array(500))]);
  for (const cut of [1, 7, 8, 9, 100, 1000]) {
    const splitter = new BoxSplitter();
    const boxes = [];
    for (let at = 0; at < stream.length; at += cut) boxes.push(...splitter.push(stream.subarray(at, at + cut)));
    assert.deepEqual(boxes.map(({ type, bytes: { length } }) => [type, length]), [['ftyp', 11], ['moof', 8], ['mdat', 508]], `cut ${cut}`);
  }
  assert.throws(() => new BoxSplitter().push(bytes(0, 0, 0, 7, ...ascii('moof'))), /box moof of 7 bytes/);
  assert.throws(() => new BoxSplitter().push(bytes(255, 255, 255, 255, ...ascii('mdat'))), /box mdat of 4294967295 bytes/);
});

test('tracks and codecs come from the moov, the track of a fragment from its moof', () => {
  const tkhd = (id) => box('tkhd', new Uint8Array(12), bytes(0, 0, 0, id), new Uint8Array(68));
  const hdlr = (kind) => box('hdlr', new Uint8Array(8), bytes(...ascii(kind)), new Uint8Array(13));
  const avc1 = box('avc1', new Uint8Array(78), box('avcC', bytes(1, 0x42, 0xc0, 0x1e)));
  const stbl = box('stbl', box('stsd', new Uint8Array(8), avc1));
  const video = box('trak', tkhd(1), box('mdia', hdlr('vide'), box('minf', stbl)));
  const sound = box('trak', tkhd(2), box('mdia', hdlr('soun')));
  assert.deepEqual(tracks(box('moov', box('mvhd'), video, sound)), [
    { id: 1, kind: 'vide', codec: 'avc1.42C01E' },
    { id: 2, kind: 'soun', codec: 'mp4a.40.2' },
  ]);
  const tfhd = box('tfhd', bytes(0, 2, 0, 0, 0, 0, 0, 2));
  assert.equal(fragmentTrack(box('moof', box('mfhd', new Uint8Array(8)), box('traf', tfhd))), 2);
  assert.equal(fragmentTrack(box('moof')), undefined);
});

const PLAYLIST = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:70
#EXT-X-MAP:URI="video-1a2b3c4d.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:41:40.000Z
#EXTINF:1.00000,
video-70.m4s
#EXTINF:1.00000,
#EXT-X-GAP
video-71.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="video-55667788.mp4"
#EXT-X-PART:DURATION=0.20000,URI="video-72.0.m4s",INDEPENDENT=YES
#EXTINF:0.96667,
video-72.m4s
#EXTINF:1.03333,
video-73.m4s
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="video-74.0.m4s"
`;

test('segments get their place in media time from the spans of the ring', () => {
  const segments = parsePlaylist(PLAYLIST);
  assert.deepEqual(segments[2], { sequence: 72, uri: 'video-72.m4s', map: 'video-55667788.mp4', seconds: 0.96667, gap: false });
  const placed = place(segments, [
    { first_sequence: 69, last_sequence: 71, start: 500, end: 502 },
    { first_sequence: 72, last_sequence: 73, start: 510, end: 512 },
  ]);
  assert.deepEqual(placed.map(({ sequence, from, to }) => [sequence, from, +to.toFixed(2)]), [
    [70, 500, 501], [71, 501, 502], [72, 510, 510.97], [73, 510.96667, 512],
  ]);
  const at = (time) => placed[segmentAt(placed, time)]?.sequence;
  assert.deepEqual([400, 500.5, 501.5, 505, 511.5, 512].map(at), [70, 70, 72, 72, 73, undefined]);
});

test('what is wrong is said in words, with the culprit', () => {
  const streaming = { state: 'streaming', device: '/dev/video0', width: 640, height: 480, format: 'YUYV', fps: 29.97, video: { width: 320, height: 240 } };
  assert.deepEqual(describeCamera(streaming), ['good', 'Streaming', '/dev/video0 · 640 × 480 → 320 × 240 · 29.97 fps YUYV']);
  assert.deepEqual(describeCamera({ state: 'gone', error: '/dev/video0: no such device' }), ['bad', 'Camera gone', '/dev/video0: no such device']);
  assert.deepEqual(describeHealth(false, [{ stage: 'encode front', moving: false }, { stage: 'store', moving: true }]),
    ['bad', 'Not moving: encode front', 'The log of the appliance says more.']);
  const upload = { remote: 'cam@host:22', pending: 3, failure: null, state: { state: 'sending', sent: 25e6, bytes: 100e6 } };
  assert.deepEqual(describeUpload(upload), ['good', 'Sending, 75.0 MB to go', '3 recordings wait · cam@host:22', 0.25]);
  assert.deepEqual(describeUpload({ ...upload, pending: 0, at_risk: [{ camera: 'front', seconds: 0.84 }] }),
    ['good', 'Archived while it is recorded', '0.8 s are on this device alone · cam@host:22', null]);
  assert.deepEqual(describeUpload({ ...upload, pending_bytes: 9e6, seconds_to_finish: 90 }),
    ['good', 'Sending, 9.00 MB to go', '3 recordings wait, done in 90 s · cam@host:22', null]);
  assert.deepEqual(describeUpload({ ...upload, pending_bytes: 9e6, seconds_to_finish: null, seconds_to_full: 7200 }),
    ['warn', 'The backlog grows, 9.00 MB to go', 'The link is slower than the stream: the disk is full in 2 h 0 min. · cam@host:22', null]);
  const failure = { kind: 'disk_full', message: 'no space', tries: 2 };
  assert.deepEqual(describeUpload({ ...upload, failure, state: { state: 'backing_off', seconds: 42 } }),
    ['bad', '3 recordings wait', 'The remote host’s disk is full. Next try in 42 s.', null]);
  assert.deepEqual(describeUpload(null), ['', 'No remote host', 'Recordings stay on this device.', null]);
});

test('figures are written the same way everywhere', () => {
  assert.deepEqual([0, 7, 898, 3723].map(format.duration), ['0:00', '0:07', '14:58', '1:02:03']);
  assert.deepEqual([1.44, 12.4, 1284, 18180, 172800].map(format.span), ['1.4 s', '12 s', '21 min', '5 h 3 min', '2 days']);
  assert.deepEqual([812, 47000, 999.7, 7.9e6, 63.5e6, 1.25e9].map(format.bytes), ['812 B', '47.0 kB', '1.0 kB', '7.90 MB', '63.5 MB', '1.25 GB']);
  assert.deepEqual([402300, 1.84e6].map(format.bitrate), ['402 kb/s', '1.8 Mb/s']);
  assert.equal(format.stamp(new Date(2026, 10, 21, 6, 31, 7)), '20261121-063107');
  const now = new Date(2026, 10, 21, 6, 31);
  assert.deepEqual([new Date(2026, 10, 21), new Date(2026, 10, 20, 23, 59), new Date(2026, 10, 14)].map((date) => format.day(date, now)),
    ['Today', 'Yesterday', 'Sat 14 Nov']);
});
