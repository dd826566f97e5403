//! The harness of the whole-system tests: real programs on loopback, each in a folder of its own, gone when dropped.
//!
//! | module | what |
//! |---|---|
//! | [`edge`] | the appliance: `porthole-edge` with a configuration made for the test |
//! | [`remote`] | the remote host: `porthole-remote serve` on a folder of its own |
//! | [`sshd`] | what receives on it: an OpenSSH server with throw-away keys |
//! | [`board`] | a board in QEMU, with drivers of cameras and sound |
//! | [`appliance`] | the image as somebody flashes it, on a board in QEMU whose power is cut |
//! | [`shell`] | a shell on either board |
//! | [`card`] | a card that loses what was not flushed when its power is cut |
//! | [`nbd`] | the same for QEMU, over a socket |
//! | [`usb`], [`webcam`] | a camera that is plugged into a board, and that a test plays |
//! | [`client`] | OpenSSH's own clients |
//! | [`lan`] | a network for a board, with a DHCP server and a time server |
//! | [`host`] | a host of the test's own, with accounts and an sshd of its own |
//! | [`namespace`] | what only one test sees of the kernel |
//! | [`disk`] | a small disk, filled to the page or broken |
//! | [`proxy`] | a wire that can be cut, or that damages what it carries |
//! | [`browser`] | pages and players in headless Chromium |
//! | [`players`] | ffprobe, ffmpeg and GStreamer as judges of files and streams |
//! | [`files`] | a folder over HTTP |
//! | [`footage`] | test media, made by command |
//! | [`curl`] | curl, for HTTPS |
//! | [`web`] | what a program of ours shows over HTTP |
//! | [`http`] | an HTTP client that shares no code with the server |
//! | [`hls_rules`] | the rules of RFC 8216bis over the text of playlists |
//! | [`ts_rules`] | the rules of ISO/IEC 13818-1 over transport streams |
//! | [`sim`] | the simulator: edges and a remote host in one thread, on disks, clocks and a network of its own |
//! | [`clock`] | a wall clock for one program alone |
//! | [`dice`] | chance that can be repeated |
//! | [`frozen`] | one thread of a process that stands still |
//! | [`usage`] | CPU time and memory of processes |
//! | [`strace`] | a program that is killed, stopped or failed at a chosen system call |
//! | [`process`], [`port`], [`wait`], [`work`] | child processes, free ports, conditions, how much to do |
//!
//! Nothing here sleeps for a while and hopes: whoever waits, waits for a condition with a generous deadline.

pub mod appliance;
pub mod board;
pub mod browser;
pub mod card;
pub mod client;
pub mod clock;
pub mod curl;
pub mod dice;
pub mod disk;
pub mod edge;
pub mod files;
pub mod footage;
pub mod frozen;
pub mod hls_rules;
pub mod host;
pub mod http;
pub mod lan;
pub mod namespace;
pub mod nbd;
pub mod players;
pub mod port;
pub mod process;
pub mod proxy;
pub mod remote;
pub mod shell;
pub mod sim;
pub mod sshd;
pub mod strace;
pub mod ts_rules;
pub mod usage;
pub mod usb;
pub mod wait;
pub mod web;
pub mod webcam;
pub mod work;

use std::path::{Path, PathBuf};

/// The top folder of the workspace.
pub fn workspace() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder)
}

/// Where programs of this build are: the folder of the running test or program, less cargo's `deps`.
pub fn built(program: &str) -> PathBuf {
    let running = std::env::current_exe().unwrap_or_default();
    let folder = running.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    folder.unwrap_or(Path::new(".")).join(program)
}
