//! Who sees everything and knows what must hold: after every turn I1 to I3, in the end I4.
//!
//! - I1 `NAME.mp4` in the inbox and not whole implies `NAME.lockfile`.
//! - I2 the edge has freed its copy implies that the whole recording, or what was made of it, is on the remote host: as seen now, and
//!   as it would be if the power failed there now.
//! - I3 at most one of our workers works on a NAME, and a NAME has at most one claim.
//! - I4 once faults stop: everything is worked on, and no lock, part, mp4, claim, scratch file or copy on the edge is left.
//!
//! What leaves a full edge, and what travels first after an outage, is asked for by docs/design/store.md and upload.md. And a GOP that was synced on the edge is still there after any crash; one that was synced on the remote host is in the
//! archive in the end, whatever the edge has lost.

use super::disk::View;
use super::edge::Edge;
use super::host::Host;
use super::pages::Pages;
use super::remote::Remote;
use super::store::{Entry, Stage};
use super::variant::Workers;
use media::handshake::Journal;
use media::handshake::room::Victim;
use media::mp4::demux::verify;
use media::mp4::{Restored, Seal};
use media::names::RecordingName;
use std::collections::{BTreeMap, BTreeSet};

/// SHA-256 over the access units of a recording.
type Hash = [u8; 32];

/// A hash in words.
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is known of one recording.
#[derive(Debug, Default)]
struct Truth {
    /// What it is, since it was last sealed.
    hash: Option<Hash>,
    /// GOPs that cannot be lost any more on the edge.
    durable: usize,
    /// Where each GOP ends.
    ends: Vec<u64>,
    /// GOPs of which the remote host has said that they are on its disk.
    confirmed: usize,
    /// `j` is 1 or 2: its edge creates nothing there any more.
    committed: bool,
    freed: bool,
}

/// What a whole recording holds.
#[derive(Clone, Copy, Debug)]
struct Whole {
    hash: Hash,
    gops: usize,
}

/// Who sees everything.
#[derive(Debug, Default)]
pub struct Judge {
    truths: BTreeMap<RecordingName, Truth>,
    /// Workers that work on a NAME.
    works: BTreeMap<String, u32>,
    /// What a file is, by the number of its bytes: its hash if it is a whole recording.
    known: BTreeMap<u64, Option<Whole>>,
    /// The version of the disk that was last looked at.
    looked_at: Option<u64>,
    /// Lockfiles and parts that a server created for a session of an upload that is past that.
    late: BTreeSet<String>,
    thinned: usize,
    dropped: usize,
    /// What waits on each edge since a long outage, the oldest first.
    backlogs: Vec<Vec<RecordingName>>,
    /// What must hold if the power failed is not asked: the row has no power cuts there.
    powered: bool,
}

impl Judge {
    /// The remote host's power never fails in this run.
    pub fn trust_in_power(&mut self) {
        self.powered = true;
    }

    /// A recording was sealed, or sealed anew.
    pub fn sealed(&mut self, name: &RecordingName, seal: Seal) {
        let truth = self.truths.entry(*name).or_default();
        truth.hash = Some(seal.sha256);
        // Behind the GOPs that are left now stands the seal.
        truth.ends.truncate(gops(&seal));
    }

    /// The first `gops` of a recording outlive everything.
    pub fn durable(&mut self, name: &RecordingName, gops: usize) {
        self.truths.entry(*name).or_default().durable = gops;
    }

    /// So many bytes of a torn recording count. The ring has what else there was.
    pub fn torn(&mut self, name: &RecordingName, bytes: u64) {
        let truth = self.truths.entry(*name).or_default();
        truth.ends.retain(|end| *end <= bytes);
        truth.confirmed = truth.confirmed.min(truth.ends.len());
    }

    /// A recording has one GOP more, and this size.
    pub fn grew(&mut self, name: &RecordingName, size: u64) {
        self.truths.entry(*name).or_default().ends.push(size);
    }

    /// The edge was told that so many bytes of its part are on the remote host's disk.
    pub fn confirmed(&mut self, name: &RecordingName, bytes: u64) {
        if let Some(truth) = self.truths.get_mut(name) {
            let gops = truth.ends.iter().take_while(|end| **end <= bytes).count();
            truth.confirmed = truth.confirmed.max(gops);
        }
    }

