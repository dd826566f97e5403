//! `snapshot.jpg` and `mjpeg`: for home automation and old browsers.
//!
//! Both show the IDR picture of the newest GOP, so they are at most a second old and a picture costs one decode, whoever asks. One
//! picture is decoded at a time, beside the runtime's thread.

use super::reply::{self, Body, Cache};
use super::routes::Asked;
use crate::ring::Ring;
use crate::status::CameraMetrics;
use crate::supervise::aside;
use bytes::{BufMut, Bytes, BytesMut};
use hyper::{Response, StatusCode};
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use media::h264::{avcc_to_annex_b, nal};
use media::{AccessUnit, Gop, StreamConfig};
use openh264::decoder::{DecodedYUV, Decoder};
use openh264::formats::YUVSource;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Mutex;

/// JPEG quality, of 100.
const QUALITY: u8 = 85;
/// Viewers of one camera's `mjpeg`.
const MJPEG_VIEWERS: usize = 8;
const BOUNDARY: &str = "--picture\r\n";
const MJPEG: &str = "multipart/x-mixed-replace; boundary=picture";

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the camera has delivered nothing yet")]
    Nothing,
    #[error(transparent)]
    Ring(#[from] crate::ring::Error),
    #[error("the picture cannot be decoded: {0}")]
    Decode(String),
    #[error("the picture cannot be encoded: {0}")]
    Encode(#[from] jpeg_encoder::EncodingError),
}

/// The pictures of one camera.
pub(super) struct Pictures {
    ring: Ring,
    /// The last one, with the sequence of its GOP.
    newest: RefCell<Option<(u64, Bytes)>>,
    /// Held while one is decoded.
    decoding: Rc<Mutex<()>>,
    metrics: CameraMetrics,
    mjpeg_viewers: Cell<usize>,
}

impl Pictures {
    /// All cameras share `decoding`, so that one picture is decoded at a time.
    pub(super) fn new(ring: Ring, metrics: CameraMetrics, decoding: Rc<Mutex<()>>) -> Self {
        Self { ring, newest: RefCell::default(), decoding, metrics, mjpeg_viewers: Cell::default() }
    }

    /// The newest IDR as JPEG, and its GOP.
    async fn newest(&self) -> Result<(u64, Bytes), Error> {
        let _turn = self.decoding.lock().await;
        let gop = self.gop()?;
        let sequence = gop.sequence;
        if let Some(made) = self.newest.borrow().as_ref().filter(|(made, _)| *made == sequence) {
            return Ok(made.clone());
        }
        let jpeg = aside(move || jpeg(&gop)).await.map_err(|_| Error::Nothing)??;
        let made = (sequence, jpeg);
        *self.newest.borrow_mut() = Some(made.clone());
        Ok(made)
    }

    /// The newest GOP; the one before while its IDR is being written.
    fn gop(&self) -> Result<Gop, Error> {
        let newest = self.ring.newest().ok_or(Error::Nothing)?.sequence;
        let gop = self.ring.read(newest)?;
        if gop.units.is_empty() { Ok(self.ring.read(newest.saturating_sub(1))?) } else { Ok(gop) }
    }

    /// The next picture after the GOP `last`.
    async fn next(&self, last: Option<u64>) -> Result<(u64, Bytes), Error> {
        let mut changed = self.ring.changed();
        loop {
            if self.ring.newest().map(|gop| gop.sequence) != last {
                match self.newest().await {
                    Ok((sequence, _)) if Some(sequence) == last => {}
                    Err(Error::Nothing) => {}
                    made => return made,
                }
            }
            // The sender lives in the ring.
            let _changed = changed.changed().await;
        }
    }
}

/// `snapshot.jpg`
pub(super) async fn snapshot(pictures: &Pictures, asked: &Asked<'_>) -> Response<Body> {
    match pictures.newest().await {
        Ok((sequence, jpeg)) => {
            let response = reply::ok("image/jpeg", Cache::Ask, Body::Whole(jpeg));
            reply::tagged(response, &format!("\"{}-{sequence}\"", pictures.ring.camera()), asked.headers)
        }
        Err(error) => {
            tracing::debug!(camera = pictures.ring.camera(), %error, "no snapshot");
            reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Camera {:?}: {error}.", pictures.ring.camera()),
            )
        }
    }
}

/// `mjpeg`
pub(super) fn mjpeg(pictures: &Rc<Pictures>) -> Response<Body> {
    let Some(viewer) = Viewer::new(pictures) else {
        pictures.metrics.requests_turned_away.inc();
        return reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("Camera {:?} has {MJPEG_VIEWERS} viewers of mjpeg already.", pictures.ring.camera()),
        );
    };
    reply::ok(
        MJPEG,
        Cache::No,
        Body::pieces((viewer, None), |(viewer, last)| async move {
            let (sequence, jpeg) = viewer.0.next(last).await.ok()?;
            Some((part(last.is_none(), &jpeg), (viewer, Some(sequence))))
        }),
    )
}

