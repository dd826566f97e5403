//! What the ring promises: bounds, laggards, restarts.

use super::*;
use crate::status::Metrics;
use bytes::Bytes;
use media::{Track, VideoConfig};

const LIMITS: Limits = Limits { seconds: 10, bytes: 1 << 20 };
const BOOT: &str = "boot";

fn config(width: u16) -> Arc<StreamConfig> {
    let video = VideoConfig {
        width,
        height: 240,
        frame_duration: Ticks90k(3000),
        sps: Bytes::from_static(b"\x67sps"),
        pps: Bytes::from_static(b"\x68pps"),
    };
    Arc::new(StreamConfig { video, audio: None })
}

fn open_in(dir: &Path, limits: Limits) -> (Writer, Ring, CameraMetrics) {
    let metrics = Metrics::default().camera("front");
    let (writer, ring) = open(dir, "front", limits, BOOT, metrics.clone()).expect("opens");
    (writer, ring, metrics)
}

/// A GOP of `pictures` pictures that starts at second `second`; the payload of each tells where it belongs.
fn write_gop(writer: &mut Writer, second: i64, pictures: i64, payload: usize) {
    let start = Ticks90k(second * 90_000);
    writer.begin_gop(start, Some(WallTime(second)), &config(320)).expect("begins");
    for n in 0..pictures {
        let mut data = vec![second as u8; payload];
        data[0] = n as u8;
        writer.append(Track::Video, start + Ticks90k(n * 3000), n == 0, &data).expect("appends");
    }
}

fn drain(cursor: &mut Cursor) -> Vec<(u64, Ticks90k)> {
    let mut seen = Vec::new();
    while let Next::Unit { gop, unit } = cursor.next_unit().expect("reads") {
        seen.push((gop.sequence, unit.pts));
    }
    seen
}

#[test]
fn what_was_appended_is_read_back_byte_for_byte() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    write_gop(&mut writer, 1, 3, 100);
    writer.append(Track::Audio, Ticks90k(91_234), true, b"aac").expect("appends");
    write_gop(&mut writer, 2, 1, 50);
    let gop = ring.read(0).expect("is there");
    assert_eq!(
        (gop.start, gop.end, gop.wall),
        (Ticks90k(90_000), Some(Ticks90k(180_000)), Some(WallTime(1)))
    );
    assert_eq!(gop.config, config(320));
    let seen: Vec<_> = gop.units.iter().map(|u| (u.track, u.pts.0, u.key, u.data.len())).collect();
    let video = |pts, key| (Track::Video, pts, key, 100);
    assert_eq!(
        seen,
        [video(90_000, true), video(93_000, false), video(96_000, false), (Track::Audio, 91_234, true, 3)]
    );
    assert_eq!(&gop.units[3].data[..], b"aac");
}

#[test]
fn the_oldest_gop_leaves_when_seconds_are_over() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    for second in 0..60 {
        write_gop(&mut writer, second, 2, 10);
    }
    let index = ring.index();
    // Ten whole seconds before the newest IDR, and the GOP in flight.
    assert_eq!((index[0].sequence, index.len()), (49, 11));
    assert!(matches!(ring.read(48), Err(Error::Gone { sequence: 48, .. })));
    assert!(matches!(ring.read(60), Err(Error::Future { sequence: 60, .. })));
}

#[test]
fn the_oldest_gop_leaves_when_bytes_are_over_and_the_rest_stays_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    for second in 0..40 {
        write_gop(&mut writer, second, 7, 33_333);
        for gop in ring.index() {
            let gop = ring.read(gop.sequence).expect("is in the index");
            assert!(
                gop.units.iter().all(|u| u.data[1..].iter().all(|b| i64::from(*b) * 90_000 == gop.start.0))
            );
        }
    }
    assert_eq!(ring.index().len(), 4);
    assert!(ring.index().iter().map(|gop| gop.bytes).sum::<u64>() <= ring.capacity());
}

#[test]
fn a_gop_larger_than_the_ring_is_cut_and_the_next_one_is_good() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, metrics) = open_in(dir.path(), LIMITS);
    writer.begin_gop(Ticks90k(0), None, &config(320)).expect("begins");
    let big = vec![1; 200_000];
    let results: Vec<_> =
        (0..8).map(|n| writer.append(Track::Video, Ticks90k(n * 3000), n == 0, &big).is_ok()).collect();
    assert_eq!(results, [true, true, true, true, true, false, false, false]);
    assert_eq!(metrics.ring_write_errors.get(), 3);
    write_gop(&mut writer, 1, 3, 10);
    assert_eq!(ring.read(1).expect("is there").units.len(), 3);
}

