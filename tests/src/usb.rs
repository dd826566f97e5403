//! A device on a board's USB that a program of the test plays. The board has its own driver for it, and a controller (xHCI) that QEMU emulates;
//! QEMU hands over what would go over the wire, by the protocol of usbredir, 0.7 (all numbers little-endian):
//!
//! ```text
//! driver -> xhci -> QEMU's usb-redir -> unix socket -> here
//!
//! packet: type, length: 4 bytes each | id: 8, of the first one each way 4 | header of that type | data
//! ```

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::wait::{PATIENCE, wait_for};

/// Types of packets.
mod kind {
    pub const HELLO: u32 = 0;
    pub const DEVICE_CONNECT: u32 = 1;
    pub const RESET: u32 = 3;
    pub const INTERFACE_INFO: u32 = 4;
    pub const EP_INFO: u32 = 5;
    pub const SET_CONFIGURATION: u32 = 6;
    pub const GET_CONFIGURATION: u32 = 7;
    pub const CONFIGURATION_STATUS: u32 = 8;
    pub const SET_ALT_SETTING: u32 = 9;
    pub const GET_ALT_SETTING: u32 = 10;
    pub const ALT_SETTING_STATUS: u32 = 11;
    pub const CANCEL_DATA_PACKET: u32 = 21;
    pub const CONTROL_PACKET: u32 = 100;
    pub const BULK_PACKET: u32 = 101;
}

/// Capabilities, as xHCI needs them: `device_connect` has a version, `ep_info` has packet sizes, an id has 64 bits, and a length of bulk data 32.
const CAPABILITIES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6;
/// Longest packet that is taken.
const MOST_BYTES: u32 = 1 << 20;
/// Where the endpoints towards the host begin in lists of all.
const INWARD: usize = 16;
const SPEED_HIGH: u8 = 2;
const TYPE_BULK: u8 = 2;
const SUCCESS: u8 = 0;
const CANCELLED: u8 = 1;
const STALL: u8 = 4;

/// What stands before a transfer on endpoint 0 (USB 2.0, 9.3).
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// `bmRequestType`
    pub request_type: u8,
    /// `bRequest`
    pub request: u8,
    /// `wValue`
    pub value: u16,
    /// `wIndex`
    pub index: u16,
    /// `wLength`
    pub length: u16,
}

/// What a device is, before anybody asks for its descriptors.
#[derive(Clone, Debug)]
pub struct Kind {
    /// `bDeviceClass`, `bDeviceSubClass`, `bDeviceProtocol`
    pub class: [u8; 3],
    /// `idVendor`, `idProduct`, `bcdDevice`
    pub ids: [u16; 3],
    /// `bInterfaceClass`, `bInterfaceSubClass`, `bInterfaceProtocol` of each interface.
    pub interfaces: Vec<[u8; 3]>,
    /// The one endpoint beside 0, bulk towards the host: number, interface, `wMaxPacketSize`.
    pub endpoint: (u8, u8, u16),
}

/// A device of high speed with one bulk endpoint towards the host.
pub trait Device: Send + 'static {
    /// What it is.
    fn kind(&self) -> Kind;

    /// A transfer on endpoint 0, with the data that came: what goes back, or `None` for a stall.
    fn control(&mut self, setup: Setup, data: &[u8]) -> Option<Vec<u8>>;

    /// The host has reset it.
    fn reset(&mut self);

    /// When it has more for whoever reads the endpoint.
    fn due(&self) -> Instant;

    /// Takes that; `None` if there is nothing after all.
    fn take(&mut self) -> Option<Vec<u8>>;
}

