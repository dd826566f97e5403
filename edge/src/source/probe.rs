//! The cameras of this machine: what they offer and what would be chosen. The data behind `porthole-edge probe`.

use super::v4l2::controls;
use super::v4l2::device::{Device, Identity, Offers};
use super::v4l2::kernel::Kernel;
use super::v4l2::negotiate::{Choice, Wish};
use super::v4l2::{explain, nodes, survey};
use crate::config::Camera;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The node.
    pub path: PathBuf,
    /// What it is, or why that cannot be said (the message names the node).
    pub found: Result<Found, String>,
}

/// What a device node told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who it is.
    pub identity: Identity,
    /// Its formats, sizes and rates.
    pub offers: Offers,
    /// The mode that would be opened, or why it is no usable camera.
    pub choice: Result<Choice, String>,
    /// Keys of `[camera.controls]` that it has, with the values that it takes.
    pub controls: Vec<(&'static str, controls::Range)>,
}

/// All device nodes, in the order of their numbers, with what would be chosen for `camera`. No stream is started.
pub fn probe(camera: &Camera) -> Vec<Probed> {
    let wish = Wish::of(camera);
    nodes()
        .into_iter()
        .map(|path| {
            let found = Kernel::open(&path).and_then(|device| look_at(&device, &wish));
            let found = found.map_err(|error| explain(&path.display().to_string(), error).to_string());
            Probed { path, found }
        })
        .collect()
}

fn look_at(device: &impl Device, wish: &Wish) -> io::Result<Found> {
    let identity = device.identity()?;
    let (offers, choice) = survey(device, &identity, wish)?;
    Ok(Found { identity, offers, choice, controls: controls::offered(device) })
}

/// As text for people.
pub fn render(probed: &[Probed], camera: &Camera) -> String {
    let Camera { width, height, fps, .. } = camera;
    if probed.is_empty() {
        return "There is no /dev/video*: no camera is plugged in, or its driver is missing. The source auto shows the \
                test pattern.\n"
            .to_owned();
    }
    let mut text = format!("Wished for: {width}x{height} at {fps} fps\n");
    for node in probed {
        text.push('\n');
        text.push_str(&node.to_string());
    }
    text
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let Found { identity, offers, choice, controls } = match &self.found {
            Ok(found) => found,
            Err(message) => return writeln!(f, "{message}"),
        };
        writeln!(f, "{path}: {} (driver {}, {})", identity.card, identity.driver, identity.bus)?;
        for mode in &offers.modes {
            let size = format!("{}x{}", mode.width, mode.height);
            writeln!(f, "  {:<5} {size:<9} {}", mode.format.name(), mode.rates)?;
        }
        if !offers.other_formats.is_empty() {
            let codes: Vec<String> =
                offers.other_formats.iter().map(|code| code.escape_ascii().to_string()).collect();
            writeln!(f, "  not understood: {}", codes.join(", "))?;
        }
        match choice {
            Ok(choice) => writeln!(f, "  would be opened as {choice}")?,
            Err(reason) => writeln!(f, "  not usable: {reason}")?,
        }
        for (key, controls::Range { least, most }) in controls {
            writeln!(f, "  controls.{key}: {least} to {most}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::grid::Rate;
    use crate::source::pixels::PixelFormat;
    use crate::source::v4l2::negotiate::{Offer, Rates, choose};

    fn webcam() -> Found {
        let rate = |fps| Rate::new(fps, 1).expect("a rate");
        let offer = |format, width, height, rates| Offer { format, width, height, rates };
        let offers = Offers {
            modes: vec![
                offer(PixelFormat::Mjpeg, 1280, 720, Rates::Listed(vec![rate(30)])),
                offer(
                    PixelFormat::Yuyv,
                    640,
                    480,
                    Rates::Listed(vec![rate(30), Rate::new(15, 2).expect("a rate")]),
                ),
            ],
            other_formats: vec![*b"H264"],
        };
        let choice = choose(&offers.modes, &Wish::of(&Camera::default())).ok_or_else(String::new);
        let identity = Identity {
            card: "HD Webcam".to_owned(),
            driver: "uvcvideo".to_owned(),
            bus: "usb-0000:00:14.0-4".to_owned(),
            captures: true,
            captures_multiplanar: false,
            streams: true,
        };
        let controls = vec![("exposure", controls::Range { least: 3, most: 2047 })];
        Found { identity, offers, choice, controls }
    }

    #[test]
    fn every_node_is_shown_with_what_would_be_chosen() {
        let metadata = Found {
            offers: Offers::default(),
            choice: Err("does not capture video".to_owned()),
            controls: vec![],
            ..webcam()
        };
        let probed = [
            Probed { path: "/dev/video0".into(), found: Ok(webcam()) },
            Probed { path: "/dev/video1".into(), found: Ok(metadata) },
            Probed {
                path: "/dev/video2".into(),
                found: Err("/dev/video2: is in use by another program".to_owned()),
            },
        ];
        let expected = "\
Wished for: 320x240 at 30 fps

/dev/video0: HD Webcam (driver uvcvideo, usb-0000:00:14.0-4)
  MJPEG 1280x720  30 fps
  YUYV  640x480   30, 7.5 fps
  not understood: H264
  would be opened as YUYV 640x480 at 30 fps
  controls.exposure: 3 to 2047

/dev/video1: HD Webcam (driver uvcvideo, usb-0000:00:14.0-4)
  not usable: does not capture video

/dev/video2: is in use by another program
";
        assert_eq!(render(&probed, &Camera::default()), expected);
    }

    #[test]
    fn a_machine_without_cameras_says_so() {
        let text = render(&[], &Camera::default());
        assert!(text.starts_with("There is no /dev/video*"), "{text}");
    }
}
