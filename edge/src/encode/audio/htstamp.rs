//! When ALSA captured what it holds, whichever C library it was built with.
//!
//! A 32-bit ALSA writes one of two structures, and nothing in its interface tells which: Debian 12 has seconds of 32 bits, Debian 13 has seconds
//! of 64 (`_TIME_BITS`, glibc 2.34). The crate `alsa` makes room for the smaller one; the larger one would be written over what lies behind.
//!
//! ```text
//! bytes        0        4        8        12       16
//! 32 bits      | sec    | nsec   | left as it was  |
//! 64 bits      | sec             | nsec   | -      |
//! ```
#![allow(unsafe_code)] // the C library writes through a pointer

use alsa::pcm::Status;
use std::ffi::c_void;
use std::time::Duration;

/// What no library writes where the nanoseconds of the larger structure are.
const UNTOUCHED: u64 = u64::MAX;

/// The time of a status, on the clock that the device was set to; zero for a device that tells none.
pub fn of(status: &Status) -> Duration {
    let mut written = [0, UNTOUCHED];
    let status: *const Status = status;
    // SAFETY: `Status` is a structure of one field, the bytes of ALSA's `snd_pcm_status_t`, which ALSA only reads here; it writes 8 or 16 bytes,
    // and there is room for 16.
    unsafe {
        alsa_sys::snd_pcm_status_get_htstamp(
            status.cast::<c_void>().cast_mut().cast(),
            std::ptr::from_mut(&mut written).cast(),
        );
    }
    time(written)
}

/// The time in what was written, by how much of it was.
fn time([first, second]: [u64; 2]) -> Duration {
    let (low, high) = (first & u64::from(u32::MAX), first >> 32);
    let (seconds, nanos) =
        if second == UNTOUCHED { (low, high) } else { (first, second & u64::from(u32::MAX)) };
    match u32::try_from(nanos) {
        Ok(nanos) if nanos < 1_000_000_000 => Duration::new(seconds, nanos),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_structure_is_read() {
        let meant = Duration::new(77, 500_000_001);
        assert_eq!(time([77 | 500_000_001 << 32, UNTOUCHED]), meant, "32 bits");
        assert_eq!(time([77, 500_000_001]), meant, "64 bits");
        assert_eq!(
            time([77, 500_000_001 | 0xABCD << 32]),
            meant,
            "64 bits with anything in the four bytes that mean nothing"
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        assert_eq!(time([0, UNTOUCHED]), Duration::ZERO);
        assert_eq!(time([77, 2_000_000_000]), Duration::ZERO);
    }
}
