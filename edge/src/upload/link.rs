//! An authenticated SSH session in which no call can hang: the socket never blocks, each call has a time-out, and the wish
//! to end interrupts all of them.

use super::error::Error;
use super::farewell::{self, Farewell};
use super::key::DeviceKey;
use crate::config;
use crate::supervise::{Stop, clock, dial};
use libssh2_sys::{
    LIBSSH2_ERROR_SFTP_PROTOCOL, LIBSSH2_FX_FAILURE, LIBSSH2_FX_NO_SUCH_FILE, LIBSSH2_FX_NO_SUCH_PATH,
    LIBSSH2_FX_PERMISSION_DENIED,
};
use media::Ticks90k;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh_key::{HashAlg, PublicKey};
use ssh2::{BlockDirections, ErrorCode, File, MethodType, Session};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

/// `LIBSSH2_ERROR_EAGAIN`.
const AGAIN: ErrorCode = ErrorCode::Session(libssh2_sys::LIBSSH2_ERROR_EAGAIN);
/// How long a call sleeps before it looks at the wish to end.
const SLICE: u16 = 100;
/// What the C library may take to let go of a session whose socket is shut: it does not wait for anything then.
const LETTING_GO: u32 = 100;

/// The kind of host key that is asked for where none is pinned.
const FIRST_CHOICE: &str = "ssh-ed25519";

/// A session with the remote host.
pub struct Link {
    /// `user@host:port`, for messages.
    pub remote: String,
    pub session: Session,
    socket: TcpStream,
    patience: Duration,
    stop: Stop,
}

impl Link {
    /// Connects, checks the host key before anything is said, and logs in. `patience` bounds each single call.
    pub fn open(
        config: &config::Upload,
        key: &DeviceKey,
        patience: Duration,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let pinned = PublicKey::from_openssh(&config.host_key).map_err(Error::HostKeyConfig)?;
        let link = Self::begin(config, signature_algorithms(&pinned), patience, stop)?;
        link.check_host(&pinned)?;
        link.log_in(&config.user, key)?;
        Ok(link)
    }

    /// Connects and exchanges keys. A host that has no key of one of the `kinds` shows another one.
    fn begin(config: &config::Upload, kinds: &str, patience: Duration, stop: &Stop) -> Result<Self, Error> {
        let remote = remote_name(config);
        let unreachable = |source| Error::Unreachable { remote: remote.clone(), source };
        let socket = dial(&config.host, config.port, patience, stop).map_err(unreachable)?;
        let socket = socket.ok_or(Error::Stopped)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let broken = |source| Error::Broken { remote: remote.clone(), doing: "begin a session", source };
        let mut session = Session::new().map_err(broken)?;
        session.set_tcp_stream(socket.try_clone().map_err(unreachable)?);
        session.set_blocking(false);
        session.set_timeout(LETTING_GO);
        // A host without a key of the pinned kind shows another one, and is told apart by it from a connection that breaks.
        let others = session.supported_algs(MethodType::HostKey).map_err(broken)?.join(",");
        session.method_pref(MethodType::HostKey, &format!("{kinds},{others}")).map_err(broken)?;
        let link = Self { remote, session, socket, patience, stop: stop.clone() };
        let mut session = link.session.clone();
        link.call("exchange keys", || session.handshake())?;
        Ok(link)
    }

    /// The key that a host shows to whoever asks; nothing else is said to it.
    pub fn host_key(config: &config::Upload, patience: Duration, stop: &Stop) -> Result<PublicKey, Error> {
        let link = Self::begin(config, FIRST_CHOICE, patience, stop)?;
        PublicKey::from_bytes(&link.shown()).map_err(Error::HostKeyConfig)
    }

    /// The host key of this session, as it travels in SSH.
    fn shown(&self) -> Vec<u8> {
        self.session.host_key().map(|(blob, _)| blob.to_owned()).unwrap_or_default()
    }

    /// Compares the host's key with the pinned one.
    fn check_host(&self, pinned: &PublicKey) -> Result<(), Error> {
        let found = self.shown();
        if pinned.to_bytes().is_ok_and(|pinned| pinned == found) {
            return Ok(());
        }
        let fingerprint =
            PublicKey::from_bytes(&found).map(|key| key.fingerprint(HashAlg::Sha256).to_string());
        Err(Error::HostKey {
            remote: self.remote.clone(),
            found: fingerprint.unwrap_or_else(|_| "a key that cannot be read".to_owned()),
            pinned: pinned.fingerprint(HashAlg::Sha256).to_string(),
        })
    }

    fn log_in(&self, user: &str, key: &DeviceKey) -> Result<(), Error> {
        let (public, private) = (key.public_line()?, key.private_text()?);
        farewell::listen(&self.session);
        let asked =
            self.call("log in", || self.session.userauth_pubkey_memory(user, Some(&public), &private, None));
        match asked {
            Err(Error::Broken { source, .. }) if is_refusal(&source) && self.has_refused() => {
                Err(Error::KeyRefused { remote: self.remote.clone() })
            }
            asked => asked,
        }
    }

