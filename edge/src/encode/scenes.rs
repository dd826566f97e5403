//! Generated pictures for tests: each scene is a texture of its own that moves, and some are as hard as pictures get.

use crate::frames::Picture;

/// Paints picture `n` of a scene. Scenes differ in texture and in motion; every fourth one is noise.
pub fn paint(picture: &mut Picture, scene: u32, n: u32) {
    let width = picture.width() as u32;
    let noise = scene % 4 == 3;
    let (y, u, v) = picture.planes_mut();
    let (step, seed) = (1 + scene % 5, mix(scene));
    for (at, sample) in (0_u32..).zip(y.iter_mut()) {
        let (x, line) = (at % width + n * step, at / width + n);
        let cell = mix(seed ^ (x / 9) ^ (line / 7) << 12) >> 25;
        let grain = if noise { mix(at ^ mix(n ^ seed)) >> 25 } else { mix(x ^ line << 12) >> 30 };
        *sample = (16 + cell + grain) as u8;
    }
    u.fill((seed >> 24) as u8 / 2 + 64);
    v.fill((seed >> 16) as u8 / 2 + 64);
}

/// A hash whose every bit depends on every bit of `x`.
fn mix(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x7FEB_352D);
    let x = (x ^ x >> 15).wrapping_mul(0x846C_A68B);
    x ^ x >> 16
}
