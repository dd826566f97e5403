//! Who may look, and who may change things: accounts, tokens, sessions, the claim. docs/design/auth.md has the states and what holds.
//!
//! ```text
//!              cookie --+
//! request ---> Basic ---+--> Gate --> Guest: who, what they may do, until when      Refusal: why not
//!              /t/TOKEN +      |
//!                              +--errand--> thread `auth`: Argon2, access.json
//! ```
//!
//! The gate belongs to the thread of the web server, which neither hashes nor writes.

mod access;
mod account;
mod attempts;
pub mod certificate;
mod code;
mod origin;
mod secret;
mod sessions;

pub use access::{Access, Error, Refused, Token};
pub use account::{Account, Error as AccountError};
pub use code::Code;
pub use origin::{is_ours, is_same, name_of};
pub use secret::{Digest, hex};
pub use sessions::{Guest, Lifeline, Right, Who};

use crate::config::{self, Current};
use crate::supervise::{Busy, Errands, monotonic};
use attempts::Attempts;
use base64ct::{Base64, Encoding};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};
use service::door::Peer;
use sessions::Sessions;
use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

/// The file in `auth.dir`.
pub const FILE: &str = "access.json";
/// The cookie of HTTPS, which no other host and no plain connection can set (RFC 6265bis, 4.1.3.2), and that of plain HTTP.
const COOKIES: [&str; 2] = ["porthole", "__Host-porthole"];
/// Longer credentials are nobody's.
const MOST_CREDENTIALS: usize = 1024;