#[test]
fn a_lapped_reader_goes_on_at_the_newest_idr_and_is_counted() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, metrics) = open_in(dir.path(), LIMITS);
    write_gop(&mut writer, 0, 2, 10);
    let mut cursor = ring.cursor(From::NewestIdr);
    assert_eq!(drain(&mut cursor), [(0, Ticks90k(0)), (0, Ticks90k(3000))]);
    for second in 1..30 {
        write_gop(&mut writer, second, 2, 10);
    }
    // It had read all of GOP 0, but GOP 0 has left: it cannot know what it missed.
    assert!(matches!(cursor.next_unit(), Ok(Next::Lapped { skipped_to: 29 })));
    assert_eq!(drain(&mut cursor).first(), Some(&(29, Ticks90k(29 * 90_000))));
    assert_eq!(metrics.reader_lapped.get(), 1);
}

#[test]
fn a_cursor_follows_from_gop_to_gop() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    let mut cursor = ring.cursor(From::NewestIdr);
    assert!(matches!(cursor.next_unit(), Ok(Next::Pending)));
    let mut seen = Vec::new();
    for second in 0..5 {
        write_gop(&mut writer, second, 3, 10);
        seen.extend(drain(&mut cursor));
    }
    let all: Vec<_> =
        (0..15).map(|n| (n / 3, Ticks90k(n as i64 / 3 * 90_000 + n as i64 % 3 * 3000))).collect();
    assert_eq!(seen, all);
}

#[test]
fn footage_outlives_the_process_and_the_timeline_has_one_break() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    for second in 0..30 {
        write_gop(&mut writer, second, 3, 50_000);
    }
    let before: Vec<_> = ring.index().iter().map(|gop| ring.read(gop.sequence).expect("whole")).collect();
    drop((writer, ring));
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    let after: Vec<_> = ring.index().iter().map(|gop| ring.read(gop.sequence).expect("whole")).collect();
    assert_eq!(before, after);
    assert_eq!(writer.last_video_pts(), Some(Ticks90k(29 * 90_000 + 6000)));
    assert!(ring.index().iter().all(|gop| gop.complete));
    write_gop(&mut writer, 33, 3, 10);
    let breaks: Vec<_> = ring.index().iter().map(|gop| (gop.sequence, gop.discontinuity)).collect();
    assert_eq!(breaks.last(), Some(&(30, true)));
    assert_eq!(ring.info(29).expect("is there").end, None);
}

#[test]
fn a_death_between_any_two_writes_loses_only_what_had_not_been_appended() {
    // The file is copied after each append, as a killed process would leave it.
    let dir = tempfile::tempdir().expect("dir");
    let copy = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    for second in 0..12 {
        let start = Ticks90k(second * 90_000);
        writer.begin_gop(start, None, &config(320)).expect("begins");
        for n in 0..4 {
            writer.append(Track::Video, start + Ticks90k(n * 3000), n == 0, &[7; 60_000]).expect("appends");
            std::fs::copy(dir.path().join("front.ring"), copy.path().join("front.ring")).expect("copies");
            let (_, found, _) = open_in(copy.path(), LIMITS);
            let units = |ring: &Ring| -> Vec<_> {
                ring.index().iter().flat_map(|gop| ring.read(gop.sequence).expect("whole").units).collect()
            };
            assert_eq!(units(&found), units(&ring));
        }
    }
}

#[test]
fn a_ring_of_another_boot_is_not_taken_for_this_one() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, metrics) = open_in(dir.path(), LIMITS);
    write_gop(&mut writer, 5000, 3, 10);
    drop((writer, ring));
    let (_, ring) = open(dir.path(), "front", LIMITS, "next boot", metrics).expect("opens");
    assert!(ring.index().is_empty());
}

#[test]
fn a_gop_that_would_last_a_second_and_a_half_ends_in_a_discontinuity() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    for start in [0, 134_999, 269_999, 270_000] {
        writer.begin_gop(Ticks90k(start), None, &config(320)).expect("begins");
        writer.append(Track::Video, Ticks90k(start), true, b"idr").expect("appends");
    }
    writer.begin_gop(Ticks90k(360_000), None, &config(640)).expect("begins");
    let breaks: Vec<_> = ring.index().iter().map(|gop| gop.discontinuity).collect();
    assert_eq!(breaks, [true, false, true, false, true]);
}

