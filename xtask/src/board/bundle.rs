//! `cargo xtask bundle`: the slot of an image, signed, as `porthole-edge update` and the set-up page take it.
//!
//! `ssh-keygen` signs, so the key may have a passphrase or be held by an agent, and nothing here reads it. media/src/update/bundle.rs has
//! the format.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, ensure};
use clap::Args;
use media::update::bundle::{BLOCK, NAMESPACE, SIGNED};
use media::update::{Header, Version};
use sha2::{Digest, Sha256};
use ssh_key::SshSig;

use super::disk::SLOT;
use super::image::{self, RELEASE};
use crate::command;

/// What goes into a bundle, and who signs it.
#[derive(Clone, Debug, Args)]
pub struct Wishes {
    /// The private key, or the public one if an agent has the private one
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// The image that the update is to become [default: the one that `cargo xtask image` made last]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Where the bundle goes [default: beside the image, as .update]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes the bundle, and says where it is and what it weighs.
pub fn make(wishes: &Wishes) -> Result<()> {
    // Other programs are started in the top folder.
    let here = |path: PathBuf| absolute(&path).with_context(|| path.display().to_string());
    let image = here(wishes.image.clone().unwrap_or_else(image::place))?;
    let output = here(wishes.output.clone().unwrap_or_else(|| image.with_extension("update")))?;
    let key = here(wishes.key.clone())?;
    let slot = slot(&image)?;
    let (board, version) = release(&image)?;
    let sha256 = Sha256::digest(&slot).into();
    let header = Header { board, version, length: slot.len() as u64, sha256 };
    let signed = header.bytes().with_context(|| format!("no board is called {:?}", header.board))?;
    let signature = sign(&signed, &key, &output)?;
    let mut file = File::create(&output).with_context(|| output.display().to_string())?;
    [&signed[..], &signature, &slot]
        .into_iter()
        .try_for_each(|part| file.write_all(part))
        .with_context(|| output.display().to_string())?;
    println!("{:>12} bytes  {}  {version}", fs::metadata(&output)?.len(), output.display());
    Ok(())
}

/// The slot of an image, without its empty end.
fn slot(image: &Path) -> Result<Vec<u8>> {
    let at = || image.display().to_string();
    let mut file = File::open(image).with_context(at)?;
    file.seek(SeekFrom::Start(SLOT.start)).with_context(at)?;
    let mut slot = Vec::new();
    file.take(SLOT.size).read_to_end(&mut slot).with_context(at)?;
    let used = slot.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    ensure!(used > 0, "{}: there is nothing in its slot", image.display());
    slot.resize(usize::try_from(used.next_multiple_of(BLOCK))?, 0);
    Ok(slot)
}

/// Board and version, by the file in the slot.
fn release(image: &Path) -> Result<(String, Version)> {
    let mut copy = command::command("mtype");
    let text = command::output(
        copy.arg("-i").arg(format!("{}@@{}", image.display(), SLOT.start)).arg(format!("::/{RELEASE}")),
    )?;
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let version = line("version=").and_then(|version| version.parse().ok());
    let wanting = || format!("{}: {RELEASE} in its slot says {text:?}", image.display());
    Ok((line("board=").with_context(wanting)?.to_owned(), version.with_context(wanting)?))
}

/// The ed25519 signature in what `ssh-keygen` makes.
fn sign(text: &[u8; SIGNED], key: &Path, output: &Path) -> Result<[u8; 64]> {
    let header = output.with_extension("header");
    let made = header.with_extension("header.sig");
    fs::write(&header, text).with_context(|| header.display().to_string())?;
    let mut sign = command::command("ssh-keygen");
    sign.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(key).arg(&header);
    let outcome = command::run(&mut sign)
        .and_then(|()| fs::read_to_string(&made).with_context(|| made.display().to_string()));
    for file in [&header, &made] {
        let _may_not_be_there = fs::remove_file(file);
    }
    let signature = SshSig::from_pem(outcome?.trim()).context("what ssh-keygen made")?;
    let bytes = signature.signature().as_bytes().try_into();
    bytes.ok().with_context(|| format!("{}: no ed25519 key", key.display()))
}
