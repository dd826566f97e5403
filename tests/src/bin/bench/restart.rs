//! Row: from the start of the program to the first new picture at a viewer.

use std::io::Read;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::tests::edge::Edge;
use ::tests::http;
use ::tests::wait::{PATIENCE, wait_for};
use anyhow::Result;

use crate::table::{Figure, Unit};
use crate::{Bench, SETTLE, median};

/// How it is measured.
pub const HOW: &str = "The edge is killed with SIGKILL and started again, five times; the median. The time runs from the start of the \
    process until a client of `stream.mp4`, who tries every 10 ms, holds a whole IDR picture whose capture time (`prft`) is later.";

const ROUNDS: usize = 5;
/// From 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Measures it.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut edge = bench.edge("")?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        std::thread::sleep(SETTLE);
        edge.kill();
        let (began, now) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
        edge.launch()?;
        wait_for("a new picture", PATIENCE, || new_picture(&edge, now))?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    let figure = Figure::new("restart to first picture", Unit::Seconds, median(seconds)).at_most(1.5);
    Ok(vec![figure.detail(format!("worst {worst:.2} s"))])
}

/// Something once the live stream has a picture captured after `after`, counted from 1970.
fn new_picture(edge: &Edge, after: Duration) -> Option<()> {
    let mut stream = http::open(&edge.url("/live/front/stream.mp4?audio=0"), PATIENCE).ok()?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 << 10];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(buffer.get(..count)?);
        if has_new_picture(&bytes, after) {
            return Some(());
        }
    }
}

/// Whether `bytes` hold a fragment whose producer reference time is later than `after`, up to the end of its picture.
fn has_new_picture(mut bytes: &[u8], after: Duration) -> bool {
    let mut is_new = false;
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *head;
        let Some(body) =
            (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(8).and_then(|size| rest.get(..size))
        else {
            return false;
        };
        match &kind {
            b"prft" => is_new = captured(body).is_some_and(|time| time >= after),
            b"mdat" if is_new => return true,
            _ => {}
        }
        bytes = rest.get(body.len()..).unwrap_or_default();
    }
    false
}

/// The time in a `prft` box (ISO/IEC 14496-12, 8.16.5): version and flags, track, NTP seconds and fraction.
fn captured(prft: &[u8]) -> Option<Duration> {
    let ntp = u64::from_be_bytes(prft.get(8..16)?.try_into().ok()?);
    let seconds = (ntp >> 32).checked_sub(NTP_TO_UNIX)?;
    Some(Duration::from_secs(seconds) + Duration::from_nanos(((ntp & 0xffff_ffff) * 1_000_000_000) >> 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
    }

    #[test]
    fn a_picture_is_new_once_it_is_whole_and_captured_later() {
        let ntp = (NTP_TO_UNIX + 1000) << 32 | 1 << 31;
        let prft = boxed(b"prft", &[&[0; 8], ntp.to_be_bytes().as_slice(), &[0; 4]].concat());
        let stream =
            [boxed(b"ftyp", b"iso6"), prft, boxed(b"moof", &[0; 20]), boxed(b"mdat", &[0; 50])].concat();
        let later = |seconds| has_new_picture(&stream, Duration::from_secs_f64(seconds));
        assert!(later(1000.5));
        assert!(!later(1000.6));
        assert!(!has_new_picture(&stream[..stream.len() - 1], Duration::ZERO));
    }
}
