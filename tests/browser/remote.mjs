// Uses the page of the remote host as a viewer does, in headless Chromium, and reports what it showed as one line of JSON.
//
//   node remote.mjs URL [FOLDER]
//
// With FOLDER, `remote-desktop.png` and `remote-phone.png` are taken there. Whoever started this lets one more recording arrive when
// `ARRIVE` is printed. Each answer is what the page said or showed, for the test to judge.

import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
const PATIENCE = 60_000;

const [url, folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: FLAGS });

async function open(options) {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(PATIENCE);
  const strangers = [];
  const violations = [];
  page.on('request', (request) => { if (!request.url().startsWith(url) && !request.url().startsWith('blob:')) strangers.push(request.url()); });
  page.on('pageerror', (error) => violations.push(error.message));
  page.on('console', (message) => { if (/Content Security Policy/.test(message.text())) violations.push(message.text()); });
  await page.goto(url);
  await page.waitForSelector('.recording');
  return { page, strangers, violations };
}

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

/** Everything that can be operated has a name, and nothing is wider than the phone. */
async function phone() {
  const { page } = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' });
  const nameless = await page.$$eval('button, a, video', (all) => all
    .filter((one) => one.checkVisibility() && !(one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (folder) await page.screenshot({ path: `${folder}/remote-phone.png` });
  await page.close();
  return { nameless, wide };
}

try {
  const { page, strangers, violations } = await open({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark' });
  await page.waitForFunction(() => document.querySelectorAll('.recording').length === 2);
  const seen = { rows: await rows(page), played: await play(page), arrived: await arrive(page) };
  if (folder) await page.screenshot({ path: `${folder}/remote-desktop.png` });
  Object.assign(seen, { phone: await phone(), strangers, violations });
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
