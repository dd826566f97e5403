//! Where an MP4 is read from, and how its boxes are read without trusting them.

use std::fmt;
use std::io;

/// Random access to the bytes of a file.
pub trait ReadAt {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Fills `buf` from `offset`; not having that many bytes there is an error.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let found = start.and_then(|start| self.get(start..)?.get(..buf.len()));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

/// The type of a box.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BoxName(pub [u8; 4]);

impl fmt::Display for BoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for BoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a file cannot be read, with the box and where it stands.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The box contradicts the standard, or itself.
    #[error("{name} at {offset}: {what}")]
    Malformed {
        /// The box.
        name: BoxName,
        /// Offset of its header in the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The box says something that is legal and not handled.
    #[error("{name} at {offset}: {what} is not supported")]
    Unsupported {
        /// The box.
        name: BoxName,
        /// Offset of its header in the file.
        offset: u64,
        /// What is not handled.
        what: &'static str,
    },
    /// A box that has to be there is not.
    #[error("{name} at {offset}: there is no {child} in it")]
    Missing {
        /// The box around it.
        name: BoxName,
        /// Offset of its header in the file.
        offset: u64,
        /// What is missing.
        child: BoxName,
    },
    /// The box asks for more than is given to any file.
    #[error("{name} at {offset}: {found} {what}, at most {limit} are read")]
    TooMuch {
        /// The box.
        name: BoxName,
        /// Offset of its header in the file.
        offset: u64,
        /// Of what there are too many.
        what: &'static str,
        /// How many it says there are.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// No `moov` in the whole file.
    #[error("no moov in {size} bytes")]
    NoMovie {
        /// Size of the file.
        size: u64,
    },
    /// The file could not be read.
    #[error("cannot read {length} bytes at {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// What the source said.
        #[source]
        source: io::Error,
    },
}

/// Reads `length` bytes at `offset`. The caller has bounded `length`.
pub(in crate::mp4) fn read(
    source: &(impl ReadAt + ?Sized),
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; length];
    if bytes.is_empty() {
        return Ok(bytes); // also beyond the end
    }
    source.read_exact_at(&mut bytes, offset).map_err(|source| ReadError::Io {
        offset,
        length: length as u64,
        source,
    })?;
    Ok(bytes)
}

/// A box of the file: what its header says.
#[derive(Clone, Copy, Debug)]
pub(in crate::mp4) struct TopBox {
    pub(in crate::mp4) name: BoxName,
    pub(in crate::mp4) offset: u64,
    pub(in crate::mp4) payload: u64,
    pub(in crate::mp4) end: u64,
}

impl TopBox {
    /// Reads the header at `offset`. The box lies inside the file.
    pub(in crate::mp4) fn read(source: &(impl ReadAt + ?Sized), offset: u64) -> Result<Self, ReadError> {
        let left = source.size().saturating_sub(offset);
        let header = read(source, offset, left.min(16) as usize)?;
        let mut fields = Fields { name: BoxName(*b"file"), offset, position: offset, data: &header };
        let size = u64::from(fields.u32()?);
        let name = BoxName(fields.array()?);
        let malformed = |what| ReadError::Malformed { name, offset, what };
        let (size, header) = match size {
            0 if name.0 == *b"mdat" => (left, 8),
            1 => (Fields { name, ..fields }.u64()?, 16),
            _ => (size, 8),
        };
        if size < header {
            return Err(malformed("smaller than its header"));
        }
        if size > left {
            return Err(malformed("reaches beyond the end of the file"));
        }
        Ok(Self { name, offset, payload: offset + header, end: offset + size })
    }

    /// Reads the payload, if it has at most `limit` bytes.
    pub(in crate::mp4) fn payload(
        &self,
        source: &(impl ReadAt + ?Sized),
        limit: u64,
    ) -> Result<Vec<u8>, ReadError> {
        let found = self.end - self.payload;
        if found > limit {
            return Err(self.fields(&[]).too_much("bytes", found, limit));
        }
        read(source, self.payload, found as usize)
    }

    /// Looks at a payload that was read.
    pub(in crate::mp4) fn fields<'a>(&self, payload: &'a [u8]) -> Fields<'a> {
        Fields { name: self.name, offset: self.offset, position: self.payload, data: payload }
    }
}

