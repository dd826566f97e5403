//! The edge's uploader: carries out the steps of [`media::handshake::upload`] over one session, for all recordings in turn.

use super::disk::Errno;
use super::edge::{Edge, told};
use super::network::{Broken, Session};
use super::sftp::{Mode, Reply as Answer, Request};
use super::store::{Entry, Stage, ledger_path, path};
use super::variant::Turns;
use media::handshake::turn::{self, Due};
use media::handshake::{Fault, Flow, Journal, Reply, Step, Upload};
use media::mp4::demux::footage_end;
use media::mp4::{self, MEDIA_AT};
use media::names::{LockToken, MOST_TOKEN_BYTES, RecordingName};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// Waits after a failure: the first, and the longest.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];
/// The first wait when there is nothing to send, and the longest.
const IDLE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(20)];

/// Why a step was not done.
enum Failure {
    /// The connection broke, or the server refused what it never refuses: all begin anew.
    Session,
    /// This recording cannot go now.
    One,
}

impl From<Broken> for Failure {
    fn from(_: Broken) -> Self {
        Self::Session
    }
}

impl From<Errno> for Failure {
    fn from(_: Errno) -> Self {
        Self::One
    }
}

/// One recording on its way.
struct Way {
    machine: Upload,
    epoch: u64,
    /// The turn in which it was last served.
    served: u64,
}

/// What is open on the remote host.
struct Open {
    session: Session,
    parts: BTreeMap<RecordingName, Part>,
    /// Requests of what flows whose answers nobody has waited for yet.
    asked: VecDeque<Asked>,
    handles: u64,
}

/// A write or a sync that ends at a byte of a part.
struct Asked {
    name: RecordingName,
    sync: bool,
    end: u64,
    request: u64,
}

/// A part that is open.
struct Part {
    handle: u64,
    flow: Flow,
}

struct Uploader<'a> {
    edge: &'a Edge,
    ways: BTreeMap<RecordingName, Way>,
    /// What could not go, also before it was on its way, and until when it is held back.
    held_back: BTreeMap<RecordingName, Duration>,
    open: Option<Open>,
    turn: u64,
}

/// Uploads as long as the process lives.
pub async fn run(edge: &Rc<Edge>) {
    let mut uploader =
        Uploader { edge, ways: BTreeMap::new(), held_back: BTreeMap::new(), open: None, turn: 0 };
    let tasks = &edge.host.world.tasks;
    let (mut wait, mut idle) = (WAITS[0], IDLE[0]);
    loop {
        let Some(name) = uploader.next() else {
            if uploader.ways.is_empty() {
                uploader.open = None;
            }
            tasks.sleep(idle).await;
            idle = IDLE[1].min(idle * 2);
            continue;
        };
        idle = IDLE[0];
        match uploader.serve(&name).await {
            Ok(()) => wait = WAITS[0],
            Err(Failure::One) => {
                let until = tasks.now() + edge.host.world.random.span(WAITS[1]);
                uploader.held_back.insert(name, until);
                uploader.ways.entry(name).and_modify(|way| way.machine.retry());
            }
            Err(Failure::Session) => {
                edge.host.world.tell(|| "the session broke".to_owned());
                uploader.open = None;
                uploader.ways.values_mut().for_each(|way| way.machine.retry());
                tasks.sleep(wait).await;
                wait = WAITS[1].min(wait * 2);
            }
        }
    }
}

