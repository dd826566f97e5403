// The page of the remote host: recordings by camera and day, gaps, and what goes on.

import { Poll, get } from './api.js';
import { arrange, h } from './dom.js';
import { showGaps } from './gaps.js';
import { showFaults } from './health.js';
import { Overview } from './overview.js';
import { Recordings } from './recordings.js';
import { theme } from './theme.js';

const $ = (selector) => document.querySelector(selector);

/** Recordings that one answer may hold. */
const MOST = 1000;
const HLS = 'application/vnd.apple.mpegurl';

const overview = new Overview($('#panel'));
const recordings = new Recordings({ list: $('#recordings'), summary: $('#recordings-summary'), empty: $('#recordings-empty'), more: $('#recordings-more') }, {
  states: {
    arriving: ['Arriving', 'busy'],
    receipted: ['Receipted', 'busy'],
    chopping: ['Chopping', 'busy'],
    chopped: ['Chopped', 'good'],
    archived: ['Archived', ''],
    leaving: ['Leaving', ''],
    quarantined: ['Quarantined', 'bad'],
  },
  // A browser takes the first that it can play: HLS where it does that by itself, else the file.
  sources: ({ hls, mp4 }) => [hls && { src: hls, type: HLS }, mp4 && { src: mp4, type: 'video/mp4' }].filter(Boolean),
  file: ({ mp4 }) => mp4 && `${mp4}?download=1`,
  lost: 'This recording cannot be played: its time may be over, or this browser plays neither HLS nor its file.',
  wanted: () => list.now(),
});

/** The camera that is shown alone, or null for all. */
let chosen = decodeURIComponent(location.hash.slice(1)) || null;
let cameras = [];

function choose(camera) {
  chosen = camera;
  history.replaceState(null, '', camera === null ? location.pathname : `#${encodeURIComponent(camera)}`);
  showTabs(cameras);
  list.now();
  gaps.now();
}

function showTabs(names) {
  cameras = names;
  const tab = (name, camera) => h('button', { class: 'tab', 'aria-pressed': String(camera === chosen), onclick: () => choose(camera) }, name);
  const tabs = [tab('All', null), ...names.map((name) => tab(name, name))];
  const drawn = `${names.join('\n')}\n${chosen}`;
  if ($('#cameras').dataset.drawn === drawn) return;
  $('#cameras').dataset.drawn = drawn;
  arrange($('#cameras'), names.length > 1 ? tabs : names.map((name) => h('span', { class: 'only' }, name)));
}

/** An address with what is asked for of the chosen camera. */
function address(path, wanted) {
  const query = new URLSearchParams(wanted);
  if (chosen !== null) query.set('camera', chosen);
  return `${path}?${query}`;
}

/** As many of the newest recordings as are shown. */
async function pollRecordings() {
  const found = [];
  let answer;
  do {
    const limit = Math.min(MOST, recordings.most - found.length);
    answer = await get(address('/api/recordings', answer ? { limit, after: answer.next } : { limit }));
    found.push(...answer.recordings);
  } while (answer.next !== null && found.length < recordings.most);
  if (chosen !== null && !answer.cameras.includes(chosen) && answer.complete) return choose(null);
  showTabs(answer.cameras);
  $('#reading').hidden = answer.complete;
  recordings.show(found.reverse(), chosen === null && answer.cameras.length > 1, { count: answer.count, bytes: answer.bytes });
  if (!answer.complete) $('#recordings-empty').hidden = true;
}

async function pollGaps() {
  const answer = await get(address('/api/gaps', {}));
  showGaps($('#gaps'), $('#gaps-empty'), answer.gaps.reverse(), chosen === null && cameras.length > 1);
}

async function pollStatus() {
  const status = await get('/api/status').catch(() => null);
  const threads = status && !status.healthy ? (await get('/healthz').catch(() => null))?.threads ?? [] : [];
  overview.show(status, threads);
  const gone = { part: 'The host does not answer.', message: 'The page returns by itself as soon as it does.' };
  showFaults($('#faults'), status ? status.faults : [gone]);
}

theme($('#theme'));
const list = new Poll(2000, pollRecordings);
const gaps = new Poll(5000, pollGaps);
new Poll(2000, pollStatus);