/// A device that is plugged in until this is dropped.
pub struct Plugged {
    stream: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// Gives QEMU's board a controller, into which a device can be plugged by way of `socket`.
pub fn port(qemu: &mut Command, socket: &Path) {
    qemu.arg("-chardev").arg(format!("socket,id=plug,path={},server=on,wait=off", socket.display()));
    qemu.args(["-device", "qemu-xhci,id=usb", "-device", "usb-redir,bus=usb.0,chardev=plug"]);
}

impl Plugged {
    /// Plugs `device` in where QEMU has its socket.
    pub fn into<D: Device>(socket: &Path, device: &Arc<Mutex<D>>) -> Result<Self> {
        let stream = wait_for("QEMU's socket", PATIENCE, || UnixStream::connect(socket).ok())?;
        let (wire, device) = (stream.try_clone()?, Arc::clone(device));
        let thread = thread::Builder::new().name("usb".to_owned());
        let thread = thread.spawn(move || {
            if let Err(error) = serve(wire, &device) {
                eprintln!("the USB device: {error:#}");
            }
        })?;
        Ok(Self { stream, thread: Some(thread) })
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet as it came.
struct Packet {
    kind: u32,
    id: u64,
    body: Vec<u8>,
}

impl Packet {
    fn read(from: &mut impl Read, is_first: bool) -> io::Result<Self> {
        let (mut head, mut id) = ([[0; 4]; 2], [0; 8]);
        from.read_exact(head.as_flattened_mut())?;
        from.read_exact(&mut id[..if is_first { 4 } else { 8 }])?;
        let ([kind, length], id) = (head.map(u32::from_le_bytes), u64::from_le_bytes(id));
        if length > MOST_BYTES {
            return Err(io::Error::other(format!("a packet of {length} bytes")));
        }
        let mut body = vec![0; length as usize];
        from.read_exact(&mut body)?;
        Ok(Self { kind, id, body })
    }

    /// The body, which begins with `N` bytes of header.
    fn header<const N: usize>(&self) -> Result<(&[u8; N], &[u8])> {
        self.body.split_first_chunk().with_context(|| format!("packet {} is short", self.kind))
    }
}

/// Our end of the wire.
struct Wire(UnixStream);

impl Wire {
    fn send(&mut self, kind: u32, id: u64, parts: &[&[u8]]) -> Result<()> {
        let (body, id) = (parts.concat(), id.to_le_bytes());
        let id = if kind == kind::HELLO { &id[..4] } else { &id };
        let head = [kind, u32::try_from(body.len())?].map(u32::to_le_bytes);
        Ok(self.0.write_all(&[head.as_flattened(), id, &body].concat())?)
    }

    /// Says what is plugged in.
    fn introduce(&mut self, kind: &Kind) -> Result<()> {
        let mut version = [0; 64];
        version[..8].copy_from_slice(b"porthole");
        self.send(kind::HELLO, 0, &[&version, &CAPABILITIES.to_le_bytes()])?;

        let mut lists = [[0; 32]; 4];
        for (at, class) in kind.interfaces.iter().enumerate() {
            lists[0][at] = u8::try_from(at)?;
            (lists[1][at], lists[2][at], lists[3][at]) = (class[0], class[1], class[2]);
        }
        let count = u32::try_from(kind.interfaces.len())?.to_le_bytes();
        self.send(kind::INTERFACE_INFO, 0, &[&count, lists.as_flattened()])?;

        let (number, interface, packet) = kind.endpoint;
        let at = INWARD + usize::from(number);
        let (mut types, mut interfaces, mut packets) = ([255; 32], [0; 32], [[0; 2]; 32]);
        (types[0], types[INWARD]) = (0, 0);
        (packets[0], packets[INWARD]) = (64_u16.to_le_bytes(), 64_u16.to_le_bytes());
        (types[at], interfaces[at], packets[at]) = (TYPE_BULK, interface, packet.to_le_bytes());
        self.send(kind::EP_INFO, 0, &[&types, &[0; 32], &interfaces, packets.as_flattened()])?;

        let ids = kind.ids.map(u16::to_le_bytes);
        self.send(kind::DEVICE_CONNECT, 0, &[&[SPEED_HIGH], &kind.class, ids.as_flattened()])
    }

    /// Answers a read of the bulk endpoint.
    fn bulk(&mut self, id: u64, endpoint: u8, status: u8, data: &[u8]) -> Result<()> {
        let [l0, l1, l2, l3] = u32::try_from(data.len())?.to_le_bytes();
        self.send(kind::BULK_PACKET, id, &[&[endpoint, status, l0, l1], &[0; 4], &[l2, l3], data])
    }

    fn control<D: Device>(&mut self, packet: &Packet, device: &Mutex<D>) -> Result<()> {
        let (header, data) = packet.header::<10>()?;
        let [endpoint, request, request_type, _, v0, v1, i0, i1, l0, l1] = *header;
        let [value, index, length] = [[v0, v1], [i0, i1], [l0, l1]].map(u16::from_le_bytes);
        let setup = Setup { request_type, request, value, index, length };
        let answer = lock(device).control(setup, data);
        let status = if answer.is_some() { SUCCESS } else { STALL };
        let mut answer = answer.unwrap_or_default();
        answer.truncate(length.into());
        let inward = request_type & 0x80 != 0;
        let done = if inward { u16::try_from(answer.len())? } else { length };
        let [d0, d1] = done.to_le_bytes();
        let header = [endpoint, request, request_type, status, v0, v1, i0, i1, d0, d1];
        self.send(kind::CONTROL_PACKET, packet.id, &[&header, if inward { &answer } else { &[] }])
    }
}

/// Locks a device that the test and its thread share.
pub fn lock<D>(device: &Mutex<D>) -> std::sync::MutexGuard<'_, D> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays the device until the wire ends.
fn serve<D: Device>(stream: UnixStream, device: &Mutex<D>) -> Result<()> {
    let mut reader = stream.try_clone()?;
    let (sender, packets) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut is_first = true;
        while let Ok(packet) = Packet::read(&mut reader, is_first) {
            is_first = false;
            if sender.send(packet).is_err() {
                break;
            }
        }
    });
    let mut wire = Wire(stream);
    let mut reads = VecDeque::new();
    wire.introduce(&lock(device).kind())?;
    loop {
        let wait = lock(device).due().saturating_duration_since(Instant::now());
        match packets.recv_timeout(wait) {
            Ok(packet) => answer(&mut wire, &packet, device, &mut reads)?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let taken = lock(device).take();
                if let Some(((id, endpoint), data)) = taken.and_then(|data| Some((reads.pop_front()?, data)))
                {
                    wire.bulk(id, endpoint, SUCCESS, &data)?;
                }
            }
        }
    }
    let _ = reader.join();
    Ok(())
}

