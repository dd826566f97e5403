//! Who is in: by cookie, by Basic credentials that were good, by a token. Kept in memory, bounded, by a digest of the secret.
//!
//! An answer that flows holds on to its session's [`Lifeline`]; when the session is dropped the answer ends.

use super::secret::Digest;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Sessions at once. Beyond that the one that was quiet for longest goes, of those whose answers have ended if there are any.
const MOST: usize = 64;
/// Without a request for so long a session ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);

/// Who is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody with a password.
    Account(String),
    /// A player, by the id of its token.
    Token(String),
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Streams and recordings, as players need them.
    Play,
    /// The page and all that it shows.
    Look,
    /// Everything.
    Administer,
}

/// Gone when the session is.
pub type Lifeline = Weak<()>;

struct Session {
    digest: Digest,
    who: Who,
    right: Right,
    seen: Duration,
    life: Rc<()>,
}

/// All of them.
#[derive(Default)]
pub struct Sessions(Vec<Session>);

/// Somebody who is in.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Who.
    pub who: Who,
    /// What they may do.
    pub right: Right,
    /// Of the session.
    pub lifeline: Lifeline,
}

impl Sessions {
    /// The session of a secret, if it has not ended.
    pub fn find(&mut self, digest: &Digest, now: Duration) -> Option<Guest> {
        self.0.retain(|one| now.saturating_sub(one.seen) < IDLE || Rc::weak_count(&one.life) > 0);
        let session = self.0.iter_mut().find(|one| one.digest == *digest)?;
        session.seen = now;
        Some(session.guest())
    }

    /// Begins one.
    pub fn enter(&mut self, digest: Digest, who: Who, right: Right, now: Duration) -> Guest {
        if self.0.len() >= MOST {
            let quiet = |(_, one): &(usize, &Session)| (Rc::weak_count(&one.life) > 0, one.seen);
            if let Some((place, _)) = self.0.iter().enumerate().min_by_key(quiet) {
                self.0.swap_remove(place);
            }
        }
        let session = Session { digest, who, right, seen: now, life: Rc::new(()) };
        let guest = session.guest();
        self.0.push(session);
        guest
    }

    /// Ends one.
    pub fn leave(&mut self, digest: &Digest) {
        self.0.retain(|one| one.digest != *digest);
    }

    /// Ends all of somebody.
    pub fn put_out(&mut self, who: &Who) {
        self.0.retain(|one| one.who != *who);
    }
}

impl Session {
    fn guest(&self) -> Guest {
        Guest { who: self.who.clone(), right: self.right, lifeline: Rc::downgrade(&self.life) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: usize) -> Digest {
        Digest::of(&[&n.to_be_bytes()])
    }

    fn enter(sessions: &mut Sessions, n: usize, at: u64) -> Lifeline {
        let who = Who::Account(format!("a{}", n % 2));
        sessions.enter(digest(n), who, Right::Look, Duration::from_secs(at)).lifeline
    }

    #[test]
    fn a_session_ends_when_it_was_idle_unless_something_flows() {
        let mut sessions = Sessions::default();
        let _quiet = enter(&mut sessions, 1, 0);
        drop(_quiet);
        let flows = enter(&mut sessions, 2, 0);
        assert!(sessions.find(&digest(1), Duration::from_secs(12 * 3600 - 1)).is_some());
        assert!(sessions.find(&digest(1), Duration::from_secs(24 * 3600)).is_none());
        assert!(sessions.find(&digest(2), Duration::from_secs(24 * 3600)).is_some());
        sessions.leave(&digest(2));
        assert_eq!(flows.strong_count(), 0);
    }

    #[test]
    fn the_table_is_bounded_and_what_flows_stays() {
        let mut sessions = Sessions::default();
        let flows = enter(&mut sessions, 0, 0);
        for n in 1..200 {
            enter(&mut sessions, n, n as u64);
        }
        assert_eq!(sessions.0.len(), MOST);
        assert_eq!(flows.strong_count(), 1);
        assert!(sessions.find(&digest(199), Duration::from_secs(200)).is_some());
        assert!(sessions.find(&digest(1), Duration::from_secs(200)).is_none());
    }

    #[test]
    fn who_is_put_out_is_out_everywhere() {
        let mut sessions = Sessions::default();
        let lines: Vec<_> = (0..10).map(|n| enter(&mut sessions, n, 0)).collect();
        sessions.put_out(&Who::Account("a1".to_owned()));
        let alive: Vec<_> = lines.iter().map(|line| line.strong_count()).collect();
        assert_eq!(alive, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
    }
}
