//! What a request wants of a representation (RFC 9110): ranges of bytes (14), entity tags (8.8.3).

use std::ops::Range;

/// What a request wants of a representation.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Not a range by the grammar of RFC 9110, 14.1.1.
    Malformed,
    /// A range of which nothing is there.
    Outside,
}

/// What the headers `Range` and `If-Range` want of `length` bytes with the entity tag `tag`. If-Range compares strongly; a date
/// in it matches nothing, so there must be no Last-Modified.
pub fn wanted(range: Option<&[u8]>, if_range: Option<&[u8]>, tag: &str, length: u64) -> Wanted {
    let Some(header) = range else { return Wanted::Whole };
    if if_range.is_some_and(|had| had != tag.as_bytes()) {
        return Wanted::Whole;
    }
    std::str::from_utf8(header).map_or(Wanted::Malformed, |text| parse(text, length))
}

/// Reads a `Range` header. An unknown unit, and more than one range, may be ignored (14.2), and are.
fn parse(text: &str, length: u64) -> Wanted {
    let Some((unit, set)) = text.split_once('=') else { return Wanted::Malformed };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Malformed };
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a u64 holds is simply far behind the end.
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 || length == 0 {
                Wanted::Outside
            } else {
                Wanted::Part(length.saturating_sub(suffix)..length)
            }
        }
        (Some(first), None) if last.is_empty() => {
            if first >= length {
                Wanted::Outside
            } else {
                Wanted::Part(first..length)
            }
        }
        (Some(first), Some(last)) if first <= last => {
            if first >= length {
                Wanted::Outside
            } else {
                Wanted::Part(first..last.saturating_add(1).min(length))
            }
        }
        _ => Wanted::Malformed,
    }
}

/// Whether the list of an `If-None-Match` has the entity tag `tag`: a weak comparison (8.8.3.2).
pub fn has_tag(list: &[u8], tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    std::str::from_utf8(list)
        .is_ok_and(|list| list.trim() == "*" || list.split(',').any(|one| opaque(one) == opaque(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (text, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=50-99999999999999999999999", Wanted::Part(50..100)),
            ("BYTES=1-2", Wanted::Part(1..3)),
            ("bytes=100-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=99999999999999999999999-", Wanted::Outside),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("seconds=1-2", Wanted::Whole),
            ("bytes", Wanted::Malformed),
            ("bytes=-", Wanted::Malformed),
            ("bytes=2-1", Wanted::Malformed),
            ("bytes=+1-2", Wanted::Malformed),
            ("bytes=a-b", Wanted::Malformed),
            ("bytes=1--2", Wanted::Malformed),
        ] {
            assert_eq!(wanted(Some(text.as_bytes()), None, "\"a\"", 100), expected, "{text}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Outside);
        assert_eq!(parse("bytes=-5", 0), Wanted::Outside);
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        let of = |had: &[u8]| wanted(Some(b"bytes=0-0"), Some(had), "\"a\"", 100);
        assert_eq!(of(b"\"a\""), Wanted::Part(0..1));
        assert_eq!(of(b"\"b\""), Wanted::Whole);
        assert_eq!(of(b"W/\"a\""), Wanted::Whole);
        assert_eq!(wanted(None, None, "\"a\"", 100), Wanted::Whole);
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        for (list, found) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(has_tag(list.as_bytes(), "\"a\""), found, "{list}");
        }
    }
}
