// Claims a device, sets it up, and looks at its live view, as whoever unpacked it does.
//
//   CODE=… SSH_PORT=… SSH_USER=… SSH_DIR=… node setup.mjs URL [FOLDER]
//
// With FOLDER, screenshots of each page are taken there.

import { PATIENCE, report, shoot } from './viewer.mjs';

const { CODE, SSH_PORT, SSH_USER, SSH_DIR } = process.env;
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const PASSWORD = 'correct horse';

const field = (form, name) => `#${form} [name=${name}]`;
const problem = (page, form) => page.waitForSelector(`#${form} .problem:not([hidden])`).then((shown) => shown.textContent());
const outcome = async (page, selector) => {
  await page.waitForFunction((selector) => /[.\w]$/.test(document.querySelector(selector).textContent) && !document.querySelector('button:disabled'), selector, { timeout: PATIENCE });
  return page.textContent(selector);
};
const send = (page, form) => page.click(`#${form} button.primary`);
const said = (page, form) => outcome(page, `#${form} > .buttons:last-child .outcome`);

async function claim(page) {
  await shoot(page, 'claim-desktop');
  await page.setViewportSize(PHONE);
  await shoot(page, 'claim-phone');
  await page.setViewportSize(DESKTOP);
  await page.fill(field('claim', 'code'), '7777-7777');
  await page.fill(field('claim', 'name'), 'anna');
  await page.fill(field('claim', 'password'), PASSWORD);
  await page.fill(field('claim', 'again'), `${PASSWORD}s`);
  await send(page, 'claim');
  const differ = await problem(page, 'claim');
  await page.fill(field('claim', 'again'), PASSWORD);
  await send(page, 'claim');
  await page.waitForFunction(() => /code/.test(document.querySelector('#claim .problem').textContent));
  const wrong = await problem(page, 'claim');
  await page.fill(field('claim', 'code'), CODE.toLowerCase().replace('-', ' '));
  await send(page, 'claim');
  await page.waitForURL('**/setup');
  return { differ, wrong };
}

async function remote(page) {
  await page.fill(field('upload', 'host'), '127.0.0.1');
  await page.fill(field('upload', 'port'), SSH_PORT);
  await page.fill(field('upload', 'user'), SSH_USER);
  await page.fill(field('upload', 'dir'), SSH_DIR);
  await page.click('#trial');
  const untold = await outcome(page, '#trial + .outcome');
  await page.click('#ask');
  await page.waitForSelector('#fingerprint:not([hidden])');
  const fingerprint = await page.textContent('#fingerprint');
  await page.check(field('upload', 'agreed'));
  await page.click('#trial');
  await page.waitForSelector('#trial + .outcome.good, #trial + .outcome.bad:not(:empty)');
  await page.waitForFunction(() => !document.querySelector('#trial').disabled);
  const trial = await page.textContent('#trial + .outcome');
  await send(page, 'upload');
  return { untold, fingerprint, trial, saved: await said(page, 'upload') };
}

async function people(page) {
  await page.fill(field('account', 'name'), 'bob');
  await page.fill(field('account', 'password'), 'bobs password');
  await send(page, 'account');
  await page.waitForFunction(() => document.querySelectorAll('#accounts li').length === 2);
  await page.fill(field('token', 'name'), 'kitchen display');
  await send(page, 'token');
  await page.waitForSelector('#addresses code');
  return page.$$eval('#accounts .what', (all) => all.map((one) => one.firstChild.textContent));
}

await report('login', (page) => page.waitForSelector('form'), async (page) => {
  const first = await claim(page);
  await page.waitForFunction(() => document.querySelector('#public-key').textContent.startsWith('ssh-ed25519 '));
  await page.fill(field('device', 'name'), 'barn');
  await send(page, 'device');
  const device = await said(page, 'device');
  await page.check('#viewing [value=yes]');
  await send(page, 'viewing');
  const viewing = await said(page, 'viewing');
  const { saved, ...upload } = await remote(page);
  const accounts = await people(page);
  await shoot(page, 'setup-desktop', true);
  await page.setViewportSize(PHONE);
  await shoot(page, 'setup-phone', true);
  await page.setViewportSize(DESKTOP);
  await page.click('header a.pill');
  await page.waitForFunction(() => document.querySelector('#view')?.dataset.state === 'live', null, { timeout: PATIENCE });
  const watching = await page.$eval('#view', (view) => view.dataset.state);
  return { ...first, ...upload, saved: [device, viewing, saved], accounts, watching };
});