    /// Whether it was the remote host that refused a login: the C library says the same of a connection that breaks meanwhile.
    fn has_refused(&self) -> bool {
        farewell::heard().map_or_else(|| self.stands(), |farewell| farewell == Farewell::Refused)
    }

    /// Whether the remote host could still say something.
    fn stands(&self) -> bool {
        match self.socket.peek(&mut [0]) {
            Ok(waiting) => waiting > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    /// Repeats `request` until it no longer says "again". What SFTP answers is the inner result; that the session broke, that
    /// nothing went on for too long, or that the end was asked for, is the outer one.
    pub fn ask<T>(
        &self,
        doing: &'static str,
        mut request: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<Result<T, ssh2::Error>, Error> {
        let deadline = self.deadline();
        loop {
            if let Some(answer) = self.try_once(doing, &mut request)? {
                return Ok(answer);
            }
            self.wait(doing, deadline)?;
        }
    }

    /// Closes a file: left to itself it would wait for the answer without a look at the wish to end. What the remote host
    /// says to it does not matter.
    pub fn close(&self, mut file: File) -> Result<(), Error> {
        self.ask("close", || file.close()).map(|_answer| ())
    }

    /// What the remote host said to a request that it refused.
    pub fn refused(&self, doing: &'static str, path: &str, source: ssh2::Error) -> Error {
        let (remote, path) = (self.remote.clone(), path.to_owned());
        let codes = [LIBSSH2_FX_NO_SUCH_FILE, LIBSSH2_FX_NO_SUCH_PATH, LIBSSH2_FX_PERMISSION_DENIED];
        if codes.into_iter().any(|code| source.code() == ErrorCode::SFTP(code)) {
            Error::NoPermission { remote, doing, path }
        } else {
            Error::Refused { remote, doing, path, source }
        }
    }

    /// ssh2 hides the code of a failed read or write; the session still knows whether it broke.
    pub fn error(&self, error: &io::Error) -> ssh2::Error {
        let code = match error.kind() {
            ErrorKind::WouldBlock => AGAIN,
            _ => match ssh2::Error::last_session_error(&self.session).map(|error| error.code()) {
                Some(ErrorCode::Session(LIBSSH2_ERROR_SFTP_PROTOCOL)) | None => {
                    ErrorCode::SFTP(LIBSSH2_FX_FAILURE)
                }
                Some(code) => code,
            },
        };
        ssh2::Error::from_errno(code)
    }

    fn deadline(&self) -> Ticks90k {
        clock::media_now() + Ticks90k::from_duration(self.patience)
    }

    /// `None`: it says "again".
    fn try_once<T>(
        &self,
        doing: &'static str,
        mut request: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<Option<Result<T, ssh2::Error>>, Error> {
        match request() {
            Err(error) if error.code() == AGAIN => Ok(None),
            Err(source) if matches!(source.code(), ErrorCode::Session(_)) => {
                Err(Error::Broken { remote: self.remote.clone(), doing, source })
            }
            answered => Ok(Some(answered)),
        }
    }

    /// Waits for the socket, as long as nobody asks for the end and the deadline is not there.
    fn wait(&self, doing: &'static str, deadline: Ticks90k) -> Result<(), Error> {
        if self.stop.asked() {
            return Err(Error::Stopped);
        }
        if clock::media_now() >= deadline {
            let seconds = self.patience.as_secs();
            return Err(Error::Slow { remote: self.remote.clone(), doing, seconds });
        }
        self.wait_for_socket()
    }

    /// As [`Link::ask`], for what is no SFTP request.
    fn call<T>(
        &self,
        doing: &'static str,
        request: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Error> {
        self.ask(doing, request)?.map_err(|source| Error::Broken {
            remote: self.remote.clone(),
            doing,
            source,
        })
    }

    /// Waits until the socket can do what the session wants, at most one slice.
    fn wait_for_socket(&self) -> Result<(), Error> {
        let events = match self.session.block_directions() {
            BlockDirections::Inbound | BlockDirections::None => PollFlags::POLLIN,
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        let mut sockets = [PollFd::new(self.socket.as_fd(), events)];
        match poll(&mut sockets, PollTimeout::from(SLICE)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::Unreachable { remote: self.remote.clone(), source: errno.into() }),
        }
    }

    /// Shuts the socket: whatever the C library still says to the remote host fails at once.
    pub fn hang_up(&self) {
        // It may be shut already.
        let _shut = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// `user@host:port`.
pub fn remote_name(config: &config::Upload) -> String {
    format!("{}@{}:{}", config.user, config.host, config.port)
}

/// The signature algorithms that a host with this key can offer.
fn signature_algorithms(key: &PublicKey) -> &'static str {
    match key.algorithm().as_str() {
        "ssh-rsa" => "rsa-sha2-512,rsa-sha2-256",
        "ecdsa-sha2-nistp256" => "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384" => "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521" => "ecdsa-sha2-nistp521",
        _ => FIRST_CHOICE,
    }
}

fn is_refusal(error: &ssh2::Error) -> bool {
    let refused =
        [libssh2_sys::LIBSSH2_ERROR_AUTHENTICATION_FAILED, libssh2_sys::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED];
    refused.into_iter().any(|code| error.code() == ErrorCode::Session(code))
}
