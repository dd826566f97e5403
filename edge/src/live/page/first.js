// The picture before the rest of the page: asks for the stream of the camera that the edge has named in index.html, and lets everything
// else come once that picture is on the screen, so that nothing competes with it for connections or for the processor.
//
//   index.html ─> first, live_player, sink, ... ─> stream.mp4 ─> picture ─> main and all the others ─> /api/status, ...

import { Backoff } from './backoff.js';
import { LivePlayer } from './live_player.js';

/** Milliseconds after which the rest of the page comes without a picture. */
const PATIENCE = 500;
/** What stands for all cameras at once in place of a name. */
export const ALL = '*';

const video = document.querySelector('.live-video');

/** Plays in the live <video>. */
export const player = new LivePlayer(video);

/** The names of all cameras when the edge sent the page. */
export const cameras = document.body.dataset.cameras.split(' ').filter(Boolean);

/** Which of the cameras `names` the address asks for: the name of one of them, or ALL. */
export function wanted(names) {
  const name = location.hash.slice(1);
  if (name === 'all' && names.length > 1) return ALL;
  return names.includes(name) ? name : names[0];
}

/** Resolves with the first picture, or when there is no reason to wait for it any longer. */
function picture() {
  const camera = wanted(cameras);
  if (!camera || camera === ALL || document.hidden) return Promise.resolve();
  player.start(camera, false);
  return new Promise((resolve) => {
    video.requestVideoFrameCallback?.(resolve);
    setTimeout(resolve, PATIENCE);
  });
}

/** The edge went away before the rest of its page came, perhaps to start with another version: begins again when it answers. */
async function again() {
  const backoff = new Backoff(2000);
  do await new Promise((resolve) => setTimeout(resolve, backoff.next()));
  while (!(await fetch('/', { cache: 'no-store' }).catch(() => null))?.ok);
  location.reload();
}

picture().then(() => import('./main.js')).catch(again);
