//! The USB device behind a video node, and its reset.
//!
//! ```text
//! /dev/video0
//! /sys/class/video4linux/video0/device -> .../usb1/1-4/1-4:1.0    the interface; above it the device:
//! /sys/.../usb1/1-4/{busnum,devnum}       1, 7
//! /dev/bus/usb/001/007                    USBDEVFS_RESET: as if it were unplugged and plugged in again
//! ```
#![allow(unsafe_code)] // the ioctl has no safe wrapper

use nix::libc;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Folders above the video device that are looked through: interface, device, and hubs are none.
const MOST_STEPS: usize = 4;

mod request {
    // linux/usbdevice_fs.h: _IO('U', 20).
    nix::ioctl_none!(reset, b'U', 20);
}

/// Resets the USB device that the video node `node` belongs to.
///
/// # Errors
/// `NotFound` if it is no USB device; `PermissionDenied` if the process may not.
pub(super) fn reset(node: &Path) -> io::Result<()> {
    let device = device_of(Path::new("/sys/class/video4linux"), node).ok_or(io::ErrorKind::NotFound)?;
    let file = File::options().write(true).open(device)?;
    // SAFETY: the request takes no argument, and the file is open.
    unsafe { request::reset(file.as_raw_fd() as libc::c_int) }?;
    Ok(())
}

/// The node of the USB device under `/dev`, by what sysfs says of the video node's name.
fn device_of(class: &Path, node: &Path) -> Option<PathBuf> {
    let interface = fs::canonicalize(class.join(node.file_name()?).join("device")).ok()?;
    let number = |folder: &Path, file: &str| -> Option<u16> {
        fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
    };
    interface.ancestors().take(MOST_STEPS).find_map(|folder| {
        let (bus, device) = (number(folder, "busnum")?, number(folder, "devnum")?);
        Some(PathBuf::from(format!("/dev/bus/usb/{bus:03}/{device:03}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_usb_device_of_a_video_node_is_found_through_sysfs() {
        let sys = tempfile::tempdir().expect("folder");
        let interface = sys.path().join("devices/usb1/1-4/1-4:1.0");
        fs::create_dir_all(&interface).expect("made");
        for (file, number) in [("busnum", "1\n"), ("devnum", "17\n")] {
            fs::write(sys.path().join("devices/usb1/1-4").join(file), number).expect("written");
        }
        let class = sys.path().join("class");
        fs::create_dir_all(class.join("video0")).expect("made");
        symlink(&interface, class.join("video0/device")).expect("linked");
        let found = device_of(&class, Path::new("/dev/video0"));
        assert_eq!(found, Some(PathBuf::from("/dev/bus/usb/001/017")));
        assert_eq!(device_of(&class, Path::new("/dev/video1")), None);
    }

    #[test]
    fn what_is_no_usb_device_is_not_reset() {
        let sys = tempfile::tempdir().expect("folder");
        fs::create_dir_all(sys.path().join("video0/device/platform")).expect("made");
        assert_eq!(device_of(sys.path(), Path::new("/dev/video0")), None);
        assert_eq!(
            reset(Path::new("/dev/no-such-video")).map_err(|error| error.kind()),
            Err(io::ErrorKind::NotFound)
        );
    }
}
