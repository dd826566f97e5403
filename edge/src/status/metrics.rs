//! Counters and gauges for `/metrics`, in the OpenMetrics text format.
//!
//! Every queue and every drop of the design has its counter here; docs/ref/metrics.md lists them and is tested against
//! [`Metrics::render`].

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// A gauge of seconds with a fraction.
type Seconds = Gauge<f64, AtomicU64>;

/// A count of seconds with a fraction.
type SecondsTotal = Counter<f64, AtomicU64>;

/// Upper bounds of the buckets of [`Delay`], in seconds.
const DELAYS: [f64; 10] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 30.0, 300.0];

/// A histogram of seconds, with fine buckets around the two that are promised.
#[derive(Clone, Debug)]
pub struct Delay(Histogram);

impl Default for Delay {
    fn default() -> Self {
        Self(Histogram::new(DELAYS))
    }
}

impl Delay {
    /// Something took so many seconds.
    pub fn observe(&self, seconds: f64) {
        self.0.observe(seconds);
    }
}

impl EncodeMetric for Delay {
    fn encode(&self, encoder: MetricEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

impl TypedMetric for Delay {
    const TYPE: MetricType = MetricType::Histogram;
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CameraLabel {
    camera: String,
}

macro_rules! metrics {
    (camera { $($(#[doc = $cdoc:literal])+ $cname:ident: $ckind:ty,)+ }
     process { $($(#[doc = $pdoc:literal])+ $pname:ident: $pkind:ty,)+ }) => {
        /// The counters of one camera; cheap to clone, updated without a lock.
        #[derive(Clone, Debug)]
        pub struct CameraMetrics { $($(#[doc = $cdoc])+ pub $cname: $ckind,)+ }

        #[derive(Default)]
        struct Families { $($cname: Family<CameraLabel, $ckind>,)+ }

        /// All metrics of the process.
        pub struct Metrics {
            registry: Registry,
            families: Families,
            $($(#[doc = $pdoc])+ pub $pname: $pkind,)+
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::with_prefix("porthole_edge");
                let families = Families::default();
                $(registry.register(stringify!($cname), concat!($($cdoc),+).trim().trim_end_matches('.'), families.$cname.clone());)+
                $(let $pname = <$pkind>::default();
                registry.register(stringify!($pname), concat!($($pdoc),+).trim().trim_end_matches('.'), $pname.clone());)+
                Self { registry, families, $($pname,)+ }
            }
        }

        impl Metrics {
            /// The counters of one camera.
            pub fn camera(&self, name: &str) -> CameraMetrics {
                let label = CameraLabel { camera: name.to_owned() };
                CameraMetrics { $($cname: self.families.$cname.get_or_create_owned(&label),)+ }
            }
        }
    };
}

metrics! {
    camera {
        /// Frames that the camera delivered.
        frames_captured: Counter,
        /// Frames dropped because the encoder was four behind, where half a second or more is also a gap, or because a placeholder was shown already.
        frames_dropped: Counter,
        /// Frames that arrived damaged.
        frames_damaged: Counter,
        /// Frames that the driver says it lost itself.
        frames_lost_by_driver: Counter,
        /// Pictures encoded.
        frames_encoded: Counter,
        /// Pictures left out by the encoder: their timestamp did not advance, or they would have broken the peak bitrate.
        frames_left_out: Counter,
        /// Placeholders encoded while the camera was gone; they are no footage.
        placeholders_encoded: Counter,
        /// Bytes of video encoded.
        video_bytes: Counter,
        /// Bytes of audio encoded.
        audio_bytes: Counter,
        /// Audio frames dropped because the encode thread did not take them.
        audio_dropped: Counter,
        /// Times that the camera was opened again.
        camera_reopened: Counter,
        /// Times that the camera's USB device was reset, because opening it again did not help.
        camera_usb_resets: Counter,
        /// Times that the process began anew for the camera, because resetting it did not help.
        camera_restarts: Counter,
        /// Times that the camera came back after it was gone.
        camera_repairs: Counter,
        /// Seconds that this took in all: from the failure, or from when the device was there again, to the first picture.
        camera_repair_seconds: SecondsTotal,
        /// Seconds of footage in the ring.
        ring_seconds: Gauge,
        /// Bytes in the ring.
        ring_bytes: Gauge,
        /// Access units that could not be written into the ring.
        ring_write_errors: Counter,
        /// Times that a reader fell behind the ring and jumped to the next IDR.
        reader_lapped: Counter,
        /// Recordings sealed.
        recordings_sealed: Counter,
        /// Recordings lost to a full disk, without a receipt.
        recordings_dropped: Counter,
        /// Writes of a recording that failed.
        record_errors: Counter,
        /// Seconds from the end of a GOP until the remote host has confirmed it.
        gop_delay_seconds: Delay,
        /// Seconds of footage that a power cut would take: newer than the last sync, or in RAM without a receipt.
        unsynced_seconds: Seconds,
        /// Seconds of footage that the remote host has not confirmed.
        at_risk_seconds: Seconds,
        /// Requests turned away because as many wait, or watch mjpeg, already.
        requests_turned_away: Counter,
        /// Viewers of a live stream.
        viewers: Gauge,
    }
    process {
        /// Open connections.
        connections: Gauge,
        /// Connections accepted.
        connections_accepted: Counter,
        /// Connections refused because there were too many.
        connections_refused: Counter,
        /// Requests whose head was too slow or too large.
        requests_refused: Counter,
        /// Viewers dropped because they did not read.
        viewers_stalled: Counter,
        /// Times that accepting failed for want of file descriptors.
        accept_errors: Counter,
        /// Bytes sent to viewers.
        sent_bytes: Counter,
        /// Recordings with a receipt.
        upload_receipts: Counter,
        /// Bytes that the remote host confirmed.
        upload_bytes: Counter,
        /// Failed tries to upload.
        upload_failures: Counter,
        /// Times that the process began anew because a thread stood still.
        watchdog_restarts: Counter,
    }
}

impl Metrics {
    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _written = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_carry_the_camera_as_label() {
        let metrics = Metrics::default();
        metrics.camera("front").frames_dropped.inc();
        let text = metrics.render();
        assert!(text.contains("porthole_edge_frames_dropped_total{camera=\"front\"} 1\n"), "{text}");
        assert!(text.contains("# HELP porthole_edge_connections Open connections.\n"), "{text}");
    }
}
