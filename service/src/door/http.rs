//! HTTP on one connection, for as long as the door lets it.

use super::answered::Behind;
use super::table::{Connection, End, HEAD, SWEEP, Table};
use super::watched::Watched;
use super::{Answers, Counters, H2, Peer};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A request head may be this long.
const HEAD_BYTES: usize = 16 << 10;
/// What hyper may hold of an answer beyond the send buffer.
const WRITE_BUFFER: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 32;
/// Streams that a peer may open and reset without having been served.
const RESETS: usize = 20;

/// A connection, with TLS or without: a board has no room for HTTP/1 twice.
trait Wire: AsyncRead + AsyncWrite + Unpin {}

impl<I: AsyncRead + AsyncWrite + Unpin> Wire for I {}

/// What all connections share.
pub(super) struct House<A> {
    /// Answers requests.
    pub(super) behind: A,
    pub(super) table: Table,
    pub(super) counters: Counters,
}

impl<A: Answers> House<A> {
    /// Serves a connection to its end.
    pub(super) async fn serve(
        self: Rc<Self>,
        socket: Watched,
        connection: Rc<Connection>,
        peer: Peer,
        tls: Option<TlsAcceptor>,
    ) {
        let behind = Behind::new(&self, &connection, peer);
        match tls {
            None => self.http1(Box::new(socket), &connection, behind).await,
            Some(acceptor) => {
                let shaken = tokio::select! {
                    biased;
                    _end = connection.ended() => None,
                    shaken = acceptor.accept(socket) => shaken.ok(),
                };
                match shaken {
                    Some(stream) if stream.get_ref().1.alpn_protocol() == Some(H2) => {
                        self.http2(stream, &connection, behind).await;
                    }
                    Some(stream) => self.http1(Box::new(stream), &connection, behind).await,
                    None => {}
                }
            }
        }
        self.table.leave(&connection);
    }

    async fn http1(&self, io: Box<dyn Wire>, connection: &Connection, behind: Behind<A>) {
        let mut serving = http1::Builder::new()
            .max_header_size(HEAD_BYTES)
            .max_buf_size(WRITE_BUFFER)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(io), behind);
        let end = tokio::select! {
            biased;
            served = &mut serving => return self.served(served),
            end = connection.ended() => end,
        };
        self.ended(end);
        let parts = serving.into_parts();
        if end == End::Silent && !parts.read_buf.is_empty() {
            self.counters.requests_refused.inc();
            let answer = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _client_may_be_gone = timeout(SWEEP, parts.io.into_inner().write_all(answer)).await;
        }
    }

    async fn http2<I: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: I,
        connection: &Connection,
        behind: Behind<A>,
    ) {
        let mut serving = pin!(
            http2::Builder::new(Local)
                .timer(TokioTimer::new())
                .keep_alive_interval(HEAD)
                .keep_alive_timeout(HEAD)
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(HEAD_BYTES as u32)
                .max_send_buf_size(WRITE_BUFFER)
                .max_pending_accept_reset_streams(RESETS)
                .max_local_error_reset_streams(RESETS)
                .serve_connection(TokioIo::new(io), behind)
        );
        tokio::select! {
            biased;
            served = serving.as_mut() => self.served(served),
            end = connection.ended() => self.ended(end),
        }
    }

    fn served(&self, served: hyper::Result<()>) {
        if let Err(error) = served {
            if error.is_parse() {
                self.counters.requests_refused.inc();
            }
            tracing::debug!(%error, "connection failed");
        }
    }

    fn ended(&self, end: End) {
        if end == End::Stalled {
            self.counters.stalled.inc();
        }
        tracing::debug!(?end, "connection ended");
    }
}

/// Runs the streams of HTTP/2 connections on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
