//! Media time in 90 kHz ticks, wall-clock time in microseconds, and the mapping between the two.
//!
//! Media time comes from the capture timestamp of the driver on `CLOCK_BOOTTIME`; it never jumps within one boot. The wall
//! clock may be unknown (a board without RTC before NTP) and may jump; it is only ever a mapping from media time.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::time::Duration;

/// Ticks in one second of media time.
pub const TICKS_PER_SECOND: i64 = 90_000;

/// A point or a span of media time in units of 1/90000 s (ISO/IEC 13818-1, 2.4.2.1). A point counts from the boot of
/// the board (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks90k(pub i64);

impl Ticks90k {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const SECOND: Self = Self(TICKS_PER_SECOND);

    /// A span of whole milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms * (TICKS_PER_SECOND / 1000))
    }

    /// Nearest tick to a time in microseconds (as V4L2 and ALSA give it).
    pub const fn from_micros(us: i64) -> Self {
        // 90000/1000000 = 9/100. Rounded half away from zero, in i128 because i64 microseconds times 9 may overflow.
        let n = us as i128 * 9;
        Self((if n >= 0 { (n + 50) / 100 } else { (n - 50) / 100 }) as i64)
    }

    /// Nearest tick to a time in nanoseconds.
    pub const fn from_nanos(ns: i64) -> Self {
        let n = ns as i128 * 9;
        Self((if n >= 0 { (n + 50_000) / 100_000 } else { (n - 50_000) / 100_000 }) as i64)
    }

    /// Microseconds, rounded towards zero.
    pub const fn as_micros(self) -> i64 {
        (self.0 as i128 * 100 / 9) as i64
    }

    /// Seconds as a floating-point number: for display and playlists, never for arithmetic.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / TICKS_PER_SECOND as f64
    }

    /// The same instant in another time scale, rounded to nearest (an MP4 track at 48 kHz, say).
    pub const fn to_scale(self, timescale: u32) -> i64 {
        let n = self.0 as i128 * timescale as i128;
        let d = TICKS_PER_SECOND as i128;
        (if n >= 0 { (n + d / 2) / d } else { (n - d / 2) / d }) as i64
    }

    /// A value of another time scale in ticks, rounded to nearest.
    pub const fn from_scale(value: i64, timescale: u32) -> Self {
        let n = value as i128 * TICKS_PER_SECOND as i128;
        let d = timescale as i128;
        Self((if n >= 0 { (n + d / 2) / d } else { (n - d / 2) / d }) as i64)
    }

    /// The span as a `Duration`; a negative one is zero.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos((self.0.max(0) as u128 * 100_000 / 9) as u64)
    }

    /// A `Duration` in ticks, rounded to nearest.
    pub fn from_duration(d: Duration) -> Self {
        Self(((d.as_nanos() * 9 + 50_000) / 100_000) as i64)
    }

    /// Which whole second of media time this instant lies in.
    pub const fn second(self) -> i64 {
        self.0.div_euclid(TICKS_PER_SECOND)
    }
}

impl Add for Ticks90k {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Ticks90k {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl AddAssign for Ticks90k {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for Ticks90k {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl Neg for Ticks90k {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl fmt::Display for Ticks90k {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.as_secs_f64())
    }
}

/// Wall-clock time: microseconds since 1970-01-01T00:00:00Z (POSIX, without leap seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

impl WallTime {
    /// The instant that lies `span` later.
    pub const fn plus(self, span: Ticks90k) -> Self {
        Self(self.0 + span.as_micros())
    }

    /// Whole milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole seconds since 1970.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Year, month, day, hour, minute, second, microsecond in UTC (proleptic Gregorian calendar).
    pub const fn civil(self) -> Civil {
        let secs = self.0.div_euclid(1_000_000);
        let days = secs.div_euclid(86_400);
        let sod = secs.rem_euclid(86_400);
        // Howard Hinnant's days-to-civil algorithm.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Civil {
            year: yoe + era * 400 + if month <= 2 { 1 } else { 0 },
            month: month as u8,
            day: (doy - (153 * mp + 2) / 5 + 1) as u8,
            hour: (sod / 3600) as u8,
            minute: (sod / 60 % 60) as u8,
            second: (sod % 60) as u8,
            micros: self.0.rem_euclid(1_000_000) as u32,
        }
    }

    /// RFC 3339 with milliseconds: `2026-11-21T05:40:00.000Z`.
    pub fn rfc3339(self) -> String {
        let c = self.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.micros / 1000
        )
    }

