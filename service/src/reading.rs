//! A file as the body of an answer, read piece by piece beside the runtime's thread.

use crate::supervise::aside;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// Bytes that are read at once.
const PIECE: u64 = 64 << 10;

/// The bytes of a span of a file. Ends with an error where the file has become shorter.
pub struct Reading {
    file: Arc<File>,
    left: Range<u64>,
    piece: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reading {
    /// Nothing is read yet.
    pub fn new(file: Arc<File>, span: Range<u64>) -> Self {
        Self { file, left: span, piece: None }
    }

    fn start(&self) -> JoinHandle<io::Result<Bytes>> {
        let file = Arc::clone(&self.file);
        let offset = self.left.start;
        let length = (self.left.end - offset).min(PIECE) as usize;
        aside(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(bytes.into())
        })
    }
}

impl Body for Reading {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let mut piece = match self.piece.take() {
            Some(piece) => piece,
            None => self.start(),
        };
        let Poll::Ready(read) = Pin::new(&mut piece).poll(cx) else {
            self.piece = Some(piece);
            return Poll::Pending;
        };
        let bytes = read.map_err(io::Error::other)??;
        self.left.start += bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write;

    /// What the body of `span` gives, and how it ends.
    fn read(bytes: &[u8], span: Range<u64>) -> (Vec<u8>, Option<io::Error>) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("writes");
        let mut reading = Reading::new(Arc::new(file), span);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut read = Vec::new();
        runtime.block_on(async {
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut reading).poll_frame(cx)).await {
                match frame {
                    Ok(frame) => read.extend_from_slice(frame.data_ref().expect("data")),
                    Err(error) => return (read, Some(error)),
                }
            }
            (read, None)
        })
    }

    #[test]
    fn a_span_of_a_file_comes_as_it_stands_there() {
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|n| (n % 251) as u8).collect();
        for span in [0..bytes.len() as u64, 1..2, PIECE - 1..2 * PIECE + 1, 5..5] {
            let (read, error) = read(&bytes, span.clone());
            assert!(error.is_none() && read == bytes[span.start as usize..span.end as usize], "{span:?}");
        }
    }

    #[test]
    fn a_file_that_has_become_shorter_ends_with_an_error() {
        let (read, error) = read(&vec![1; PIECE as usize + 1], 0..PIECE + 2);
        assert_eq!(read.len() as u64, PIECE);
        assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::UnexpectedEof));
    }
}
