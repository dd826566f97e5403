// What the ring of a camera holds: which second of media time is in which segment.
//
//   timeline    ▐███████████▌ hole ▐███████████████████▌     { first_sequence, last_sequence, start, end } of each stretch
//   video.m3u8  |70|71|72|73|      |74|75|76|77|78|79|80     EXT-X-MAP, EXTINF, video-74.m4s
//      place ─> { sequence, from, to, uri, map }             in seconds of media time

import { get } from './api.js';

/** The segments of a media playlist (RFC 8216bis 4.4.4): `{ sequence, uri, map, seconds, gap }`. */
export function parsePlaylist(text) {
  const segments = [];
  let sequence = 0;
  let map = null;
  let next = {};
  for (const line of text.split(/\r?\n/)) {
    const value = line.slice(line.indexOf(':') + 1);
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) sequence = Number(value);
    else if (line.startsWith('#EXT-X-MAP:')) map = /URI="([^"]*)"/.exec(value)?.[1] ?? null;
    else if (line.startsWith('#EXTINF:')) next.seconds = parseFloat(value);
    else if (line === '#EXT-X-GAP') next.gap = true;
    else if (line && !line.startsWith('#')) {
      segments.push({ gap: false, ...next, sequence, uri: line, map });
      sequence += 1;
      next = {};
    }
  }
  return segments;
}

/**
 * Gives each segment its place in media time, `from` and `to`. `spans` are the stretches without a hole in them, as
 * `/live/<camera>/timeline` tells them: `{ first_sequence, last_sequence, start, end }`. A segment outside of them is left out.
 */
export function place(segments, spans) {
  const placed = [];
  for (const { first_sequence: first, last_sequence: last, start } of spans) {
    let from = start;
    for (const segment of segments.filter(({ sequence }) => sequence >= first && sequence <= last)) {
      placed.push({ ...segment, from, to: from + segment.seconds });
      from += segment.seconds;
    }
  }
  return placed;
}

/** Where in `placed` playback at `time` begins: the segment that holds it, else the first one after it; -1 past the end. */
export function segmentAt(placed, time) {
  return placed.findIndex((segment) => !segment.gap && segment.to > time);
}

/** The spans of the ring of `camera`, oldest first. */
export async function fetchSpans(camera, signal) {
  return (await get(`/live/${encodeURIComponent(camera)}/timeline`, signal)).spans;
}

/** The playlist of a track (`video` or `audio`) of `camera`; no segments where there is no such track. */
export async function fetchPlaylist(camera, track, signal) {
  const response = await fetch(`/live/${encodeURIComponent(camera)}/${track}.m3u8`, { cache: 'no-store', signal });
  if (response.status === 404) return [];
  if (!response.ok) throw new Error(`${track}.m3u8: ${response.status}`);
  return parsePlaylist(await response.text());
}
