//! The kernel's side of [`Device`]: Video4Linux2 single-planar capture with mapped buffers.
//!
//! ```text
//! QUERYCAP  ENUM_FMT  ENUM_FRAMESIZES  ENUM_FRAMEINTERVALS      who, what
//! G_INPUT  ENUMINPUT  QUERY_DV_TIMINGS  S_DV_TIMINGS            the signal
//! S_FMT  S_PARM  G_PARM                                         the mode
//! QUERYCTRL  S_CTRL                                             the controls
//! REQBUFS  QUERYBUF mmap QBUF (each buffer)  STREAMON           start
//! poll  DQBUF  ... QBUF                                         each frame
//! STREAMOFF  munmap  close                                      the end
//! ```
//!
//! The `v4l` crate gives the structures, the request numbers and the system calls. Its device and stream types panic on
//! names that are not UTF-8, on colour spaces they do not know and on a STREAMOFF that fails, so they are not used.
#![allow(unsafe_code)] // ioctl and mmap have no safe wrapper that does not panic

use super::controls;
use super::device::{Device, Granted, Identity, Offers, Taken};
use super::negotiate::{Choice, Offer, Rates, Steps, Wish};
use crate::source::grid::Rate;
use crate::source::pixels::{MOST_SIDE, PixelFormat, Range};
use media::Ticks90k;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;
use v4l::v4l_sys::*;
use v4l::v4l2::{self, vidioc};

const CAPTURE: u32 = v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE;
const MMAP: u32 = v4l2_memory_V4L2_MEMORY_MMAP;
/// Buffers that the driver is asked for: one being filled, one being read, two for a late reader.
const BUFFERS: u32 = 4;
/// Entries of one enumeration that are read; a driver that lists more is cut off.
const MOST_ENTRIES: u32 = 256;

/// Structures of the kernel interface that are plain numbers, for which all zeros is a value.
///
/// # Safety
/// Only for `repr(C)` structures and unions of integers and raw pointers.
unsafe trait Plain: Copy {
    fn zeroed() -> Self {
        // SAFETY: the implementor vouches that all zeros is a value.
        unsafe { mem::zeroed() }
    }
}

macro_rules! plain {
    ($($name:ty),+) => {
        // SAFETY: generated from videodev2.h: `repr(C)`, integers, unions of such, and raw pointers.
        $(unsafe impl Plain for $name {})+
    };
}

plain!(
    v4l2_capability,
    v4l2_fmtdesc,
    v4l2_frmsizeenum,
    v4l2_frmivalenum,
    v4l2_format,
    v4l2_pix_format,
    v4l2_streamparm,
    v4l2_requestbuffers,
    v4l2_buffer,
    v4l2_input,
    v4l2_dv_timings,
    v4l2_queryctrl,
    v4l2_control,
    i32
);

/// Requests that the `v4l` crate has no numbers for (videodev2.h): from the kernel, or both ways.
const QUERY_DV_TIMINGS: vidioc::_IOC_TYPE = request::<v4l2_dv_timings>(2, 99);
const S_DV_TIMINGS: vidioc::_IOC_TYPE = request::<v4l2_dv_timings>(3, 87);

/// A request of Video4Linux by its direction and number (asm-generic/ioctl.h).
const fn request<T>(direction: u32, number: u32) -> vidioc::_IOC_TYPE {
    ((direction << 30) | ((mem::size_of::<T>() as u32) << 16) | ((b'V' as u32) << 8) | number)
        as vidioc::_IOC_TYPE
}

/// An opened device node.
pub struct Kernel {
    file: File,
    buffers: Vec<Mapped>,
    streaming: bool,
}

