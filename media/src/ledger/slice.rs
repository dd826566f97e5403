//! A slice: the entries from one head of a chain to the next, signed with the device key. It is what travels.
//!
//! ```text
//! "PLG1" length(32)                         of everything behind
//! camera(8 characters) recording(64) boot(128) form(8)
//! before: position(64) hash(256)            after: position(64) hash(256)
//! count(32) entries ...
//! count(32) hashes(256) ...                 only if it is thinned: of what is left of each GOP
//! key(256) signature(512)                   ed25519 (RFC 8032) over all that stands in front of it
//! ```
//!
//! Slices stand one behind the other in the seal of a recording (`mp4::seal`), and in a file `NAME.ledger`.

use super::{Boot, Cause, Dates, Entry, Error, Gop, Hash, Head, array, read_entries};
use crate::names::CameraId;
use crate::{Ticks90k, WallTime};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

const MAGIC: &[u8; 4] = b"PLG1";
/// In `recording`: the slice belongs to no recording. Sequence numbers of names have ten digits.
const NO_RECORDING: u64 = u64::MAX;
/// Most bytes of all slices in one seal or file: a day of GOPs.
pub const MOST_BYTES: usize = 8 << 20;
/// Most slices in one seal or file.
pub const MOST_SLICES: usize = 1 << 12;

/// What became of the footage that the entries speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it is in the recording.
    Whole,
    /// Only the IDR pictures are left: the hash of each, in the order of the GOPs.
    Thinned(Vec<Hash>),
    /// None is left, and no GOP is among the entries: they are not what was hashed, and the signature alone vouches for them.
    Dropped,
}

/// Entries of one boot and one recording, between two heads of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Whose chain it is.
    pub camera: CameraId,
    /// Sequence number of the recording's name; `None`: no recording carries this.
    pub recording: Option<u64>,
    /// What all times are of.
    pub boot: Boot,
    /// What became of the footage.
    pub form: Form,
    /// The head in front of the entries.
    pub before: Head,
    /// The head behind them.
    pub after: Head,
    /// In the order of the chain.
    pub entries: Vec<Entry>,
    /// The device's public key.
    pub key: [u8; 32],
    /// Over everything above.
    pub signature: [u8; 64],
}

/// How a slice, or the recording that carries it, is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// The signature does not fit: something in the slice was changed.
    #[error("the signature does not fit the ledger slice")]
    Signature,
    /// The slice is signed, but not with the key of this camera.
    #[error("the ledger slice was signed with another key")]
    Key,
    /// The entries do not lead from one head to the other.
    #[error("the entries of the ledger slice do not make up its hash")]
    Chain,
    /// Access units are not those that were recorded.
    #[error("GOP {sequence} was altered")]
    Altered {
        /// The first GOP of which that is so.
        sequence: u64,
    },
    /// A GOP stands where another belongs.
    #[error("GOP {found} stands in the place of GOP {sequence}")]
    Reordered {
        /// The GOP that belongs there.
        sequence: u64,
        /// The GOP that is there.
        found: u64,
    },
    /// The recording has fewer or more GOPs than the slice.
    #[error("the recording has {found} GOPs, the ledger slice {signed}")]
    Count {
        /// GOPs in the file.
        found: usize,
        /// GOPs in the slice.
        signed: usize,
    },
    /// The slice is of another recording than the name of the file.
    #[error("the file carries the ledger slice of another recording")]
    Name,
}

impl Slice {
    /// Signs what leads from `before` to the head behind `entries`.
    pub fn sign(
        key: &SigningKey,
        camera: CameraId,
        recording: Option<u64>,
        boot: Boot,
        before: Head,
        entries: Vec<Entry>,
    ) -> Self {
        let after = before.extend(boot, &entries);
        let signature = [0; 64];
        let key_bytes = key.verifying_key().to_bytes();
        let form = Form::Whole;
        Self { camera, recording, boot, form, before, after, entries, key: key_bytes, signature }.signed(key)
    }

