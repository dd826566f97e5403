//! Which connections are open, and which of them has to go.
//!
//! ```text
//!             admit                     head complete
//! (accepted) -------> WAITING --------------------------> ANSWERING
//!     |                |  ^                                |   |
//!     | too many       |  +--------------------------------+   | nothing taken for STALL
//!     v                | nothing for HEAD, or room is needed   v
//!  refused             +-----------------------------------> ended
//! ```
//!
//! A connection that waits for a request is worth nothing to anybody yet: when the house is full, a newcomer takes the place of
//! a waiting one, of the address that has the most. So a thousand connections that never finish a request keep nobody out.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A request head has to be complete within this time of the connection, or of the answer before; so this is also how long
/// an idle connection is kept.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// A reader that takes nothing for this long is dropped. What the two sockets buffer hides the first seconds of a stall.
pub(super) const STALL: Duration = Duration::from_secs(10);
/// How often the two are looked at.
pub(super) const SWEEP: Duration = Duration::from_millis(500);

/// How many connections may be open.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address.
    pub per_address: usize,
}

/// Why the door ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No complete request head in time.
    Silent,
    /// It did not read what it had asked for.
    Stalled,
    /// Its place was needed.
    Displaced,
}

/// Why a newcomer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many connections as are allowed, all of them with a request being answered.
    Full,
    /// As many from this address as are allowed.
    Address,
}

/// One open connection.
pub(super) struct Connection {
    address: IpAddr,
    /// Since when it waits for a request; `None` while one is being answered.
    waiting_since: Cell<Option<Instant>>,
    /// Since when its socket has taken nothing of what is ready to be sent.
    blocked_since: Cell<Option<Instant>>,
    /// The answers under way: HTTP/2 has several.
    answers: RefCell<Vec<Rc<Taken>>>,
    end: Cell<Option<End>>,
    ended: Notify,
}

/// Since when an answer has offered bytes that the connection did not come back for; `None` while it has none to offer.
type Taken = Cell<Option<Instant>>;

impl Connection {
    fn new(address: IpAddr, now: Instant) -> Self {
        Self {
            address,
            waiting_since: Cell::new(Some(now)),
            blocked_since: Cell::default(),
            answers: RefCell::default(),
            end: Cell::default(),
            ended: Notify::new(),
        }
    }

    /// Completes when the door ends the connection.
    pub(super) async fn ended(&self) -> End {
        loop {
            if let Some(end) = self.end.get() {
                return end;
            }
            self.ended.notified().await;
        }
    }

    /// A request head is complete.
    pub(super) fn answer(self: &Rc<Self>) -> Answer {
        let taken = Rc::new(Taken::default());
        self.answers.borrow_mut().push(Rc::clone(&taken));
        self.waiting_since.set(None);
        Answer { connection: Rc::clone(self), taken }
    }

    /// The socket took bytes.
    pub(super) fn progress(&self) {
        self.blocked_since.set(None);
    }

    /// The socket takes nothing now.
    pub(super) fn blocked(&self) {
        if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(Instant::now()));
        }
    }

    fn finish(&self, end: End) {
        if self.end.replace(Some(end)).is_none() {
            self.ended.notify_one();
        }
    }

    fn overdue(&self, now: Instant) -> Option<End> {
        let late =
            |since: Option<Instant>, most| since.is_some_and(|since| now.duration_since(since) >= most);
        let unread = |taken: &Rc<Taken>| late(taken.get(), STALL);
        if late(self.blocked_since.get(), STALL) || self.answers.borrow().iter().any(unread) {
            Some(End::Stalled)
        } else if self.blocked_since.get().is_none() && late(self.waiting_since.get(), HEAD) {
            Some(End::Silent)
        } else {
            None
        }
    }
}

/// One request of a connection, from its complete head to the last byte of its answer.
pub(super) struct Answer {
    connection: Rc<Connection>,
    taken: Rc<Taken>,
}

impl Answer {
    /// The connection came for more bytes.
    pub(super) fn asked(&self) {
        self.taken.set(None);
    }

    /// The connection was given bytes.
    pub(super) fn given(&self) {
        self.taken.set(Some(Instant::now()));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut answers = self.connection.answers.borrow_mut();
        answers.retain(|taken| !Rc::ptr_eq(taken, &self.taken));
        if answers.is_empty() {
            self.connection.waiting_since.set(Some(Instant::now()));
        }
    }
}

/// All open connections.
#[derive(Default)]
pub(super) struct Table {
    open: RefCell<Vec<Rc<Connection>>>,
    by_address: RefCell<HashMap<IpAddr, usize>>,
}

