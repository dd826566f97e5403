//! A disk with its page cache: what is seen now, and what is left after a power cut.
//!
//! ```text
//!          now                         on the disk
//! names    NAME.part -> 7              log: [+NAME.part 7] [-NAME.lockfile] ...   a power cut loses an end of the log
//! file 7   pages, length               pages, length, without any of the dirty ones
//! ```
//!
//! Names are those of a journalling file system: changes become durable in their order, `fsync` of a folder makes all up to its
//! own last change durable. `fsync` of a file promises nothing of its name. Of pages that are not synced any may be on the
//! disk, whole or torn at any byte. After a failed `fsync` the pages count as clean although they are not on the disk, and each handle that
//! was open then is told once, as on Linux.

use super::pages::{PAGE, Pages};
use super::random::Random;
use media::handshake::claim::Writer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inode(u64);

/// An opening of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(u64);

/// Why a call of the system failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// ENOENT
    Absent,
    /// EEXIST
    Exists,
    /// ENOSPC
    NoSpace,
    /// EIO
    Io,
    /// EROFS
    ReadOnly,
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Which file.
    pub inode: Inode,
    /// Bytes.
    pub size: u64,
    /// When it last changed, by the wall clock of the host.
    pub changed: Duration,
}

/// Something that a name stands for now and did not before; several at once in a rename.
type Change = Vec<(String, Option<Inode>)>;

#[derive(Debug, Default)]
struct File {
    now: Pages,
    durable: Pages,
    /// Pages that the next `fsync` writes.
    dirty: BTreeSet<u64>,
    changed: Duration,
    /// Another number whenever `now`, or `durable`, is another one.
    versions: [u64; 2],
}

#[derive(Debug)]
struct Opened {
    inode: Inode,
    writing: bool,
    /// A sync over another one has failed since.
    failed: bool,
}

/// Whose names and bytes: of now, or of after the worst power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As programs see it.
    Now,
    /// If the power failed now, and nothing was written that had not to be.
    Durable,
}

/// The disk of one host.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<Inode, File>,
    names: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    log: VecDeque<Change>,
    opened: BTreeMap<Handle, Opened>,
    flocks: BTreeMap<Inode, Handle>,
    ids: u64,
    /// Changes of names and bytes.
    changes: u64,
    /// The same, and of what is durable.
    state: u64,
    /// It says that it has synced, and has not.
    pub lies: bool,
    /// Pages that may still be taken; `None`: enough.
    pub room: Option<u64>,
}

