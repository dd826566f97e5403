// A viewer in headless Chromium, who notes whom a page asks and what it is not allowed. Each use ends as one line of JSON: what the
// page said or showed, for the test to judge.
//
//   node USE.mjs URL [FOLDER]
//
// With FOLDER, screenshots are taken there.

import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
const DESKTOP = { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' };
const [url, folder] = process.argv.slice(2);

/** Milliseconds that a page may take to show something. */
export const PATIENCE = 60_000;
/** Whether screenshots are wanted. */
export const pictured = folder !== undefined;

async function open(browser, device, before) {
  // A device vouches for itself.
  const page = await browser.newPage({ ...device, ignoreHTTPSErrors: true });
  await page.addInitScript(before);
  page.setDefaultTimeout(PATIENCE);
  const strangers = [];
  const violations = [];
  page.on('request', (request) => { if (!request.url().startsWith(url) && !request.url().startsWith('blob:')) strangers.push(request.url()); });
  page.on('pageerror', (error) => violations.push(error.message));
  page.on('console', (message) => { if (/Content Security Policy/.test(message.text())) violations.push(message.text()); });
  await page.goto(url);
  return { page, strangers, violations };
}

export async function shoot(page, name, fullPage = false) {
  if (pictured) await page.screenshot({ path: `${folder}/${name}.png`, fullPage });
}

/** Everything that can be operated has a name, and nothing is wider than the phone. */
async function phone(browser, name, ready, before) {
  const { page } = await open(browser, PHONE, before);
  await ready(page);
  const nameless = await page.$$eval('button, input, a, video, [role=slider]', (all) => all
    .filter((one) => one.checkVisibility() && !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await shoot(page, `${name}-phone`);
  await page.close();
  return { nameless, wide };
}

/** Reports what `use` saw of the page `name` on a desktop, and how it is on a phone once it is `ready`. `before` runs in the page in front of its own scripts. */
export async function report(name, ready, use, before = () => {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: FLAGS });
  try {
    const { page, strangers, violations } = await open(browser, DESKTOP, before);
    await ready(page);
    const seen = await use(page);
    console.log(JSON.stringify({ ...seen, phone: await phone(browser, name, ready, before), strangers, violations }));
  } finally {
    await browser.close();
  }
}