/// The fields of a box that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(in crate::mp4) struct Fields<'a> {
    pub(in crate::mp4) name: BoxName,
    /// Of the box's header in the file.
    pub(in crate::mp4) offset: u64,
    /// Of `data` in the file.
    position: u64,
    data: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(in crate::mp4) fn malformed(&self, what: &'static str) -> ReadError {
        ReadError::Malformed { name: self.name, offset: self.offset, what }
    }

    pub(in crate::mp4) fn unsupported(&self, what: &'static str) -> ReadError {
        ReadError::Unsupported { name: self.name, offset: self.offset, what }
    }

    pub(in crate::mp4) fn too_much(&self, what: &'static str, found: u64, limit: u64) -> ReadError {
        ReadError::TooMuch { name: self.name, offset: self.offset, what, found, limit }
    }

    /// Everything that is left.
    pub(in crate::mp4) fn rest(&self) -> &'a [u8] {
        self.data
    }

    pub(in crate::mp4) fn take(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let (taken, rest) =
            self.data.split_at_checked(length).ok_or_else(|| self.malformed("ends too early"))?;
        self.data = rest;
        self.position += length as u64;
        Ok(taken)
    }

    pub(in crate::mp4) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.malformed("ends too early"))
    }

    pub(in crate::mp4) fn u8(&mut self) -> Result<u8, ReadError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(in crate::mp4) fn u16(&mut self) -> Result<u16, ReadError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(in crate::mp4) fn u32(&mut self) -> Result<u32, ReadError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(in crate::mp4) fn u64(&mut self) -> Result<u64, ReadError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Version and flags of a FullBox.
    pub(in crate::mp4) fn version_flags(&mut self) -> Result<(u8, u32), ReadError> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00FF_FFFF))
    }

    /// A field of 64 bits in version 1, of 32 before.
    pub(in crate::mp4) fn sized(&mut self, version: u8) -> Result<u64, ReadError> {
        if version == 0 { Ok(self.u32()?.into()) } else { self.u64() }
    }

    /// `count` entries of `size` bytes each must be there.
    pub(in crate::mp4) fn entries(&mut self, count: u32, size: usize) -> Result<&'a [u8], ReadError> {
        let length = (count as usize).checked_mul(size);
        length.ok_or_else(|| self.malformed("ends too early")).and_then(|length| self.take(length))
    }

    /// The boxes inside.
    pub(in crate::mp4) fn children(&self) -> Children<'a> {
        Children { fields: *self }
    }

    /// The first box of a type inside, if there is one.
    pub(in crate::mp4) fn find(&self, name: &[u8; 4]) -> Result<Option<Fields<'a>>, ReadError> {
        for child in self.children() {
            let child = child?;
            if child.name.0 == *name {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    /// The first box of a type inside, which has to be there.
    pub(in crate::mp4) fn child(&self, name: &[u8; 4]) -> Result<Fields<'a>, ReadError> {
        let missing = ReadError::Missing { name: self.name, offset: self.offset, child: BoxName(*name) };
        self.find(name)?.ok_or(missing)
    }
}

/// Iterator over the boxes inside a box; it ends after an error.
pub(in crate::mp4) struct Children<'a> {
    fields: Fields<'a>,
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<Fields<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Fewer bytes than a header are padding: QuickTime ends `udta` with four zero bytes.
        if self.fields.data.len() < 8 {
            return None;
        }
        let child = self.child();
        if child.is_err() {
            self.fields.data = &[];
        }
        Some(child)
    }
}

impl<'a> Children<'a> {
    fn child(&mut self) -> Result<Fields<'a>, ReadError> {
        let offset = self.fields.position;
        let available = self.fields.data.len();
        let size = self.fields.u32()?;
        let name = BoxName(self.fields.array()?);
        let malformed = |what| ReadError::Malformed { name, offset, what };
        let (size, header) = match size {
            0 => (available as u64, 8),
            1 => (self.fields.u64()?, 16),
            size => (u64::from(size), 8),
        };
        let length = size.checked_sub(header).ok_or_else(|| malformed("smaller than its header"))?;
        let position = self.fields.position;
        let length = usize::try_from(length).ok().filter(|&length| length <= self.fields.data.len());
        let data = self.fields.take(length.ok_or_else(|| malformed("reaches beyond the box around it"))?)?;
        Ok(Fields { name, offset, position, data })
    }
}
