// The page: which camera is shown, and who is told what when.

import { Poll, get } from './api.js';
import { MediaClock } from './clock.js';
import { arrange, h, text } from './dom.js';
import { ALL, cameras, player, wanted } from './first.js';
import { clock as clockTime, duration } from './format.js';
import { showGaps } from './gaps.js';
import { Grid } from './grid.js';
import { showFaults } from './health.js';
import { keyboard } from './keyboard.js';
import { Latency } from './latency.js';
import { Panel, describeCamera } from './panel.js';
import { Recordings } from './recordings.js';
import { fetchSpans } from './ring.js';
import { Stage } from './stage.js';
import { theme } from './theme.js';
import { STEP, Timeline } from './timeline.js';

const $ = (selector) => document.querySelector(selector);

const clock = new MediaClock();
const stage = new Stage($('#view'), clock, player);
const timeline = new Timeline($('#timeline'), clock);
const latency = new Latency(stage.liveVideo, clock);
const panel = new Panel($('#panel'));
const grid = new Grid($('#grid'), (name) => choose(name));
const fileOf = ({ name }) => `/recordings/${encodeURIComponent(name)}.mp4`;
const recordings = new Recordings({ list: $('#recordings'), summary: $('#recordings-summary'), empty: $('#recordings-empty'), more: $('#recordings-more') }, {
  states: { growing: ['Recording', 'busy'], sealed: ['On the edge', ''], uploading: ['Uploading', 'busy'], receipted: ['Archived', 'good'] },
  sources: (recording) => [{ src: fileOf(recording), type: 'video/mp4' }],
  file: fileOf,
  lost: 'This recording cannot be played. It may have left the edge.',
});

/** What the edge said last; `status` is null while it does not answer, `stages` are told only when one does not move. */
const said = { status: null, cameras: [], stages: [], edgeGone: false };

// --- cameras -------------------------------------------------------------------------------------------------------------

const tabs = new Map();

/** Shows the camera of that name, or all of them. */
function choose(name) {
  history.replaceState(null, '', `#${name === ALL ? 'all' : name}`);
  const all = name === ALL;
  $('#view').hidden = all;
  $('#panel').hidden = all;
  latency.reset();
  if (all) {
    stage.stop();
    grid.show(offered());
  } else {
    grid.hide();
    timeline.set([]);
    stage.show(name);
    ringPoll.now();
  }
  for (const [tab, button] of tabs) button.setAttribute('aria-pressed', tab === name);
  show();
}

/** The cameras that there are tabs for. */
const offered = () => [...tabs.keys()].filter((name) => name !== ALL);

function showTabs(names) {
  if (names.join() === offered().join()) return;
  tabs.clear();
  for (const name of names.length > 1 ? [...names, ALL] : names) {
    tabs.set(name, h('button', { class: 'tab', 'aria-pressed': 'false', onclick: () => choose(name) }, name === ALL ? 'All' : name));
  }
  arrange($('#cameras'), names.length > 1 ? [...tabs.values()] : [h('span', { class: 'only' }, names[0] ?? '')]);
}

/** These are all cameras. If none of them is shown, the one that is wanted will be. */
function offer(names) {
  showTabs(names);
  if (!names.includes(stage.camera) && !grid.shown && names.length) choose(wanted(names));
}

// --- what is asked, and when ---------------------------------------------------------------------------------------------

async function pollStatus() {
  const sent = performance.now() / 1000;
  const status = await get('/api/status').catch(() => null);
  if (status) clock.sample(sent, performance.now() / 1000, status.now);
  const stages = status && !status.healthy ? (await get('/healthz').catch(() => null))?.stages : [];
  if (status && said.edgeGone) stage.live.retry();
  Object.assign(said, { status, stages, edgeGone: !status, cameras: status?.cameras ?? said.cameras });
  if (status) offer(status.cameras.map((camera) => camera.name));
  show();
}

async function pollRing() {
  const { camera } = stage;
  if (!camera) return;
  const spans = await fetchSpans(camera);
  if (camera === stage.camera) timeline.set(spans);
}

const ringPoll = new Poll(3000, pollRing);
offer(cameras);
new Poll(1000, pollStatus);
new Poll(5000, async () => recordings.show((await get('/api/recordings')).recordings, said.cameras.length > 1));
new Poll(5000, async () => showGaps($('#gaps'), $('#gaps-empty'), (await get('/api/gaps')).gaps, said.cameras.length > 1));

// --- what is shown -------------------------------------------------------------------------------------------------------

