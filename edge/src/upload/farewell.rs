//! What a remote host says when it ends the connection: `SSH_MSG_DISCONNECT` (RFC 4253, 11.1).
//!
//! ```text
//! byte 1 | uint32 reason | string description | string language
//! ```
//!
//! It is signed by the session's keys like every message, so nobody between the two can have said it. The C library tells it to a
//! callback alone, and then fails the call that was going on as if the connection had broken. Neither ssh2 nor libssh2-sys binds the
//! callback, hence the one declaration here.

// No safe binding exists.
#![allow(unsafe_code)]

use libssh2_sys::LIBSSH2_SESSION;
use ssh2::Session;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

/// `LIBSSH2_CALLBACK_DISCONNECT`.
const DISCONNECT: c_int = 2;
/// `SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE`.
const NO_MORE_METHODS: c_int = 14;
/// What OpenSSH says, with another reason, in the place of its last refusal: where `MaxAuthTries` is 1, of the first key.
const TOO_MANY: &[u8] = b"Too many authentication failures";

/// What is done with such a message: reason, description and language, each text with its length.
type Callback = unsafe extern "C" fn(
    *mut LIBSSH2_SESSION,
    c_int,
    *const c_char,
    c_int,
    *const c_char,
    c_int,
    *mut *mut c_void,
);

unsafe extern "C" {
    /// libssh2.h since 1.11.1. Its type for all kinds of callbacks is `void (*)(void)`.
    fn libssh2_session_callback_set2(
        session: *mut LIBSSH2_SESSION,
        kind: c_int,
        callback: Option<Callback>,
    ) -> Option<Callback>;
}

/// What a remote host has said at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It takes no more tries to log in.
    Refused,
    /// Anything else.
    Other,
}

thread_local! {
    /// Of the session that this thread has listened to last: the library calls back from inside of its calls.
    static HEARD: Cell<Option<Farewell>> = const { Cell::new(None) };
}

/// Listens to `session` from now on, on this thread.
pub fn listen(session: &Session) {
    HEARD.set(None);
    let mut raw = session.raw();
    // SAFETY: the pointer is that of a live session, the guard keeps every other user of it out, and the callback is a function,
    // which outlives everything.
    unsafe { libssh2_session_callback_set2(&mut *raw, DISCONNECT, Some(hear)) };
}

/// What the remote host has said since [`listen`].
pub fn heard() -> Option<Farewell> {
    HEARD.get()
}

unsafe extern "C" fn hear(
    _session: *mut LIBSSH2_SESSION,
    reason: c_int,
    description: *const c_char,
    length: c_int,
    _language: *const c_char,
    _language_length: c_int,
    _abstract: *mut *mut c_void,
) {
    let description = match usize::try_from(length) {
        // SAFETY: the library gives the bytes of the message, which stays until this returns.
        Ok(length) if !description.is_null() => unsafe {
            std::slice::from_raw_parts(description.cast(), length)
        },
        _ => &[],
    };
    HEARD.set(Some(Farewell::of(reason, description)));
}

impl Farewell {
    fn of(reason: c_int, description: &[u8]) -> Self {
        if reason == NO_MORE_METHODS || description.starts_with(TOO_MANY) {
            Self::Refused
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_tries_is_a_refusal() {
        assert_eq!(Farewell::of(2, b"Too many authentication failures"), Farewell::Refused);
        assert_eq!(Farewell::of(2, b"Too many authentication failures for root"), Farewell::Refused);
        assert_eq!(Farewell::of(14, b""), Farewell::Refused);
        assert_eq!(Farewell::of(2, b"Too many"), Farewell::Other);
        assert_eq!(Farewell::of(11, b"Session closed"), Farewell::Other);
    }
}
