//! The time, written into a picture for people and for machines.
//!
//! For machines: 20 x 2 blocks of 16 x 16 luma samples at the top left, 235 for a one and 16 for a zero, most
//! significant bit first, chroma grey. It survives any encoder, and tells how old the picture on a screen is.
//!
//! ```text
//! +------------------------------+---------------------------+
//! | low 32 bits of Unix time, ms | xor of its 4 bytes ^ 0xA5 |
//! +------------------------------+---------------------------+
//! ```
//!
//! For people: `hh:mm:ss.mmm` ([`super::font`]).

use super::font::{self, BLACK, NEUTRAL, WHITE};
use crate::frames::Picture;
use media::WallTime;

/// Side of a block.
const BLOCK: usize = 16;
/// Blocks in one of the two rows.
const COLUMNS: usize = 20;
const ROWS: usize = 2;

/// Lines that the block code takes.
pub const CODE_HEIGHT: usize = ROWS * BLOCK;

/// The 40 bits that are drawn for `millis`, the low 32 bits of Unix time in milliseconds.
fn code_word(millis: u32) -> u64 {
    let check = millis.to_be_bytes().into_iter().fold(0xA5, |check, byte| check ^ byte);
    u64::from(millis) << 8 | u64::from(check)
}

/// Whether a picture of this size has room for the block code.
pub fn has_room_for_code(width: usize, height: usize) -> bool {
    width >= COLUMNS * BLOCK && height >= CODE_HEIGHT
}

/// Draws the block code; a picture without room for it stays as it is.
pub fn draw_code(picture: &mut Picture, millis: u32) {
    let (width, height) = (picture.width(), picture.height());
    if !has_room_for_code(width, height) {
        return;
    }
    let word = code_word(millis);
    let (y, u, v) = picture.planes_mut();
    for (line_number, line) in y.chunks_exact_mut(width).take(CODE_HEIGHT).enumerate() {
        let row = line_number / BLOCK;
        for (column, block) in line.chunks_exact_mut(BLOCK).take(COLUMNS).enumerate() {
            let bit = ROWS * COLUMNS - 1 - (row * COLUMNS + column);
            block.fill(if word >> bit & 1 == 1 { WHITE } else { BLACK });
        }
    }
    for plane in [u, v] {
        for line in plane.chunks_exact_mut(width / 2).take(CODE_HEIGHT / 2) {
            line[..COLUMNS * BLOCK / 2].fill(NEUTRAL);
        }
    }
}

/// Reads the block code back: the milliseconds, or `None` where there is none or it is damaged.
pub fn read_code(luma: &[u8], width: usize) -> Option<u32> {
    let mut word = 0_u64;
    for n in 0..ROWS * COLUMNS {
        let (row, column) = (n / COLUMNS, n % COLUMNS);
        let centre = (row * BLOCK + BLOCK / 2) * width + column * BLOCK + BLOCK / 2;
        word = word << 1 | u64::from(*luma.get(centre)? > NEUTRAL);
    }
    let millis = (word >> 8) as u32;
    (code_word(millis) == word).then_some(millis)
}

/// `hh:mm:ss.mmm` of a time of day in UTC.
fn clock_text(time: WallTime) -> [u8; 12] {
    let civil = time.civil();
    let millis = civil.micros / 1000;
    let digit = |n: u32| b'0' + (n % 10) as u8;
    let (tens, ones) = (|n: u8| digit(u32::from(n / 10)), |n: u8| digit(u32::from(n)));
    [
        tens(civil.hour),
        ones(civil.hour),
        b':',
        tens(civil.minute),
        ones(civil.minute),
        b':',
        tens(civil.second),
        ones(civil.second),
        b'.',
        digit(millis / 100),
        digit(millis / 10),
        digit(millis),
    ]
}

/// Draws the time of day in the middle of the picture, white on black; a picture that is too small stays as it is.
pub fn draw_clock(picture: &mut Picture, time: WallTime) {
    let text = clock_text(time);
    let (width, height) = (picture.width(), picture.height());
    let (columns, rows) = font::size(text.len());
    let dot = width * 3 / 4 / columns;
    if height < CODE_HEIGHT + rows * dot {
        return;
    }
    let corner = ((width - columns * dot) / 2, (height + CODE_HEIGHT - rows * dot) / 2);
    font::draw(picture, &text, corner, dot);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_code_is_read_back() {
        let mut picture = Picture::new(320, 240);
        for millis in [0, 1, 0x8000_0000, 0xDEAD_BEEF, u32::MAX] {
            draw_code(&mut picture, millis);
            assert_eq!(read_code(picture.planes().0, 320), Some(millis));
        }
    }

    #[test]
    fn the_block_code_has_the_bits_of_the_probe() {
        let mut picture = Picture::new(352, 288);
        draw_code(&mut picture, 0x1234_5678);
        let (y, u, _) = picture.planes();
        let row = |n: usize| -> String {
            (0..20).map(|c| if y[n * 16 * 352 + c * 16] == 235 { '1' } else { '0' }).collect()
        };
        // 0x12345678, then 0x12 ^ 0x34 ^ 0x56 ^ 0x78 ^ 0xA5 = 0xAD.
        assert_eq!(row(0), "00010010001101000101");
        assert_eq!(row(1), "01100111100010101101");
        assert_eq!((y[320], u[0]), (16, 128), "beside the code nothing is drawn");
    }

    #[test]
    fn a_damaged_or_missing_code_is_not_read() {
        let mut picture = Picture::new(320, 240);
        draw_code(&mut picture, 77);
        let (y, _, _) = picture.planes_mut();
        for line in 0..16 {
            y[line * 320..line * 320 + 16].fill(WHITE);
        }
        assert_eq!(read_code(picture.planes().0, 320), None);
        let mut small = Picture::new(318, 240);
        draw_code(&mut small, 77);
        assert!(small.planes().0.iter().all(|&sample| sample == BLACK));
        assert_eq!(read_code(&[0; 64], 320), None);
    }

    #[test]
    fn the_clock_can_be_read() {
        let mut picture = Picture::new(98, 64);
        // 12:34:56.789 UTC, one sample a dot.
        draw_clock(&mut picture, WallTime(45_296_789_000));
        let y = picture.planes().0;
        let text: Vec<String> = (0..64)
            .map(|line| &y[line * 98 + 12..line * 98 + 86])
            .filter(|line| line.contains(&WHITE))
            .map(|line| line.iter().map(|&s| if s == WHITE { '#' } else { ' ' }).collect::<String>())
            .map(|line| line.trim_end().to_owned())
            .collect();
        let expected = [
            "   #    ###         ###     #        #####   ##        #####  ###   ###",
            "  ##   #   #   #   #   #   ##    #   #      #              # #   # #   #",
            "   #       #   #       #  # #    #   ####  #              #  #   # #   #",
            "   #     ##          ##  #  #            # ####          #    ###   ####",
            "   #    #      #       # #####   #       # #   #        #    #   #     #",
            "   #   #       #   #   #    #    #   #   # #   #   #    #    #   #    #",
            "  ###  #####        ###     #         ###   ###    #    #     ###   ##",
        ];
        assert_eq!(text, expected, "\n{}", text.join("\n"));
    }
}