    /// The same slice for a recording of which only the IDR pictures are left: `left` has the hash of each.
    #[must_use]
    pub fn thinned(self, key: &SigningKey, left: Vec<Hash>) -> Self {
        Self { form: Form::Thinned(left), ..self }.signed(key)
    }

    /// What is left of the slice when its recording is removed without a receipt: its gaps and its clock, and one gap more, for
    /// all of its GOPs.
    #[must_use]
    pub fn dropped(self, key: &SigningKey) -> Self {
        let span = self.span();
        let mut entries: Vec<Entry> =
            self.entries.iter().filter(|entry| !matches!(entry, Entry::Gop(_))).copied().collect();
        entries.extend(span.map(|(from, to)| Entry::Gap { cause: Cause::DiskFull, from, to }));
        Self { form: Form::Dropped, entries, ..self }.signed(key)
    }

    fn signed(mut self, key: &SigningKey) -> Self {
        self.key = key.verifying_key().to_bytes();
        self.signature = key.sign(&self.body()).to_bytes();
        self
    }

    /// Whether it is about footage that is left in the recording that carries it.
    pub fn is_own(&self) -> bool {
        self.recording.is_some() && self.form != Form::Dropped
    }

    /// The GOPs among the entries.
    pub fn gops(&self) -> impl Iterator<Item = &Gop> + Clone {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Gop(gop) => Some(gop),
            _ => None,
        })
    }

    /// Media time of the first picture, and the end of the last one.
    pub fn span(&self) -> Option<(Ticks90k, Ticks90k)> {
        let from = self.gops().map(|gop| gop.start).min()?;
        let to = self.gops().map(|gop| gop.start + gop.duration).max()?;
        Some((from, to))
    }

    /// When its footage began, by the clock as it was set last: `dates` may know more than the name of the recording.
    pub fn start(&self, dates: &Dates) -> Option<WallTime> {
        dates.wall_of(self.boot, self.span()?.0)
    }

    /// Appends the bytes of the slice.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(&self.body());
        out.put_slice(&self.signature);
    }

    /// Everything that is signed.
    fn body(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(256 + self.entries.len() * super::MOST_ENTRY_BYTES);
        out.put_slice(MAGIC);
        out.put_u32(0);
        out.put_slice(self.camera.to_string().as_bytes());
        out.put_u64(self.recording.unwrap_or(NO_RECORDING));
        out.put_slice(&self.boot.0);
        out.put_u8(match self.form {
            Form::Whole => 0,
            Form::Thinned(_) => 1,
            Form::Dropped => 2,
        });
        self.before.write(&mut out);
        self.after.write(&mut out);
        out.put_u32(self.entries.len() as u32);
        self.entries.iter().for_each(|entry| entry.write(&mut out));
        if let Form::Thinned(left) = &self.form {
            out.put_u32(left.len() as u32);
            left.iter().for_each(|hash| out.put_slice(hash));
        }
        out.put_slice(&self.key);
        let length = (out.len() - 8 + self.signature.len()) as u32;
        out[4..8].copy_from_slice(&length.to_be_bytes());
        out
    }

    /// Reads all slices of a seal or a file; none of what they say is verified.
    ///
    /// # Errors
    /// The bytes are not one slice behind the other, or more than there may be.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let malformed = |rest: &[u8], what| Error::Malformed { at: bytes.len() - rest.len(), what };
        if bytes.len() > MOST_BYTES {
            return Err(malformed(bytes, "more than there may be"));
        }
        let mut slices = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if slices.len() == MOST_SLICES {
                return Err(malformed(rest, "more slices than there may be"));
            }
            let (slice, behind) = Self::parse(rest).ok_or_else(|| malformed(rest, "not a slice"))?;
            slices.push(slice);
            rest = behind;
        }
        Ok(slices)
    }

    /// The first slice, and what stands behind it.
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut header = bytes.strip_prefix(MAGIC)?;
        let length = usize::try_from(header.try_get_u32().ok()?).ok()?;
        let (mut body, behind) = header.split_at_checked(length)?;
        let body = &mut body;
        let camera = std::str::from_utf8(&array::<8>(body)?).ok()?.parse().ok()?;
        let recording = Some(body.try_get_u64().ok()?).filter(|recording| *recording != NO_RECORDING);
        let boot = Boot(array(body)?);
        let form = body.try_get_u8().ok()?;
        let (before, after) = (Head::read(body)?, Head::read(body)?);
        let count = usize::try_from(body.try_get_u32().ok()?).ok()?;
        let entries = read_entries(body, count)?;
        let form = match form {
            0 => Form::Whole,
            1 => {
                let count = usize::try_from(body.try_get_u32().ok()?).ok()?;
                let (hashes, rest) = body.split_at_checked(count.checked_mul(32)?)?;
                *body = rest;
                Form::Thinned(hashes.as_chunks::<32>().0.to_vec())
            }
            2 => Form::Dropped,
            _ => return None,
        };
        let (key, signature) = (array(body)?, array(body)?);
        let slice = Self { camera, recording, boot, form, before, after, entries, key, signature };
        body.is_empty().then_some((slice, behind))
    }

    /// Whether the slice is what its key signed, and its entries what its heads say.
    ///
    /// # Errors
    /// Something in it was changed.
    pub fn verify(&self) -> Result<(), Forged> {
        let key = VerifyingKey::from_bytes(&self.key).map_err(|_| Forged::Key)?;
        key.verify_strict(&self.body(), &Signature::from_bytes(&self.signature))
            .map_err(|_| Forged::Signature)?;
        let sound = match self.form {
            Form::Dropped => self.gops().next().is_none(),
            Form::Whole | Form::Thinned(_) => self.before.extend(self.boot, &self.entries) == self.after,
        };
        // A chain of slices comes to an end, because each leads on.
        if sound && self.after.position > self.before.position { Ok(()) } else { Err(Forged::Chain) }
    }

    /// Whether a recording with GOPs of these hashes, in the order of the file, is the one that the slice speaks of.
    ///
    /// # Errors
    /// The first GOP that is not what was signed.
    pub fn verify_footage(&self, found: &[Hash]) -> Result<(), Forged> {
        let gops: Vec<&Gop> = self.gops().collect();
        let signed: Vec<Hash> = match &self.form {
            Form::Thinned(left) => left.clone(),
            Form::Whole | Form::Dropped => gops.iter().map(|gop| gop.sha256).collect(),
        };
        let numbered = |n: usize| gops.get(n).map_or(n as u64, |gop| gop.sequence);
        let wrong = signed.iter().zip(found).position(|(signed, found)| signed != found);
        match wrong {
            Some(n) => match found.get(n).and_then(|hash| signed.iter().position(|signed| signed == hash)) {
                Some(other) => Err(Forged::Reordered { sequence: numbered(n), found: numbered(other) }),
                None => Err(Forged::Altered { sequence: numbered(n) }),
            },
            None if signed.len() != found.len() => {
                Err(Forged::Count { found: found.len(), signed: signed.len() })
            }
            None => Ok(()),
        }
    }

    /// Whether the camera's id was made from the slice's key and the camera's name: [`CameraId::new`] takes the key as SSH
    /// does (RFC 8709 4).
    pub fn is_of(&self, camera_name: &str) -> bool {
        CameraId::new(&ssh_blob(&self.key), camera_name) == self.camera
    }
}

/// An ed25519 public key as it travels in SSH (RFC 8709 4).
pub fn ssh_blob(key: &[u8; 32]) -> Vec<u8> {
    [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], key].concat()
}

/// The bytes of slices one behind the other, as a seal carries them.
pub fn write_all<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> Bytes {
    let mut out = BytesMut::new();
    slices.into_iter().for_each(|slice| slice.write(&mut out));
    out.freeze()
}

/// Whether a ledger file adds something to the one of its name that is `known`: either may be the beginning of the other, because
/// half an upload can end with a whole slice. `None`: it is another one.
pub fn adds(known: Option<&[u8]>, new: &[u8]) -> Option<bool> {
    match known {
        Some(known) if known.starts_with(new) => Some(false),
        Some(known) if !new.starts_with(known) => None,
        _ => Some(true),
    }
}