    /// Reads what [`Self::rfc3339`] writes.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let field = |from: usize, to: usize| {
            let digits =
                text.get(from..to).filter(|field| field.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse::<u32>().ok()
        };
        let civil = Civil {
            year: field(0, 4)?.into(),
            month: field(5, 7)?.try_into().ok()?,
            day: field(8, 10)?.try_into().ok()?,
            hour: field(11, 13)?.try_into().ok()?,
            minute: field(14, 16)?.try_into().ok()?,
            second: field(17, 19)?.try_into().ok()?,
            micros: field(20, 23)? * 1000,
        };
        civil.wall_time().filter(|wall| wall.rfc3339() == text)
    }
}

/// A UTC calendar date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Calendar year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999999.
    pub micros: u32,
}

impl Civil {
    /// The instant that these numbers show in UTC, if there is such a date and time of day.
    pub fn wall_time(self) -> Option<WallTime> {
        if !(-9999..=9999).contains(&self.year) {
            return None;
        }
        // Howard Hinnant's civil-to-days algorithm, the reverse of `WallTime::civil`.
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let yoe = year.rem_euclid(400);
        let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
        let sod = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let wall = WallTime((days * 86_400 + sod) * 1_000_000 + i64::from(self.micros));
        // A 31st of April or a 25th hour comes back as another date.
        (wall.civil() == self).then_some(wall)
    }
}

/// "Media time M was wall time W": what turns media time into dates once the wall clock is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallMapping {
    /// The media time of the reading.
    pub media: Ticks90k,
    /// The wall time of the same instant.
    pub wall: WallTime,
}

impl WallMapping {
    /// The wall time of `media` under this mapping.
    pub fn wall_of(&self, media: Ticks90k) -> WallTime {
        self.wall.plus(media - self.media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_round_to_nearest() {
        assert_eq!(Ticks90k::from_micros(33_333), Ticks90k(3000));
        assert_eq!(Ticks90k::from_micros(-33_333), Ticks90k(-3000));
        assert_eq!(Ticks90k::from_nanos(1_000_000_000), Ticks90k::SECOND);
        assert_eq!(Ticks90k(1920).to_scale(48_000), 1024);
        assert_eq!(Ticks90k::from_scale(1024, 48_000), Ticks90k(1920));
        assert_eq!(Ticks90k(-1).second(), -1);
    }

    #[test]
    fn wall_time_prints_as_rfc3339() {
        assert_eq!(WallTime(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(WallTime(1_582_934_400_123_456).rfc3339(), "2020-02-29T00:00:00.123Z");
        assert_eq!(WallTime(-1_000).rfc3339(), "1969-12-31T23:59:59.999Z");
        assert_eq!(WallTime(4_102_444_799_999_000).rfc3339(), "2099-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_was_printed_can_be_read_and_nothing_else() {
        for wall in [0, 1_582_934_400_123_000, 4_102_444_799_999_000].map(WallTime) {
            assert_eq!(WallTime::parse_rfc3339(&wall.rfc3339()), Some(wall));
        }
        for text in [
            "",
            "2026-11-21",
            "2026-02-30T00:00:00.000Z",
            "2026-11-21T05:40:00.000+01:00",
            "é026-11-21T05:40:00.000Z",
        ] {
            assert_eq!(WallTime::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_an_instant_unless_there_is_no_such_date() {
        for wall in
            [0, -1_000, 1_582_934_400_123_456, 4_102_444_799_999_000, -62_135_596_800_000_000].map(WallTime)
        {
            assert_eq!(wall.civil().wall_time(), Some(wall));
        }
        let leap = WallTime(1_582_934_400_000_000).civil();
        assert_eq!((leap.month, leap.day), (2, 29));
        assert_eq!(Civil { year: 2021, ..leap }.wall_time(), None);
        assert_eq!(Civil { month: 0, ..leap }.wall_time(), None);
        assert_eq!(Civil { month: 13, ..leap }.wall_time(), None);
        assert_eq!(Civil { day: 0, ..leap }.wall_time(), None);
        assert_eq!(Civil { hour: 24, ..leap }.wall_time(), None);
        assert_eq!(Civil { micros: 1_000_000, ..leap }.wall_time(), None);
    }

    #[test]
    fn a_mapping_turns_media_time_into_dates() {
        let m = WallMapping { media: Ticks90k(90_000), wall: WallTime(10_000_000) };
        assert_eq!(m.wall_of(Ticks90k(180_000)), WallTime(11_000_000));
        assert_eq!(m.wall_of(Ticks90k(0)), WallTime(9_000_000));
    }
}
