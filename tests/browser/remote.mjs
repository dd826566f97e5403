// Uses the page of the remote host as a viewer does.
//
//   node remote.mjs URL [FOLDER]
//
// With FOLDER, `remote-desktop.png` and `remote-phone.png` are taken there. Whoever started this lets one more recording arrive when
// `ARRIVE` is printed.

import { report, shoot } from './viewer.mjs';

/** Every row as it is shown: its title, its state and, if it was put aside, the reason. */
const rows = (page) => page.$$eval('.recording', (all) => all.map((row) => {
  const text = (selector) => row.querySelector(selector)?.textContent ?? '';
  return { state: text('.state'), reason: text('.reason'), playable: !row.querySelector('.open').disabled };
}));

/** A click on the first row that can be played. */
async function play(page) {
  await page.click('.open:not([disabled])');
  await page.waitForFunction(() => document.querySelector('.replay')?.currentTime > 1);
  return page.$eval('.replay', ({ currentSrc, videoWidth }) => ({ source: new URL(currentSrc).pathname, width: videoWidth }));
}

/** One more recording arrives while the page is open and something plays. */
async function arrive(page) {
  const before = (await rows(page)).length;
  console.log('ARRIVE');
  await page.waitForFunction((before) => document.querySelectorAll('.recording').length > before, before);
  await page.waitForFunction(() => [...document.querySelectorAll('.state')].filter((state) => state.textContent === 'Chopped').length === 2);
  return { stillPlaying: (await page.$('.replay')) !== null };
}

await report('remote', (page) => page.waitForSelector('.recording'), async (page) => {
  await page.waitForFunction(() => document.querySelectorAll('.recording').length === 2);
  const seen = { rows: await rows(page), played: await play(page), arrived: await arrive(page) };
  await shoot(page, 'remote-desktop');
  return seen;
});