    /// The journal of a recording says that its part is whole and durable.
    pub fn committed(&mut self, name: &RecordingName) {
        self.truths.entry(*name).or_default().committed = true;
    }

    /// A server created a file that was not there.
    pub fn created(&mut self, path: &str) {
        let file = path.rsplit('/').next().and_then(|file| file.split_once('.'));
        let name = file.and_then(|(name, _)| name.parse().ok());
        if name.and_then(|name: RecordingName| self.truths.get(&name)).is_some_and(|truth| truth.committed) {
            self.late.insert(path.to_owned());
        }
    }

    /// Whether an empty file stands there that nobody has asked for since its upload was over. Nothing tells it from what a script
    /// touches: where only scripts work, it stays, and a lock keeps them away from a recording that is there.
    fn is_late(&self, host: &Host, path: &str) -> bool {
        self.late.contains(path) && host.judged(path, View::Now, |pages, _| pages.is_empty()) == Some(true)
    }

    /// The edge frees its copy.
    pub fn freed(&mut self, name: &RecordingName) -> Option<String> {
        self.truths.entry(*name).or_default().freed = true;
        self.looked_at = None;
        let backlog = self.backlogs.iter_mut().find(|backlog| backlog.contains(name))?;
        let newest = backlog.last().copied();
        backlog.retain(|waiting| waiting != name);
        newest.filter(|newest| newest != name).map(|newest| format!("order: {name} came before {newest}"))
    }

    /// These wait on an edge for their upload, the oldest first, when a long outage ends.
    pub fn waits(&mut self, backlog: Vec<RecordingName>) {
        self.backlogs.push(backlog);
    }

    /// A recording leaves an edge with these, the oldest first, for want of room; what is wrong with that choice.
    pub fn leaves(
        &mut self,
        name: &RecordingName,
        victim: Victim,
        entries: &[(RecordingName, Entry)],
    ) -> Option<String> {
        let is_received = |entry: &Entry| entry.stage == Stage::Sealed(Journal::Acknowledged);
        let received = entries.iter().find(|(_, entry)| is_received(entry));
        let waiting = || entries.iter().filter(|(_, entry)| entry.waits());
        let whole = waiting().find(|(_, entry)| !entry.thinned);
        let right = match victim {
            Victim::Leave(_) => received,
            Victim::Thin(_) => whole.filter(|_| received.is_none()),
            Victim::Drop(_) if received.is_some() || whole.is_some() => None,
            // Else the last resort: one that is on its way.
            Victim::Drop(_) => waiting().next().or(entries.iter().find(|(other, _)| other == name)),
        };
        match victim {
            Victim::Leave(_) => return self.freed(name),
            Victim::Thin(_) => self.thinned += 1,
            Victim::Drop(_) => {
                self.dropped += 1;
                self.truths.entry(*name).or_default().hash = None;
                self.backlogs.iter_mut().for_each(|backlog| backlog.retain(|waiting| waiting != name));
            }
        }
        let is_right = right.is_some_and(|(right, _)| right == name);
        (!is_right).then(|| format!("policy: {victim:?} is {name}"))
    }

    /// Recordings that were thinned, and that were dropped.
    pub fn losses(&self) -> [usize; 2] {
        [self.thinned, self.dropped]
    }

    /// Recordings with a receipt.
    pub fn receipts(&self) -> usize {
        self.truths.values().filter(|truth| truth.freed).count()
    }

    /// What is lost if `left` GOPs are left of a torn recording.
    pub fn lost(&self, name: &RecordingName, left: usize) -> Option<String> {
        let durable = self.truths.get(name).map_or(0, |truth| truth.durable);
        (left < durable).then(|| format!("{name}: {durable} GOPs were synced on the edge, {left} are left"))
    }

    /// A worker begins with a NAME.
    pub fn works(&mut self, name: &str) -> Option<String> {
        let count = self.works.entry(name.to_owned()).or_default();
        *count += 1;
        (*count > 1).then(|| format!("I3: {count} workers work on {name}"))
    }

    /// A worker ends, well or not.
    pub fn rests(&mut self, name: &str) {
        self.works.entry(name.to_owned()).and_modify(|count| *count -= 1);
    }

