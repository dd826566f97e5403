//! What lies where on the card of a board.
//!
//! ```text
//! sector       0   master boot record: four partitions, the signature by which the board knows its disk
//!             16   U-Boot with its SPL, where an Allwinner looks for it (8 KiB)
//!         0x1000   state of the slots, first copy (boot.cmd)
//!         0x3000   the same, second copy: in another erase block of the card
//!          8 MiB   1  FAT   boot.scr, porthole.toml
//!         24 MiB   2  FAT   slot A: kernel, initrd, device tree, root.squashfs
//!         72 MiB   3  FAT   slot B: the same, once there was an update
//!        120 MiB   4  ext4  what the appliance keeps
//! ```
//!
//! The fourth partition says that it goes on for ever; Linux cuts it at the end of the card. So the table is never written again.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Where the processor's own program looks for the loader.
const LOADER: u64 = 8 * 1024;
/// Where the state of the slots begins; the loader ends before.
const STATE: u64 = 0x1000 * SECTOR;
/// The signature of the disk: `board/initrd/init` knows it.
const SIGNATURE: u32 = 0x4854_5250;

/// Where a partition begins, how long it is, and what is in it.
pub struct Partition {
    /// The byte that it begins with.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Its number in the table.
    pub kind: u8,
}

/// `boot.scr` and what the owner writes.
pub const BOOT: Partition = Partition { start: 8 * MIB, size: 16 * MIB, kind: 0x0E };
/// A slot; the second one is of the same size.
pub const SLOT: Partition = Partition { start: 24 * MIB, size: 48 * MIB, kind: 0x0E };
/// The other slot.
pub const SLOT_B: Partition = Partition { start: 72 * MIB, ..SLOT };
/// What the appliance keeps; it goes on for ever.
pub const DATA: Partition =
    Partition { start: 120 * MIB, size: u32::MAX as u64 * SECTOR - 120 * MIB, kind: 0x83 };

/// Writes an image that ends with slot A: slot B and the data are empty space behind it.
pub fn write(loader: &Path, boot: &Path, slot: &Path, image: &Path) -> Result<()> {
    let mut out = File::create(image).with_context(|| image.display().to_string())?;
    let mut put = |at: u64, most: u64, from: &Path| -> Result<()> {
        let bytes = fs::read(from).with_context(|| from.display().to_string())?;
        ensure!(
            bytes.len() as u64 <= most,
            "{} has {} bytes, and room for {most}",
            from.display(),
            bytes.len()
        );
        out.seek(SeekFrom::Start(at))?;
        out.write_all(&bytes).with_context(|| image.display().to_string())
    };
    put(LOADER, STATE - LOADER, loader)?;
    put(BOOT.start, BOOT.size, boot)?;
    put(SLOT.start, SLOT.size, slot)?;
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&master_boot_record()).with_context(|| image.display().to_string())?;
    out.set_len(SLOT.start + SLOT.size).with_context(|| image.display().to_string())
}

/// The table of partitions; there is no program in it.
fn master_boot_record() -> [u8; SECTOR as usize] {
    let mut record = [0; SECTOR as usize];
    record[440..444].copy_from_slice(&SIGNATURE.to_le_bytes());
    for (n, partition) in [BOOT, SLOT, SLOT_B, DATA].iter().enumerate() {
        let entry = &mut record[446 + 16 * n..462 + 16 * n];
        // Boot loaders look for their script on the partition that is marked.
        entry[0] = if n == 0 { 0x80 } else { 0 };
        // Cylinders, heads and sectors: beyond what they can say.
        entry[1..4].copy_from_slice(&[0xFE, 0xFF, 0xFF]);
        entry[4] = partition.kind;
        entry[5..8].copy_from_slice(&[0xFE, 0xFF, 0xFF]);
        let sectors = |bytes: u64| u32::try_from(bytes / SECTOR).unwrap_or(u32::MAX).to_le_bytes();
        entry[8..12].copy_from_slice(&sectors(partition.start));
        entry[12..16].copy_from_slice(&sectors(partition.size));
    }
    record[510..].copy_from_slice(&[0x55, 0xAA]);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_each_other_without_a_gap_and_fit_into_the_table() {
        for (one, next) in [(BOOT, SLOT), (SLOT, SLOT_B), (SLOT_B, DATA)] {
            assert_eq!(one.start + one.size, next.start);
        }
        const { assert!((DATA.start + DATA.size) / SECTOR <= u32::MAX as u64) };
        const { assert!(0x3000 * SECTOR < BOOT.start) };
    }

    #[test]
    fn the_table_is_what_other_programs_read() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let small = folder.path().join("small");
        fs::write(&small, "x").unwrap();
        write(&small, &small, &small, &image).unwrap();
        let file = std::process::Command::new("file").arg("--brief").arg(&image).output().unwrap();
        let told = String::from_utf8(file.stdout).unwrap();
        assert!(told.contains("startsector 16384, 32768 sectors"), "{told}");
        assert!(told.contains("startsector 49152, 98304 sectors"), "{told}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let [large, small] = ["large", "small"].map(|name| folder.path().join(name));
        fs::write(&large, vec![0; 3 << 20]).unwrap();
        fs::write(&small, "x").unwrap();
        let error = write(&large, &small, &small, &folder.path().join("image")).unwrap_err().to_string();
        assert!(error.ends_with("large has 3145728 bytes, and room for 2088960"), "{error}");
    }
}