impl Uploader<'_> {
    /// A recording for which there is something to do: the product's choice, or any of them, so that every order is tried.
    fn next(&mut self) -> Option<RecordingName> {
        let Self { edge, ways, held_back, .. } = self;
        let (store, random, now) = (&edge.store, &edge.host.world.random, edge.host.world.tasks.now());
        ways.retain(|name, way| store.entry(name).is_some_and(|entry| entry.epoch == way.epoch));
        held_back.retain(|_, until| *until > now);
        let mut due = store.names();
        due.retain(|name| {
            let content = store.entry(name).and_then(|entry| entry.content());
            let Some(content) = content else { return false };
            let Some(way) = ways.get_mut(name) else { return !held_back.contains_key(name) };
            way.machine.update(content);
            if way.machine.step() == Step::Wait && random.once_in(3) {
                way.machine.sync();
            }
            way.machine.step() != Step::Wait && !held_back.contains_key(name)
        });
        let next = match edge.turns {
            Turns::Any => random.pick(&due).copied(),
            Turns::Ours => turn::next(due.iter().map(|name| (*name, self.due(name)))),
            Turns::OldestFirst => due.iter().min_by_key(|name| self.due(name).order).copied(),
        };
        self.turn += 1;
        let way = next.and_then(|name| self.ways.get_mut(&name));
        way.into_iter().for_each(|way| way.served = self.turn);
        next
    }

    fn due(&self, name: &RecordingName) -> Due {
        let served = self.ways.get(name).map_or(0, |way| way.served);
        let entry = self.edge.store.entry(name);
        let of = |entry: Entry| {
            // A file of the ledger is small.
            (entry.stage == Stage::Growing, if entry.ledger { u64::MAX } else { entry.order })
        };
        let (grows, order) = entry.map_or((false, 0), of);
        Due { grows, served, order }
    }

    /// One step of one recording.
    async fn serve(&mut self, name: &RecordingName) -> Result<(), Failure> {
        let edge = self.edge;
        if self.open.is_none() {
            let session = edge.network.connect(&edge.remote.host, edge.remote.is_up()).await?;
            let (parts, asked) = (BTreeMap::new(), VecDeque::new());
            self.open = Some(Open { session, parts, asked, handles: 0 });
        }
        if !self.ways.contains_key(name) {
            self.begin(name).await?;
        }
        let Some(way) = self.ways.get_mut(name) else { return Ok(()) };
        let step = way.machine.step();
        edge.host.world.tell(|| format!("{name} {step:?}"));
        let reply = match step {
            Step::Free => {
                self.ways.remove(name);
                if !edge.store.is_ledger(name) {
                    let wrong = edge.host.world.judge.borrow_mut().freed(name);
                    wrong.into_iter().for_each(|wrong| edge.host.world.fail(wrong));
                }
                return Ok(edge.store.free(name).await?);
            }
            Step::WriteJournal(journal) => {
                if journal == Journal::Acknowledged
                    && !edge.store.is_ledger(name)
                    && let Err(errno) = edge.ledgers.received(name).await
                {
                    // A disk may be full until this very recording leaves.
                    told(edge, "note the receipt", errno);
                }
                edge.store.change(name, |entry| entry.stage = Stage::Sealed(journal)).await?;
                edge.host.world.judge.borrow_mut().committed(name);
                Reply::Done
            }
            step => {
                let token = way.machine.token().clone();
                let Some(open) = &mut self.open else { return Ok(()) };
                open.perform(edge, name, &step, &token).await?
            }
        };
        edge.host.world.tell(|| format!("{name} {reply:?}"));
        let Some(way) = self.ways.get_mut(name) else { return Ok(()) };
        let told = way.machine.reply(reply);
        edge.host.world.judge.borrow_mut().confirmed(name, way.machine.progress().1);
        match told {
            Ok(()) => Ok(()),
            Err(fault @ Fault::Unexpected { .. }) => {
                edge.host.world.fail(format!("{name}: {fault}"));
                Err(Failure::One)
            }
            Err(fault) => {
                edge.host.world.tell(|| format!("{name}: {fault}"));
                Err(Failure::One)
            }
        }
    }

    /// The handshake from where the journal says that it stands. Its token is kept before its first step.
    async fn begin(&mut self, name: &RecordingName) -> Result<(), Failure> {
        let edge = self.edge;
        let Some(entry) = edge.store.entry(name) else { return Ok(()) };
        let nonce = match &entry.token {
            Some(LockToken::Upload { nonce, .. }) => nonce.clone(),
            _ => format!("{:016x}", edge.host.world.random.number()),
        };
        let token = LockToken::Upload { camera: name.camera, boot: edge.host.boot_id(), nonce };
        let long =
            matches!(entry.stage, Stage::Sealed(_)) && !entry.ledger && edge.host.world.random.once_in(3);
        if long && !entry.long {
            let kept = edge.store.change(name, |entry| entry.long = true).await;
            kept.inspect_err(|errno| told(edge, "keep that the path is long", *errno))?;
        }
        if entry.token.as_ref() != Some(&token) {
            let kept = edge.store.change(name, |entry| entry.token = Some(token.clone())).await;
            kept.inspect_err(|errno| told(edge, "keep the token", *errno))?;
        }
        // It may have been thinned, or sealed, until its token was kept.
        let begun = entry.token.is_some();
        let Some(entry) = edge.store.entry(name) else { return Ok(()) };
        let Some(content) = entry.content() else { return Ok(()) };
        // Here no ring outlives its process.
        let machine = Upload::new(entry.journal(), content, token, begun);
        let mut machine = if entry.ledger || entry.torn.is_some() { machine } else { machine.orphaned() };
        if entry.long {
            machine.widen();
        }
        self.ways.insert(*name, Way { machine, epoch: entry.epoch, served: self.turn });
        Ok(())
    }
}

