//! A bundle that an administrator uploads: from the connection to the process that may write to the card, as fast as that takes it.
//!
//! ```text
//! browser --body, a frame at a time--> here --socket--> porthole-edge card          nothing of it is kept in memory
//! ```

use super::reply::{self, Body};
use super::routes::Site;
use crate::status::{Update, UpdatePhase};
use crate::update::ask;
use crate::update::serve::{Reply, Request};
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::{Response, StatusCode};
use serde_json::json;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long nothing may move.
const STALLED: Duration = Duration::from_secs(30);
/// What reading a slot from the card takes at most.
const CHECK: Duration = Duration::from_secs(300);
/// A bundle is shorter; of a longer body the rest is not read.
const MOST_BYTES: usize = 256 << 20;
/// An answer is shorter.
const ANSWER_BYTES: u64 = 16 << 10;

/// GET `/api/setup/update`
pub(super) fn show(site: &Site) -> Response<Body> {
    reply::json(StatusCode::OK, &site.sources.status.update.report())
}

/// POST `/api/setup/update`
pub(super) async fn receive(site: &Site, mut bundle: Incoming) -> Response<Body> {
    let update = &site.sources.status.update;
    let config = site.sources.config.get();
    let Some(config) = &config.update else {
        let text = "This device takes no updates this way: its configuration has no [update].";
        return refuse(bundle, reply::not_found(text)).await;
    };
    if !update.begin(bundle.size_hint().exact()) {
        let busy = reply::text(StatusCode::CONFLICT, "An update is under way already.");
        return refuse(bundle, busy).await;
    }
    let mut receiving = Receiving { update, then: UpdatePhase::Idle };
    let outcome = pass_on(&config.socket, &mut bundle, update).await;
    drain(&mut bundle).await;
    let answer = match outcome {
        Ok(text) => ask::understand(&config.socket, &text),
        Err(source) => Err(ask::Error::Socket { path: config.socket.clone(), source }),
    };
    match answer {
        Ok(Reply::Ready(version)) => {
            receiving.then = UpdatePhase::Restarting { trial: version.clone() };
            update.written(version.clone());
            reply::json(StatusCode::OK, &json!({ "version": version }))
        }
        Ok(other) => refused(update, StatusCode::BAD_GATEWAY, format!("{other:?} is no answer")),
        Err(ask::Error::Refused(why)) => refused(update, StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(error) => refused(update, StatusCode::BAD_GATEWAY, error.to_string()),
    }
}

/// The answer to who may not send a bundle.
pub(super) async fn refuse(mut bundle: Incoming, answer: Response<Body>) -> Response<Body> {
    drain(&mut bundle).await;
    answer
}

/// Reads what is left: who is answered while it still sends may take that for a broken connection.
async fn drain(bundle: &mut Incoming) {
    let mut left = MOST_BYTES;
    while let Ok(Some(piece)) = next(bundle).await {
        left = left.saturating_sub(piece.len());
        if left == 0 {
            return;
        }
    }
}

/// Whatever becomes of the request, nothing is received when it has ended.
struct Receiving<'a> {
    update: &'a Update,
    /// What goes on then.
    then: UpdatePhase,
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.update.set(std::mem::take(&mut self.then));
    }
}

fn refused(update: &Update, status: StatusCode, why: String) -> Response<Body> {
    tracing::warn!(why, "update refused");
    update.tell(|report| report.refused = Some(why.clone()));
    reply::text(status, why)
}

/// Sends the bundle on; gives the answer, which may come before all was sent.
async fn pass_on(path: &Path, bundle: &mut Incoming, update: &Update) -> io::Result<String> {
    let mut socket = UnixStream::connect(path).await?;
    let sent = send(&mut socket, bundle, update).await;
    update.set(UpdatePhase::Checking);
    let mut line = Vec::new();
    // Behind the line there may be an error: who has refused a bundle leaves what is left of it.
    let heard = timeout(CHECK, BufReader::new(socket.take(ANSWER_BYTES)).read_until(b'\n', &mut line)).await;
    match (sent, heard) {
        (_, Ok(Ok(_))) if !line.is_empty() => Ok(String::from_utf8_lossy(&line).into_owned()),
        (Err(error), _) | (Ok(()), Ok(Err(error))) => Err(error),
        (Ok(()), Ok(Ok(_))) => Err(io::ErrorKind::UnexpectedEof.into()),
        (Ok(()), Err(_)) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn send(socket: &mut UnixStream, bundle: &mut Incoming, update: &Update) -> io::Result<()> {
    socket.write_all(format!("{}\n", Request::Install.word()).as_bytes()).await?;
    while let Some(piece) = next(bundle).await? {
        let written = timeout(STALLED, socket.write_all(&piece)).await;
        written.map_err(|_| io::ErrorKind::TimedOut)??;
        update.tell(|report| {
            if let UpdatePhase::Receiving { bytes, .. } = &mut report.phase {
                *bytes += piece.len() as u64;
            }
        });
    }
    socket.shutdown().await
}

/// The next piece of the body; an error if the client has gone, or sends no more.
async fn next(bundle: &mut Incoming) -> io::Result<Option<Bytes>> {
    let frame = timeout(STALLED, poll_fn(|context| Pin::new(&mut *bundle).poll_frame(context))).await;
    match frame.map_err(|_| io::ErrorKind::TimedOut)? {
        None => Ok(None),
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(error)) => Err(io::Error::other(error)),
    }
}
