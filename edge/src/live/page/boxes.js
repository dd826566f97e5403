// ISO base media file format (ISO/IEC 14496-12): as much of it as the page needs to read a stream before the browser does.
//
//   ftyp | moov (mvhd, trak video, trak audio, mvex (trex, trex)) | moof mdat | moof mdat | ...
//
// Functions take whole boxes as Uint8Array, header included, and never trust a size from the stream further than its end.

const HEADER = 8;
/** The largest box that is believed; a size beyond it means that the stream is not what it says. */
const MOST = 64 << 20;

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const type = (bytes, at) => String.fromCharCode(...bytes.subarray(at + 4, at + 8));

/** Joins byte arrays. */
export function concat(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Cuts a byte stream, in whatever pieces it arrives, into top-level boxes `{ type, bytes }`. */
export class BoxSplitter {
  #rest = new Uint8Array(0);

  push(piece) {
    const bytes = this.#rest.length ? concat([this.#rest, piece]) : piece;
    const boxes = [];
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const size = view(bytes).getUint32(at);
      if (size < HEADER || size > MOST) throw new Error(`box ${type(bytes, at)} of ${size} bytes`);
      if (bytes.length - at < size) break;
      boxes.push({ type: type(bytes, at), bytes: bytes.subarray(at, at + size) });
      at += size;
    }
    this.#rest = bytes.slice(at);
    return boxes;
  }
}

/** The boxes inside the box `bytes`, whose own fields end at `from`. */
export function* children(bytes, from = HEADER) {
  for (let at = from; at + HEADER <= bytes.length; ) {
    const size = view(bytes).getUint32(at);
    if (size < HEADER || at + size > bytes.length) return;
    yield { type: type(bytes, at), bytes: bytes.subarray(at, at + size) };
    at += size;
  }
}

/** The first box at `path` below `bytes`, or undefined. */
export function find(bytes, ...path) {
  let box = bytes;
  for (const name of path) {
    box = [...children(box)].find((child) => child.type === name)?.bytes;
    if (!box) return undefined;
  }
  return box;
}

const handler = (trak) => {
  const hdlr = find(trak, 'mdia', 'hdlr');
  return hdlr && String.fromCharCode(...hdlr.subarray(16, 20));
};
// tkhd: version and flags, two times, track_ID.
const trackId = (trak) => {
  const tkhd = find(trak, 'tkhd');
  return view(tkhd).getUint32(tkhd[8] === 1 ? 28 : 20);
};
const hex = (byte) => byte.toString(16).padStart(2, '0').toUpperCase();

/** The tracks of a `moov`: `{ id, kind: 'vide' | 'soun', codec }`, the codec as in RFC 6381. */
export function tracks(moov) {
  return [...children(moov)]
    .filter((box) => box.type === 'trak')
    .map(({ bytes: trak }) => ({ id: trackId(trak), kind: handler(trak), codec: codec(trak) }));
}

function codec(trak) {
  if (handler(trak) === 'soun') return 'mp4a.40.2';
  // stsd: version and flags, entry count; then a VisualSampleEntry of 86 bytes with avcC inside.
  const stsd = find(trak, 'mdia', 'minf', 'stbl', 'stsd');
  const entry = stsd && [...children(stsd, 16)][0];
  const avcC = entry && [...children(entry.bytes, 86)].find((box) => box.type === 'avcC')?.bytes;
  return avcC ? `avc1.${hex(avcC[9])}${hex(avcC[10])}${hex(avcC[11])}` : 'avc1.42C01E';
}

/** The track_ID that a `moof` brings (the first of them), or undefined. */
export function fragmentTrack(moof) {
  const tfhd = find(moof, 'traf', 'tfhd');
  return tfhd && view(tfhd).getUint32(12);
}
