//! `NAME.ledger`: ledger entries that no recording took along (docs/design/ledger.md). Small, and taken in at one look.
//!
//! ```text
//! inbox/ACCOUNT/inbox/NAME.ledger --read, verified, written anew--> archive/NAME.ledger
//! inbox/ACCOUNT/inbox/NAME.part --taken, copied, verified (claim.rs)--^
//! ```
//!
//! The archive keeps the ledger of a recording in the same way when it does not keep the recording.

use super::claim::try_hold;
use super::name::Name;
use super::scan::Account;
use super::whole::Opened;
use crate::folder::{Error, Folder};
use media::ledger::Slice;
use media::ledger::slice::MOST_BYTES;
pub use media::ledger::slice::adds;
use media::mp4::demux;
use std::fs::File;
use std::io::{self, Read, Seek};

/// Why one is refused that contradicts what is in the archive.
pub const ANOTHER: &str = "another ledger of this name is in the archive";

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the archive, durably.
    Done,
    /// Its upload is not over, or it is gone.
    Left,
    /// It is none that an edge has signed, or contradicts one that is here.
    Refused(String),
}

/// Takes the ledger file NAME of an account in. What is written to the archive are the bytes that were verified: its camera can
/// change them no more.
///
/// # Errors
/// The host could not; the file is where it was.
pub fn take(archive: &Folder, account: &Account, name: &Name) -> Result<Taken, Error> {
    let (inbox, file) = (&account.folder, name.ledger());
    if inbox.look(name.lock())?.is_some() {
        return Ok(Taken::Left);
    }
    // Two services on one inbox would write one file in the archive at once, and the first to be done would remove what the other, if it dies
    // then, has left half written.
    let Some(held) = inbox.open_file(&file)? else { return Ok(Taken::Left) };
    if !try_hold(&held)? {
        return Ok(Taken::Left);
    }
    let Some(bytes) = inbox.read(&file, MOST_BYTES as u64)? else { return Ok(Taken::Left) };
    if let Err(reason) = verify(&bytes) {
        return Ok(Taken::Refused(reason));
    }
    match adds(known(archive, name)?.as_deref(), &bytes) {
        Some(true) => archive.replace(&file, &bytes)?,
        Some(false) => {}
        None => return Ok(Taken::Refused(ANOTHER.to_owned())),
    }
    inbox.remove(&file)?;
    inbox.sync()?;
    Ok(Taken::Done)
}

/// What the archive has as the ledger file NAME.
///
/// # Errors
/// It cannot be read.
pub fn known(archive: &Folder, name: &Name) -> Result<Option<Vec<u8>>, Error> {
    archive.read(name.ledger(), MOST_BYTES as u64)
}

/// What a file holds, if that is a ledger that an edge has signed, and nothing else.
///
/// # Errors
/// It cannot be read.
pub fn held_in(mut file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(verify(&bytes).is_ok().then_some(bytes))
}

/// The ledger that a recording carries, if an edge has signed it.
pub fn carried(recording: &File) -> Option<Vec<u8>> {
    let bytes = demux::ledger(&Opened::new(recording).ok()?).ok()?;
    verify(&bytes).is_ok().then(|| bytes.to_vec())
}

fn verify(bytes: &[u8]) -> Result<(), String> {
    let slices = Slice::parse_all(bytes).map_err(|error| error.to_string())?;
    if slices.is_empty() {
        return Err("there is no slice in it".to_owned());
    }
    slices.iter().try_for_each(Slice::verify).map_err(|forged| forged.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Ticks90k;
    use media::ledger::slice::write_all;
    use media::ledger::{Boot, Cause, Entry, SigningKey, Tail};
    use media::names::CameraId;

    /// A ledger file with one gap.
    fn bytes() -> Vec<u8> {
        let mut tail = Tail::begin(CameraId::new(b"key", "front"), [1; 32]);
        tail.note(
            Boot::of("one"),
            Entry::Gap { cause: Cause::CameraGone, from: Ticks90k(1), to: Ticks90k(2) },
        );
        write_all(&tail.cut(&SigningKey::from_bytes(&[7; 32]))).to_vec()
    }

    #[test]
    fn a_signed_ledger_goes_to_the_archive_once_its_upload_is_over_and_any_other_is_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let archive = Folder::open(dir.path()).expect("opens").make_folder("archive").expect("makes");
        let folder = Folder::open(dir.path()).expect("opens").make_folder("inbox").expect("makes");
        let account = Account { name: "front".to_owned(), folder };
        let name = Name::new("a").expect("a name");
        let taken = || take(&archive, &account, &name).expect("no trouble");
        let path = |name: &str| dir.path().join(name);
        assert_eq!(taken(), Taken::Left);

        std::fs::write(path("inbox/a.ledger"), bytes()).expect("writes");
        std::fs::write(path("inbox/a.lockfile"), "").expect("writes");
        assert_eq!(taken(), Taken::Left);
        std::fs::remove_file(path("inbox/a.lockfile")).expect("removes");
        let other = std::fs::File::open(path("inbox/a.ledger")).expect("opens");
        other.lock().expect("held");
        assert_eq!(taken(), Taken::Left, "another service takes it in");
        drop(other);
        assert_eq!(taken(), Taken::Done);
        assert_eq!(std::fs::read(path("archive/a.ledger")).expect("there"), bytes());
        assert!(!path("inbox/a.ledger").exists());

        std::fs::write(path("inbox/a.ledger"), bytes()).expect("writes");
        assert_eq!(taken(), Taken::Done, "once more the same");
        std::fs::write(path("inbox/a.ledger"), b"").expect("writes");
        assert_eq!(taken(), Taken::Refused("there is no slice in it".to_owned()));
        let mut forged = bytes();
        forged[100] ^= 1;
        std::fs::write(path("inbox/a.ledger"), forged).expect("writes");
        assert_eq!(taken(), Taken::Refused("the signature does not fit the ledger slice".to_owned()));
        std::fs::write(path("inbox/a.ledger"), "no ledger").expect("writes");
        assert_eq!(taken(), Taken::Refused("ledger at byte 0: not a slice".to_owned()));
    }
}