/// One packet of QEMU's. `reads`: who waits for the bulk endpoint, by number of the packet and endpoint.
fn answer<D: Device>(
    wire: &mut Wire,
    packet: &Packet,
    device: &Mutex<D>,
    reads: &mut VecDeque<(u64, u8)>,
) -> Result<()> {
    match packet.kind {
        kind::RESET => lock(device).reset(),
        kind::SET_CONFIGURATION | kind::GET_CONFIGURATION => {
            wire.send(kind::CONFIGURATION_STATUS, packet.id, &[&[SUCCESS, 1]])?;
        }
        kind::SET_ALT_SETTING | kind::GET_ALT_SETTING => {
            let ([interface], _) = packet.header()?;
            wire.send(kind::ALT_SETTING_STATUS, packet.id, &[&[SUCCESS, *interface, 0]])?;
        }
        kind::CONTROL_PACKET => wire.control(packet, device)?,
        kind::BULK_PACKET => {
            let ([endpoint], _) = packet.header()?;
            reads.push_back((packet.id, *endpoint));
        }
        kind::CANCEL_DATA_PACKET => {
            if let Some(at) = reads.iter().position(|(id, _)| *id == packet.id)
                && let Some((id, endpoint)) = reads.remove(at)
            {
                wire.bulk(id, endpoint, CANCELLED, &[])?;
            }
        }
        // Capabilities of QEMU's, and what this side has none of.
        _ => {}
    }
    Ok(())
}