impl Kernel {
    /// Opens a device node, without blocking.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(Self { file, buffers: Vec::new(), streaming: false })
    }

    fn ioctl<T: Plain>(&self, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
        // The size of the structure is part of the request (asm-generic/ioctl.h, bits 16 to 29).
        if (request >> 16) & 0x3FFF != mem::size_of::<T>() as vidioc::_IOC_TYPE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            // SAFETY: the kernel reads and writes no more than the size in the request, which is that of `T`; any
            // numbers it writes are a value of `T`; the file is open.
            let done =
                unsafe { v4l2::ioctl(self.file.as_raw_fd(), request, std::ptr::from_mut(argument).cast()) };
            match done {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Calls `entry` with 0, 1, 2 ... until the driver has no more.
    fn enumerate<T>(&self, mut entry: impl FnMut(u32) -> io::Result<T>) -> Vec<T> {
        (0..MOST_ENTRIES).map_while(|index| entry(index).ok()).collect()
    }

    fn sizes(&self, code: u32, wish: &Wish) -> Vec<(u32, u32)> {
        self.enumerate(|index| {
            let mut entry = v4l2_frmsizeenum { index, pixel_format: code, ..Plain::zeroed() };
            self.ioctl(vidioc::VIDIOC_ENUM_FRAMESIZES, &mut entry)?;
            if entry.type_ == v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE {
                // SAFETY: both members are plain numbers; the type says which one was written.
                let size = unsafe { entry.__bindgen_anon_1.discrete };
                return Ok((size.width, size.height));
            }
            // SAFETY: as above.
            let size = unsafe { entry.__bindgen_anon_1.stepwise };
            let width = Steps { min: size.min_width, max: size.max_width, step: size.step_width };
            let height = Steps { min: size.min_height, max: size.max_height, step: size.step_height };
            Ok((width.nearest(wish.width), height.nearest(wish.height)))
        })
    }

    fn rates(&self, code: u32, width: u32, height: u32) -> Rates {
        let intervals = self.enumerate(|index| {
            let mut entry = v4l2_frmivalenum { index, pixel_format: code, width, height, ..Plain::zeroed() };
            self.ioctl(vidioc::VIDIOC_ENUM_FRAMEINTERVALS, &mut entry)?;
            if entry.type_ == v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
                // SAFETY: both members are plain numbers; the type says which one was written.
                let interval = unsafe { entry.__bindgen_anon_1.discrete };
                return Ok((interval, interval));
            }
            // SAFETY: as above.
            let interval = unsafe { entry.__bindgen_anon_1.stepwise };
            Ok((interval.min, interval.max))
        });
        match intervals.first() {
            None => Rates::Untold,
            Some((shortest, longest)) if rate_of(*shortest) != rate_of(*longest) => rate_of(*longest)
                .zip(rate_of(*shortest))
                .map_or(Rates::Untold, |(slow, fast)| Rates::Between(slow, fast)),
            Some(_) => {
                Rates::Listed(intervals.into_iter().filter_map(|(interval, _)| rate_of(interval)).collect())
            }
        }
    }

    /// Asks for a rate, and for what became of it; `None` if the driver does not know rates.
    fn set_rate(&self, rate: Option<Rate>) -> Option<Rate> {
        let mut parameters = v4l2_streamparm { type_: CAPTURE, ..Plain::zeroed() };
        if let Some((numerator, denominator)) = rate.map(Rate::interval) {
            parameters.parm.capture.timeperframe = v4l2_fract { numerator, denominator };
            // A driver that cannot set its rate says so by what it answers below.
            let _refused = self.ioctl(vidioc::VIDIOC_S_PARM, &mut parameters);
        }
        let mut parameters = v4l2_streamparm { type_: CAPTURE, ..Plain::zeroed() };
        self.ioctl(vidioc::VIDIOC_G_PARM, &mut parameters).ok()?;
        // SAFETY: all members are plain numbers; `capture` belongs to the type that was asked for.
        let capture = unsafe { parameters.parm.capture };
        rate_of(capture.timeperframe)
    }

    fn map(&mut self, index: u32) -> io::Result<()> {
        let mut buffer = v4l2_buffer { index, type_: CAPTURE, memory: MMAP, ..Plain::zeroed() };
        self.ioctl(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
        // SAFETY: all members are plain numbers; `offset` belongs to mapped memory.
        let offset = unsafe { buffer.m.offset };
        self.buffers.push(Mapped::new(&self.file, buffer.length as usize, offset)?);
        self.queue(index)
    }

    fn queue(&self, index: u32) -> io::Result<()> {
        let mut buffer = v4l2_buffer { index, type_: CAPTURE, memory: MMAP, ..Plain::zeroed() };
        self.ioctl(vidioc::VIDIOC_QBUF, &mut buffer)
    }
}

impl Device for Kernel {
    fn identity(&self) -> io::Result<Identity> {
        let mut capability = v4l2_capability::zeroed();
        self.ioctl(vidioc::VIDIOC_QUERYCAP, &mut capability)?;
        let whole = capability.capabilities;
        let can = if whole & V4L2_CAP_DEVICE_CAPS == 0 { whole } else { capability.device_caps };
        Ok(Identity {
            card: text(&capability.card),
            driver: text(&capability.driver),
            bus: text(&capability.bus_info),
            captures: can & V4L2_CAP_VIDEO_CAPTURE != 0,
            captures_multiplanar: can & V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0,
            streams: can & V4L2_CAP_STREAMING != 0,
        })
    }

    fn follow_signal(&mut self) -> io::Result<()> {
        let mut index = 0_i32;
        let mut input = v4l2_input::zeroed();
        let known = self.ioctl(vidioc::VIDIOC_G_INPUT, &mut index).and_then(|()| {
            input.index = index.cast_unsigned();
            self.ioctl(vidioc::VIDIOC_ENUMINPUT, &mut input)
        });
        if known.is_err() || input.capabilities & V4L2_IN_CAP_DV_TIMINGS == 0 {
            return Ok(());
        }
        let mut timings = v4l2_dv_timings::zeroed();
        self.ioctl(QUERY_DV_TIMINGS, &mut timings)?;
        self.ioctl(S_DV_TIMINGS, &mut timings)
    }

    fn control(&self, id: u32) -> Option<controls::Range> {
        let mut query = v4l2_queryctrl { id, ..Plain::zeroed() };
        self.ioctl(vidioc::VIDIOC_QUERYCTRL, &mut query).ok()?;
        let usable = query.flags & (V4L2_CTRL_FLAG_DISABLED | V4L2_CTRL_FLAG_READ_ONLY) == 0;
        usable.then_some(controls::Range { least: query.minimum, most: query.maximum })
    }

    fn set_control(&mut self, id: u32, value: i32) -> io::Result<()> {
        self.ioctl(vidioc::VIDIOC_S_CTRL, &mut v4l2_control { id, value })
    }

    fn offers(&self, wish: &Wish) -> io::Result<Offers> {
        let mut offers = Offers::default();
        let codes = self.enumerate(|index| {
            let mut entry = v4l2_fmtdesc { index, type_: CAPTURE, ..Plain::zeroed() };
            self.ioctl(vidioc::VIDIOC_ENUM_FMT, &mut entry).map(|()| entry.pixelformat)
        });
        for code in codes {
            let fourcc = code.to_le_bytes();
            let Some(format) = PixelFormat::from_fourcc(fourcc) else {
                offers.other_formats.push(fourcc);
                continue;
            };
            let mut sizes = self.sizes(code, wish);
            if sizes.is_empty() {
                // Old drivers do not list their sizes: S_FMT will tell what becomes of the wish.
                sizes.push((wish.width, wish.height));
            }
            let most = MOST_SIDE as u32;
            for (width, height) in
                sizes.into_iter().filter(|&(width, height)| width <= most && height <= most)
            {
                let rates = self.rates(code, width, height);
                offers.modes.push(Offer { format, width, height, rates });
            }
        }
        Ok(offers)
    }

    fn set_mode(&mut self, choice: &Choice) -> io::Result<Granted> {
        let mut format = v4l2_format { type_: CAPTURE, ..Plain::zeroed() };
        format.fmt.pix = v4l2_pix_format {
            width: choice.width,
            height: choice.height,
            pixelformat: u32::from_le_bytes(choice.format.fourcc()),
            field: v4l2_field_V4L2_FIELD_NONE,
            ..Plain::zeroed()
        };
        self.ioctl(vidioc::VIDIOC_S_FMT, &mut format)?;
        // SAFETY: all members are plain numbers; `pix` belongs to the type that was set.
        let pix = unsafe { format.fmt.pix };
        let full = pix.quantization == v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE
            || (pix.quantization == 0 && pix.colorspace == v4l2_colorspace_V4L2_COLORSPACE_JPEG);
        Ok(Granted {
            fourcc: pix.pixelformat.to_le_bytes(),
            width: pix.width,
            height: pix.height,
            stride: pix.bytesperline,
            progressive: [v4l2_field_V4L2_FIELD_NONE, v4l2_field_V4L2_FIELD_ANY].contains(&pix.field),
            range: if full { Range::Full } else { Range::Limited },
            rate: self.set_rate(choice.rate),
        })
    }

    fn start(&mut self) -> io::Result<()> {
        let mut request =
            v4l2_requestbuffers { count: BUFFERS, type_: CAPTURE, memory: MMAP, ..Plain::zeroed() };
        self.ioctl(vidioc::VIDIOC_REQBUFS, &mut request)?;
        if request.count == 0 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        for index in 0..request.count {
            self.map(index)?;
        }
        self.ioctl(vidioc::VIDIOC_STREAMON, &mut CAPTURE.cast_signed())?;
        self.streaming = true;
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Err(nix::errno::Errno::EINTR) | Ok(0) => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let [fd] = fds;
        let seen = fd.revents().unwrap_or(PollFlags::POLLERR);
        // With a buffer, taking it tells more about an error than poll does.
        if seen.contains(PollFlags::POLLIN) {
            Ok(true)
        } else if seen.intersects(PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            Err(io::Error::from_raw_os_error(libc::ENODEV))
        } else if seen.contains(PollFlags::POLLERR) {
            Err(io::Error::from_raw_os_error(libc::EIO))
        } else {
            Ok(false)
        }
    }

    fn take(&mut self) -> io::Result<Option<Taken>> {
        let mut buffer = v4l2_buffer { type_: CAPTURE, memory: MMAP, ..Plain::zeroed() };
        match self.ioctl(vidioc::VIDIOC_DQBUF, &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            done => done?,
        }
        let index = buffer.index as usize;
        let mapped = self.buffers.get(index).ok_or(io::ErrorKind::InvalidData)?;
        let clock = buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK;
        let (seconds, micros) = (wide(buffer.timestamp.tv_sec), wide(buffer.timestamp.tv_usec));
        let time = || Ticks90k::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros));
        Ok(Some(Taken {
            index,
            length: mapped.length.min(buffer.bytesused as usize),
            damaged: buffer.flags & V4L2_BUF_FLAG_ERROR != 0,
            sequence: buffer.sequence,
            monotonic: (clock == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC).then(time),
        }))
    }

    fn bytes(&self, taken: &Taken) -> &[u8] {
        self.buffers
            .get(taken.index)
            .and_then(|buffer| buffer.bytes().get(..taken.length))
            .unwrap_or_default()
    }

    fn give_back(&mut self, taken: Taken) -> io::Result<()> {
        self.queue(taken.index as u32)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if self.streaming {
            // It fails on a device that was unplugged; closing it frees the rest.
            let _stopped = self.ioctl(vidioc::VIDIOC_STREAMOFF, &mut CAPTURE.cast_signed());
        }
    }
}

/// Frames a second from seconds a frame.
fn rate_of(interval: v4l2_fract) -> Option<Rate> {
    Rate::new(interval.denominator, interval.numerator)
}

/// From a C integer that is 32 or 64 bits wide, as the board has it.
fn wide(number: impl Into<i64>) -> i64 {
    number.into()
}

/// Text in a field that ends with a zero; what is not UTF-8 in it is replaced.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).trim().to_owned()
}

/// A buffer of the driver in our memory.
struct Mapped {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read.
unsafe impl Send for Mapped {}

impl Mapped {
    fn new(file: &File, length: usize, offset: u32) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let address = unsafe {
            v4l2::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset as libc::off_t,
            )?
        };
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `length` bytes long and lives as long as `self`. It is read only between DQBUF and QBUF,
        // while the driver leaves it alone.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: address and length are those of a mapping, and no slice of it outlives `self`.
        let _unmapped = unsafe { v4l2::munmap(self.address.as_ptr().cast(), self.length) };
    }
}
