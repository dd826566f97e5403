// The updates of the set-up page: what runs, a bundle on its way to the card, a version that is being tried.

import { get, Poll } from './api.js';
import { text } from './dom.js';
import { onSubmit } from './forms.js';

const PATH = '/api/setup/update';
const EVERY = 1000;
const $ = (selector) => document.querySelector(selector);

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const minutes = (seconds) => (seconds < 90 ? `${seconds} seconds` : `${Math.round(seconds / 60)} minutes`);

/** A line for what goes on: its words, how far it is (0 to 1, or null while that is not known), and what it is. */
const GOES_ON = {
  receiving: ({ bytes, of }) => [`Writing: ${megabytes(bytes)}${of ? ` of ${megabytes(of)}` : ''}. The camera goes on.`, of ? bytes / of : null, 'busy'],
  checking: () => ['Reading back what was written …', null, 'busy'],
  restarting: ({ trial }) => [`Starting again, to try ${trial}. This takes a minute; then log in again.`, null, 'busy'],
  proving: ({ version, missing, seconds_left }) => [
    missing.length ? `Trying ${version}: ${missing.join('; ')}. Without that, the version before it returns in ${minutes(seconds_left)}.` : `Trying ${version} …`,
    null,
    'busy',
  ],
};

/** The same while nothing goes on: what became of the last update, if there was one. */
function quiet({ last }) {
  if (!last) return ['', null, ''];
  if (last.kept) return [`The update to ${last.version} was kept: all that worked before it works.`, null, 'good'];
  return [`The update to ${last.version} was not kept, and the version before it runs again: ${last.why}.`, null, 'bad'];
}

function show(now) {
  $('#updates').hidden = !now.board && !now.refuses;
  text($('#version'), now.version ?? 'not known');
  text($('#board'), now.board ? `on ${now.board}` : '');
  const [words, part, kind] = GOES_ON[now.phase]?.(now) ?? quiet(now);
  const line = $('#update-now');
  text(line, words);
  line.className = `outcome ${kind}`;
  line.hidden = !words;
  const bar = $('#update-bar');
  bar.hidden = kind !== 'busy';
  if (part === null) bar.removeAttribute('value');
  else bar.value = part;
  text($('#update-why'), now.refuses ? `No update can be taken: ${now.refuses}.` : '');
  $('#update-why').hidden = !now.refuses;
  $('#update').hidden = Boolean(now.refuses) || kind === 'busy';
}

/** Sends the bundle as it lies on the disk; rejects with why it was refused. */
async function send(file) {
  const options = { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: file };
  const response = await fetch(PATH, options).catch(() => { throw new Error('The connection broke before the bundle was taken.'); });
  if (!response.ok) throw new Error((await response.text()).trim() || `The device answers ${response.status}.`);
}

/** Keeps the card up to date, and takes bundles. */
export function updates() {
  let known = false;
  const poll = new Poll(EVERY, async () => {
    try {
      show(await get(PATH));
      known = true;
    } catch (error) {
      // After a restart nobody is logged in any more.
      if (known && /: 401$/.test(error.message)) location.assign('/login');
      throw error;
    }
  });
  onSubmit($('#update'), async ({ bundle }) => {
    if (!bundle.size) throw new Error('Choose a bundle first.');
    const sent = send(bundle);
    poll.now();
    await sent.finally(() => poll.now());
    $('#update').reset();
  });
}
