// Plays an address in headless Chromium and reports, as one line of JSON, what was seen.
//
//   node watch.js PLAYER URL SECONDS
//
// PLAYER is `page` (URL is a page of its own) or one of those in players.html. Watching starts with the first picture.
// Environment: SCREENSHOT=FILE.png takes one at the end; CORRUPT=PATTERN overwrites the middle of every answer whose
// address matches that regular expression, once INTACT pictures were seen.
// LOGIN=JSON is what is sent to /login first, as the login page does.
// LAST=N then seeks to N seconds before the end of a recording and waits until it has ended.
//
//   first_frame_ms   from opening the page, in a browser that has finished its own start, to the first picture
//   frames, fps      pictures that the browser presented
//   waiting          how often the player ran out of media after the first picture
//   stalls, gap_ms   spans without a new picture of more than a second; the longest span
//   played_s         media time that passed
//   p50, p95, ...    milliseconds from the clock that is drawn in the pattern source's picture to the screen; the code is
//                    20 x 2 blocks of 16 x 16 luma: 32 bits of wall clock in ms, then 8 check bits
//   drift            the median of the last tenth of those less that of the second tenth
//   ended, duration_s  with LAST: whether it came to its end; how long it is
//   errors           what the player, the page or the console called an error
//   late             playlists that hls.js asked for again because they took it too long
//   start_errors     what hls.js put right by itself before the first picture (as its seek to where the buffer begins)
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const { chromium } = require('playwright-core');

const STALL_MS = 1000;
const FIRST_FRAME_MS = 30000;
const START_MS = 10000;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];