impl Open {
    async fn perform(
        &mut self,
        edge: &Edge,
        name: &RecordingName,
        step: &Step,
        token: &LockToken,
    ) -> Result<Reply, Failure> {
        let inbox = &edge.inbox;
        let file = |extension: &str| format!("{inbox}/{name}.{extension}");
        let (lock, part) = (file("lockfile"), file("part"));
        let whole = file(if edge.store.is_ledger(name) { "ledger" } else { "mp4" });
        if !matches!(step, Step::WritePart { .. } | Step::EndSync) {
            self.settle().await?;
        }
        match step {
            Step::CreateLock => self.fill_lock(&lock, Mode::Create, token).await,
            Step::WriteLock => self.fill_lock(&lock, Mode::Write, token).await,
            Step::ReadLock => self.read_lock(&lock).await,
            Step::RemoveLock => self.done_or_absent(Request::Remove(lock)).await,
            Step::SizePart => self.size(part).await,
            Step::SizeRecording => self.size(whole).await,
            Step::CreatePart => {
                self.forget(name).await?;
                let Some(handle) = self.open(&part, Mode::Create).await? else { return Ok(Reply::Refused) };
                self.parts.insert(*name, Part { handle, flow: Flow::default() });
                Ok(Reply::Done)
            }
            Step::CutPart(to) => self.cut_part(name, &part, *to).await,
            Step::EndPart(at) => self.end_part(edge, name, &part, *at).await,
            Step::PeekPart => self.peek(edge, name, &part).await,
            Step::SetAside => {
                self.forget(name).await?;
                match self.session.ask(Request::Move(part, format!("{inbox}/{name}-lost.part"))).await? {
                    Answer::Done => Ok(Reply::Done),
                    Answer::Absent => Ok(Reply::Absent),
                    _ => Ok(Reply::Refused),
                }
            }
            Step::VerifyPart { from, to } => self.verify(edge, name, &part, (*from, *to)).await,
            Step::WriteHead => {
                if self.read(&part, 0, mp4::HEAD).await? != mp4::head() {
                    self.put(name, &part, 0, &mp4::head()).await?;
                }
                Ok(Reply::Done)
            }
            Step::WritePart { from, to } => self.write(edge, name, &part, (*from, *to)).await,
            Step::WriteRoom { from } => self.write_room(edge, name, &part, *from).await,
            Step::SyncPart => {
                let handle = self.part(name, &part).await?;
                let synced = self.done(Request::Sync(handle)).await;
                self.parts.entry(*name).and_modify(|part| part.flow.tell_all());
                synced
            }
            Step::EndSync => self.synced(name).await,
            Step::Rename => {
                self.forget(name).await?;
                self.done_or_absent(Request::Rename(part, whole)).await
            }
            Step::SyncDir => self.done(Request::SyncFolder(inbox.clone())).await,
            Step::WriteJournal(_) | Step::Wait | Step::Free => Ok(Reply::Done),
        }
    }

    async fn cut_part(&mut self, name: &RecordingName, part: &str, to: u64) -> Result<Reply, Failure> {
        let handle = self.part(name, part).await?;
        self.done(Request::SetLen(handle, to)).await
    }

    async fn end_part(
        &mut self,
        edge: &Edge,
        name: &RecordingName,
        part: &str,
        at: u64,
    ) -> Result<Reply, Failure> {
        if edge.cuts_parts {
            return self.cut_part(name, part, at).await;
        }
        self.put(name, part, at + 4, &mp4::SEAL_TYPE).await.map(|()| Reply::Done)
    }

    /// What is no zero, up to the next page of zeros.
    async fn write_room(
        &mut self,
        edge: &Edge,
        name: &RecordingName,
        part: &str,
        from: u64,
    ) -> Result<Reply, Failure> {
        let bytes = local(edge, name, from, MEDIA_AT).await?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let end = bytes[zeros..].chunks(4096).take_while(|run| run.iter().any(|byte| *byte != 0)).count();
        let end = (zeros + end * 4096).min(bytes.len());
        self.put(name, part, from + zeros as u64, &bytes[zeros..end]).await?;
        Ok(Reply::Written(from + end as u64))
    }

