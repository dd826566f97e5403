//! A host: a disk, a wall clock, a boot, and the calls of its system, each a turn.

use super::disk::{Disk, Errno, Handle, Inode, Meta, View, folder};
use super::pages::Pages;
use super::world::World;
use media::handshake::claim::Writer;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What is wrong with a host's disk now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// One call in so many fails with EIO; 0: none does.
    pub io_once_in: u64,
    /// Nothing can be written.
    pub read_only: bool,
    /// A call may take that long.
    pub stall: Duration,
}

/// One machine.
pub struct Host {
    /// Its name in the trace.
    pub name: &'static str,
    /// What it is part of.
    pub world: Rc<World>,
    /// Its disk.
    pub disk: RefCell<Disk>,
    /// What is wrong with it.
    pub trouble: Cell<Trouble>,
    /// How far its wall clock is ahead of the run's time.
    pub ahead: Cell<Duration>,
    /// Counts its boots.
    pub boot: Cell<u64>,
}

/// An open file; closed when dropped.
pub struct File {
    host: Rc<Host>,
    handle: Handle,
}

impl Drop for File {
    fn drop(&mut self) {
        self.host.disk.borrow_mut().close(self.handle);
    }
}

/// Calls take that long, as a rule.
const CALL: Duration = Duration::from_micros(300);

impl Host {
    /// A host with an empty disk.
    pub fn new(name: &'static str, world: &Rc<World>, ahead: Duration) -> Rc<Self> {
        Rc::new(Self {
            name,
            world: Rc::clone(world),
            disk: RefCell::default(),
            trouble: Cell::default(),
            ahead: Cell::new(ahead),
            boot: Cell::new(1),
        })
    }

    /// Wall time, since 1970.
    pub fn wall(&self) -> Duration {
        self.ahead.get() + self.world.tasks.now()
    }

    /// The boot, as a word of a token.
    pub fn boot_id(&self) -> String {
        format!("{}-{}", self.name, self.boot.get())
    }

    /// Waits for the end of a call.
    async fn turn(&self, call: &str, name: &str) -> Result<(), Errno> {
        let random = &self.world.random;
        let stall = self.trouble.get().stall;
        let most = if !stall.is_zero() && random.once_in(20) { stall } else { CALL };
        self.world.tasks.sleep(random.span(most)).await;
        self.world.tell(|| format!("{} {call} {name}", self.name));
        let io = self.trouble.get().io_once_in;
        if io > 0 && random.once_in(io) { Err(Errno::Io) } else { Ok(()) }
    }

    async fn writing_turn(&self, call: &str, name: &str) -> Result<(), Errno> {
        self.turn(call, name).await?;
        if self.trouble.get().read_only { Err(Errno::ReadOnly) } else { Ok(()) }
    }

    /// lstat
    pub async fn look(&self, name: &str) -> Result<Option<Meta>, Errno> {
        self.turn("look", name).await?;
        Ok(self.disk.borrow().look(name))
    }

    /// readdir
    pub async fn names(&self, folder: &str) -> Result<Vec<String>, Errno> {
        self.turn("names", folder).await?;
        Ok(self.disk.borrow().names(folder))
    }

    /// open for reading; `None`: there is no such file.
    pub async fn open(self: &Rc<Self>, name: &str) -> Result<Option<File>, Errno> {
        self.turn("open", name).await?;
        let opened = self.disk.borrow_mut().open(name, false);
        absent(opened.map(|handle| self.file(handle)))
    }

    /// open for writing; `None`: there is no such file.
    pub async fn open_writing(self: &Rc<Self>, name: &str) -> Result<Option<File>, Errno> {
        self.writing_turn("open for writing", name).await?;
        let opened = self.disk.borrow_mut().open(name, true);
        absent(opened.map(|handle| self.file(handle)))
    }

    /// open with `O_CREAT|O_EXCL`
    pub async fn create(self: &Rc<Self>, name: &str) -> Result<File, Errno> {
        self.writing_turn("create", name).await?;
        let wall = self.wall();
        let created = self.disk.borrow_mut().create(name, wall);
        created.map(|handle| self.file(handle))
    }

    /// open with `O_CREAT|O_TRUNC`
    pub async fn create_or_empty(self: &Rc<Self>, name: &str) -> Result<File, Errno> {
        self.writing_turn("create or empty", name).await?;
        let wall = self.wall();
        let mut disk = self.disk.borrow_mut();
        let handle = match disk.open(name, true) {
            Ok(handle) => {
                disk.set_len(handle, 0, wall);
                handle
            }
            Err(_) => disk.create(name, wall)?,
        };
        Ok(self.file(handle))
    }