#[test]
fn footage_from_before_a_long_gap_leaves_too() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    write_gop(&mut writer, 0, 3, 10);
    write_gop(&mut writer, 1, 3, 10);
    write_gop(&mut writer, 60, 3, 10);
    assert_eq!(ring.index().iter().map(|gop| gop.sequence).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_an_earlier_process_left_waits_for_the_recorder_however_long_nothing_ran() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ..) = open_in(dir.path(), LIMITS);
    write_gop(&mut writer, 0, 3, 10);
    write_gop(&mut writer, 1, 3, 10);
    drop(writer);
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    let kept = || ring.index().iter().map(|gop| gop.sequence).collect::<Vec<_>>();
    for second in 6000..6010 {
        write_gop(&mut writer, second, 3, 10);
        assert_eq!(kept()[..2], [0, 1], "second {second}");
    }
    write_gop(&mut writer, 6010, 3, 10);
    assert_eq!(kept(), (2..=12).collect::<Vec<_>>());
}

#[test]
fn a_cursor_on_an_empty_ring_begins_with_the_first_gop_that_comes() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    let mut cursor = ring.cursor(From::NewestIdr);
    write_gop(&mut writer, 0, 1, 10);
    write_gop(&mut writer, 1, 1, 10);
    assert_eq!(drain(&mut cursor), [(0, Ticks90k(0)), (1, Ticks90k(90_000))]);
}

#[test]
fn two_processes_cannot_write_one_ring() {
    let dir = tempfile::tempdir().expect("dir");
    let (_writer, _ring, metrics) = open_in(dir.path(), LIMITS);
    let error = open(dir.path(), "front", LIMITS, BOOT, metrics).err().expect("is busy");
    assert!(error.to_string().ends_with("front.ring: another process uses it"), "{error}");
}

#[test]
fn damaged_bytes_cost_their_gop_and_what_is_older_but_never_a_panic() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("front.ring");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    for second in 0..5 {
        write_gop(&mut writer, second, 3, 100);
    }
    drop((writer, ring));
    let whole = std::fs::read(&path).expect("reads");
    let log_start = 4096 + 1024 * 64;
    for place in (4096..4096 + 5 * 64).chain(log_start..log_start + 2200).step_by(5) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        std::fs::write(&path, damaged).expect("writes");
        let (_, ring, _) = open_in(dir.path(), LIMITS);
        for gop in ring.index() {
            let _whole_or_refused = ring.read(gop.sequence);
        }
    }
}

#[test]
fn a_thread_that_waits_is_woken_by_an_append() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    let waiting = ring.clone();
    let thread = std::thread::spawn(move || waiting.wait(0, Duration::from_secs(60)));
    write_gop(&mut writer, 0, 1, 10);
    assert!(thread.join().expect("ends") > 0);
}

#[test]
fn placeholders_are_told_from_footage_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("dir");
    let (mut writer, ring, _) = open_in(dir.path(), LIMITS);
    let begin = |writer: &mut Writer, ticks, gone_since| {
        let start = Ticks90k(ticks);
        match gone_since {
            None => writer.begin_gop(start, None, &config(320)),
            Some(since) => writer.begin_placeholder(start, None, &config(320), since),
        }
        .expect("begins");
        writer.append(Track::Video, start, true, b"idr").expect("appends");
    };
    let gone = Some(Ticks90k(12_000));
    for (ticks, gone_since) in [(0, None), (45_000, gone), (90_000, gone), (120_000, None), (180_000, None)] {
        begin(&mut writer, ticks, gone_since);
    }
    let told = |ring: &Ring| -> Vec<_> {
        ring.index().iter().map(|gop| (gop.gone_since, gop.discontinuity, gop.end.is_some())).collect()
    };
    let expected = [
        (None, true, false),
        (gone, true, true),
        (gone, false, false),
        (None, true, true),
        (None, false, false),
    ];
    assert_eq!(told(&ring), expected, "a break where the camera goes, and where it comes back");
    drop((writer, ring));
    let (_, ring, _) = open_in(dir.path(), LIMITS);
    assert_eq!(told(&ring), expected);
}
