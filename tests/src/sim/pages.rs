//! The bytes of a file, page by page: a hole costs nothing, and a copy shares what neither changes.

use media::mp4::ReadAt;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

/// Bytes of a page: what a disk writes at once, unless the power fails.
pub const PAGE: u64 = 4096;

/// One page.
pub type Page = [u8; PAGE as usize];

/// The bytes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    len: u64,
    pages: BTreeMap<u64, Rc<Page>>,
}

impl Pages {
    /// A file that holds `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut pages = Self::default();
        pages.write(0, bytes);
        pages
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pages that are no hole.
    pub fn used(&self) -> u64 {
        self.pages.len() as u64
    }

    /// The pages that `from..to` touches and that are a hole.
    pub fn holes(&self, from: u64, to: u64) -> u64 {
        (from / PAGE..to.div_ceil(PAGE)).filter(|page| !self.pages.contains_key(page)).count() as u64
    }

    /// One page; a hole reads as zeros.
    pub fn page(&self, page: u64) -> Rc<Page> {
        self.pages.get(&page).cloned().unwrap_or_else(|| Rc::new([0; PAGE as usize]))
    }

    /// Puts a page in place. The length stays.
    pub fn put(&mut self, page: u64, bytes: Rc<Page>) {
        self.pages.insert(page, bytes);
    }

    /// Makes a page a hole.
    pub fn punch(&mut self, page: u64) {
        self.pages.remove(&page);
    }

    /// Whether the page is no hole.
    pub fn has(&self, page: u64) -> bool {
        self.pages.contains_key(&page)
    }

    /// The stretches of `from..to` that are no hole.
    pub fn runs(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for page in self.pages.range(from / PAGE..to.div_ceil(PAGE)).map(|(page, _)| *page) {
            let (start, end) = ((page * PAGE).max(from), ((page + 1) * PAGE).min(to));
            match runs.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => runs.push((start, end)),
            }
        }
        runs
    }

    /// Writes `bytes` at `at`, growing the file where they reach beyond its end.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = at;
        while !rest.is_empty() {
            let within = (at % PAGE) as usize;
            let (now, later) = rest.split_at(rest.len().min(PAGE as usize - within));
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Rc::new([0; PAGE as usize]));
            Rc::make_mut(page)[within..within + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            rest = later;
        }
        self.len = self.len.max(at);
    }

    /// Cuts the file, or lets it grow with a hole.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE));
            if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                Rc::make_mut(page)[(len % PAGE) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    /// Reads from `at`, at most up to the end; gives how much there was.
    pub fn read(&self, at: u64, buf: &mut [u8]) -> usize {
        let wanted = (buf.len() as u64).min(self.len.saturating_sub(at)) as usize;
        let mut done = 0;
        while done < wanted {
            let from = at + done as u64;
            let within = (from % PAGE) as usize;
            let count = (wanted - done).min(PAGE as usize - within);
            match self.pages.get(&(from / PAGE)) {
                Some(page) => buf[done..done + count].copy_from_slice(&page[within..within + count]),
                None => buf[done..done + count].fill(0),
            }
            done += count;
        }
        wanted
    }

    /// All bytes of a small file.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }
}

impl ReadAt for Pages {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read(offset, buf) < buf.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_were_written_also_over_pages_holes_and_cuts() {
        let mut pages = Pages::default();
        pages.write(PAGE - 2, b"abcd");
        assert_eq!((pages.len(), pages.used()), (PAGE + 2, 2));
        let mut buf = [9; 8];
        assert_eq!(pages.read(PAGE - 4, &mut buf), 6);
        assert_eq!(&buf[..6], b"\0\0abcd");
        pages.set_len(PAGE + 1);
        pages.set_len(3 * PAGE);
        assert_eq!(pages.read(PAGE, &mut buf), 8);
        assert_eq!(&buf, b"c\0\0\0\0\0\0\0");
        assert_eq!((pages.used(), pages.holes(0, 3 * PAGE)), (2, 1));
        assert_eq!(pages.runs(5, 3 * PAGE), [(5, 2 * PAGE)]);
    }
}
