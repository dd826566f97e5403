// What goes on at the remote host, in words beside the list: what arrives, who works, what was put aside, what has left.

import { bytes, span } from './format.js';
import { Line } from './health.js';

const count = (n, one, many) => (n === 1 ? `1 ${one}` : `${n} ${many}`);

/** What arrives and waits: `[tone, line, detail]`. */
export function describeInbox({ inbox: { arriving, receipted, chopping } }) {
  const waiting = receipted ? `${count(receipted, 'waits', 'wait')} for a worker` : '';
  if (arriving) return ['good', `${count(arriving, 'recording arrives', 'recordings arrive')}`, waiting];
  if (receipted || chopping) return ['good', waiting || 'All that came is being worked on', ''];
  return ['', 'Nothing arrives', ''];
}

/** Who works on what, or what kept the host from it: `[tone, line, detail]`. */
export function describeWork({ working, ended, faults, now }) {
  if (faults.length) return ['bad', 'Held up', faults[0].message];
  if (working.length) {
    const [{ name, since }] = working;
    return ['good', `${count(working.length, 'worker', 'workers')} at work`, `${name}, for ${span((now - since) / 1000)}`];
  }
  const [last] = ended;
  return ['', 'Nothing to do', last ? `Last: ${last.name}, ${last.outcome}` : ''];
}

/** What is kept: `[tone, line, detail]`. */
export function describeArchive({ recordings, sweep, now }) {
  const { count: all, bytes: size, seconds } = recordings;
  const footage = all ? `${span(seconds)} of footage, ${bytes(size)}` : '';
  const swept = sweep.last === null ? 'Not swept yet' : `Swept ${span(Math.max(0, now - sweep.last) / 1000)} ago`;
  const failed = sweep.failures ? `, ${sweep.failures} could not leave` : '';
  return [sweep.failures ? 'warn' : 'good', footage || 'Empty', `${swept}, ${sweep.removed} removed${failed}`];
}

/** What was put aside: `[tone, line, detail]`. */
export function describeQuarantine({ recordings: { quarantined } }) {
  if (quarantined === 0) return ['good', 'Nothing was put aside', ''];
  return ['bad', `${count(quarantined, 'file was', 'files were')} put aside`, 'The reasons stand in the list. Somebody has to look at them.'];
}

/** Whether all threads move: `[tone, line, detail]`. */
export function describeHealth({ healthy }, threads) {
  if (healthy) return ['good', 'All workers are moving', ''];
  const stuck = threads.filter((thread) => !thread.moving).map((thread) => thread.thread);
  return ['bad', `Not moving: ${stuck.join(', ') || 'a worker'}`, 'The log of the host says more.'];
}

export class Overview {
  #lines = { Inbox: describeInbox, Work: describeWork, Archive: describeArchive, Quarantine: describeQuarantine, Health: describeHealth };

  constructor(root) {
    this.lines = Object.entries(this.#lines).map(([title, describe]) => [new Line(title), describe]);
    root.append(...this.lines.map(([line]) => line.element));
  }

  /** Shows `/api/status`, and the `threads` of `/healthz`; null: the host does not answer. */
  show(status, threads) {
    for (const [line, describe] of this.lines) line.show(...(status ? describe(status, threads) : ['', 'Not known', '']));
  }
}