    /// Sends some of the bytes `from..to`, with the syncs that are due, and waits for some of the answers.
    async fn write(
        &mut self,
        edge: &Edge,
        name: &RecordingName,
        part: &str,
        (from, to): (u64, u64),
    ) -> Result<Reply, Failure> {
        let random = &edge.host.world.random;
        let handle = self.part(name, part).await?;
        if self.parts.get(name).is_some_and(|part| !part.flow.goes_on_at(from)) {
            self.settle().await?;
            self.parts.insert(*name, Part { handle, flow: Flow::begin(from) });
        }
        let begun = self.parts.get(name).map_or(from, |part| part.flow.sent());
        let to = to.min(from + (random.from_to(1, 24) << 15)).max(begun);
        let bytes = local(edge, name, begun, to).await?;
        while let Some(Range { start, end }) =
            self.parts.get(name).and_then(|part| part.flow.next(to, 30_000))
        {
            let piece = bytes[(start - begun) as usize..(end - begun) as usize].to_vec();
            self.ask(name, false, end, Request::Write(handle, start, piece));
            if self.parts.get(name).is_some_and(|part| part.flow.is_sync_due()) {
                self.ask(name, true, end, Request::Sync(handle));
            }
        }
        let enough = if random.once_in(2) { from + 1 } else { to };
        loop {
            let Some(part) = self.parts.get_mut(name) else { return Err(Failure::Session) };
            if let Some(news) = part.flow.news(enough) {
                return Ok(news);
            }
            self.hear().await?;
        }
    }

    /// Waits for the end of a sync that was asked for behind a write.
    async fn synced(&mut self, name: &RecordingName) -> Result<Reply, Failure> {
        loop {
            if let Some(news) = self.parts.get_mut(name).and_then(|part| part.flow.newly_synced()) {
                return Ok(news);
            }
            self.hear().await?;
        }
    }

    fn ask(&mut self, name: &RecordingName, sync: bool, end: u64, request: Request) {
        let request = self.session.send(request);
        self.asked.push_back(Asked { name: *name, sync, end, request });
        if let Some(part) = self.parts.get_mut(name) {
            part.flow.send(end);
        }
    }

