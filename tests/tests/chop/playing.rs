//! Real players on what chop makes.

use std::time::Duration;

use tests::browser::{self, Player};
use tests::{files, players};

use crate::Bench;

/// Forty seconds with B frames and sound that is not at 48 kHz.
const OPTIONS: &str = "-f lavfi -i testsrc2=s=320x240:r=30:d=40 -f lavfi -i sine=440:d=40 -c:v libx264 -preset ultrafast \
                       -profile:v main -pix_fmt yuv420p -bf 2 -g 30 -c:a aac -ar 44100";

#[test]
fn hls_js_plays_from_the_start_and_over_a_seek_to_the_end() {
    let bench = Bench::new();
    let hls = bench.chop(&bench.ffmpeg("film", OPTIONS));
    let address = format!("{}film/film.m3u8", files::serve(&bench.path("hls")).unwrap());
    let mut watched = browser::watch_to_the_end(Player::Hls, &address, Duration::from_secs(5), 8).unwrap();
    let figures = &watched.figures;
    // The frame that primes the decoder comes before the first picture: hls.js hops to that, as it does with ffmpeg's HLS.
    watched.errors.retain(|error| {
        !error.contains("bufferSeekOverHole not fatal") || !error.contains("seeking from 0 to 0.1")
    });
    assert!(watched.errors.is_empty(), "{:?}", watched.errors);
    assert_eq!(figures["ended"], true, "{figures:#}");
    let duration: f64 = hls.durations().iter().sum();
    assert!((watched.number("duration_s") - duration).abs() < 0.1, "{figures:#}");
    assert!(watched.number("frames") >= 13.0 * 15.0, "{figures:#}");
}

#[test]
fn hls_js_notices_a_damaged_segment() {
    let bench = Bench::new();
    bench.chop(&bench.ffmpeg("film", OPTIONS));
    let address = format!("{}film/film.m3u8", files::serve(&bench.path("hls")).unwrap());
    let behind_the_first = r"film-local-[1-9]\.ts";
    let watched =
        browser::watch_corrupted(Player::Hls, &address, Duration::from_secs(15), behind_the_first, 0)
            .unwrap();
    assert!(!watched.is_smooth(), "it noticed nothing: {:#}", watched.figures);
}

#[test]
fn gstreamer_plays_it_to_the_end() {
    let bench = Bench::new();
    bench.chop(&bench.ffmpeg("film", OPTIONS));
    let address = format!("{}film/film.m3u8", files::serve(&bench.path("hls")).unwrap());
    players::gstreamer(&address).unwrap();
}
