//! Requests of one connection on their way to the service behind the door, and bodies on their way back.

use super::http::House;
use super::table::{Answer, Connection};
use super::{Answers, Peer};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper::{Request, Response};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What is behind the door, as one connection reaches it.
pub(super) struct Behind<A> {
    house: Rc<House<A>>,
    connection: Rc<Connection>,
    peer: Peer,
}

impl<A> Behind<A> {
    pub(super) fn new(house: &Rc<House<A>>, connection: &Rc<Connection>, peer: Peer) -> Self {
        Self { house: Rc::clone(house), connection: Rc::clone(connection), peer }
    }
}

impl<A: Answers> Service<Request<Incoming>> for Behind<A> {
    type Response = Response<Answered<A::Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let answer = self.connection.answer();
        let response = self.house.behind.call(request);
        Box::pin(async move { Ok(response.await?.map(|body| Answered { body, answer })) })
    }
}

/// The body of an answer, which tells its connection whether it is being taken.
pub(super) struct Answered<B> {
    body: B,
    answer: Answer,
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.answer.asked();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.answer.given();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
