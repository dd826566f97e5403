// One key, one action; the help lists the same table.

import { h } from './dom.js';

/** Elements that use keys themselves. */
const OWN_KEYS = 'input, textarea, select, video, dialog';
/** Elements that use space and enter themselves. */
const PRESSED = 'button, a, summary';

/** Listens for `bindings`: `{ key: [action, what it does, how the key is written] }`; a `null` text stays out of the help. */
export function keyboard(bindings, help) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(OWN_KEYS)) return;
    if (event.key === ' ' && event.target.closest(PRESSED)) return;
    const [action] = bindings[event.key] ?? bindings[event.key.toLowerCase()] ?? [];
    if (!action) return;
    event.preventDefault();
    action();
  });
  const rows = Object.entries(bindings).filter(([, [, what]]) => what);
  help.append(...rows.map(([key, [, what, written]]) => h('div', {}, h('dt', {}, h('kbd', {}, written ?? key.toUpperCase())), h('dd', {}, what))));
}
