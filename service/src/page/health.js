// How a part of the program is, in a line; and what is wrong and stays so until somebody acts.

import { arrange, h, text } from './dom.js';

/** A heading, a coloured dot, a line and a detail below it; a bar for what is under way. */
export class Line {
  constructor(title) {
    this.dot = h('i', { class: 'dot', 'aria-hidden': 'true' });
    this.line = h('span', { class: 'line' });
    this.detail = h('p', { class: 'soft detail' });
    this.bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': `${title} progress` });
    this.element = h('section', { class: 'state-line' }, h('h2', {}, title), h('p', { class: 'head' }, this.dot, this.line), this.bar, this.detail);
  }

  show(tone, line, detail, done = null) {
    this.dot.className = `dot ${tone}`;
    text(this.line, line);
    text(this.detail, detail);
    this.bar.hidden = done === null;
    if (done !== null) this.bar.value = done;
  }
}

/** Shows `faults` (status::Fault) in `root`. */
export function showFaults(root, faults) {
  root.hidden = faults.length === 0;
  const lines = faults.map(({ part, message }) => `${part}: ${message}`);
  if (lines.join('\n') === root.dataset.lines) return;
  root.dataset.lines = lines.join('\n');
  arrange(root, faults.map(({ part, message }) => h('p', {}, h('strong', {}, part), ' ', message)));
}
