//! What is under way, and what is next: what grows comes first, then the newest of what is sealed.
//!
//! ```text
//! STORE --growing-------------> live front   live yard     in turn, a piece each
//!       --newest sealed-------> backlog                    while none of those has anything to send
//! ```

use super::error::Error;
use super::local::Local;
use crate::store::{Pending, Store};
use crate::supervise::clock;
use media::Ticks90k;
use media::handshake::turn::{self, Due};
use media::handshake::{Content, Journal, Step, Upload};
use media::names::{LockToken, RecordingName};
use std::collections::VecDeque;

/// Sealed recordings under way at once: each newer one comes before those that have begun.
const MOST_SEALED: usize = 8;
/// GOPs of a recording that are remembered with their ends until they are confirmed; beyond that, the newest stands for all.
const MOST_MARKS: usize = 128;

/// The end of time; half of what a clock can count, so that it can be reckoned with.
const NEVER: Ticks90k = Ticks90k(i64::MAX / 2);

/// One recording on its way.
pub struct Task {
    pub pending: Pending,
    /// The handshake and the file that it is about; `None` until a session is open: only then the upload begins.
    way: Option<(Upload, Local)>,
    /// Sizes that the recording had, and the media time at which it ended then; all not confirmed yet.
    marks: VecDeque<(u64, Ticks90k)>,
    /// Until when its footage is confirmed.
    pub confirmed: Option<Ticks90k>,
    /// When the part was last synced.
    synced_at: Ticks90k,
    /// The turn in which it was last served.
    served: u64,
}

/// All of them.
#[derive(Default)]
pub struct Desk {
    tasks: Vec<Task>,
    turn: u64,
    /// News of the store that this is made from.
    heard: Option<u64>,
}

impl Task {
    fn new(pending: Pending) -> Self {
        let marks = VecDeque::from([(pending.content.bytes(), pending.end)]);
        let synced_at = clock::media_now();
        Self { pending, way: None, marks, confirmed: None, synced_at, served: 0 }
    }

    /// The handshake from where the journal says that it stands. Its token is kept before its first step.
    pub fn begin(&mut self, store: &Store) -> Result<(&mut Upload, &Local), Error> {
        let way = match self.way.take() {
            Some(way) => way,
            None => self.open(store)?,
        };
        let (machine, local) = self.way.insert(way);
        Ok((machine, local))
    }

    fn open(&mut self, store: &Store) -> Result<(Upload, Local), Error> {
        let (token, begun) = (token(&self.pending)?, self.pending.token.is_some());
        if self.pending.token.as_ref() != Some(&token) {
            self.update(store.begin_upload(&self.pending.name, &token)?);
        }
        let pending = &self.pending;
        let machine = Upload::new(pending.stage.upload(), pending.content, token, begun);
        let mut machine = if pending.orphaned { machine.orphaned() } else { machine };
        if pending.long {
            machine.widen();
        }
        Ok((machine, Local::open(pending)?))
    }

    /// The path is long: more of what is sealed may be on its way, which is kept before it is.
    pub fn widen(&mut self, store: &Store) -> Result<(), Error> {
        if self.pending.long || !matches!(self.pending.content, Content::Sealed(_)) {
            return Ok(());
        }
        self.update(store.widen_upload(&self.pending.name)?);
        if let Some(machine) = self.machine() {
            machine.widen();
        }
        Ok(())
    }

    /// The handshake, if it has begun.
    pub fn machine(&mut self) -> Option<&mut Upload> {
        self.way.as_mut().map(|(machine, _)| machine)
    }

    /// Takes over what the store says of it now.
    fn update(&mut self, pending: Pending) {
        let bytes = pending.content.bytes();
        if bytes > self.pending.content.bytes() && pending.end > self.pending.end {
            if self.marks.len() >= MOST_MARKS {
                self.marks.pop_back();
            }
            self.marks.push_back((bytes, pending.end));
        }
        if let Some((machine, local)) = &mut self.way {
            machine.update(pending.content);
            local.update(&pending);
        }
        self.pending = pending;
    }

    pub fn grows(&self) -> bool {
        matches!(self.pending.content, Content::Growing(_) | Content::Torn(_))
    }

    /// Bytes that the remote host has confirmed.
    pub fn sent(&self) -> u64 {
        self.way.as_ref().map_or(0, |(machine, _)| match machine.journal() {
            Journal::Sealed => machine.progress().0,
            _ => self.pending.content.bytes(),
        })
    }

