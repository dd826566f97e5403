// Updates a device on its set-up page: a bundle of a stranger, one of its builder, and what the page says after the restart.
//
//   STRANGER=… BUNDLE=… SEEN=… node update.mjs URL [FOLDER]
//
// The file SEEN is made once the progress was seen. With FOLDER, screenshots are taken there.

import { writeFileSync } from 'node:fs';
import { report, shoot } from './viewer.mjs';

const { STRANGER, BUNDLE, SEEN } = process.env;
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1440, height: 900 };

async function logIn(page) {
  await page.fill('[name=name]', 'anna');
  await page.fill('[name=password]', 'correct horse');
  await page.click('button.primary');
  await page.waitForURL((url) => url.pathname !== '/login');
  await page.goto(new URL('/setup', page.url()).href);
  await page.waitForSelector('#updates:not([hidden])');
}

const now = (page, words) => page.waitForFunction((words) => document.querySelector('#update-now').textContent.includes(words), words)
  .then(() => page.textContent('#update-now'));

async function card(page, name) {
  for (const [device, size] of [['desktop', DESKTOP], ['phone', PHONE]]) {
    await page.setViewportSize(size);
    await page.$eval('#updates', (section) => section.scrollIntoView({ block: 'end' }));
    await shoot(page, `${name}-${device}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.setViewportSize(DESKTOP);
  return wide;
}

await report('update', (page) => page.waitForSelector('form'), async (page) => {
  await logIn(page);
  const before = await page.textContent('#version');
  await page.setInputFiles('#update [name=bundle]', STRANGER);
  await page.click('#update button.primary');
  const refused = await page.waitForSelector('#update .problem:not([hidden])').then((shown) => shown.textContent());
  const wide = [await card(page, 'update-refused')];
  await page.setInputFiles('#update [name=bundle]', BUNDLE);
  await page.click('#update button.primary');
  const writing = await now(page, 'Writing: ');
  wide.push(await card(page, 'update-writing'));
  writeFileSync(SEEN, '');
  await page.waitForURL('**/login');
  await logIn(page);
  const kept = await now(page, 'was kept');
  wide.push(await card(page, 'update-kept'));
  return { before, refused, writing, kept, after: await page.textContent('#version'), wide };
});
