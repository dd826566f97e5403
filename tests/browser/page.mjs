// Uses the page of the edge as a viewer does.
//
//   node page.mjs URL [FOLDER]
//
// With FOLDER, `page-desktop.png` and `page-phone.png` are taken there. Whoever started this restarts the edge when `RESTART` is printed.

import { PATIENCE, pictured, report, shoot } from './viewer.mjs';

const state = (page, wanted) => page.waitForFunction((state) => document.querySelector('#view').dataset.state === state, wanted, { timeout: PATIENCE });
const video = (page, which) => page.$eval(which, ({ currentTime, paused, videoWidth }) => ({ currentTime, paused, videoWidth }));
/** Media time of the next picture that `which` presents. */
const nextPicture = (page, which) => page.$eval(which, (video) => new Promise((resolve) => video.requestVideoFrameCallback((_, { mediaTime }) => resolve(mediaTime))));
const text = (page, selector) => page.textContent(selector);

async function live(page) {
  await state(page, 'live');
  await page.waitForFunction(() => /^\d+$/.test(document.querySelector('.figure').textContent), null, { timeout: PATIENCE });
  return { badge: await text(page, '#badge'), camera: await text(page, '.state-line .line'), width: (await video(page, '.live-video')).videoWidth };
}

/** Back with the arrow keys, pause, one step on, play, and the LIVE button. */
async function scrub(page) {
  await page.waitForFunction(() => document.querySelector('.bar').getAttribute('aria-valuetext') === 'live' && document.querySelector('.footage').children.length > 0);
  const before = (await video(page, '.live-video')).currentTime;
  await page.keyboard.press('ArrowLeft');
  await state(page, 'past');
  const shown = await nextPicture(page, '.past-video');
  await page.keyboard.press('Space');
  await state(page, 'paused');
  await page.waitForFunction(() => document.querySelector('.past-video').paused);
  const held = (await video(page, '.past-video')).currentTime;
  await page.keyboard.press('Space');
  await state(page, 'past');
  await page.waitForFunction((held) => document.querySelector('.past-video').currentTime > held + 0.2, held);
  const slider = await page.getAttribute('.bar', 'aria-valuetext');
  await page.click('#live');
  await state(page, 'live');
  return { back: before - shown, slider, forward: (await nextPicture(page, '.live-video')) > before };
}

async function snapshot(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('s')]);
  return download.suggestedFilename();
}

/** The newest recording, which still grows, once it has some seconds to play. */
async function recording(page) {
  await page.waitForFunction(() => /^\d+:(0[3-9]|[1-5]\d)$/.test(document.querySelector('.recording .length')?.textContent));
  await page.click('.recording .open');
  await page.waitForFunction(() => document.querySelector('.replay')?.currentTime > 0.3);
  const row = { state: await text(page, '.recording .state'), width: (await video(page, '.replay')).videoWidth };
  await page.click('.recording .open');
  return { ...row, closed: (await page.$('.replay')) === null };
}

async function help(page) {
  await page.keyboard.press('?');
  const keys = await page.$$eval('#help[open] kbd', (keys) => keys.map((key) => key.textContent));
  await page.keyboard.press('Escape');
  return keys;
}

/** The edge goes away and comes back: the page says so, keeps the last picture, and returns by itself. */
async function restart(page) {
  console.log('RESTART');
  await state(page, 'waiting');
  const kept = await page.$eval('.still', (still) => !still.hidden && still.width > 0);
  await state(page, 'live');
  return { kept };
}

await report('page', live, async (page) => {
  const seen = { live: await live(page), scrub: await scrub(page), snapshot: await snapshot(page), recording: await recording(page), help: await help(page) };
  if (pictured) await page.waitForTimeout(20_000);
  await shoot(page, 'page-desktop');
  return { ...seen, restart: await restart(page) };
});
