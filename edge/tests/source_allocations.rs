//! From a captured frame to the picture nothing is allocated, once the source is open.

mod counting;

use counting::{Counting, allocations};
use edge::config::Camera;
use edge::frames::Picture;
use edge::source::convert::{Converter, Target};
use edge::source::file::FileSource;
use edge::source::geometry::Turn;
use edge::source::pattern::Pattern;
use edge::source::pixels::{Layout, PixelFormat, Range};
use edge::source::{Captured, Source};
use std::io::Write;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn play(source: &mut dyn Source, picture: &mut Picture, frames: usize) {
    for _ in 0..frames {
        let captured = source.next(Some(picture), Duration::from_secs(1));
        assert!(matches!(captured, Ok(Captured::Frame)), "{captured:?}");
    }
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn the_pattern_allocates_nothing() {
    let mut pattern = Pattern::open(&Camera { fps: 60, ..Camera::default() }).expect("opens");
    let mut picture = Picture::new(320, 240);
    assert_eq!(allocations(|| play(&mut pattern, &mut picture, 5)), 0);
}

#[test]
fn a_y4m_file_allocates_nothing_after_its_first_frame_not_even_at_the_seam() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"YUV4MPEG2 W320 H240 F60:1\n").expect("written");
    for _ in 0..2 {
        file.write_all(b"FRAME\n").expect("written");
        file.write_all(&vec![90; 320 * 240 * 3 / 2]).expect("written");
    }
    let path = file.path().display().to_string();
    let mut source = FileSource::open(&format!("{path}?stamp=1"), &Camera::default()).expect("opens");
    let mut picture = Picture::new(320, 240);
    play(&mut source, &mut picture, 1);
    assert_eq!(allocations(|| play(&mut source, &mut picture, 5)), 0);
}

#[test]
fn raw_frames_are_scaled_and_turned_without_an_allocation() {
    for format in [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::I420] {
        for (width, height, turn) in
            [(320, 240, Turn::None), (640, 480, Turn::None), (480, 640, Turn::Quarter)]
        {
            let target = Target { width: 320, height: 240, turn };
            let mut converter =
                Converter::new(format, (width, height, 0), Range::Full, target).expect("a converter");
            let frame = vec![7; Layout::new(format, width, height, 0).expect("a layout").bytes()];
            let mut picture = Picture::new(320, 240);
            let count = allocations(|| converter.convert(&frame, &mut picture).expect("a whole frame"));
            assert_eq!(count, 0, "{format:?} {width}x{height} {turn:?}");
        }
    }
}