/// The folder of a name: all before its last slash.
pub fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk {
    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// A number that is another one after each change of names and bytes, also of those that would be left.
    pub fn version(&self) -> u64 {
        self.state
    }

    /// A number for the bytes of a file that are others now.
    fn news(&mut self) -> u64 {
        self.state += 1;
        self.id()
    }

    /// How often a name or bytes changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What stands under `name`.
    pub fn look(&self, name: &str) -> Option<Meta> {
        let inode = *self.names.get(name)?;
        let file = self.files.get(&inode)?;
        Some(Meta { inode, size: file.now.len(), changed: file.changed })
    }

    /// The names in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{folder}/");
        let inside = self.names.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        inside.map(|(name, _)| name[prefix.len()..].to_owned()).filter(|name| !name.contains('/')).collect()
    }

    /// The bytes under a name, and a number that is another one when they are others.
    pub fn content(&self, name: &str, view: View) -> Option<(&Pages, u64)> {
        let (names, which) = match view {
            View::Now => (&self.names, 0),
            View::Durable => (&self.durable, 1),
        };
        let file = self.files.get(names.get(name)?)?;
        Some((if which == 0 { &file.now } else { &file.durable }, file.versions[which]))
    }

    /// Opens a file.
    pub fn open(&mut self, name: &str, writing: bool) -> Result<Handle, Errno> {
        let inode = *self.names.get(name).ok_or(Errno::Absent)?;
        Ok(self.handle(inode, writing))
    }

    /// Makes an empty file, which must not be there, and opens it for writing.
    pub fn create(&mut self, name: &str, wall: Duration) -> Result<Handle, Errno> {
        if self.names.contains_key(name) {
            return Err(Errno::Exists);
        }
        if self.room == Some(0) {
            return Err(Errno::NoSpace);
        }
        let inode = Inode(self.id());
        self.files.insert(inode, File { changed: wall, ..File::default() });
        self.change(vec![(name.to_owned(), Some(inode))]);
        Ok(self.handle(inode, true))
    }

    fn handle(&mut self, inode: Inode, writing: bool) -> Handle {
        let handle = Handle(self.id());
        self.opened.insert(handle, Opened { inode, writing, failed: false });
        handle
    }

    /// Lets an opening go, and its flock.
    pub fn close(&mut self, handle: Handle) {
        if let Some(opened) = self.opened.remove(&handle) {
            self.flocks.retain(|_, holder| *holder != handle);
            self.forget(opened.inode);
        }
    }

    /// Which file was opened.
    pub fn inode(&self, handle: Handle) -> Option<Inode> {
        self.opened.get(&handle).map(|opened| opened.inode)
    }

    /// The bytes of an open file.
    pub fn bytes(&self, handle: Handle) -> Pages {
        self.file(handle).map(|file| file.now.clone()).unwrap_or_default()
    }

    fn file(&self, handle: Handle) -> Option<&File> {
        self.files.get(&self.inode(handle)?)
    }

    /// Writes what there is room for; gives how much that was.
    pub fn write(&mut self, handle: Handle, at: u64, bytes: &[u8], wall: Duration) -> Result<usize, Errno> {
        let version = self.news();
        self.changes += 1;
        let Some(inode) = self.inode(handle) else { return Err(Errno::Io) };
        let Some(file) = self.files.get_mut(&inode) else { return Err(Errno::Io) };
        let mut fits = bytes.len();
        if let Some(room) = &mut self.room {
            while fits > 0 && file.now.holes(at, at + fits as u64) > *room {
                let over = (at + fits as u64) % PAGE;
                fits = fits.saturating_sub(if over == 0 { PAGE } else { over } as usize);
            }
            if fits == 0 && !bytes.is_empty() {
                return Err(Errno::NoSpace);
            }
            *room -= file.now.holes(at, at + fits as u64);
        }
        file.now.write(at, &bytes[..fits]);
        file.dirty.extend(at / PAGE..(at + fits as u64).div_ceil(PAGE));
        (file.changed, file.versions[0]) = (wall, version);
        Ok(fits)
    }

    /// Cuts a file, or lets it grow with a hole.
    pub fn set_len(&mut self, handle: Handle, len: u64, wall: Duration) {
        let version = self.news();
        self.changes += 1;
        let inode = self.inode(handle);
        if let Some(file) = inode.and_then(|inode| self.files.get_mut(&inode)) {
            let old = file.now.len();
            file.now.set_len(len);
            file.dirty.extend(len / PAGE..=old.max(len) / PAGE);
            (file.changed, file.versions[0]) = (wall, version);
        }
    }

    /// Makes the bytes of a file durable; an error if that had failed before over another handle.
    pub fn sync(&mut self, handle: Handle) -> Result<(), Errno> {
        let version = self.news();
        let lies = self.lies;
        let inode = self.inode(handle);
        if let Some(file) = inode.and_then(|inode| self.files.get_mut(&inode))
            && !lies
        {
            write_back(file, &|_| true);
            file.durable.set_len(file.now.len());
            file.versions[1] = version;
        }
        let failed = self.opened.get_mut(&handle).is_some_and(|opened| std::mem::take(&mut opened.failed));
        if failed { Err(Errno::Io) } else { Ok(()) }
    }

    /// A sync that fails: some pages are written, the others count as written.
    pub fn fail_sync(&mut self, handle: Handle, random: &Random) {
        let version = self.news();
        let inode = self.inode(handle);
        if let Some(file) = inode.and_then(|inode| self.files.get_mut(&inode)) {
            write_back(file, &|_| random.once_in(2));
            file.dirty.clear();
            file.versions[1] = version;
        }
        let others = self.opened.iter_mut().filter(|(other, _)| **other != handle);
        others.filter(|(_, opened)| Some(opened.inode) == inode).for_each(|(_, opened)| opened.failed = true);
    }

    /// Makes the names in a folder durable, with whatever changed elsewhere before.
    pub fn sync_folder(&mut self, name: &str) {
        let concerns = |change: &Change| change.iter().any(|(changed, _)| folder(changed) == name);
        let last = self.log.iter().rposition(concerns);
        if let Some(last) = last.filter(|_| !self.lies) {
            self.commit(last + 1);
        }
    }

    /// Gives a file one more name.
    pub fn link(&mut self, name: &str, new: &str) -> Result<(), Errno> {
        let inode = *self.names.get(name).ok_or(Errno::Absent)?;
        if self.names.contains_key(new) {
            return Err(Errno::Exists);
        }
        if self.room == Some(0) {
            return Err(Errno::NoSpace);
        }
        self.change(vec![(new.to_owned(), Some(inode))]);
        Ok(())
    }

    /// Renames a file; what is there of the new name gives way if `replace`.
    pub fn rename(&mut self, name: &str, new: &str, replace: bool) -> Result<(), Errno> {
        let inode = *self.names.get(name).ok_or(Errno::Absent)?;
        if self.names.contains_key(new) && !replace {
            return Err(Errno::Exists);
        }
        self.change(vec![(name.to_owned(), None), (new.to_owned(), Some(inode))]);
        Ok(())
    }

    /// Removes a name.
    pub fn remove(&mut self, name: &str) -> Result<(), Errno> {
        self.names.get(name).ok_or(Errno::Absent)?;
        self.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    /// Takes the flock of a file unless another opening has it.
    pub fn flock(&mut self, handle: Handle) -> bool {
        let Some(inode) = self.inode(handle) else { return false };
        *self.flocks.entry(inode).or_insert(handle) == handle
    }

    /// Whether anybody else has the file open for writing.
    pub fn writer(&self, handle: Handle) -> Writer {
        let inode = self.inode(handle);
        let writes = |(other, opened): (&Handle, &Opened)| {
            *other != handle && Some(opened.inode) == inode && opened.writing
        };
        if self.opened.iter().any(writes) { Writer::Open } else { Writer::Closed }
    }

    fn change(&mut self, change: Change) {
        let mut old = Vec::new();
        self.state += 1;
        self.changes += 1;
        for (name, inode) in &change {
            old.extend(match inode {
                Some(inode) => self.names.insert(name.clone(), *inode),
                None => self.names.remove(name),
            });
        }
        self.log.push_back(change);
        old.into_iter().for_each(|inode| self.forget(inode));
    }

    /// The first `count` changes of names are on the disk.
    fn commit(&mut self, count: usize) {
        self.state += 1;
        let mut old = Vec::new();
        for (name, inode) in self.log.drain(..count).flatten() {
            old.extend(match inode {
                Some(inode) => self.durable.insert(name, inode),
                None => self.durable.remove(&name),
            });
        }
        old.into_iter().for_each(|inode| self.forget(inode));
    }

    /// Gives the pages of a file back if nobody can come to it any more, not even after a power cut.
    fn forget(&mut self, inode: Inode) {
        let named = |names: &BTreeMap<String, Inode>| names.values().any(|named| *named == inode);
        let logged = self.log.iter().flatten().any(|(_, named)| *named == Some(inode));
        let open = self.opened.values().any(|opened| opened.inode == inode);
        if !logged && !open && !named(&self.names) && !named(&self.durable) {
            let file = self.files.remove(&inode);
            if let (Some(room), Some(file)) = (&mut self.room, file) {
                *room += file.now.used();
            }
        }
    }

    /// The kernel writes some of what it likes.
    pub fn write_some(&mut self, random: &Random) {
        let version = self.news();
        if self.lies {
            return;
        }
        let dirty: Vec<Inode> =
            self.files.iter().filter(|(_, file)| !file.dirty.is_empty()).map(|(inode, _)| *inode).collect();
        if let Some(file) = random.pick(&dirty).and_then(|inode| self.files.get_mut(inode)) {
            write_back(file, &|_| random.once_in(2));
            file.versions[1] = version;
        }
        let changes = self.log.len() as u64;
        self.commit(random.from_to(0, changes) as usize);
    }

    /// The power fails: nobody has a file open any more, and what was not synced is there, gone or torn.
    pub fn cut_power(&mut self, random: &Random) {
        self.opened.clear();
        self.flocks.clear();
        let kept = random.from_to(0, self.log.len() as u64) as usize;
        // A disk that lies keeps what it likes for itself, and that is all of it.
        self.commit(if self.lies { 0 } else { kept });
        self.log.clear();
        self.names.clone_from(&self.durable);
        let named: BTreeSet<Inode> = self.names.values().copied().collect();
        self.files.retain(|inode, _| named.contains(inode));
        let mut version = self.ids;
        for file in self.files.values_mut() {
            version += 1;
            if !self.lies {
                lose_some(file, random);
            }
            file.dirty.clear();
            file.now = file.durable.clone();
            file.versions = [version; 2];
        }
        (self.ids, self.state) = (version, self.state + 1);
    }
}

