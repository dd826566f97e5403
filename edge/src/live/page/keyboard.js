// One key, one action; the help lists the same table.

import { h } from './dom.js';

/** Elements that use keys themselves. */
const OWN_KEYS = 'input, textarea, select, video, dialog';
/** Elements that use space and enter themselves. */
const PRESSED = 'button, a, summary';

/**
 * Listens for `bindings`: `{ keys, action, what, written }`. `action` gets the key; `what` it does and how the keys are `written`
 * are for the list `help`.
 */
export function keyboard(bindings, help) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(OWN_KEYS)) return;
    if (event.key === ' ' && event.target.closest(PRESSED)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const binding = bindings.find(({ keys }) => keys.includes(key));
    if (!binding) return;
    event.preventDefault();
    binding.action(key);
  });
  help.append(...bindings.map(({ what, written }) => h('div', {}, h('dt', {}, h('kbd', {}, written)), h('dd', {}, what))));
}