    /// Looks whether I1 and I2 hold, and of I3 that no NAME has two claims; what does not.
    pub fn look(&mut self, host: &Host, inboxes: &[String]) -> Option<String> {
        let version = host.disk.borrow().version();
        if self.looked_at.replace(version) == Some(version) {
            return None;
        }
        for inbox in inboxes {
            let names = host.disk.borrow().names(inbox);
            for name in names.iter().filter_map(|file| file.strip_suffix(".mp4")) {
                let is_whole = self.hash(host, &format!("{inbox}/{name}.mp4"), View::Now).is_some();
                if !is_whole && !names.contains(&format!("{name}.lockfile")) {
                    return Some(format!("I1: {name}.mp4 is not whole, and there is no {name}.lockfile"));
                }
            }
        }
        let claims = host.disk.borrow().names("claim");
        let has_two = |name: &&str| claims.contains(&format!("{name}.mp4"));
        if let Some(name) = claims.iter().filter_map(|file| file.strip_suffix(".part")).find(has_two) {
            return Some(format!("I3: {name} has two claims, and two workers may take over one each"));
        }
        let freed: Vec<(RecordingName, Hash)> = self
            .truths
            .iter()
            .filter_map(|(name, truth)| Some((*name, truth.hash.filter(|_| truth.freed)?)))
            .collect();
        for (name, hash) in freed {
            for view in [View::Now, View::Durable] {
                if (view == View::Now || !self.powered) && !self.holds(host, inboxes, &name, &hash, view) {
                    let when = if view == View::Now { "now" } else { "if the power failed now" };
                    return Some(format!(
                        "I2: the edge has freed {name}, and {when} the remote host has not got it"
                    ));
                }
            }
        }
        None
    }

    /// Whether a recording of that name was ever sealed.
    fn is_known(&self, name: &str) -> bool {
        name.parse().is_ok_and(|name| self.truths.get(&name).is_some_and(|truth| truth.hash.is_some()))
    }

    fn holds(
        &mut self,
        host: &Host,
        inboxes: &[String],
        name: &RecordingName,
        hash: &Hash,
        view: View,
    ) -> bool {
        is_made(host, name, hash, view)
            || ["archive", "claim"].into_iter().chain(inboxes.iter().map(String::as_str)).any(|folder| {
                ["mp4", "part"]
                    .iter()
                    .any(|kind| self.hash(host, &format!("{folder}/{name}.{kind}"), view) == Some(*hash))
            })
    }

    /// The hash of the recording at `path`, if it is whole.
    fn hash(&mut self, host: &Host, path: &str, view: View) -> Option<Hash> {
        self.whole(host, path, view).map(|whole| whole.hash)
    }

    fn whole(&mut self, host: &Host, path: &str, view: View) -> Option<Whole> {
        // Until it is taken in, what is sent late may stand where the seal was.
        let read = |pages: &Pages| match path.starts_with("archive/") {
            true => verify(pages),
            false => Restored::new(pages).and_then(|restored| verify(&restored)),
        };
        let read =
            |pages: &Pages| read(pages).ok().map(|seal| Whole { hash: seal.sha256, gops: gops(&seal) });
        host.judged(path, view, |pages, version| *self.known.entry(version).or_insert_with(|| read(pages)))?
    }

    /// Recordings of which the remote host had more on its disk than is in its archive.
    fn dwindled(&mut self, host: &Host) -> Vec<String> {
        let confirmed: Vec<(RecordingName, usize)> =
            self.truths.iter().map(|(name, truth)| (*name, truth.confirmed)).collect();
        let mut dwindled = Vec::new();
        for (name, confirmed) in confirmed {
            let kept =
                ["", "-partial", "-lost-partial", "-lost"].map(|kind| format!("archive/{name}{kind}.mp4"));
            let kept =
                kept.iter().filter_map(|path| self.whole(host, path, View::Now)).map(|whole| whole.gops);
            let kept = kept.max().unwrap_or(0);
            if kept < confirmed {
                dwindled.push(format!("{name} with {confirmed} GOPs that were confirmed, not {kept}"));
            }
        }
        dwindled
    }

