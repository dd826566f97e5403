//! AAC: AudioSpecificConfig and ADTS.

use crate::Target;
use crate::memory::Bound;
use media::aac::{AdtsFrame, AudioSpecificConfig, adts};

/// Any bytes as an AudioSpecificConfig and as an ADTS stream.
pub const AAC: Target = Target {
    name: "aac",
    run,
    bound: Bound { each: 64, fixed: 4 << 10 },
    seeds: || {
        let config = AudioSpecificConfig::lc(48_000, 2).expect("a configuration");
        let mut stream = Vec::new();
        for length in [0, 1, 40] {
            config.push_adts(&vec![0x21; length], &mut stream).expect("a short frame");
        }
        vec![config.to_bytes().expect("two bytes").to_vec(), stream]
    },
};

fn run(input: &[u8]) {
    if let Ok(config) = AudioSpecificConfig::parse(input) {
        let bytes = config.to_bytes().expect("what was read");
        assert_eq!(AudioSpecificConfig::parse(&bytes), Ok(config));
        assert!(config.frame_duration().0 > 0);
    }
    let frames: Vec<AdtsFrame<'_>> = adts(input).map_while(Result::ok).collect();
    let mut stream = Vec::new();
    for frame in &frames {
        frame.config.push_adts(frame.data, &mut stream).expect("what was read");
    }
    assert!(stream.len() <= input.len());
    let again: Vec<AdtsFrame<'_>> = adts(&stream).map(|frame| frame.expect("what was written")).collect();
    assert_eq!(again, frames);
}
