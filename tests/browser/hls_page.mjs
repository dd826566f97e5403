// Uses the page of the edge as a viewer does whose browser has no Media Source Extensions, as old iPhones: it plays HLS by itself.
//
//   node hls_page.mjs URL [FOLDER]
//
// Whoever started this restarts the edge when `RESTART` is printed.

import { PATIENCE, report } from './viewer.mjs';

const VIDEO = '.live-video';
/** More seconds than a player of HLS has in hand at the live edge. */
const IN_HAND = 8;

const time = (page) => page.$eval(VIDEO, (video) => video.currentTime);
const uptime = (page) => page.evaluate(() => fetch('/api/status').then((answer) => answer.json()).then(({ uptime }) => uptime).catch(() => Infinity));

/** Until so many seconds of pictures were shown. */
async function plays(page, seconds = 1) {
  for (let shown = 0, last = await time(page), end = Date.now() + 2 * PATIENCE; shown < seconds;) {
    if (Date.now() > end) throw new Error(`stands still at ${last} s, ${await page.$eval('#view', (view) => view.dataset.state)}`);
    await page.waitForTimeout(100);
    const now = await time(page);
    shown += Math.max(0, now - last);
    last = now;
  }
}

await report('hls-page', (page) => plays(page), async (page) => {
  const source = await page.$eval(VIDEO, (video) => new URL(video.currentSrc).pathname);
  const bar = await page.isVisible('#timeline');
  const before = await uptime(page);
  console.log('RESTART');
  while (await uptime(page) > before) await page.waitForTimeout(100);
  await plays(page, IN_HAND);
  return { source, bar, state: await page.$eval('#view', (view) => view.dataset.state) };
}, () => { delete globalThis.MediaSource; delete globalThis.ManagedMediaSource; });
