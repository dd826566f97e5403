//! Delivery directives (6.2.5): what `_HLS_msn`, `_HLS_part` and `_HLS_skip` of a playlist request ask for, and whether it
//! can be answered now, has to wait, or is wrong.

use super::playlist::last_part;
use crate::access_unit::Track;
use crate::time::TICKS_PER_SECOND;
use crate::timeline::Timeline;

/// The directives of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: answer once this segment is listed, or with `part`, once that part of it is.
    pub msn: Option<u64>,
    /// `_HLS_part`: counted from 0.
    pub part: Option<u64>,
    /// `_HLS_skip`: a delta update will do. `v2` asks for no more than `YES` where there are no date ranges.
    pub skip: bool,
}

/// Why a request is answered with 400.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRequest {
    /// A directive appears twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// Not a decimal integer, or not `YES` or `v2`.
    #[error("{0} has a value that it cannot have")]
    Value(&'static str),
    /// A part of no segment.
    #[error("_HLS_part without _HLS_msn")]
    PartWithoutMsn,
    /// Further ahead than a client can know of (6.2.5.2).
    #[error("_HLS_msn or _HLS_part is too far in the future: the last segment is {0}")]
    TooFarAhead(u64),
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Send the playlist as it is.
    Now,
    /// Ask again when this part (or the whole segment, without one) is there, or anything has changed; answer 503 after three
    /// target durations.
    Wait {
        /// Media sequence number.
        msn: u64,
        /// Part of it.
        part: Option<u64>,
    },
    /// Answer 400.
    Refuse(BadRequest),
}

impl Directives {
    /// Reads the query of a request: what follows the `?`, undecoded. Parameters that are not directives are ignored.
    pub fn parse(query: &str) -> Result<Self, BadRequest> {
        let mut directives = Self::default();
        let mut skip = None;
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            match name {
                "_HLS_msn" => number("_HLS_msn", value, &mut directives.msn)?,
                "_HLS_part" => number("_HLS_part", value, &mut directives.part)?,
                "_HLS_skip" if skip.is_some() => return Err(BadRequest::Twice("_HLS_skip")),
                "_HLS_skip" if matches!(value, "YES" | "v2") => skip = Some(value),
                "_HLS_skip" => return Err(BadRequest::Value("_HLS_skip")),
                _ => {}
            }
        }
        if directives.part.is_some() && directives.msn.is_none() {
            return Err(BadRequest::PartWithoutMsn);
        }
        Ok(Self { skip: skip.is_some(), ..directives })
    }

    /// What to do with the request, given what the track's playlist would list now.
    pub fn answer(&self, timeline: &Timeline, track: Track) -> Answer {
        let Some(last) = timeline.complete().next_back().map(|segment| segment.sequence) else {
            let first = timeline.open().map_or(0, |open| open.sequence);
            return Answer::Wait { msn: first, part: None };
        };
        let Some(msn) = self.msn else { return Answer::Now };
        if msn > last.saturating_add(2) {
            return Answer::Refuse(BadRequest::TooFarAhead(last));
        }
        let Some(part) = self.part else {
            return if msn <= last { Answer::Now } else { Answer::Wait { msn, part: None } };
        };
        if msn < last {
            return Answer::Now;
        }
        let parts_of_last = timeline.get(last).map_or(0, |segment| segment.media(track).parts.len() as u64);
        let (msn, part) = match msn {
            msn if msn == last && part < parts_of_last => return Answer::Now,
            // 6.2.5.2: a part behind the last one of a segment is the first one of the next.
            msn if msn == last => (last + 1, 0),
            msn => (msn, part),
        };
        // How many parts there are between the last one and the one asked for; in a segment that has not begun, at least.
        let ahead = match last_part(timeline, track) {
            Some((listed, Some(index))) if listed == msn && part <= u64::from(index) => return Answer::Now,
            Some((listed, Some(index))) if listed == msn => part - u64::from(index),
            _ => part.saturating_add(1),
        };
        if ahead > advance_part_limit(timeline, track) {
            return Answer::Refuse(BadRequest::TooFarAhead(last));
        }
        Answer::Wait { msn, part: Some(part) }
    }
}

/// The Advance Part Limit of 6.2.5.2: three seconds' worth of parts, or three.
fn advance_part_limit(timeline: &Timeline, track: Track) -> u64 {
    let target = timeline.part_target(track).0.clamp(1, TICKS_PER_SECOND);
    (3 * TICKS_PER_SECOND / target) as u64
}

