//! `posix-rename@openssh.com` (OpenSSH's PROTOCOL, 4.3): rename(2) on the remote host, in one step.
//!
//! SFTP's own rename is link and unlink there: two steps, between which a power cut leaves both names. The C library has the
//! extension; neither ssh2 nor libssh2-sys binds it, hence the one declaration here. ssh2 does not give its own SFTP
//! channel out, so the renames have a channel of their own.

// No safe binding exists.
#![allow(unsafe_code)]

use libssh2_sys::{
    LIBSSH2_SFTP, libssh2_session_last_errno, libssh2_session_set_blocking, libssh2_sftp_init,
    libssh2_sftp_last_error, libssh2_sftp_shutdown,
};
use ssh2::{Error, ErrorCode, Session};
use std::ffi::{c_char, c_int};
use std::ptr::NonNull;

/// `LIBSSH2_ERROR_SFTP_PROTOCOL`: what went wrong is in the channel's last error.
const SFTP_PROTOCOL: c_int = libssh2_sys::LIBSSH2_ERROR_SFTP_PROTOCOL;

unsafe extern "C" {
    /// libssh2_sftp.h since 1.11.0.
    fn libssh2_sftp_posix_rename_ex(
        sftp: *mut LIBSSH2_SFTP,
        source_filename: *const c_char,
        source_filename_len: usize,
        dest_filename: *const c_char,
        dest_filename_len: usize,
    ) -> c_int;
}

/// An SFTP channel for renames. Not to be sent to another thread.
pub struct Renamer {
    sftp: NonNull<LIBSSH2_SFTP>,
    /// Keeps the session alive: the channel belongs to it.
    session: Session,
}

impl Renamer {
    /// Opens the channel. On a session that does not block this says `LIBSSH2_ERROR_EAGAIN` until it is called once more
    /// and done.
    pub fn open(session: &Session) -> Result<Self, Error> {
        let mut raw = session.raw();
        // SAFETY: the pointer is that of a live session, and the guard keeps every other user of the session out.
        let (sftp, errno) = unsafe {
            let sftp = libssh2_sftp_init(&mut *raw);
            (sftp, libssh2_session_last_errno(&mut *raw))
        };
        drop(raw);
        match NonNull::new(sftp) {
            Some(sftp) => Ok(Self { sftp, session: session.clone() }),
            None => Err(Error::from_errno(ErrorCode::Session(errno))),
        }
    }

    /// Renames `from` to `to`, in the place of what is there. May say `LIBSSH2_ERROR_EAGAIN` like [`Renamer::open`]; the same
    /// names must be given then.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let raw = self.session.raw();
        // SAFETY: the channel lives until `drop`, the guard keeps every other user of its session out, and the lengths are
        // those of the two names, which the library copies.
        let (code, sftp_error) = unsafe {
            let code = libssh2_sftp_posix_rename_ex(
                self.sftp.as_ptr(),
                from.as_ptr().cast(),
                from.len(),
                to.as_ptr().cast(),
                to.len(),
            );
            (code, libssh2_sftp_last_error(self.sftp.as_ptr()))
        };
        drop(raw);
        match code {
            0 => Ok(()),
            SFTP_PROTOCOL => Err(Error::from_errno(ErrorCode::SFTP(sftp_error as c_int))),
            code => Err(Error::from_errno(ErrorCode::Session(code))),
        }
    }
}

impl Drop for Renamer {
    fn drop(&mut self) {
        let mut raw = self.session.raw();
        // SAFETY: as above; the channel is not used after this. Blocking, because a channel that is half shut down could not
        // be let go; the session has a time-out.
        unsafe {
            libssh2_session_set_blocking(&mut *raw, 1);
            libssh2_sftp_shutdown(self.sftp.as_ptr());
            libssh2_session_set_blocking(&mut *raw, 0);
        }
    }
}
