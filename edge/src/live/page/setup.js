// Set-up: each card is a form of its own, and what the edge has in force is read again after each change.

import { get } from './api.js';
import { h } from './dom.js';
import { onPress, onSubmit, post, values } from './forms.js';
import { updates } from './update.js';

const $ = (selector) => document.querySelector(selector);

/** The remote host's key and fingerprint that the form is about; none while host or port are being changed. */
let host = null;

// --- what is in force ----------------------------------------------------------------------------------------------------

async function refresh() {
  const now = await get('/api/setup');
  $('#trouble').hidden = true;
  showPeople(now);
  return now;
}

/** Fills the fields; once, so that nothing is overwritten while somebody types. */
function fill(now) {
  $('#device').elements.name.value = now.device.name;
  const zones = new Set([now.device.time_zone, 'UTC', ...(Intl.supportedValuesOf?.('timeZone') ?? [])]);
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const chosen = now.device.time_zone === 'UTC' && zones.has(own) ? own : now.device.time_zone;
  $('#device').elements.time_zone.append(...[...zones].sort().map((zone) => h('option', { selected: zone === chosen }, zone)));
  $('#certificate').hidden = !now.certificate;
  $('#certificate code').textContent = now.certificate ?? '';
  $('#viewing').elements.plain.value = now.plain_viewing ? 'yes' : 'no';
  $('#no-plain').hidden = now.plain_port !== null;
  $('#public-key').textContent = now.public_key;
  if (!now.upload) return;
  const { fingerprint, host_key, ...remote } = now.upload;
  for (const [name, value] of Object.entries(remote)) $('#upload').elements[name].value = value;
  showHost({ fingerprint, host_key });
  $('#upload').elements.agreed.checked = true;
}

function row(what, more, press) {
  return h('li', {}, h('span', { class: 'what' }, what, more && h('span', { class: 'soft' }, ` ${more}`)), press);
}

/** A button that changes something, and shows it, or says why not. */
function button(label, act) {
  const press = () => act().then(refresh).catch((error) => Object.assign($('#trouble'), { textContent: error.message, hidden: false }));
  return h('button', { class: 'pill', type: 'button', onclick: press }, label);
}

function showPeople({ accounts, tokens, you }) {
  $('#accounts').replaceChildren(...accounts.map(({ name, admin, fixed }) => {
    const what = [admin ? 'administers' : 'watches', fixed && 'by the configuration file', name === you && 'you'].filter(Boolean).join(', ');
    return row(name, what, !fixed && name !== you && button('Remove', () => post('/api/setup/account/remove', { name })));
  }));
  $('#tokens').replaceChildren(...tokens.map(({ id, name }) => row(name, id, button('Revoke', () => post('/api/setup/token/revoke', { id })))));
}

// --- the remote host -----------------------------------------------------------------------------------------------------

function showHost(known) {
  host = known;
  $('#fingerprint').hidden = $('#agree').hidden = !known;
  $('#fingerprint').textContent = known?.fingerprint ?? '';
  $('#upload').elements.agreed.checked = false;
}

/** What the form says, once its key was agreed to. */
function remote() {
  const { agreed, port, ...rest } = values($('#upload'));
  if (!host) throw new Error('Ask for its key first.');
  if (!agreed) throw new Error('Compare the fingerprint, and say that it is its key.');
  return { ...rest, port: Number(port), host_key: host.host_key };
}

onPress($('#ask'), 'Asking …', async () => {
  const { host: name, port } = values($('#upload'));
  showHost(await post('/api/setup/host_key', { host: name, port: Number(port) }));
  return '';
});
onPress($('#copy'), '', async () => {
  await navigator.clipboard.writeText($('#public-key').textContent);
  return 'Copied.';
});
onPress($('#trial'), 'Sending a small file …', async () => {
  await post('/api/setup/trial', remote());
  return 'It arrived: recordings can go there.';
});
for (const name of ['host', 'port']) $('#upload').elements[name].addEventListener('input', () => showHost(null));

// --- the forms -----------------------------------------------------------------------------------------------------------

onSubmit($('#device'), (device) => post('/api/setup/device', device), 'Saved.');
onSubmit($('#viewing'), ({ plain }) => post('/api/setup/viewing', { plain: plain === 'yes' }), 'Saved.');
onSubmit($('#upload'), async () => post('/api/setup/upload', remote()), 'Saved. Recordings go there from now on.');
onSubmit($('#account'), async ({ name, password, admin }) => {
  await post('/api/setup/account', { name, password, admin: admin === 'on' });
  $('#account').reset();
  await refresh();
}, 'Added.');
onSubmit($('#token'), async ({ name }) => {
  const { token } = await post('/api/setup/token', { name });
  const { cameras, plain_viewing, plain_port } = await refresh();
  const base = new URL(location.origin);
  if (plain_viewing && plain_port) Object.assign(base, { protocol: 'http:', port: plain_port });
  const addresses = cameras.map((camera) => h('li', {}, h('code', { class: 'what' }, `${base.origin}/t/${token}/live/${camera}/master.m3u8`)));
  $('#addresses').replaceChildren(...addresses);
  $('#made').hidden = false;
  $('#token').reset();
});
$('#logout').addEventListener('click', () => post('/logout').finally(() => location.assign('/login')));

updates();
refresh().then(fill).catch(() => location.assign('/login'));