/// Why somebody does not get what they asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody knows who it is.
    #[error("Log in first.")]
    Stranger,
    /// The password is not that one, or there is no such account; over plain HTTP also: it administers.
    #[error("Name or password is wrong.")]
    Wrong,
    /// The claim code is another one.
    #[error("The code is another one: the console of the device shows it, and so does `porthole-edge key`.")]
    WrongCode,
    /// The address, or all together, have tried too often.
    #[error("Too many attempts; try again in {} s.", .0.as_secs() + 1)]
    TooMany(Duration),
    /// Too much is asked for at once.
    #[error("{0}")]
    Busy(#[from] Busy),
    /// Name or password cannot be.
    #[error("{0}")]
    Account(#[from] AccountError),
    /// It cannot be changed so.
    #[error("{0}")]
    Change(#[from] Refused),
    /// The disk does not take it.
    #[error("{path}: {source}; nothing was changed", path = .path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody knows any more who may do what.
    #[error("{0}")]
    Locked(String),
}

/// What the gate is made of, before the thread of the web server runs.
pub struct Keys {
    path: PathBuf,
    /// Or why there is no telling.
    access: Result<Access, String>,
    /// Basic credentials are remembered by a digest that begins with it.
    pepper: [u8; 32],
}

/// Whose device this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody's yet.
    Unclaimed,
    /// Somebody's.
    Claimed,
    /// There is no telling: why.
    Locked(String),
}

impl Keys {
    /// Reads who may do what; of a new device makes the claim code. Says on the console what whoever holds the device has to know.
    ///
    /// # Errors
    /// The kernel has no randomness.
    pub fn open(auth: &config::Auth) -> std::io::Result<Self> {
        let path = auth.dir.join(FILE);
        let access = match Access::load(&path) {
            Ok(Some(access)) => Ok(access),
            Ok(None) => {
                let access = Access::unclaimed()?;
                if let Err(error) = access.save(&path) {
                    tracing::error!(path = %path.display(), %error, "the claim code cannot be kept: the next start makes another one");
                }
                Ok(access)
            }
            Err(error) => {
                tracing::error!("{error}");
                Err(error.to_string())
            }
        };
        Ok(Self { path, access, pepper: secret::random()? })
    }

    /// What claims the device, while it is nobody's.
    pub fn code(&self) -> Option<Code> {
        self.access.as_ref().ok().and_then(Access::code)
    }
}

/// The claim code of the device that keeps its accounts in `dir`; `None` where it is claimed, or was never started.
///
/// # Errors
/// The file cannot be read.
pub fn claim_code(dir: &Path) -> Result<Option<Code>, Error> {
    Ok(Access::load(&dir.join(FILE))?.and_then(|access| access.code()))
}

/// Decides about every request.
pub struct Gate {
    config: Current,
    path: PathBuf,
    access: RefCell<Result<Access, String>>,
    sessions: RefCell<Sessions>,
    attempts: RefCell<Attempts>,
    pepper: [u8; 32],
    errands: Errands,
    /// One change at a time.
    changing: Mutex<()>,
    /// One check of Basic credentials at a time: a player that begins with several requests at once has its password hashed once.
    checking: Mutex<()>,
}

impl Gate {
    /// With `errands` for what takes long.
    pub fn new(keys: Keys, config: Current, errands: Errands) -> Rc<Self> {
        let Keys { path, access, pepper } = keys;
        Rc::new(Self {
            config,
            path,
            access: RefCell::new(access),
            sessions: RefCell::default(),
            attempts: RefCell::default(),
            pepper,
            errands,
            changing: Mutex::default(),
            checking: Mutex::default(),
        })
    }

    /// Whose device this is.
    pub fn state(&self) -> State {
        match &*self.access.borrow() {
            Err(why) => State::Locked(why.clone()),
            Ok(access) if access.code().is_some() && self.configured().next().is_none() => State::Unclaimed,
            Ok(_) => State::Claimed,
        }
    }

    /// The accounts of the configuration file, with whether each administers.
    fn configured(&self) -> impl Iterator<Item = (Account, bool)> {
        let auth = self.config.get().auth.clone().unwrap_or_default();
        let admins = auth.admins.into_iter().map(|text| (text, true));
        let all = admins.chain(auth.viewers.into_iter().map(|text| (text, false)));
        all.filter_map(|(text, admin)| Some((text.parse().ok()?, admin)))
    }

    /// All accounts: name, whether it administers, and whether the configuration file has it.
    pub fn accounts(&self) -> Vec<(String, bool, bool)> {
        let fixed = self.configured().map(|(account, admin)| (account.name().to_owned(), admin, true));
        let mut all: Vec<_> = fixed.collect();
        if let Ok(access) = &*self.access.borrow() {
            all.extend(access.accounts().map(|(account, admin)| (account.name().to_owned(), admin, false)));
        }
        all
    }

    /// Id and name of each token.
    pub fn tokens(&self) -> Vec<(String, String)> {
        let access = self.access.borrow();
        let tokens = access.as_ref().map(Access::tokens).unwrap_or_default();
        tokens.iter().map(|token| (token.id.clone(), token.name.clone())).collect()
    }

    /// Who asks, by the token in the path if there is one, else by cookie, else by Basic.
    ///
    /// # Errors
    /// Nobody knows who that is.
    pub async fn guest(
        &self,
        headers: &HeaderMap,
        token: Option<&str>,
        peer: Peer,
    ) -> Result<Guest, Refusal> {
        if let Some(token) = token {
            return self.by_token(token).ok_or(Refusal::Stranger);
        }
        let cookie = cookie(headers, peer.secure).map(|value| Digest::of(&[value.as_bytes()]));
        if let Some(guest) = cookie.and_then(|digest| self.sessions.borrow_mut().find(&digest, monotonic())) {
            return Ok(guest);
        }
        match headers.get(AUTHORIZATION) {
            Some(value) if value.len() <= MOST_CREDENTIALS => self.by_basic(value.as_bytes(), peer).await,
            _ => Err(Refusal::Stranger),
        }
    }

    fn by_token(&self, token: &str) -> Option<Guest> {
        let digest = Digest::of(&[token.as_bytes()]);
        let id = self.access.borrow().as_ref().ok()?.token(&digest)?.id.clone();
        let (mut sessions, now) = (self.sessions.borrow_mut(), monotonic());
        let known = sessions.find(&digest, now);
        Some(known.unwrap_or_else(|| sessions.enter(digest, Who::Token(id), Right::Play, now)))
    }

    /// RFC 7617. Who comes so looks, and does not administer: a browser sends such credentials also for other pages.
    async fn by_basic(&self, value: &[u8], peer: Peer) -> Result<Guest, Refusal> {
        let digest = Digest::of(&[&self.pepper, &[u8::from(peer.secure)], value]);
        let known = self.sessions.borrow_mut().find(&digest, monotonic());
        if let Some(guest) = known {
            return Ok(guest);
        }
        let _one_at_a_time = self.checking.lock().await;
        if let Some(guest) = self.sessions.borrow_mut().find(&digest, monotonic()) {
            return Ok(guest);
        }
        let (name, password) = credentials(value).ok_or(Refusal::Stranger)?;
        let (who, _right) = self.check(&name, password, peer).await?;
        Ok(self.sessions.borrow_mut().enter(digest, who, Right::Look, monotonic()))
    }

    /// Whether the password is right; each try is paid for. Over plain HTTP an administrator is nobody.
    async fn check(&self, name: &str, password: String, peer: Peer) -> Result<(Who, Right), Refusal> {
        let own = self.access.borrow().as_ref().map_err(|why| Refusal::Locked(why.clone()))?.clone();
        let own = own.accounts().map(|(account, admin)| (account.clone(), admin)).collect::<Vec<_>>();
        let mut all = self.configured().chain(own);
        let found = all.find(|(account, admin)| account.name() == name && (peer.secure || !admin));
        let (account, admin) = found.unwrap_or_else(|| (Account::nobody(), false));
        self.pay(peer.address)?;
        if !self.errands.run(move |_stop| account.is_opened_by(&password)).await?? {
            tracing::warn!(address = %peer.address, name = name.escape_debug().to_string(), "log-in refused");
            return Err(Refusal::Wrong);
        }
        self.attempts.borrow_mut().give_back(peer.address);
        let right = if admin { Right::Administer } else { Right::Look };
        Ok((Who::Account(name.to_owned()), right))
    }

    fn pay(&self, address: IpAddr) -> Result<(), Refusal> {
        self.attempts.borrow_mut().take(address, monotonic()).map_err(Refusal::TooMany)
    }

    /// Begins a session; gives the cookie to set.
    ///
    /// # Errors
    /// Name or password is wrong, or too many were tried.
    pub async fn log_in(&self, name: &str, password: String, peer: Peer) -> Result<String, Refusal> {
        let (who, right) = self.check(name, password, peer).await?;
        self.session(who, right, peer.secure)
    }

    fn session(&self, who: Who, right: Right, secure: bool) -> Result<String, Refusal> {
        let secret: [u8; 16] = secret::random().map_err(|error| Refused::Random(error.to_string()))?;
        let secret = hex(&secret);
        let digest = Digest::of(&[secret.as_bytes()]);
        self.sessions.borrow_mut().enter(digest, who, right, monotonic());
        Ok(set_cookie(&secret, secure))
    }

    /// Ends the session of the cookie; gives the cookie that removes it.
    pub fn log_out(&self, headers: &HeaderMap, secure: bool) -> String {
        if let Some(value) = cookie(headers, secure) {
            self.sessions.borrow_mut().leave(&Digest::of(&[value.as_bytes()]));
        }
        set_cookie("", secure) + "; Max-Age=0"
    }

    /// Makes `name` the first administrator, if the code is right; gives the cookie of their session.
    ///
    /// # Errors
    /// The code is wrong, name or password cannot be, or the disk does not take it.
    pub async fn claim(
        self: &Rc<Self>,
        code: &str,
        name: String,
        password: String,
        peer: Peer,
    ) -> Result<String, Refusal> {
        self.pay(peer.address)?;
        let right = match &*self.access.borrow() {
            Ok(access) => access.code().ok_or(Refused::Claimed)?,
            Err(why) => return Err(Refusal::Locked(why.clone())),
        };
        if Code::parse(code) != Some(right) {
            tracing::warn!(address = %peer.address, "a wrong claim code was tried");
            return Err(Refusal::WrongCode);
        }
        self.attempts.borrow_mut().give_back(peer.address);
        let who = Who::Account(name.clone());
        let account = self.errands.run(move |_stop| Account::new(&name, &password)).await??;
        self.change(move |access| access.claimed_by(account)).await?;
        tracing::info!(address = %peer.address, "this device is claimed");
        self.session(who, Right::Administer, peer.secure)
    }

    /// Adds an account, or gives one another password and these rights; its sessions end.
    ///
    /// # Errors
    /// Name or password cannot be, the configuration file has it, or the disk does not take it.
    pub async fn put_account(
        self: &Rc<Self>,
        name: String,
        password: String,
        admin: bool,
    ) -> Result<(), Refusal> {
        let who = Who::Account(name.clone());
        let account = self.errands.run(move |_stop| Account::new(&name, &password)).await??;
        self.change(move |access| access.put(account, admin)).await?;
        self.sessions.borrow_mut().put_out(&who);
        Ok(())
    }

    /// Removes an account; its sessions end.
    ///
    /// # Errors
    /// There is none, it is the last administrator, or the disk does not take it.
    pub async fn remove_account(self: &Rc<Self>, name: String) -> Result<(), Refusal> {
        let who = Who::Account(name.clone());
        self.change(move |access| access.remove(&name)).await?;
        self.sessions.borrow_mut().put_out(&who);
        Ok(())
    }

    /// Adds a token; gives its id and its secret.
    ///
    /// # Errors
    /// There is no room, the name cannot be, or the disk does not take it.
    pub async fn add_token(self: &Rc<Self>, name: String) -> Result<(String, String), Refusal> {
        self.change(move |access| access.add_token(&name)).await
    }

    /// Removes a token; what flows through it ends.
    ///
    /// # Errors
    /// There is none, or the disk does not take it.
    pub async fn revoke_token(self: &Rc<Self>, id: String) -> Result<(), Refusal> {
        let who = Who::Token(id.clone());
        self.change(move |access| access.revoke(&id)).await?;
        self.sessions.borrow_mut().put_out(&who);
        Ok(())
    }

    /// Changes who may do what: on the disk first, and then here. It is carried through also when whoever asked has left.
    async fn change<T: 'static>(
        self: &Rc<Self>,
        edit: impl FnOnce(&mut Access) -> Result<T, Refused> + 'static,
    ) -> Result<T, Refusal> {
        let gate = Rc::clone(self);
        let task = spawn_local(async move {
            let _one_at_a_time = gate.changing.lock().await;
            let mut next = gate.access.borrow().as_ref().map_err(|why| Refusal::Locked(why.clone()))?.clone();
            let done = edit(&mut next)?;
            let (path, copy) = (gate.path.clone(), next.clone());
            let saved = gate.errands.run(move |_stop| copy.save(&path)).await?;
            saved.map_err(|source| Refusal::Save { path: gate.path.clone(), source })?;
            *gate.access.borrow_mut() = Ok(next);
            Ok(done)
        });
        task.await.unwrap_or(Err(Refusal::Busy(Busy)))
    }
}

/// The value of our cookie.
fn cookie(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let name = COOKIES[usize::from(secure)];
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

fn set_cookie(value: &str, secure: bool) -> String {
    let (name, more) = (COOKIES[usize::from(secure)], if secure { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{more}")
}

/// Name and password of RFC 7617.
fn credentials(value: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(Base64::decode_vec(encoded.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests;