    /// Waits for the next answer of what flows.
    async fn hear(&mut self) -> Result<(), Failure> {
        let asked = self.asked.pop_front().ok_or(Failure::Session)?;
        if self.session.reply(asked.request).await? != Answer::Done {
            return Err(Failure::Session);
        }
        if let Some(part) = self.parts.get_mut(&asked.name) {
            match asked.sync {
                true => part.flow.sync(asked.end),
                false => part.flow.confirm(asked.end),
            }
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Failure> {
        while !self.asked.is_empty() {
            self.hear().await?;
        }
        Ok(())
    }

    async fn done(&self, request: Request) -> Result<Reply, Failure> {
        match self.session.ask(request).await? {
            Answer::Done => Ok(Reply::Done),
            _ => Err(Failure::Session),
        }
    }

    async fn done_or_absent(&self, request: Request) -> Result<Reply, Failure> {
        match self.session.ask(request).await? {
            Answer::Done => Ok(Reply::Done),
            Answer::Absent => Ok(Reply::Absent),
            _ => Err(Failure::Session),
        }
    }

    async fn size(&self, name: String) -> Result<Reply, Failure> {
        match self.session.ask(Request::Size(name)).await? {
            Answer::Size(size) => Ok(Reply::Size(size)),
            Answer::Absent => Ok(Reply::Absent),
            _ => Err(Failure::Session),
        }
    }

    /// Opens a file; `None`: there is none, or it is there and must not be.
    async fn open(&mut self, name: &str, mode: Mode) -> Result<Option<u64>, Failure> {
        self.handles += 1;
        let handle = self.handles;
        match self.session.ask(Request::Open { name: name.to_owned(), handle, mode }).await? {
            Answer::Done => Ok(Some(handle)),
            Answer::Failure if mode != Mode::Create => Err(Failure::Session),
            _ => Ok(None),
        }
    }

    async fn fill_lock(&mut self, name: &str, mode: Mode, token: &LockToken) -> Result<Reply, Failure> {
        let Some(handle) = self.open(name, mode).await? else {
            return Ok(if mode == Mode::Create { Reply::Refused } else { Reply::Absent });
        };
        if mode == Mode::Write {
            self.done(Request::SetLen(handle, 0)).await?;
        }
        self.done(Request::Write(handle, 0, token.to_string().into_bytes())).await?;
        self.done(Request::Sync(handle)).await?;
        self.done(Request::Close(handle)).await
    }

    async fn read_lock(&mut self, name: &str) -> Result<Reply, Failure> {
        let Some(handle) = self.open(name, Mode::Read).await? else { return Ok(Reply::Absent) };
        let content = self.session.ask(Request::Read(handle, 0, MOST_TOKEN_BYTES + 1)).await?;
        self.done(Request::Close(handle)).await?;
        match content {
            Answer::Data(content) => Ok(Reply::Lock(content)),
            _ => Err(Failure::Session),
        }
    }

    async fn verify(
        &mut self,
        edge: &Edge,
        name: &RecordingName,
        part: &str,
        (from, to): (u64, u64),
    ) -> Result<Reply, Failure> {
        let theirs = self.read(part, from, (to - from) as usize).await?;
        let ours = local(edge, name, from, to).await?;
        let same = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
        Ok(Reply::SameUpTo(from + same as u64))
    }

    /// Whether a GOP stands in the part where the footage of the recording ends, and the seal begins.
    async fn peek(&mut self, edge: &Edge, name: &RecordingName, part: &str) -> Result<Reply, Failure> {
        let file = edge.host.open(&path(name)).await?.ok_or(Failure::One)?;
        let end = footage_end(&file.bytes()).map_err(|_| Failure::One)?;
        let header = self.read(part, end, 8).await?;
        Ok(Reply::More(header.ends_with(b"moof")))
    }

    async fn read(&mut self, name: &str, from: u64, most: usize) -> Result<Vec<u8>, Failure> {
        let handle = self.open(name, Mode::Read).await?.ok_or(Failure::Session)?;
        let read = self.session.ask(Request::Read(handle, from, most)).await?;
        self.done(Request::Close(handle)).await?;
        let Answer::Data(bytes) = read else { return Err(Failure::Session) };
        Ok(bytes)
    }

    /// The handle of the part, open for writing.
    async fn part(&mut self, name: &RecordingName, part: &str) -> Result<u64, Failure> {
        if let Some(part) = self.parts.get(name) {
            return Ok(part.handle);
        }
        self.settle().await?;
        let handle = self.open(part, Mode::Write).await?.ok_or(Failure::Session)?;
        self.parts.insert(*name, Part { handle, flow: Flow::default() });
        Ok(handle)
    }

    /// Writes; all is on its way before the first answer is waited for.
    async fn put(&mut self, name: &RecordingName, part: &str, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        let handle = self.part(name, part).await?;
        let pieces = bytes.chunks(30_000).zip((at..).step_by(30_000));
        let write = |(piece, at): (&[u8], u64)| self.session.send(Request::Write(handle, at, piece.to_vec()));
        let sent: Vec<u64> = pieces.map(write).collect();
        for id in sent {
            if self.session.reply(id).await? != Answer::Done {
                return Err(Failure::Session);
            }
        }
        Ok(())
    }

    async fn forget(&mut self, name: &RecordingName) -> Result<(), Failure> {
        match self.parts.remove(name) {
            Some(part) => self.done(Request::Close(part.handle)).await.map(drop),
            None => Ok(()),
        }
    }
}

/// The bytes of a recording as its part must read: every whole GOP counts.
async fn local(edge: &Edge, name: &RecordingName, from: u64, to: u64) -> Result<Vec<u8>, Failure> {
    let unsynced = edge.store.entry(name).map(|entry| entry.unsynced).unwrap_or_default();
    let path = if edge.store.is_ledger(name) { ledger_path(name) } else { path(name) };
    let file = edge.host.open(&path).await?.ok_or(Failure::One)?;
    let mut bytes = vec![0; (to - from) as usize];
    if file.bytes().read(from, &mut bytes) < bytes.len() {
        return Err(Failure::One);
    }
    let headers = unsynced.iter().flat_map(|header| (header + 4..).zip(*b"moof"));
    let no_spare = edge.bare.then(|| (MEDIA_AT - 20..).zip([0; 4]));
    for (at, byte) in headers.chain(no_spare.into_iter().flatten()) {
        if let Some(place) = at.checked_sub(from).and_then(|place| bytes.get_mut(place as usize)) {
            *place = byte;
        }
    }
    Ok(bytes)
}
