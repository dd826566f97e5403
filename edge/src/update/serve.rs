//! One request about the card, on standard input: what `porthole-edge card` does. systemd starts it for each connection to its socket,
//! under an account that may write to the card, without a network, and with nothing else to do.
//!
//! ```text
//! "state"             the sectors, and what runs                        {"state": {...}}
//! "install" + bundle  to the other slot, and to be tried                {"ready": "0.2.0+0"}
//! "keep"              what is being tried is what works from now on     {"done": null}
//! "return"            nothing is tried any more                         {"done": null}
//!                     whatever it is, it was refused                    {"refused": "why"}
//! ```

use super::card::Card;
use super::install::{install, key};
use super::{Error, Running};
use crate::config;
use media::update::State;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// No request is longer, but for the bundle.
const MOST_WORDS: u64 = 16;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The sectors.
    State,
    /// A bundle follows.
    Install,
    /// Keep what is being tried.
    Keep,
    /// Try nothing.
    Return,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The sectors, and what runs.
    State(Told),
    /// This version is written, and will be tried.
    Ready(String),
    /// It was done.
    Done,
    /// It was not, and why.
    Refused(String),
}

/// What the sectors say, and what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What the board is called.
    pub board: String,
    /// What runs.
    pub version: String,
    /// From which slot.
    pub slot: String,
    /// The slot that is being tried.
    pub trial: Option<String>,
    /// How often that may still be started.
    pub tries: u32,
    /// Why no update can be taken.
    pub refuses: Option<String>,
}

impl Told {
    /// What runs is being tried itself.
    pub fn is_trial(&self) -> bool {
        self.trial.as_ref() == Some(&self.slot)
    }
}

impl Request {
    const ALL: [Self; 4] = [Self::State, Self::Install, Self::Keep, Self::Return];

    /// As it is asked for.
    pub fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Install => "install",
            Self::Keep => "keep",
            Self::Return => "return",
        }
    }
}

/// Answers the one request that comes by `input`.
///
/// # Errors
/// There is no request, or nobody waits for the answer.
pub fn serve(config: &config::Update, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::new();
    input.take(MOST_WORDS).read_until(b'\n', &mut line)?;
    let word = String::from_utf8_lossy(&line);
    let request = Request::ALL.into_iter().find(|request| request.word() == word.trim_end());
    let request = request.ok_or(io::ErrorKind::InvalidInput)?;
    let reply = answer(config, request, input).unwrap_or_else(|error| Reply::Refused(error.to_string()));
    serde_json::to_writer(&mut *output, &reply)?;
    output.write_all(b"\n")?;
    output.flush()
}

fn answer(config: &config::Update, request: Request, mut input: &mut dyn BufRead) -> Result<Reply, Error> {
    let running = Running::read(config)?;
    if request == Request::Install {
        return install(&mut input, &running, config).map(|version| Reply::Ready(version.to_string()));
    }
    let card = Card::open(&config.card)?;
    let state = card.slots()?.state;
    match request {
        Request::Keep if state.trial == Some(running.slot) => {
            card.set(State { active: running.slot, trial: None, tries: 0 })?;
        }
        Request::Return if state.trial.is_some() => card.set(State { trial: None, tries: 0, ..state })?,
        Request::Keep | Request::Return => {}
        Request::State | Request::Install => return Ok(Reply::State(told(config, &running, state))),
    }
    Ok(Reply::Done)
}

fn told(config: &config::Update, running: &Running, state: State) -> Told {
    Told {
        board: running.board.clone(),
        version: running.version.to_string(),
        slot: running.slot.to_string(),
        trial: state.trial.map(|slot| slot.to_string()),
        tries: state.tries,
        refuses: key(&config.key).err().map(|error| error.to_string()),
    }
}
