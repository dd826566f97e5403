//! H.264: the two framings of NAL units, sequence parameter sets, `avcC`.

use crate::Target;
use crate::memory::Bound;
use crate::sample::config;
use media::Ticks90k;
use media::h264::nal::{annex_b, avcc, push_annex_b};
use media::h264::{Colour, NalType, annex_b_to_avcc, avcc as record, avcc_to_annex_b, sps};

/// Any bytes as Annex B and as AVCC.
pub const NAL: Target = Target {
    name: "h264_nal",
    run: framings,
    bound: Bound { each: 64, fixed: 4 << 10 },
    seeds: || {
        let mut stream = Vec::new();
        for nal in [&[9, 0xF0][..], &config().video.sps, &config().video.pps, &[0x65, 1, 2], &[0x41, 0, 3]] {
            push_annex_b(nal, &mut stream);
        }
        let mut access_unit = Vec::new();
        annex_b_to_avcc(&stream, &mut access_unit).expect("short NAL units");
        vec![stream, access_unit]
    },
};

/// Any bytes as a sequence parameter set and as the content of `avcC`.
pub const PARAMETER_SETS: Target = Target {
    name: "h264_parameter_sets",
    run: parameter_sets,
    bound: Bound { each: 128, fixed: 64 << 10 },
    seeds: || {
        let video = &config().video;
        let mut written = Vec::new();
        record::write(&video.sps, &video.pps, &mut written).expect("a record");
        let with_vui = sps::with_vui(&video.sps, Ticks90k(3000), Colour::BT601).expect("an SPS");
        vec![video.sps.to_vec(), with_vui.to_vec(), written]
    },
};

fn framings(input: &[u8]) {
    let units: Vec<&[u8]> = annex_b(input).collect();
    for unit in &units {
        assert!(
            !unit.is_empty() && !unit.ends_with(&[0]) && !unit.windows(3).any(|three| three == [0, 0, 1])
        );
    }
    let mut access_unit = Vec::new();
    annex_b_to_avcc(input, &mut access_unit).expect("short NAL units");
    let kept: Vec<&[u8]> = avcc(&access_unit).map(|nal| nal.expect("what was written")).collect();
    let belongs = |nal: &&[u8]| NalType::of(nal).belongs_in_access_unit();
    assert_eq!(kept, units.into_iter().filter(belongs).collect::<Vec<_>>());

    let mut stream = Vec::new();
    avcc_to_annex_b(&access_unit, &mut stream).expect("what was written");
    assert_eq!(annex_b(&stream).collect::<Vec<_>>(), kept);

    let foreign = avcc(input).map_while(Result::ok).map(|nal| nal.len() + 4).sum::<usize>();
    assert!(foreign <= input.len());
}

fn parameter_sets(input: &[u8]) {
    let known = sps::parse(input);
    if let Ok(rewritten) = sps::with_vui(input, Ticks90k(3000), Colour::BT601) {
        let found = sps::parse(&rewritten);
        if let (Ok(known), Ok(found)) = (known, &found) {
            assert_eq!(
                (found.width, found.height, found.level_idc),
                (known.width, known.height, known.level_idc)
            );
            assert_eq!((found.frame_duration, found.colour), (Some(Ticks90k(3000)), Some(Colour::BT601)));
            assert_eq!(found.max_num_reorder_frames, Some(0));
            let again = sps::with_vui(&rewritten, Ticks90k(3000), Colour::BT601).expect("what was written");
            assert_eq!(again, rewritten);
        }
    }
    if let Ok(parsed) = record::parse(input)
        && let (&[sps], &[pps]) = (parsed.sps.as_slice(), parsed.pps.as_slice())
    {
        let mut written = Vec::new();
        if record::write(sps, pps, &mut written).is_ok() {
            let again = record::parse(&written).expect("what was written");
            assert_eq!((again.length_size, again.sps, again.pps), (4, vec![sps], vec![pps]));
        }
    }
}
