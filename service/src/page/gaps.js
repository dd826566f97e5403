// Spans of time without footage, and why.

import { arrange, h } from './dom.js';
import { clock, day, span } from './format.js';

const CAUSES = {
  camera_gone: 'Camera gone',
  no_power: 'Not running',
  clock_unset: 'Clock not set',
  overload: 'Overload',
  disk_full: 'Disk full',
  thinned: 'One picture a second',
  absent: 'Not here',
  removed: 'Taken away',
  unexplained: 'Unexplained',
};
/** Rows that are shown. */
const MOST = 50;

/** Shows `gaps` (status::Gap) newest first in `list`; the name of the camera where there are several. */
export function showGaps(list, empty, gaps, several) {
  empty.hidden = gaps.length > 0;
  list.hidden = gaps.length === 0;
  arrange(list, gaps.slice(-MOST).reverse().map((gap) => {
    const start = gap.start && new Date(gap.start);
    return h('li', { class: gap.lasts ? 'gap open' : 'gap' },
      h('span', { class: 'cause' }, CAUSES[gap.cause] ?? gap.cause.replaceAll('_', ' ')),
      h('span', { class: 'soft' }, `${several ? `${gap.camera} · ` : ''}${start ? `${day(start)} ${clock(start)}` : 'before the clock was set'}`),
      h('span', { class: 'length' }, gap.lasts ? 'still' : gap.seconds === null ? 'unknown' : span(gap.seconds)));
  }));
}