    fn due(&self) -> Due {
        Due { grows: self.grows(), served: self.served, order: self.pending.order }
    }

    /// Whether there is something to do for it, at `now`; a growing part is synced `sync_every`.
    fn is_due(&self, now: Ticks90k, sync_every: Ticks90k) -> bool {
        self.sync_due(sync_every).is_none_or(|due| due <= now)
    }

    /// When its part must be synced, if it waits for its next GOP: at the end of time if it is synced.
    fn sync_due(&self, sync_every: Ticks90k) -> Option<Ticks90k> {
        let (machine, _) = self.way.as_ref().filter(|(machine, _)| machine.step() == Step::Wait)?;
        let (sent, synced) = machine.progress();
        Some(if synced < sent { self.synced_at + sync_every } else { NEVER })
    }

    /// Its part was synced.
    pub fn synced(&mut self, now: Ticks90k) {
        self.synced_at = now;
    }

    /// Ends of the GOPs that are confirmed now and were not before.
    pub fn newly_confirmed(&mut self) -> Vec<Ticks90k> {
        let sent = self.sent();
        let count = self.marks.iter().take_while(|(bytes, _)| *bytes <= sent).count();
        let ends: Vec<Ticks90k> = self.marks.drain(..count).map(|(_, end)| end).collect();
        self.confirmed = ends.last().copied().or(self.confirmed);
        ends
    }
}

impl Desk {
    /// Takes over what the store has; what `skip` holds back is left out. `growing`: also what still grows.
    pub fn refresh(&mut self, store: &Store, growing: bool, skip: impl Fn(&RecordingName) -> bool) {
        let news = store.news();
        if self.heard == Some(news) && self.tasks.iter().any(|task| !task.grows()) {
            return;
        }
        self.tasks.retain_mut(|task| match store.pending(&task.pending.name) {
            Some(pending) if pending.epoch == task.pending.epoch => {
                task.update(pending);
                growing || !task.grows()
            }
            _ => false,
        });
        let grow = if growing { store.growing() } else { Vec::new() };
        for pending in grow.into_iter().chain(store.newest_sealed(&skip)) {
            let name = pending.name;
            if !skip(&name) && self.tasks.iter().all(|task| task.pending.name != name) {
                self.tasks.push(Task::new(pending));
            }
        }
        self.tasks.sort_by_key(|task| task.pending.order);
        let sealed = self.tasks.iter().filter(|task| !task.grows()).count();
        let mut surplus = sealed.saturating_sub(MOST_SEALED);
        self.tasks.retain(|task| {
            let goes = surplus > 0 && !task.grows();
            surplus -= usize::from(goes);
            !goes
        });
        self.heard = Some(news);
    }

    /// The next one to serve at `now`.
    pub fn next(&mut self, now: Ticks90k, sync_every: Ticks90k) -> Option<RecordingName> {
        let due = self.tasks.iter().filter(|task| task.is_due(now, sync_every));
        let name = turn::next(due.map(|task| (task.pending.name, task.due())))?;
        self.turn += 1;
        let turn = self.turn;
        if let Some(task) = self.task(&name) {
            task.served = turn;
        }
        Some(name)
    }

    /// When a part must be synced although nothing is sent.
    pub fn next_sync(&self, sync_every: Ticks90k) -> Option<Ticks90k> {
        self.tasks.iter().filter_map(|task| task.sync_due(sync_every)).min()
    }

    pub fn task(&mut self, name: &RecordingName) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.pending.name == *name)
    }

    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// It is done, or held back.
    pub fn remove(&mut self, name: &RecordingName) {
        self.tasks.retain(|task| task.pending.name != *name);
        self.heard = None;
    }

    /// The session broke.
    pub fn retry(&mut self) {
        self.tasks.iter_mut().filter_map(Task::machine).for_each(Upload::retry);
        self.heard = None;
    }

    /// Parts that grow.
    pub fn growing(&self) -> usize {
        self.tasks.iter().filter(|task| task.grows()).count()
    }
}

/// A token for a recording whose upload begins, or the one that it began with under the boot of today.
fn token(pending: &Pending) -> Result<LockToken, Error> {
    let boot = clock::boot_id();
    if let Some(LockToken::Upload { camera, nonce, .. }) = &pending.token {
        return Ok(LockToken::Upload { camera: *camera, boot, nonce: nonce.clone() });
    }
    let nonce = getrandom::u64().map_err(|error| Error::Recording {
        path: "/dev/urandom".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(LockToken::Upload { camera: pending.name.camera, boot, nonce: format!("{nonce:016x}") })
}
