//! The queue between the capture thread and the encode thread: four raw pictures, allocated once.
//!
//! ```text
//! capture --filled--> encode
//!    ^                  |
//!    +------free--------+
//! ```
//!
//! Both directions are `heapless` single-producer single-consumer queues. When no picture is free the capture thread
//! drops the new frame and counts it; nothing ever waits for the encoder.

use heapless::spsc::{Consumer, Producer, Queue};
use media::Ticks90k;
use media::ledger::SHORTEST_GAP;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Pictures between capture and encode.
pub const DEPTH: usize = 4;

/// A raw picture, I420 (planar YUV 4:2:0, BT.601 limited range), tightly packed: Y, then U, then V.
#[derive(Debug)]
pub struct Picture {
    /// Capture time from the driver, on the media clock.
    pub pts: Ticks90k,
    /// Time between two frames as the source tells it: the nominal time to the next picture.
    pub frame_duration: Ticks90k,
    /// It is a placeholder and no footage: the camera is gone since then.
    pub gone_since: Option<Ticks90k>,
    width: usize,
    height: usize,
    data: Box<[u8]>,
}

impl Picture {
    /// A black picture; both sides must be even.
    pub fn new(width: usize, height: usize) -> Self {
        let luma = width * height;
        let mut data = vec![128; luma + luma / 2].into_boxed_slice();
        data[..luma].fill(16);
        Self { pts: Ticks90k::ZERO, frame_duration: Ticks90k::ZERO, gone_since: None, width, height, data }
    }

    /// Whether there is a gap between a picture at `last` and this one: half a second, or three pictures of a slow camera.
    pub fn follows_gap(&self, last: Ticks90k) -> bool {
        self.pts - last >= SHORTEST_GAP.max(Ticks90k(3 * self.frame_duration.0))
    }

    /// Luma samples a line.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Luma lines.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Y, U, V.
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let luma = self.width * self.height;
        let (y, chroma) = self.data.split_at(luma);
        let (u, v) = chroma.split_at(luma / 4);
        (y, u, v)
    }

    /// Y, U, V, to be written.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let luma = self.width * self.height;
        let (y, chroma) = self.data.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        (y, u, v)
    }

    /// All three planes as one slice.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }
}

/// Wakes the encode thread; carries no data.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    condvar: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condvar.notify_one();
    }

    fn wait(&self, timeout: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .condvar
            .wait_timeout_while(rung, timeout, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

/// The capture side.
pub struct FrameSender {
    free: Consumer<'static, Picture>,
    filled: Producer<'static, Picture>,
    bell: Arc<Bell>,
}

/// The encode side.
pub struct FrameReceiver {
    free: Producer<'static, Picture>,
    filled: Consumer<'static, Picture>,
    bell: Arc<Bell>,
}

/// Makes the queue of one camera with its [`DEPTH`] pictures. It lives as long as the process: call it once a camera.
pub fn queue(width: usize, height: usize) -> (FrameSender, FrameReceiver) {
    // A heapless queue of capacity N holds N - 1; every picture always fits into either direction.
    let free: &'static mut Queue<Picture, { DEPTH + 1 }> = Box::leak(Box::new(Queue::new()));
    let filled: &'static mut Queue<Picture, { DEPTH + 1 }> = Box::leak(Box::new(Queue::new()));
    let (mut free_in, free_out) = free.split();
    let (filled_in, filled_out) = filled.split();
    for _ in 0..DEPTH {
        let _fits = free_in.enqueue(Picture::new(width, height));
    }
    let bell = Arc::new(Bell::default());
    (
        FrameSender { free: free_out, filled: filled_in, bell: Arc::clone(&bell) },
        FrameReceiver { free: free_in, filled: filled_out, bell },
    )
}

impl FrameSender {
    /// A picture to write into; `None` means that the encoder is four behind and the frame must be dropped.
    pub fn take(&mut self) -> Option<Picture> {
        self.free.dequeue()
    }

    /// Hands a written picture to the encoder.
    pub fn send(&mut self, picture: Picture) {
        let _fits = self.filled.enqueue(picture);
        self.bell.ring();
    }

    /// Wakes the encoder although there is no picture (at the end).
    pub fn wake(&self) {
        self.bell.ring();
    }
}

impl FrameReceiver {
    /// The next picture, waiting at most `timeout` for it.
    pub fn receive(&mut self, timeout: Duration) -> Option<Picture> {
        if self.filled.is_empty() {
            self.bell.wait(timeout);
        }
        self.filled.dequeue()
    }

    /// Gives a picture back to be written again.
    pub fn give_back(&mut self, picture: Picture) {
        let _fits = self.free.enqueue(picture);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_frame_finds_no_room_until_one_is_given_back() {
        let (mut sender, mut receiver) = queue(16, 16);
        for n in 0..DEPTH {
            let mut picture = sender.take().expect("four are free");
            picture.pts = Ticks90k(n as i64);
            sender.send(picture);
        }
        assert!(sender.take().is_none());
        let first = receiver.receive(Duration::ZERO).expect("four are filled");
        assert_eq!(first.pts, Ticks90k(0));
        assert!(sender.take().is_none());
        receiver.give_back(first);
        assert!(sender.take().is_some());
    }

    #[test]
    fn planes_have_the_sizes_of_i420() {
        let mut picture = Picture::new(320, 240);
        let (y, u, v) = picture.planes_mut();
        assert_eq!((y.len(), u.len(), v.len()), (76_800, 19_200, 19_200));
    }
}
