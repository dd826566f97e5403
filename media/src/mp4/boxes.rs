//! Writing boxes (ISO/IEC 14496-12, 4.2).
//!
//! ```text
//! Box:      size(32) type(32) payload
//! FullBox:  size(32) type(32) version(8) flags(24) payload
//! ```

use bytes::{BufMut, BytesMut};

/// Appends a box; its size is what `body` appended and the header.
pub(super) fn boxed(out: &mut BytesMut, name: &[u8; 4], body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(name);
    body(out);
    let size = (out.len() - start) as u32;
    put_u32_at(out, start, size);
}

/// Appends a FullBox.
pub(super) fn full_box(
    out: &mut BytesMut,
    name: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut BytesMut),
) {
    boxed(out, name, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        body(out);
    });
}

/// Overwrites four bytes that were appended before.
pub(super) fn put_u32_at(out: &mut BytesMut, at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// The eight bytes in front of a box.
pub(super) fn header(size: u32, name: &[u8; 4]) -> [u8; 8] {
    let [a, b, c, d] = size.to_be_bytes();
    let [e, f, g, h] = *name;
    [a, b, c, d, e, f, g, h]
}
