//! The two folders of the store: on the card, and on the RAM disk for as long as the card does not work.
//!
//! ```text
//! card   NAME.mp4  NAME.mp4.journal  CAMERA8.camera ...     written while the card works
//! RAM    the same kinds of files                            written while it does not
//! ```
//! Of a file that is in both, the one in RAM is newer: it leaves RAM only once the card has it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where files are, and where they go.
#[derive(Debug)]
pub struct Places {
    card: PathBuf,
    /// `None`: nothing is recorded while the card does not work.
    ram: Option<PathBuf>,
    /// New files go to RAM.
    in_ram: AtomicBool,
}

impl Places {
    /// `card` is the folder of recordings; `ram`, which need not be there yet, the one for the time without it.
    pub fn new(card: &Path, ram: Option<&Path>) -> Self {
        Self { card: card.to_owned(), ram: ram.map(Path::to_owned), in_ram: AtomicBool::new(false) }
    }

    pub fn card(&self) -> &Path {
        &self.card
    }

    pub fn ram(&self) -> Option<&Path> {
        self.ram.as_deref()
    }

    /// Whether new files go to RAM.
    pub fn in_ram(&self) -> bool {
        self.in_ram.load(Ordering::Relaxed)
    }

    /// From now on new files go to RAM, or to the card.
    pub fn go(&self, to_ram: bool) {
        self.in_ram.store(to_ram, Ordering::Relaxed);
    }

    /// The folder that new files go to.
    pub fn writing(&self) -> &Path {
        self.ram().filter(|_| self.in_ram()).unwrap_or(&self.card)
    }

    /// The file of that name in RAM, if it is there.
    pub fn ram_has(&self, file: &str) -> Option<PathBuf> {
        self.ram().map(|ram| ram.join(file)).filter(|path| path.exists())
    }

    /// Whether the file of that name goes to RAM and has not been there.
    pub fn is_first_in_ram(&self, file: &str) -> bool {
        self.in_ram() && self.ram_has(file).is_none()
    }

    /// Where the file of that name is read.
    pub fn at(&self, file: &str) -> PathBuf {
        self.ram_has(file).unwrap_or_else(|| self.card.join(file))
    }

    /// Where the file of that name is written: in the place of its older self in RAM, or else where new files go.
    pub fn to(&self, file: &str) -> PathBuf {
        self.ram_has(file).unwrap_or_else(|| self.writing().join(file))
    }

    /// Both folders, RAM first.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        self.ram().into_iter().chain([self.card.as_path()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_ram_counts_until_the_card_has_it() {
        let dir = tempfile::tempdir().expect("folder");
        let (card, ram) = (dir.path().join("card"), dir.path().join("ram"));
        for folder in [&card, &ram] {
            std::fs::create_dir(folder).expect("folder");
        }
        let places = Places::new(&card, Some(&ram));
        assert_eq!((places.at("a"), places.to("a")), (card.join("a"), card.join("a")));
        places.go(true);
        assert_eq!((places.at("a"), places.to("a")), (card.join("a"), ram.join("a")));
        std::fs::write(places.to("a"), "").expect("written");
        places.go(false);
        assert_eq!((places.at("a"), places.to("a")), (ram.join("a"), ram.join("a")));
        assert_eq!((places.at("b"), places.to("b")), (card.join("b"), card.join("b")));
    }
}