    /// What is not done yet, though it must be in the end (I4).
    pub fn left(&mut self, edges: &[std::rc::Rc<Edge>], remote: &Remote, workers: Workers) -> Vec<String> {
        let mut left: Vec<String> =
            edges.iter().filter(|edge| !edge.is_done()).map(|edge| edge.host.name.to_owned()).collect();
        left.extend(self.files_left(remote, workers));
        let truths: Vec<(RecordingName, Hash)> =
            self.truths.iter().filter_map(|(name, truth)| Some((*name, truth.hash?))).collect();
        let is_gone = |name: &RecordingName| {
            edges
                .iter()
                .any(|edge| edge.gone.get() && edge.cameras.iter().any(|camera| camera.id == name.camera))
        };
        for (name, hash) in truths.into_iter().filter(|(name, _)| !is_gone(name)) {
            let is_held_up = workers == Workers::Script && self.is_held_up(remote, &name, &hash);
            if !is_made(&remote.host, &name, &hash, View::Now) && !is_held_up {
                left.push(format!("hls/{name} to be made"));
            }
            let archived = self.hash(&remote.host, &format!("archive/{name}.mp4"), View::Now);
            if workers == Workers::Ours && archived != Some(hash) {
                left.push(format!("archive/{name}.mp4 to be there"));
            }
        }
        if workers == Workers::Ours {
            left.extend(self.dwindled(&remote.host));
        }
        left
    }

    /// Files that nobody should leave.
    fn files_left(&self, remote: &Remote, workers: Workers) -> Vec<String> {
        let stem = |file: &str| file.split('.').next().unwrap_or_default().to_owned();
        let mut left = Vec::new();
        for folder in remote.inboxes.iter().map(String::as_str).chain(["claim", "tmp"]) {
            let files = remote.host.disk.borrow().names(folder);
            left.extend(files.into_iter().filter_map(|file| {
                let (name, path) = (stem(&file), format!("{folder}/{file}"));
                // A living worker keeps its scratch files for the next recording.
                let alive = format!("tmp/{name}.alive");
                let is_kept = folder == "tmp" && remote.host.disk.borrow().look(&alive).is_some();
                // Scripts do not know of parts: what the edge has lost in a power cut stays there.
                let is_lost = workers == Workers::Script && !self.is_known(&name);
                let lock = format!("{folder}/{name}.lockfile");
                let is_late = |path: &str| workers == Workers::Script && self.is_late(&remote.host, path);
                let may_stay =
                    is_kept || is_lost || is_late(&path) || file.ends_with(".mp4") && is_late(&lock);
                (!may_stay).then_some(path)
            }));
        }
        left
    }

    /// Whether a recording is there, whole, and a late lock keeps scripts away from it.
    fn is_held_up(&mut self, remote: &Remote, name: &RecordingName, hash: &Hash) -> bool {
        remote.inboxes.iter().any(|inbox| {
            self.is_late(&remote.host, &format!("{inbox}/{name}.lockfile"))
                && self.hash(&remote.host, &format!("{inbox}/{name}.mp4"), View::Now) == Some(*hash)
        })
    }
}

/// GOPs of a sealed recording.
fn gops(seal: &Seal) -> usize {
    (seal.last_sequence - seal.first_sequence + 1) as usize
}

/// Whether the output was made of the very recording.
fn is_made(host: &Host, name: &RecordingName, hash: &Hash, view: View) -> bool {
    host.judged(&format!("hls/{name}"), view, |pages, _| pages.to_vec() == hex(hash).as_bytes()) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_an_empty_file_that_was_created_after_its_upload_was_over_is_late() {
        let world = World::new(0, false);
        let host = Host::new("remote", &world, Duration::ZERO);
        let name: RecordingName = "2026-11-21-06-15-00-kws5bqop-0000000000".parse().unwrap();
        let [lock, part] = ["lockfile", "part"].map(|kind| format!("inbox-edge-1/{name}.{kind}"));
        let create = |path: &str| host.disk.borrow_mut().create(path, Duration::ZERO).unwrap();
        let mut judge = Judge::default();
        judge.sealed(&name, Seal { size: 0, first_sequence: 0, last_sequence: 0, sha256: [0; 32] });

        create(&lock);
        judge.created(&lock);
        assert!(!judge.is_late(&host, &lock), "its upload goes on");
        judge.committed(&name);
        assert!(!judge.is_late(&host, &lock), "its upload made it");
        let written = create(&part);
        judge.created(&part);
        assert!(judge.is_late(&host, &part));
        host.disk.borrow_mut().write(written, 0, b"head", Duration::ZERO).unwrap();
        assert!(!judge.is_late(&host, &part), "somebody goes on with it");
    }
}