/// Writes those of the dirty pages that are `chosen`.
fn write_back(file: &mut File, chosen: &dyn Fn(u64) -> bool) {
    let File { now, durable, dirty, .. } = file;
    dirty.retain(|page| {
        let chosen = chosen(*page);
        if chosen {
            match now.has(*page) {
                true => durable.put(*page, now.page(*page)),
                false => durable.punch(*page),
            }
        }
        !chosen
    });
    if dirty.is_empty() {
        durable.set_len(now.len());
    }
}

/// Of the dirty pages any are on the disk; the length is the old one, the new one, or between.
fn lose_some(file: &mut File, random: &Random) {
    let (old, new) = (file.durable.len(), file.now.len());
    let len = match random.below(3) {
        0 => old,
        1 => new,
        _ => random.from_to(old.min(new), old.max(new)),
    };
    for page in &file.dirty {
        match random.below(3) {
            0 => {}
            1 => file.durable.put(*page, file.now.page(*page)),
            _ => {
                let mut torn = file.durable.page(*page);
                let at = random.below(PAGE) as usize;
                Rc::make_mut(&mut torn)[..at].copy_from_slice(&file.now.page(*page)[..at]);
                file.durable.put(*page, torn);
            }
        }
    }
    file.durable.set_len(len);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn text(disk: &Disk, name: &str, view: View) -> Option<String> {
        disk.content(name, view).map(|(pages, _)| String::from_utf8_lossy(&pages.to_vec()).into_owned())
    }

    #[test]
    fn a_power_cut_leaves_what_was_synced_and_names_in_their_order() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let random = Random::new(seed);
            let mut disk = Disk::default();
            let file = disk.create("in/a.part", NOW).unwrap();
            disk.write(file, 0, b"first ", NOW).unwrap();
            disk.sync(file).unwrap();
            disk.sync_folder("in");
            disk.write(file, 6, b"second", NOW).unwrap();
            disk.create("in/b", NOW).unwrap();
            disk.rename("in/a.part", "in/a.mp4", true).unwrap();
            disk.cut_power(&random);
            let name = if disk.look("in/a.mp4").is_some() { "in/a.mp4" } else { "in/a.part" };
            assert!(text(&disk, name, View::Now).unwrap().starts_with("first "));
            let has_b = disk.look("in/b").is_some();
            assert!(has_b || name == "in/a.part", "the rename came after b");
            seen.insert((name, has_b, text(&disk, name, View::Now).unwrap().ends_with("second")));
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
    }

    #[test]
    fn after_a_failed_sync_the_next_one_writes_nothing_and_who_was_there_is_told_once() {
        let mut disk = Disk::default();
        let file = disk.create("a", NOW).unwrap();
        let other = disk.open("a", false).unwrap();
        disk.write(file, 0, b"bytes", NOW).unwrap();
        disk.fail_sync(file, &Random::new(0));
        let late = disk.open("a", false).unwrap();
        let told = [file, other, other, late].map(|handle| disk.sync(handle));
        assert_eq!(told, [Ok(()), Err(Errno::Io), Ok(()), Ok(())]);
        disk.sync_folder("");
        let durable = text(&disk, "a", View::Durable).unwrap();
        assert!(durable == "bytes" || durable == "\0\0\0\0\0", "{durable:?}");
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_gives_back_what_is_removed() {
        let mut disk = Disk { room: Some(2), ..Disk::default() };
        let file = disk.create("a", NOW).unwrap();
        assert_eq!(disk.write(file, 0, &[1; 3 * PAGE as usize], NOW), Ok(2 * PAGE as usize));
        assert_eq!(disk.write(file, 2 * PAGE, b"x", NOW), Err(Errno::NoSpace));
        assert_eq!(disk.write(file, 5, b"x", NOW), Ok(1));
        disk.remove("a").unwrap();
        disk.close(file);
        disk.sync_folder("");
        assert_eq!(disk.room, Some(2));
    }

    #[test]
    fn a_flock_goes_with_its_opening() {
        let mut disk = Disk::default();
        let first = disk.create("a", NOW).unwrap();
        let second = disk.open("a", false).unwrap();
        assert!(disk.flock(first) && disk.flock(first) && !disk.flock(second));
        assert_eq!(disk.writer(second), Writer::Open);
        disk.close(first);
        assert!(disk.flock(second));
        assert_eq!(disk.writer(second), Writer::Closed);
    }
}