impl Table {
    /// A newcomer from `address`.
    pub(super) fn admit(&self, address: IpAddr, limits: Limits) -> Result<Rc<Connection>, Refused> {
        let address = address.to_canonical();
        if self.from(address) >= limits.per_address {
            return Err(Refused::Address);
        }
        if self.open.borrow().len() >= limits.connections {
            self.displace()?;
        }
        let connection = Rc::new(Connection::new(address, Instant::now()));
        self.open.borrow_mut().push(Rc::clone(&connection));
        *self.by_address.borrow_mut().entry(address).or_default() += 1;
        Ok(connection)
    }

    /// The connection is closed. Does nothing if it was displaced.
    pub(super) fn leave(&self, connection: &Rc<Connection>) {
        let mut open = self.open.borrow_mut();
        let Some(index) = open.iter().position(|other| Rc::ptr_eq(other, connection)) else { return };
        // The order tells who has waited longest among equals.
        open.remove(index);
        let mut by_address = self.by_address.borrow_mut();
        if let Some(count) = by_address.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&connection.address);
            }
        }
    }

    /// Ends every connection that is overdue at `now`.
    pub(super) fn sweep(&self, now: Instant) {
        for connection in self.open.borrow().iter() {
            if let Some(end) = connection.overdue(now) {
                connection.finish(end);
            }
        }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    fn from(&self, address: IpAddr) -> usize {
        self.by_address.borrow().get(&address).copied().unwrap_or(0)
    }

    /// Ends the waiting connection that has waited longest, among those of the address with the most connections.
    fn displace(&self) -> Result<(), Refused> {
        let open = self.open.borrow();
        let waiting = open.iter().filter(|connection| connection.waiting_since.get().is_some());
        // `max_by_key` takes the last of equals, so look from the youngest to the oldest.
        let victim = waiting.rev().max_by_key(|connection| self.from(connection.address)).cloned();
        drop(open);
        let victim = victim.ok_or(Refused::Full)?;
        victim.finish(End::Displaced);
        self.leave(&victim);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    const LIMITS: Limits = Limits { connections: 4, per_address: 2 };

    #[test]
    fn one_address_gets_no_more_than_its_share() {
        let table = Table::default();
        let first = table.admit(address(1), LIMITS).expect("first");
        let _second = table.admit(address(1), LIMITS).expect("second");
        assert_eq!(table.admit(address(1), LIMITS).err(), Some(Refused::Address));
        let mapped = "::ffff:127.0.0.1".parse().expect("address");
        assert_eq!(table.admit(mapped, LIMITS).err(), Some(Refused::Address));
        table.leave(&first);
        assert!(table.admit(address(1), LIMITS).is_ok());
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_longest_waiting_of_the_busiest_address() {
        let table = Table::default();
        let _lone = table.admit(address(1), LIMITS).expect("lone");
        let busy = table.admit(address(2), LIMITS).expect("busy");
        let _answer = busy.answer();
        let waiting = table.admit(address(2), LIMITS).expect("waiting");
        let _other = table.admit(address(3), LIMITS).expect("other");
        assert!(table.admit(address(4), LIMITS).is_ok());
        assert_eq!(waiting.end.get(), Some(End::Displaced));
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn nobody_who_is_being_answered_is_displaced() {
        let table = Table::default();
        let open: Vec<_> = (1..=4).map(|n| table.admit(address(n), LIMITS).expect("room")).collect();
        let answers: Vec<_> = open.iter().map(|connection| connection.answer()).collect();
        assert_eq!(table.admit(address(5), LIMITS).err(), Some(Refused::Full));
        drop(answers);
        assert!(table.admit(address(5), LIMITS).is_ok());
    }

    #[test]
    fn who_sends_no_request_is_ended_and_who_waits_for_an_answer_is_not() {
        let table = Table::default();
        let silent = table.admit(address(1), LIMITS).expect("silent");
        let asking = table.admit(address(2), LIMITS).expect("asking");
        let _answer = asking.answer();
        let start = Instant::now();
        table.sweep(start + HEAD / 2);
        assert_eq!(silent.end.get(), None);
        table.sweep(start + HEAD);
        assert_eq!((silent.end.get(), asking.end.get()), (Some(End::Silent), None));
    }

    #[test]
    fn who_does_not_take_what_is_offered_is_ended() {
        let table = Table::default();
        let [socket, body, fine] = [1, 2, 3].map(|n| table.admit(address(n), LIMITS).expect("room"));
        let answers = [socket.answer(), body.answer(), fine.answer()];
        socket.blocked();
        answers[1].given();
        fine.blocked();
        fine.progress();
        answers[2].given();
        answers[2].asked();
        table.sweep(Instant::now() + STALL);
        let ends = [socket.end.get(), body.end.get(), fine.end.get()];
        assert_eq!(ends, [Some(End::Stalled), Some(End::Stalled), None]);
    }
}