// Runs in the page before its own scripts.
function observe() {
  const seen = window.__seen = { times: [], media: [], delays: [], unreadable: 0, waiting: 0, errors: [], start_errors: [], late: [] };
  const canvas = document.createElement('canvas');
  canvas.width = 320;
  canvas.height = 32;
  const context = canvas.getContext('2d', { willReadFrequently: true });

  const bit = (pixels, row, column) => {
    let sum = 0;
    for (let y = 6; y < 10; y++) for (let x = 6; x < 10; x++) sum += pixels[((row * 16 + y) * 320 + column * 16 + x) * 4 + 1];
    return sum / 16 > 127 ? 1n : 0n;
  };
  const readClock = (video) => {
    const scale = (video.videoWidth || 320) / 320;
    context.drawImage(video, 0, 0, 320 * scale, 32 * scale, 0, 0, 320, 32);
    const pixels = context.getImageData(0, 0, 320, 32).data;
    let code = 0n;
    for (let row = 0; row < 2; row++) for (let column = 0; column < 20; column++) code = (code << 1n) | bit(pixels, row, column);
    const ms = Number(code >> 8n);
    const check = (ms ^ (ms >>> 8) ^ (ms >>> 16) ^ (ms >>> 24) ^ 0xA5) & 0xff;
    return check === Number(code & 0xffn) ? ms : null;
  };
  const follow = (video) => {
    const onFrame = (_, metadata) => {
      const wall = performance.timeOrigin + performance.now();
      seen.times.push(wall);
      seen.media.push(metadata.mediaTime);
      const drawn = readClock(video);
      if (drawn === null) seen.unreadable++;
      else seen.delays.push(((wall - drawn) % 4294967296 + 4294967296 + 2147483648) % 4294967296 - 2147483648);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
    video.addEventListener('waiting', () => { if (seen.times.length && !video.seeking) seen.waiting++; });
    video.addEventListener('error', () => seen.errors.push(`video: ${video.error && video.error.message}`));
  };
  let current = null;
  setInterval(() => {
    const video = document.querySelector('video');
    if (video && video !== current) follow(current = video);
  }, 20);
}

// The players and the page that holds them, on a port of its own: the edge's answers must suit another origin too.
function servePlayers() {
  const server = http.createServer((request, response) => {
    const name = path.normalize(new URL(request.url, 'http://localhost').pathname);
    const types = { '.html': 'text/html', '.js': 'text/javascript' };
    fs.readFile(path.join(__dirname, name), (error, bytes) => {
      response.writeHead(error ? 404 : 200, { 'Content-Type': types[path.extname(name)] || 'application/octet-stream' });
      response.end(bytes);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function summary(seen, opened) {
  const { times, media } = seen;
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  const delays = (from, to) => seen.delays.slice(from * seen.delays.length, to * seen.delays.length).sort((a, b) => a - b);
  const sorted = delays(0, 1);
  const at = (values, q) => values.length ? Math.round(values[Math.min(values.length - 1, Math.floor(q * values.length))]) : null;
  const quantile = (q) => at(sorted, q);
  const span = times.length > 1 ? (times[times.length - 1] - times[0]) / 1000 : 0;
  return {
    first_frame_ms: times.length ? Math.round(times[0] - opened) : null,
    frames: times.length, fps: span ? +(gaps.length / span).toFixed(1) : 0,
    waiting: seen.waiting, stalls: gaps.filter((gap) => gap > STALL_MS).length, gap_ms: Math.round(Math.max(0, ...gaps)),
    watched_s: +span.toFixed(2), played_s: times.length ? +(media[media.length - 1] - media[0]).toFixed(2) : 0,
    unreadable: seen.unreadable, p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), max: quantile(1),
    drift: at(delays(0.9, 1), 0.5) - at(delays(0.1, 0.2), 0.5),
    errors: seen.errors, start_errors: seen.start_errors, late: seen.late,
  };
}

// Processor time of the browser that this process has started, in ticks of 10 ms.
function browserTicks() {
  const stats = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try { return fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' '); } catch { return []; }
  });
  // Behind the name: state, parent, process group, ...; user and system time are the 12th and 13th.
  const groups = new Set(stats.filter(([, parent]) => parent === String(process.pid)).map(([, , group]) => group));
  return stats.filter(([, , group]) => groups.has(group)).reduce((sum, stat) => sum + Number(stat[11]) + Number(stat[12]), 0);
}

// A viewer's browser has been running for a while: waits until this one has finished its own start.
async function started() {
  const opened = Date.now();
  for (let before = -Infinity, now = browserTicks(); now - before > 1 && Date.now() - opened < START_MS; now = browserTicks()) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

// Once so many pictures were seen, what matches `pattern` arrives damaged.
async function corrupt(page, pattern, pictures) {
  await page.route(new RegExp(pattern), async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    const intact = await page.evaluate((pictures) => window.__seen.times.length < pictures, pictures);
    if (!intact) body.fill(0xff, body.length >> 2, body.length >> 1);
    await route.fulfill({ response, body });
  });
}

// Seeks to `last` seconds before the end and plays those.
async function playEnd(page, last) {
  await page.evaluate((last) => {
    const video = document.querySelector('video');
    video.currentTime = video.duration - last;
  }, last);
  const ended = await page.waitForFunction(() => document.querySelector('video').ended, null, { timeout: last * 1000 + FIRST_FRAME_MS })
    .then(() => true, () => false);
  return { ended, duration_s: await page.evaluate(() => document.querySelector('video').duration) };
}

// Enters as the login page does; the cookie is the browser's.
async function enter(page, url, login) {
  const { origin } = new URL(url);
  const answer = await page.request.post(`${origin}/login`, { data: JSON.parse(login), headers: { Origin: origin } });
  if (!answer.ok()) throw new Error(`/login answers ${answer.status()}`);
}

async function main([player, url, seconds]) {
  const server = await servePlayers();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: FLAGS });
  try {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    const errors = [];
    page.on('pageerror', (error) => errors.push(`page: ${error.message}`));
    page.on('console', (message) => { if (message.type() === 'error') errors.push(`console: ${message.text()}`); });
    await page.addInitScript(observe);
    if (process.env.CORRUPT) await corrupt(page, process.env.CORRUPT, Number(process.env.INTACT));
    const players = `http://localhost:${server.address().port}/players.html?player=${player}&url=${encodeURIComponent(url)}`;
    if (process.env.LOGIN) await enter(page, url, process.env.LOGIN);
    await started();
    const opened = Date.now();
    await page.goto(player === 'page' ? url : players, { waitUntil: 'commit' });
    await page.waitForFunction(() => window.__seen.times.length > 0, null, { timeout: FIRST_FRAME_MS })
      .catch(() => errors.push(`no picture within ${FIRST_FRAME_MS} ms`));
    await page.waitForTimeout(seconds * 1000);
    const end = process.env.LAST ? await playEnd(page, Number(process.env.LAST)) : {};
    const seen = await page.evaluate(() => window.__seen);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
    seen.errors.push(...errors);
    console.log(JSON.stringify({ player, chromium: browser.version(), ...summary(seen, opened), ...end }));
  } finally {
    await browser.close();
    server.close();
  }
}

main(process.argv.slice(2)).catch((error) => { console.error(String(error)); process.exit(1); });