fn number(name: &'static str, value: &str, directive: &mut Option<u64>) -> Result<(), BadRequest> {
    if directive.is_some() {
        return Err(BadRequest::Twice(name));
    }
    // `u64::from_str` takes a sign, a decimal-integer (4.2) has none.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    *directive = Some(value.parse().ok().filter(|_| digits).ok_or(BadRequest::Value(name))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::sample::{config, gop, growing, timeline};

    fn answer(timeline: &Timeline, query: &str) -> Answer {
        match Directives::parse(query) {
            Ok(directives) => directives.answer(timeline, Track::Video),
            Err(error) => Answer::Refuse(error),
        }
    }

    #[test]
    fn directives_are_read_and_garbage_is_refused() {
        let parse = Directives::parse;
        assert_eq!(parse(""), Ok(Directives::default()));
        assert_eq!(parse("token=x&_HLS_other=1&=&&"), Ok(Directives::default()));
        assert_eq!(
            parse("_HLS_msn=7&a=b&_HLS_part=0&_HLS_skip=YES"),
            Ok(Directives { msn: Some(7), part: Some(0), skip: true })
        );
        assert_eq!(parse("_HLS_skip=v2"), Ok(Directives { skip: true, ..Directives::default() }));
        for (query, error) in [
            ("_HLS_part=1", BadRequest::PartWithoutMsn),
            ("_HLS_msn=1&_HLS_msn=1", BadRequest::Twice("_HLS_msn")),
            ("_HLS_msn=1&_HLS_part=1&_HLS_part=2", BadRequest::Twice("_HLS_part")),
            ("_HLS_skip=YES&_HLS_skip=YES", BadRequest::Twice("_HLS_skip")),
            ("_HLS_skip=NO", BadRequest::Value("_HLS_skip")),
            ("_HLS_msn", BadRequest::Value("_HLS_msn")),
            ("_HLS_msn=", BadRequest::Value("_HLS_msn")),
            ("_HLS_msn=+1", BadRequest::Value("_HLS_msn")),
            ("_HLS_msn=-1", BadRequest::Value("_HLS_msn")),
            ("_HLS_msn=1.0", BadRequest::Value("_HLS_msn")),
            ("_HLS_msn=18446744073709551616", BadRequest::Value("_HLS_msn")),
            ("_HLS_msn=1&_HLS_part=0x1", BadRequest::Value("_HLS_part")),
        ] {
            assert_eq!(parse(query), Err(error), "{query}");
        }
    }

    /// Segments 100 to 104 of five parts each, and 105 with two.
    #[test]
    fn a_request_is_answered_now_or_waits_or_is_too_far_ahead() {
        let config = config(false);
        let mut timeline = timeline(&config, 100..105);
        timeline.update(&growing(&gop(&config, 105, 3000), 13), false);
        let wait = |msn, part| Answer::Wait { msn, part };
        let too_far = Answer::Refuse(BadRequest::TooFarAhead(104));
        for (query, expected) in [
            ("", Answer::Now),
            ("_HLS_msn=0", Answer::Now),
            ("_HLS_msn=104", Answer::Now),
            ("_HLS_msn=105", wait(105, None)),
            ("_HLS_msn=106", wait(106, None)),
            ("_HLS_msn=107", too_far),
            ("_HLS_msn=18446744073709551615", too_far),
            ("_HLS_msn=50&_HLS_part=99", Answer::Now),
            ("_HLS_msn=104&_HLS_part=4", Answer::Now),
            ("_HLS_msn=104&_HLS_part=5", Answer::Now),
            ("_HLS_msn=105&_HLS_part=1", Answer::Now),
            ("_HLS_msn=105&_HLS_part=2", wait(105, Some(2))),
            ("_HLS_msn=105&_HLS_part=13", wait(105, Some(13))),
            ("_HLS_msn=105&_HLS_part=14", too_far),
            ("_HLS_msn=106&_HLS_part=0", wait(106, Some(0))),
            ("_HLS_msn=106&_HLS_part=18446744073709551615", too_far),
            ("_HLS_msn=107&_HLS_part=0", too_far),
        ] {
            assert_eq!(answer(&timeline, query), expected, "{query}");
        }
    }

    #[test]
    fn a_part_behind_the_last_one_is_the_first_of_the_next_segment() {
        let config = config(false);
        let mut timeline = timeline(&config, 100..105);
        let request = "_HLS_msn=104&_HLS_part=5";
        assert_eq!(answer(&timeline, request), Answer::Wait { msn: 105, part: Some(0) });
        timeline.update(&growing(&gop(&config, 105, 3000), 9), false);
        assert_eq!(answer(&timeline, request), Answer::Wait { msn: 105, part: Some(0) });
        timeline.update(&growing(&gop(&config, 105, 3000), 10), false);
        assert_eq!(answer(&timeline, request), Answer::Now);
    }

    #[test]
    fn before_the_first_segment_everybody_waits() {
        let config = config(false);
        let mut timeline = Timeline::new(&config, 120);
        assert_eq!(answer(&timeline, ""), Answer::Wait { msn: 0, part: None });
        timeline.update(&growing(&gop(&config, 7, 3000), 20), false);
        assert_eq!(answer(&timeline, "_HLS_msn=99"), Answer::Wait { msn: 7, part: None });
    }
}
