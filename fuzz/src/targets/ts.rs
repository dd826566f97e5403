//! MPEG transport streams: any bytes as packets, and footage that is muxed and read back.

use crate::Target;
use crate::memory::Bound;
use crate::sample::{Numbers, gops, numbers, units};
use media::aac::AudioSpecificConfig;
use media::ts::{Demuxer, PACKET, Pes, Stream, demux, mux};
use media::{AccessUnit, Ticks90k, Track};

/// Any bytes as a stream, and each PES packet as access units.
pub const DEMUX: Target = Target {
    name: "ts_demux",
    run: any_stream,
    bound: Bound { each: 16, fixed: 64 << 10 },
    seeds: || {
        let mut stream = Vec::new();
        let gop = &gops(&mut Numbers(&numbers()))[0];
        mux(gop, &mut stream).expect("a GOP that a camera can deliver");
        vec![stream]
    },
};

/// Footage to segments and back.
pub const MUX: Target = Target {
    name: "ts_mux",
    run: muxed,
    bound: Bound { each: 4096, fixed: 1 << 20 },
    seeds: || vec![numbers()],
};

fn any_stream(input: &[u8]) {
    let mut demuxer = Demuxer::default();
    let mut found = 0;
    for packet in input.as_chunks::<PACKET>().0 {
        if let Ok(Some(pes)) = demuxer.push(packet) {
            found += pes.data.len();
            let _ = pes.access_units(Ticks90k(pes.pts as i64));
        }
    }
    found += demuxer.finish().iter().map(|pes| pes.data.len()).sum::<usize>();
    assert!(found <= input.len(), "{found} bytes of data in {} of packets", input.len());
    let _ = demux(input);
}

fn muxed(input: &[u8]) {
    let gops = gops(&mut Numbers(input));
    let Some(config) = gops.first().map(|gop| &gop.config) else { return };
    let audio = config.audio.as_ref().and_then(|audio| AudioSpecificConfig::parse(&audio.asc).ok());
    let mut stream = Stream::new(Some(config.video.clone()), audio);
    let mut all = Vec::new();
    for gop in &gops {
        let mut segment = Vec::new();
        mux(gop, &mut segment).expect("a GOP that a camera can deliver");
        assert_read_back(&segment, &[Track::Video], std::slice::from_ref(gop));
        for unit in &gop.units {
            stream.push(unit, unit.pts, &mut all).expect("an access unit that a camera can deliver");
        }
        stream.finish(&mut all).expect("the end of a segment");
    }
    assert_read_back(&all, &[Track::Video, Track::Audio], &gops);
}

/// The stream is whole, and holds the access units of these tracks.
fn assert_read_back(stream: &[u8], tracks: &[Track], gops: &[media::Gop]) {
    let all = demux(stream).expect("a whole stream");
    let near = gops.first().map_or(Ticks90k::ZERO, |gop| gop.start);
    let read = |pes: &Pes| pes.access_units(near).expect("access units");
    for &track in tracks {
        let found: Vec<AccessUnit> = all.iter().filter(|pes| pes.track == track).flat_map(read).collect();
        let expected = units(gops, track);
        assert_eq!(found.len(), expected.len(), "{track:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!((&found.data, found.pts, found.key), (&expected.data, expected.pts, expected.key));
        }
    }
}
