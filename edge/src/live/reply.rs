//! Answers: bodies, caching, conditional requests (RFC 9110, RFC 9111).

use super::packager::Unready;
use crate::auth::Lifeline;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use hyper::{HeaderMap, Response, StatusCode};
use media::http::has_tag;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of an answer.
pub(super) enum Body {
    /// All of it, or nothing more.
    Whole(Bytes),
    /// What comes piece by piece.
    Stream(Pin<Box<dyn Stream>>),
}

/// A body that comes piece by piece.
pub(super) trait Stream: hyper::body::Body<Data = Bytes, Error = io::Error> {}

impl<T: hyper::body::Body<Data = Bytes, Error = io::Error>> Stream for T {}

impl Body {
    /// A body that comes piece by piece.
    pub(super) fn stream(stream: impl Stream + 'static) -> Self {
        Self::Stream(Box::pin(stream))
    }

    /// A body of which `next` gives one piece after the other, until it gives `None`.
    pub(super) fn pieces<S, F>(state: S, next: impl FnMut(S) -> F + Unpin + 'static) -> Self
    where
        S: 'static,
        F: Future<Output = Option<(Bytes, S)>> + 'static,
    {
        Self::stream(Pieces { state: Some(state), piece: None, next })
    }

    /// The same, but what comes piece by piece breaks off when whom it is for is put out.
    pub(super) fn while_alive(self, lifeline: Lifeline) -> Self {
        match self {
            Self::Stream(body) => Self::stream(Leashed { body, lifeline }),
            whole => whole,
        }
    }
}

/// See [`Body::while_alive`].
struct Leashed {
    body: Pin<Box<dyn Stream>>,
    lifeline: Lifeline,
}

impl hyper::body::Body for Leashed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.lifeline.strong_count() == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// See [`Body::pieces`].
struct Pieces<S, F, N> {
    /// What `next` is called with, while no piece is under way.
    state: Option<S>,
    piece: Option<Pin<Box<F>>>,
    next: N,
}

impl<S, F, N> Unpin for Pieces<S, F, N> {}

impl<S, F, N> hyper::body::Body for Pieces<S, F, N>
where
    F: Future<Output = Option<(Bytes, S)>>,
    N: FnMut(S) -> F,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(state) = this.state.take() {
            this.piece = Some(Box::pin((this.next)(state)));
        }
        let Some(piece) = &mut this.piece else { return Poll::Ready(None) };
        let piece = ready!(piece.as_mut().poll(cx));
        this.piece = None;
        Poll::Ready(piece.map(|(bytes, state)| {
            this.state = Some(state);
            Ok(Frame::data(bytes))
        }))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

/// How long an answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// Never: it is different each time.
    No,
    /// Kept, but asked again each time with its entity tag.
    Ask,
    /// For this many seconds.
    Seconds(u32),
    /// For ever: another content has another name.
    Forever,
}

impl Cache {
    fn value(self) -> HeaderValue {
        match self {
            Self::No => HeaderValue::from_static("no-store"),
            Self::Ask => HeaderValue::from_static("no-cache"),
            Self::Seconds(seconds) => HeaderValue::try_from(format!("max-age={seconds}"))
                .unwrap_or(HeaderValue::from_static("no-cache")),
            Self::Forever => HeaderValue::from_static("max-age=31536000, immutable"),
        }
    }
}

/// An answer of the type `kind`.
pub(super) fn ok(kind: &'static str, cache: Cache, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, cache.value());
    response
}

/// A short text that says what is wrong.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut text = text.into();
    text.push('\n');
    let mut response = ok("text/plain; charset=utf-8", Cache::No, Body::Whole(text.into()));
    *response.status_mut() = status;
    response
}

/// Nothing there; `why` names what was looked for.
pub(super) fn not_found(why: impl Into<String>) -> Response<Body> {
    text(StatusCode::NOT_FOUND, why)
}

/// It did not come in time: 503, as RFC 8216bis, 6.2.5.2 asks for.
pub(super) fn unready(unready: Unready) -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, unready.to_string());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// JSON that is different each time.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = ok("application/json", Cache::No, Body::Whole(bytes.into()));
            *response.status_mut() = status;
            response
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Adds the entity tag, and turns the answer into 304 if the client has that one already.
pub(super) fn tagged(mut response: Response<Body>, tag: &str, request: &HeaderMap) -> Response<Body> {
    if let Ok(value) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, value);
    }
    if request.get_all(IF_NONE_MATCH).iter().any(|wanted| has_tag(wanted.as_bytes(), tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::Whole(Bytes::new());
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_answer_already_gets_304() {
        for (header, status) in
            [("\"a\"", 304), ("W/\"a\"", 304), ("\"b\", \"a\"", 304), ("*", 304), ("\"b\"", 200), ("a", 200)]
        {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, HeaderValue::from_static(header));
            let whole = ok("text/plain", Cache::Ask, Body::Whole(Bytes::from_static(b"x")));
            let response = tagged(whole, "\"a\"", &request);
            assert_eq!(response.status().as_u16(), status, "{header}");
            assert_eq!(response.headers()[ETAG], "\"a\"");
        }
    }
}
