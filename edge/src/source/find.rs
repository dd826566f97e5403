//! A V4L2 device by who it is: one that was unplugged may come back under another number.
//!
//! ```text
//! configured /dev/video0   delivers: it is "HD Webcam" at usb-0000:00:14.0-4
//! unplugged, plugged in    /dev/video0 is another one, or none; /dev/video2 is "HD Webcam" at usb-0000:00:14.0-4: that one
//! ```
//!
//! A camera with the same name and bus may have nodes that capture no video: they are not taken for it. Where it is not found the configured
//! path counts, whoever is there.

use super::v4l2::device::{Device as _, Identity};
use super::v4l2::kernel::Kernel;
use std::path::{Path, PathBuf};

/// Where a camera is, and who it was when it last delivered.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// Tried last.
    node: Option<PathBuf>,
    /// Who that said it is.
    tried: Option<Identity>,
    /// Who delivered last.
    known: Option<Identity>,
}

impl Device {
    /// The node to open for the configured `path`: the one of `nodes` where the camera is that delivered last.
    pub(super) fn find(
        &mut self,
        path: &Path,
        nodes: impl FnOnce() -> Vec<PathBuf>,
        who: impl Fn(&Path) -> Option<Identity>,
    ) -> &Path {
        let at_path = who(path);
        let is_known = |found: &Identity| self.known.as_ref().is_some_and(|known| same(found, known));
        let moved = match &at_path {
            _ if self.known.is_none() => None,
            Some(found) if is_known(found) => None,
            _ => nodes().into_iter().find_map(|node| Some((who(&node).filter(is_known)?, node))),
        };
        let (tried, node) = match moved {
            Some((found, node)) => (Some(found), node),
            None => (at_path, path.to_owned()),
        };
        self.tried = tried;
        self.node.insert(node)
    }

    /// It is opened at `node`, which was found otherwise.
    pub(super) fn try_at(&mut self, node: PathBuf) {
        self.node = Some(node);
    }

    /// A frame has come from it.
    pub(super) fn delivered(&mut self) {
        if self.tried.is_some() {
            self.known = self.tried.take();
        }
    }

    /// Where it was tried last.
    pub(super) fn node(&self) -> Option<&Path> {
        self.node.as_deref()
    }
}

fn same(one: &Identity, other: &Identity) -> bool {
    (&one.card, &one.bus, one.captures) == (&other.card, &other.bus, other.captures)
}

/// Who is at `node`; `None` where that cannot be said.
pub(super) fn identity(node: &Path) -> Option<Identity> {
    Kernel::open(node).ok()?.identity().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nodes that there are, with the bus of the camera at each, and whether it captures.
    type Plugged = [(&'static str, &'static str, bool)];

    fn find(device: &mut Device, plugged: &Plugged) -> String {
        let nodes = || plugged.iter().map(|(node, ..)| PathBuf::from(node)).collect();
        let who = |node: &Path| {
            let (_, bus, captures) = plugged.iter().find(|(name, ..)| Path::new(name) == node)?;
            let card = "HD Webcam".to_owned();
            Some(Identity { card, bus: (*bus).to_owned(), captures: *captures, ..Identity::default() })
        };
        device.find(Path::new("video0"), nodes, who).display().to_string()
    }

    #[test]
    fn a_camera_that_comes_back_under_another_number_is_found_by_who_it_is() {
        let mut device = Device::default();
        assert_eq!(find(&mut device, &[("video0", "usb-1", true), ("video2", "usb-2", true)]), "video0");
        device.delivered();
        assert_eq!(find(&mut device, &[]), "video0", "it is gone");
        let moved: &Plugged =
            &[("video0", "usb-2", true), ("video1", "usb-1", false), ("video3", "usb-1", true)];
        assert_eq!(find(&mut device, moved), "video3");
        device.delivered();
        assert_eq!(find(&mut device, &[("video0", "usb-1", true), ("video3", "usb-2", true)]), "video0");
    }

    #[test]
    fn where_nobody_knows_the_camera_the_configured_path_counts() {
        let mut device = Device::default();
        assert_eq!(find(&mut device, &[("video1", "usb-1", true)]), "video0");
        assert_eq!(find(&mut device, &[("video0", "usb-1", true)]), "video0");
        device.delivered();
        assert_eq!(
            find(&mut device, &[("video0", "usb-9", true)]),
            "video0",
            "another one was put in its place"
        );
        assert_eq!(device.node(), Some(Path::new("video0")));
    }
}
