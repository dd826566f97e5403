//! MPEG-TS segments made one by one, of real access units, join to a stream that players and the standard accept.

#[path = "../../media/tests/common/mod.rs"]
mod common;

use common::{START, TempDir, data_of, gops, sha256};
use media::{Gop, Ticks90k, Track, ts};
use std::fs;
use std::sync::Arc;
use tests::{players, ts_rules};

fn segments(gops: &[Gop]) -> Vec<u8> {
    let mut stream = Vec::new();
    for gop in gops {
        ts::mux(gop, &mut stream).unwrap();
    }
    stream
}

/// The same GOPs `later`, so that their clock comes round on the way, for instance.
fn moved(gops: &[Gop], later: Ticks90k) -> Vec<Gop> {
    let mut gops = gops.to_vec();
    for gop in &mut gops {
        gop.start += later;
        gop.end = gop.end.map(|end| end + later);
        gop.units.iter_mut().for_each(|unit| unit.pts += later);
    }
    gops
}

#[test]
fn joined_segments_obey_the_standard_and_give_back_every_access_unit() {
    let gops = gops(4, Some(Ticks90k(1000)));
    let round = Ticks90k(1 << 33) - START - Ticks90k(2 * 90_000);
    for gops in [gops.clone(), moved(&gops, round)] {
        let stream = segments(&gops);
        assert_eq!(ts_rules::check(&stream), []);
        let units: Vec<_> = ts::demux(&stream)
            .unwrap()
            .iter()
            .flat_map(|pes| pes.access_units(gops[2].start).unwrap())
            .collect();
        for track in [Track::Video, Track::Audio] {
            let read =
                units.iter().filter(|unit| unit.track == track).map(|unit| (unit.pts, unit.data.clone()));
            let sent = gops.iter().flat_map(|gop| gop.track(track)).map(|unit| (unit.pts, unit.data.clone()));
            assert!(read.eq(sent), "{track:?}");
        }
    }
}

#[test]
fn slow_cameras_keep_clock_and_tables_going() {
    let all = gops(4, None);
    for keep in [2, 6, 15, 30] {
        let mut slow = all.clone();
        for gop in &mut slow {
            let mut config = (*gop.config).clone();
            config.video.frame_duration = Ticks90k(3000 * keep);
            gop.config = Arc::new(config);
            let kept = gop.units.iter().step_by(usize::try_from(keep).unwrap()).cloned().collect();
            gop.units = kept;
        }
        let violations = ts_rules::check(&segments(&slow));
        let known: Vec<_> =
            violations.iter().filter(|found| !(keep > 21 && found.clause == "2.7.4")).collect();
        assert!(known.is_empty(), "every {keep}th picture: {known:?}");
    }
}

#[test]
fn players_read_joined_segments_without_complaint() {
    let gops = gops(4, Some(Ticks90k(1000)));
    let dir = TempDir::new();
    let path = dir.path("joined.ts");
    fs::write(&path, segments(&gops)).unwrap();
    let path = path.to_str().unwrap();
    players::decode(path, None).unwrap();
    players::gstreamer(&format!("file://{path}")).unwrap();
    let packets = players::packets(path).unwrap();
    let video: Vec<i64> =
        packets.iter().filter(|p| p["codec_type"] == "video").map(|p| p["pts"].as_i64().unwrap()).collect();
    let sent: Vec<i64> = gops.iter().flat_map(|gop| gop.track(Track::Video)).map(|unit| unit.pts.0).collect();
    assert_eq!(video, sent);
    let audio = packets.iter().filter(|packet| packet["codec_type"] == "audio").count();
    assert_eq!(audio, data_of(&gops, Track::Audio).len());
}

#[test]
fn any_segment_can_be_made_alone_and_is_the_same() {
    let gops = gops(3, Some(Ticks90k(1000)));
    let whole = segments(&gops);
    let alone: Vec<u8> = gops.iter().flat_map(|gop| segments(std::slice::from_ref(gop))).collect();
    assert_eq!(sha256(&whole), sha256(&alone));
    let skipping = segments(&[gops[0].clone(), gops[2].clone()]);
    let counters = ts_rules::check(&skipping).into_iter().filter(|found| found.clause == "2.4.3.3").count();
    assert_eq!(counters, 0, "counters fit also where a segment is left out");
}

#[test]
fn the_rules_can_be_broken() {
    let stream = segments(&gops(2, Some(Ticks90k(1000))));
    let clauses =
        |stream: &[u8]| ts_rules::check(stream).into_iter().map(|found| found.clause).collect::<Vec<_>>();
    let broken = |at: usize, value: u8| {
        let mut stream = stream.clone();
        stream[at] = value;
        clauses(&stream)
    };
    assert_eq!(clauses(&stream), [""; 0]);
    assert!(broken(188 * 5, 0x48).contains(&"2.4.3.2"));
    assert!(broken(188 * 5 + 3, 0x1F).contains(&"2.4.3.3"));
    assert!(broken(188 * 2 - 1, 0).contains(&"2.4.4.1"), "CRC of the PMT");
    assert!(broken(188 * 2 + 8, 0x77).contains(&"2.7.2"), "PCR");
    assert!(broken(188 * 2 + 10, 0).contains(&"2.1"), "PCR, reserved bits");
    assert!(broken(188 * 2 + 5, 0x10).contains(&"2.4.3.5"), "random access");
    let pes = 188 * 2 + 12;
    assert_eq!(stream[pes..pes + 4], [0, 0, 1, 0xE0]);
    assert!(broken(pes + 5, stream[pes + 5] ^ 1).contains(&"2.4.3.7"), "PES length");
    assert!(broken(pes + 10, stream[pes + 10] ^ 0x80).contains(&"2.4.2.6"), "PTS");
    assert!(broken(pes + 18, 7).contains(&"2.14.1"), "delimiter");
    assert!(clauses(&stream[188..]).contains(&"2.4.4"), "no PAT in front");
}