    fn file(self: &Rc<Self>, handle: Handle) -> File {
        File { host: Rc::clone(self), handle }
    }

    /// All of a small file; `None`: there is no such file.
    pub async fn read(self: &Rc<Self>, name: &str) -> Result<Option<Vec<u8>>, Errno> {
        Ok(self.open(name).await?.map(|file| file.bytes().to_vec()))
    }

    /// Puts a small file in the place of what was there: write beside it, fsync, rename, fsync of the folder.
    pub async fn replace(self: &Rc<Self>, name: &str, bytes: &[u8]) -> Result<(), Errno> {
        let unfinished = format!("{name}.tmp");
        let file = self.create_or_empty(&unfinished).await?;
        file.write(0, bytes).await?;
        file.sync().await?;
        self.rename(&unfinished, name, true).await?;
        self.sync_folder(folder(name)).await
    }

    /// unlink; whether there was such a file.
    pub async fn remove(&self, name: &str) -> Result<bool, Errno> {
        self.writing_turn("remove", name).await?;
        let removed = self.disk.borrow_mut().remove(name);
        absent(removed).map(|removed| removed.is_some())
    }

    /// rename, or with `RENAME_NOREPLACE` unless `replace`
    pub async fn rename(&self, name: &str, new: &str, replace: bool) -> Result<(), Errno> {
        self.writing_turn("rename to", new).await?;
        self.disk.borrow_mut().rename(name, new, replace)
    }

    /// link
    pub async fn link(&self, name: &str, new: &str) -> Result<(), Errno> {
        self.writing_turn("link to", new).await?;
        self.disk.borrow_mut().link(name, new)
    }

    /// fsync of a folder
    pub async fn sync_folder(&self, name: &str) -> Result<(), Errno> {
        self.turn("sync", name).await?;
        if self.trouble.get().read_only {
            return Err(Errno::ReadOnly);
        }
        self.disk.borrow_mut().sync_folder(name);
        Ok(())
    }

    /// What is there, to be looked at without a turn: by those who judge, and nobody else.
    pub fn judged<T>(&self, name: &str, view: View, look: impl FnOnce(&Pages, u64) -> T) -> Option<T> {
        self.disk.borrow().content(name, view).map(|(pages, version)| look(pages, version))
    }
}

impl File {
    /// pwrite, repeated until all is written.
    pub async fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes.len() {
            self.host
                .writing_turn("write", &format!("{} bytes at {}", bytes.len() - done, at + done as u64))
                .await?;
            // A call may write less than it was asked to.
            let random = &self.host.world.random;
            let rest = &bytes[done..];
            let most =
                if random.once_in(8) { random.from_to(1, rest.len() as u64) as usize } else { rest.len() };
            let wall = self.host.wall();
            done += self.host.disk.borrow_mut().write(self.handle, at + done as u64, &rest[..most], wall)?;
        }
        Ok(())
    }

    /// ftruncate
    pub async fn set_len(&self, len: u64) -> Result<(), Errno> {
        self.host.writing_turn("set length", &len.to_string()).await?;
        let wall = self.host.wall();
        self.host.disk.borrow_mut().set_len(self.handle, len, wall);
        Ok(())
    }

    /// fsync
    pub async fn sync(&self) -> Result<(), Errno> {
        let turn = self.host.turn("sync", "a file").await;
        let mut disk = self.host.disk.borrow_mut();
        match turn {
            Ok(()) if self.host.trouble.get().read_only => Err(Errno::ReadOnly),
            Ok(()) => disk.sync(self.handle),
            Err(errno) => {
                disk.fail_sync(self.handle, &self.host.world.random);
                Err(errno)
            }
        }
    }

    /// All its bytes, as they are now.
    pub fn bytes(&self) -> Pages {
        self.host.disk.borrow().bytes(self.handle)
    }

    /// Which file it is.
    pub fn inode(&self) -> Option<Inode> {
        self.host.disk.borrow().inode(self.handle)
    }

    /// flock, without waiting
    pub fn flock(&self) -> bool {
        self.host.disk.borrow_mut().flock(self.handle)
    }

    /// Whether anybody else has it open for writing.
    pub fn writer(&self) -> Writer {
        self.host.disk.borrow().writer(self.handle)
    }
}

fn absent<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::Absent) => Ok(None),
        Err(errno) => Err(errno),
    }
}
