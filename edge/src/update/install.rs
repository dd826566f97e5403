//! From a bundle to a slot that will be tried. At no instant can a slot be started that is not whole:
//!
//! ```text
//! sectors: nothing is tried --> head of the slot: zeros --> the rest --> read back --> head --> sectors: try it, three times
//!                               (no file system any more)                (a file system again)
//! ```

use super::card::{Card, Place};
use super::{Error, Running};
use crate::config;
use crate::store::files;
use media::ledger::{Signature, VerifyingKey};
use media::update::bundle::{BLOCK, HEADER, NAMESPACE, SIGNED};
use media::update::slots::TRIES;
use media::update::{Header, State, Version};
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PublicKey, SshSig};
use std::io::{self, Read};
use std::path::Path;

/// The first bytes of a slot: without them it is no file system.
const HEAD: usize = BLOCK as usize;
/// Bytes of one write. A camera that records meanwhile waits no longer than the card takes for a few of these.
const PIECE: usize = 64 << 10;
/// Bytes between two syncs, so that the kernel never has much to write at once.
const SYNC: u64 = 512 << 10;
/// A file with a public key is shorter.
const MOST_KEY: u64 = 4 << 10;

/// Writes the bundle to the slot that does not run, and has the boot loader try it.
///
/// # Errors
/// It was refused, or the card failed; nothing that could be started was written.
pub fn install(bundle: &mut dyn Read, running: &Running, config: &config::Update) -> Result<Version, Error> {
    let key = key(&config.key)?;
    let header = signed_header(bundle, &key)?;
    if header.board != running.board {
        return Err(Error::Board { found: header.board, own: running.board.clone() });
    }
    if header.version <= running.version {
        return Err(Error::Downgrade { found: header.version, own: running.version });
    }
    let card = Card::open(&config.card)?;
    if card.slots()?.state.trial == Some(running.slot) {
        return Err(Error::Trying);
    }
    let place = card.place(running.slot.other());
    if header.length > place.size {
        return Err(Error::TooLong { length: header.length, room: place.size });
    }
    let idle = State { active: running.slot, trial: None, tries: 0 };
    card.set(idle)?;
    card.put(&[0; HEAD], place.start)?;
    let head = copy(bundle, &header, &card, place)?;
    compare(&head, &header, &card, place)?;
    card.put(&head, place.start)?;
    card.set(State { trial: Some(running.slot.other()), tries: TRIES, ..idle })?;
    Ok(header.version)
}

/// The key that the builder of this image put into it.
///
/// # Errors
/// There is none.
pub fn key(path: &Path) -> Result<VerifyingKey, Error> {
    let text = match files::read_bounded(path, MOST_KEY) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoKey { path: path.to_owned() });
        }
        Err(error) => return Err(Error::io(path)(error)),
    };
    let wrong = |message: String| Error::Key { path: path.to_owned(), message };
    let public = PublicKey::from_openssh(&text).map_err(|error| wrong(error.to_string()))?;
    let key = public.key_data().ed25519().ok_or_else(|| wrong("another algorithm".to_owned()))?;
    VerifyingKey::from_bytes(&key.0).map_err(|error| wrong(error.to_string()))
}

/// The header, if the holder of the key signed it.
fn signed_header(bundle: &mut dyn Read, key: &VerifyingKey) -> Result<Header, Error> {
    let mut bytes = [0; HEADER];
    let found = fill(bundle, &mut bytes)?;
    if found < HEADER {
        return Err(Error::Truncated { found: found as u64, length: HEADER as u64 });
    }
    let (signed, signature) = bytes.split_first_chunk::<SIGNED>().ok_or(Error::Signature)?;
    // What is no bundle at all is told so, and not that nobody signed it.
    let header = Header::parse(signed)?;
    let text = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, signed).map_err(|_| Error::Signature)?;
    let signature = Signature::from_slice(signature).map_err(|_| Error::Signature)?;
    key.verify_strict(&text, &signature).map_err(|_| Error::Signature)?;
    Ok(header)
}

/// Writes all but the head, which it gives; that is all of the bundle, and what was signed.
fn copy(bundle: &mut dyn Read, header: &Header, card: &Card, place: Place) -> Result<[u8; HEAD], Error> {
    let (mut head, mut sum, mut piece) = ([0; HEAD], Sha256::new(), vec![0; PIECE]);
    let cut = |found: u64| Error::Truncated { found, length: header.length };
    let found = fill(bundle, &mut head)?;
    if found < HEAD {
        return Err(cut(found as u64));
    }
    sum.update(head);
    let (mut done, mut synced) = (HEAD as u64, HEAD as u64);
    while done < header.length {
        let wanted = PIECE.min(usize::try_from(header.length - done).unwrap_or(PIECE));
        let found = fill(bundle, &mut piece[..wanted])?;
        if found < wanted {
            return Err(cut(done + found as u64));
        }
        sum.update(&piece[..wanted]);
        card.write(&piece[..wanted], place.start + done)?;
        done += wanted as u64;
        if done - synced >= SYNC || done == header.length {
            card.sync(place.start + synced, done - synced)?;
            synced = done;
        }
    }
    let more = fill(bundle, &mut piece[..1])?;
    if more > 0 || sum.finalize()[..] != header.sha256 { Err(Error::Damaged) } else { Ok(head) }
}

/// Reads the slot from the card: with its head it must be what was signed.
fn compare(head: &[u8; HEAD], header: &Header, card: &Card, place: Place) -> Result<(), Error> {
    let (mut sum, mut piece) = (Sha256::new().chain_update(head), vec![0; PIECE]);
    let mut done = HEAD as u64;
    while done < header.length {
        let wanted = PIECE.min(usize::try_from(header.length - done).unwrap_or(PIECE));
        card.read(&mut piece[..wanted], place.start + done)?;
        card.forget(place.start + done, wanted as u64);
        sum.update(&piece[..wanted]);
        done += wanted as u64;
    }
    if sum.finalize()[..] == header.sha256 { Ok(()) } else { Err(card.unfaithful(place.start)) }
}

/// Reads until `bytes` are full, or nothing more comes; says how many came.
fn fill(bundle: &mut dyn Read, bytes: &mut [u8]) -> Result<usize, Error> {
    let mut found = 0;
    while found < bytes.len() {
        match bundle.read(&mut bytes[found..]) {
            Ok(0) => break,
            Ok(more) => found += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(Path::new("the bundle"))(error)),
        }
    }
    Ok(found)
}
