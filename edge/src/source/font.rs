//! A bitmap font of 5 x 7 dots, and how a line of it is written into a picture: white on black, with a dot of margin.
//!
//! It has digits, capitals and the signs of names and times; small letters are written as capitals, and all else as blanks.

use crate::frames::Picture;

pub(super) const BLACK: u8 = 16;
pub(super) const WHITE: u8 = 235;
pub(super) const NEUTRAL: u8 = 128;

/// Dots of a character, one byte a line, the five low bits from left to right.
type Glyph = [u8; GLYPH_HEIGHT];
const GLYPH_HEIGHT: usize = 7;
const GLYPH_WIDTH: usize = 5;
/// From one character to the next, in dots.
const PITCH: usize = GLYPH_WIDTH + 1;

#[rustfmt::skip]
const DIGITS: [Glyph; 10] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
    [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

/// `A` to `Z`.
#[rustfmt::skip]
const CAPITALS: [Glyph; 26] = [
    [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
    [0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110],
    [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110],
    [0b11100, 0b10010, 0b10001, 0b10001, 0b10001, 0b10010, 0b11100],
    [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
    [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000],
    [0b01110, 0b10001, 0b10000, 0b10111, 0b10001, 0b10001, 0b01111],
    [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
    [0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b00111, 0b00010, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100],
    [0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001],
    [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
    [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001],
    [0b10001, 0b10001, 0b11001, 0b10101, 0b10011, 0b10001, 0b10001],
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
    [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10101, 0b10010, 0b01101],
    [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
    [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110],
    [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
    [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
    [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b00100],
    [0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b10101, 0b01010],
    [0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001],
    [0b10001, 0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b11111],
];

const COLON: Glyph = [0b00000, 0b00100, 0b00100, 0b00000, 0b00100, 0b00100, 0b00000];
const POINT: Glyph = [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00100, 0b00100];
const DASH: Glyph = [0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000];
const UNDERSCORE: Glyph = [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b11111];
const BLANK: Glyph = [0; GLYPH_HEIGHT];

fn glyph(character: u8) -> Glyph {
    let of = |glyphs: &[Glyph], first: u8| glyphs.get(usize::from(character - first)).copied();
    match character {
        b'0'..=b'9' => of(&DIGITS, b'0').unwrap_or(BLANK),
        b'A'..=b'Z' => of(&CAPITALS, b'A').unwrap_or(BLANK),
        b'a'..=b'z' => of(&CAPITALS, b'a').unwrap_or(BLANK),
        b':' => COLON,
        b'.' => POINT,
        b'-' => DASH,
        b'_' => UNDERSCORE,
        _ => BLANK,
    }
}

/// Width and height in dots of a line of so many characters, with its margin.
pub(super) const fn size(characters: usize) -> (usize, usize) {
    (characters * PITCH + 1, GLYPH_HEIGHT + 2)
}

/// Writes `text` into the picture, its upper left corner at `(left, top)`, with dots of `dot` samples. What does not fit is not written.
pub(super) fn draw(picture: &mut Picture, text: &[u8], (left, top): (usize, usize), dot: usize) {
    let width = picture.width();
    let (columns, rows) = size(text.len());
    let (right, lines) = (left + columns * dot, rows * dot);
    if dot == 0 || right > width {
        return;
    }
    let (y, u, v) = picture.planes_mut();
    for (number, line) in y.chunks_exact_mut(width).skip(top).take(lines).enumerate() {
        let row = (number / dot).wrapping_sub(1);
        for (column, samples) in line[left..right].chunks_exact_mut(dot).enumerate() {
            samples.fill(if is_lit(text, column, row) { WHITE } else { BLACK });
        }
    }
    for plane in [u, v] {
        for line in plane.chunks_exact_mut(width / 2).skip(top / 2).take(lines.div_ceil(2)) {
            line[left / 2..right.div_ceil(2)].fill(NEUTRAL);
        }
    }
}

/// Whether the dot of `text` at this column (with one of margin) and row of the font is set.
fn is_lit(text: &[u8], column: usize, row: usize) -> bool {
    let Some(column) = column.checked_sub(1) else { return false };
    let glyph = text.get(column / PITCH).map_or(BLANK, |&character| glyph(character));
    let line = glyph.get(row).copied().unwrap_or(0);
    let x = column % PITCH;
    x < GLYPH_WIDTH && line >> (GLYPH_WIDTH - 1 - x) & 1 == 1
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The lines of the luma plane that hold something white, a `#` for each sample that does.
    pub fn seen(picture: &Picture) -> Vec<String> {
        let lines = picture.planes().0.chunks_exact(picture.width()).filter(|line| line.contains(&WHITE));
        let text =
            |line: &[u8]| -> String { line.iter().map(|&s| if s == WHITE { '#' } else { ' ' }).collect() };
        lines.map(|line| text(line).trim_end().to_owned()).collect()
    }

    #[test]
    fn letters_and_signs_can_be_read() {
        let mut picture = Picture::new(64, 16);
        draw(&mut picture, b"Gone-27_Q.", (0, 2), 1);
        let expected = [
            "  ###   ###  #   # #####        ###  #####        ###",
            " #   # #   # #   # #           #   #     #       #   #",
            " #     #   # ##  # #               #    #        #   #",
            " # ### #   # # # # ####  #####   ##    #         #   #",
            " #   # #   # #  ## #            #     #          # # #",
            " #   # #   # #   # #           #      #          #  #    #",
            "  ####  ###  #   # #####       #####  #    #####  ## #   #",
        ];
        assert_eq!(seen(&picture), expected, "\n{}", seen(&picture).join("\n"));
    }

    #[test]
    fn a_line_that_does_not_fit_is_not_written() {
        let mut picture = Picture::new(62, 16);
        draw(&mut picture, b"0123456789", (2, 0), 1);
        draw(&mut picture, b"1", (0, 0), 0);
        assert_eq!(seen(&picture), [""; 0]);
    }
}