/** Everything that follows from what the edge said and what the stage does. */
function show() {
  const camera = said.cameras.find((one) => one.name === stage.camera);
  panel.showStatus(said.status, said.stages, said.status && camera);
  showFaults($('#faults'), said.status?.faults ?? []);
  const live = stage.mode === 'live';
  const state = live ? stage.state : stage.paused ? 'paused' : 'past';
  $('#view').dataset.state = state;
  const words = { live: 'Live', connecting: 'Connecting', waiting: 'No picture', stopped: '', paused: 'Paused', past: 'Replay' };
  text($('#badge'), words[state]);
  $('#live').disabled = live;
  press('#pause', stage.paused ? 'play' : 'pause', stage.paused ? 'Play' : 'Pause');
  press('#mute', stage.muted ? 'muted' : 'sound', stage.muted ? 'Sound on' : 'Sound off');
  $('#volume').value = stage.muted ? 0 : stage.volume;
  $('#mute').hidden = $('#volume').hidden = Boolean(camera?.video && !camera.audio);
  $('#timeline').hidden = !stage.canScrub;
  stage.say(...notice(camera, state));
  document.title = camera ? `${camera.name} · Porthole` : 'Porthole';
}

function notice(camera, state) {
  if (state === 'live' || state === 'past' || state === 'paused') return ['', ''];
  if (said.edgeGone) return ['The edge does not answer', 'The page returns by itself as soon as it does.'];
  const [tone, line, detail] = describeCamera(camera);
  if (camera && tone !== 'good') return [line, detail];
  return state === 'waiting' ? ['No picture', 'Connecting again'] : ['Connecting', ''];
}

function press(selector, symbol, label) {
  const button = $(selector);
  button.querySelector('use').setAttribute('href', `#i-${symbol}`);
  button.setAttribute('aria-label', label);
  button.title = label;
}

/** Four times a second: the bar and the time of the picture. */
function tick() {
  const media = clock.media();
  const live = stage.mode === 'live';
  timeline.draw(media, stage.position, live);
  const date = clock.date(stage.position);
  text($('#time'), date && stage.position ? clockTime(date) : '');
  text($('#behind'), live || media === null ? '' : `\u2212${duration(media - stage.position)}`);
}

let before = { at: performance.now(), pictures: 0, bytes: 0, playing: false };

/** Once a second: the measured figures. */
function measure() {
  const { pictures, bytes } = stage.live.totals;
  const at = performance.now();
  const seconds = (at - before.at) / 1000;
  const playing = stage.mode === 'live' && stage.state === 'live';
  // What a stream begins with comes at once, and is no rate.
  const rate = (now, then) => playing && before.playing ? (now - then) / seconds : null;
  panel.showPicture({
    latency: playing ? latency.now() : null,
    p95: playing ? latency.p95() : null,
    uncertainty: clock.uncertainty() * 1000,
    fps: rate(pictures, before.pictures),
    bits: rate(bytes * 8, before.bytes * 8),
  });
  before = { at, pictures, bytes, playing };
}

setInterval(tick, 250);
setInterval(measure, 1000);

// --- what viewers do -----------------------------------------------------------------------------------------------------

const flash = (done) => done && $('#view').animate([{ opacity: 0.4 }, { opacity: 1 }], 200);
const help = $('#help');
const toggleTheme = theme($('#theme'));
const actions = {
  pause: () => stage.togglePause(),
  live: () => stage.goLive(),
  snapshot: () => flash(stage.snapshot()),
  mute: () => stage.toggleMute(),
  fullscreen: () => stage.toggleFullscreen(),
  help: () => (help.open ? help.close() : help.showModal()),
};
for (const [id, action] of Object.entries(actions)) $(`#${id === 'help' ? 'help-open' : id}`).addEventListener('click', action);
$('#help-close').addEventListener('click', () => help.close());
$('#volume').addEventListener('input', (event) => stage.setVolume(event.target.valueAsNumber));
$('#picture').addEventListener('dblclick', actions.fullscreen);
timeline.addEventListener('seek', (event) => stage.seek(event.detail));
timeline.addEventListener('live', actions.live);
stage.addEventListener('change', show);

const nth = (key) => [...tabs.keys()][key - 1];
keyboard([
  { keys: [' '], action: actions.pause, what: 'Pause, play', written: 'space' },
  { keys: ['ArrowLeft'], action: () => timeline.step(-STEP), what: `${STEP} seconds back`, written: '←' },
  { keys: ['ArrowRight'], action: () => timeline.step(STEP), what: `${STEP} seconds on`, written: '→' },
  { keys: ['l'], action: actions.live, what: 'Back to live', written: 'L' },
  { keys: ['m'], action: actions.mute, what: 'Sound on, off', written: 'M' },
  { keys: ['s'], action: actions.snapshot, what: 'Save the picture', written: 'S' },
  { keys: ['f'], action: actions.fullscreen, what: 'Full screen', written: 'F' },
  { keys: ['t'], action: toggleTheme, what: 'Light or dark', written: 'T' },
  { keys: [...'123456789'], action: (key) => nth(key) && choose(nth(key)), what: 'Camera by number', written: '1 … 9' },
  { keys: ['?'], action: actions.help, what: 'This help', written: '?' },
], $('#keys'));