/// One picture. A browser shows it when the boundary behind it has come, so that comes along.
fn part(first: bool, jpeg: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(jpeg.len() + 128);
    if first {
        bytes.put_slice(BOUNDARY.as_bytes());
    }
    bytes.put_slice(format!("content-type: image/jpeg\r\ncontent-length: {}\r\n\r\n", jpeg.len()).as_bytes());
    bytes.put_slice(jpeg);
    bytes.put_slice(b"\r\n");
    bytes.put_slice(BOUNDARY.as_bytes());
    bytes.freeze()
}

/// One of the viewers of `mjpeg`.
struct Viewer(Rc<Pictures>);

impl Viewer {
    fn new(pictures: &Rc<Pictures>) -> Option<Self> {
        let viewers = pictures.mjpeg_viewers.get();
        (viewers < MJPEG_VIEWERS).then(|| {
            pictures.mjpeg_viewers.set(viewers + 1);
            pictures.metrics.viewers.inc();
            Self(Rc::clone(pictures))
        })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.mjpeg_viewers.set(self.0.mjpeg_viewers.get() - 1);
        self.0.metrics.viewers.dec();
    }
}

/// Decodes the IDR of a GOP and encodes it as JPEG.
fn jpeg(gop: &Gop) -> Result<Bytes, Error> {
    let idr = gop.units.first().filter(|unit| unit.key).ok_or(Error::Nothing)?;
    let stream = annex_b(&gop.config, idr)?;
    let decode = |error: openh264::Error| Error::Decode(error.to_string());
    let mut decoder = Decoder::new().map_err(decode)?;
    if let Some(picture) = decoder.decode(&stream).map_err(decode)? {
        return encode(&picture);
    }
    let flushed = decoder.flush_remaining().map_err(decode)?;
    encode(flushed.first().ok_or(Error::Nothing)?)
}

fn annex_b(config: &StreamConfig, idr: &AccessUnit) -> Result<Vec<u8>, Error> {
    let mut stream = Vec::with_capacity(idr.data.len() + 128);
    nal::push_annex_b(&config.video.sps, &mut stream);
    nal::push_annex_b(&config.video.pps, &mut stream);
    avcc_to_annex_b(&idr.data, &mut stream).map_err(|error| Error::Decode(error.to_string()))?;
    Ok(stream)
}

fn encode(picture: &DecodedYUV<'_>) -> Result<Bytes, Error> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode_image(FullRange(picture))?;
    Ok(jpeg.into())
}

/// A picture of limited range (ITU-R BT.601, as the encoder makes it) in the full range of JFIF.
struct FullRange<'a>(&'a DecodedYUV<'a>);

impl FullRange<'_> {
    fn side(side: usize) -> u16 {
        u16::try_from(side).unwrap_or(u16::MAX)
    }
}

impl ImageBuffer for FullRange<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        Self::side(self.0.dimensions().0)
    }

    fn height(&self) -> u16 {
        Self::side(self.0.dimensions().1)
    }

    fn fill_buffers(&self, line: u16, buffers: &mut [Vec<u8>; 4]) {
        let width = self.0.dimensions().0;
        let (luma_stride, chroma_stride, _) = self.0.strides();
        let line = usize::from(line);
        let [luma, blue, red, _] = buffers;
        let samples = row(self.0.y(), luma_stride, line, width);
        luma.extend(samples.iter().map(|&sample| full_luma(sample)));
        for (plane, buffer) in [(self.0.u(), blue), (self.0.v(), red)] {
            let samples = row(plane, chroma_stride, line / 2, width.div_ceil(2));
            buffer.extend(samples.iter().flat_map(|&sample| [full_chroma(sample); 2]).take(width));
        }
    }
}

fn row(plane: &[u8], stride: usize, line: usize, count: usize) -> &[u8] {
    plane.get(line * stride..).and_then(|rest| rest.get(..count)).unwrap_or(&[])
}

/// 16 to 235 becomes 0 to 255.
fn full_luma(sample: u8) -> u8 {
    ((i32::from(sample) - 16) as f32 * 255.0 / 219.0).round().clamp(0.0, 255.0) as u8
}

/// 16 to 240 around 128 becomes 0 to 255 around 128.
fn full_chroma(sample: u8) -> u8 {
    ((i32::from(sample) - 128) as f32 * 255.0 / 224.0 + 128.0).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_range_becomes_full_range() {
        assert_eq!([0, 16, 126, 235, 255].map(full_luma), [0, 0, 128, 255, 255]);
        assert_eq!([0, 16, 72, 128, 240, 255].map(full_chroma), [0, 1, 64, 128, 255, 255]);
    }
}
