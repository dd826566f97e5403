//! AAC frames from the audio thread to the encode thread, and the configuration that they belong to.
//!
//! ```text
//! audio thread  --- frames: heapless SPSC, 64 --->  encode thread
//!               --- stream: which configuration, under a counter that each frame repeats --->
//! ```
//!
//! The configuration may change at a GOP border alone, and the encode thread knows the borders: frames of a new stream wait
//! in the queue until the next one.

use heapless::spsc::{Consumer, Producer, Queue};
use media::{AudioConfig, Ticks90k};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Frames between the two threads: more than come in a second, so that they can wait for a GOP border.
pub const DEPTH: usize = 64;

/// Bytes of the largest AAC-LC frame: 6144 bits a channel (ISO/IEC 14496-3 4.5.3.3), two channels.
pub const MOST_FRAME_BYTES: usize = 1536;

/// One raw AAC frame.
pub struct Frame {
    /// Presentation time on the media clock.
    pub pts: Ticks90k,
    /// The frame, without ADTS header.
    pub data: heapless::Vec<u8, MOST_FRAME_BYTES>,
    stream: u32,
}

/// What the audio thread delivers.
#[derive(Clone, Debug, Default)]
pub enum Stream {
    /// It does not know yet whether there is a microphone.
    #[default]
    Opening,
    /// No microphone.
    Silent,
    /// Frames of this configuration.
    Sound(AudioConfig),
}

#[derive(Default)]
struct Shared {
    /// Counts the streams; frames carry the number of theirs.
    number: u32,
    stream: Stream,
}

/// The audio thread's side.
pub struct Sender {
    frames: Producer<'static, Frame>,
    shared: Arc<Mutex<Shared>>,
    number: u32,
}

/// The encode thread's side.
pub struct Receiver {
    frames: Consumer<'static, Frame>,
    shared: Arc<Mutex<Shared>>,
}

/// Makes the queue of one camera. It lives as long as the process: call it once a camera.
pub fn queue() -> (Sender, Receiver) {
    let queue: &'static mut Queue<Frame, { DEPTH + 1 }> = Box::leak(Box::new(Queue::new()));
    let (producer, consumer) = queue.split();
    let shared = Arc::new(Mutex::default());
    (
        Sender { frames: producer, shared: Arc::clone(&shared), number: 0 },
        Receiver { frames: consumer, shared },
    )
}

impl Sender {
    /// From here on frames are of this stream.
    pub fn start(&mut self, stream: Stream) {
        self.number += 1;
        *lock(&self.shared) = Shared { number: self.number, stream };
    }

    /// Hands over a frame; says whether there was room, and whether the frame is one.
    #[must_use]
    pub fn send(&mut self, pts: Ticks90k, data: &[u8]) -> bool {
        heapless::Vec::from_slice(data)
            .is_ok_and(|data| self.frames.enqueue(Frame { pts, data, stream: self.number }).is_ok())
    }
}

impl Receiver {
    /// The newest stream and its number.
    pub fn stream(&self) -> (u32, Stream) {
        let shared = lock(&self.shared);
        (shared.number, shared.stream.clone())
    }

    /// The next frame of stream `number`; older ones are dropped and counted in `dropped`, newer ones wait.
    pub fn next(&mut self, number: u32, dropped: &mut u64) -> Option<Frame> {
        loop {
            let stream = self.frames.peek()?.stream;
            if stream > number {
                return None;
            }
            let frame = self.frames.dequeue()?;
            if stream == number {
                return Some(frame);
            }
            *dropped += 1;
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Replaced whole: a panic elsewhere leaves it usable.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(channels: u8) -> Stream {
        Stream::Sound(AudioConfig { sample_rate: 48_000, channels, asc: vec![0x11, 0x90].into() })
    }

    #[test]
    fn the_sixty_fifth_frame_finds_no_room() {
        let (mut sender, mut receiver) = queue();
        sender.start(sound(2));
        for n in 0..DEPTH as i64 {
            assert!(sender.send(Ticks90k(n), &[1]));
        }
        assert!(!sender.send(Ticks90k(64), &[1]));
        assert_eq!(receiver.next(1, &mut 0).map(|frame| frame.pts), Some(Ticks90k(0)));
        assert!(sender.send(Ticks90k(64), &[1]));
        assert!(!sender.send(Ticks90k(65), &[0; MOST_FRAME_BYTES + 1]), "no AAC frame is that large");
    }

    #[test]
    fn frames_of_a_new_stream_wait_and_those_of_an_old_one_leave() {
        let (mut sender, mut receiver) = queue();
        assert!(matches!(receiver.stream(), (0, Stream::Opening)));
        sender.start(sound(2));
        assert!(sender.send(Ticks90k(1), &[1]) && sender.send(Ticks90k(2), &[2]));
        sender.start(sound(1));
        assert!(sender.send(Ticks90k(3), &[3]));
        let mut dropped = 0;
        assert_eq!(receiver.next(1, &mut dropped).map(|frame| frame.pts), Some(Ticks90k(1)));
        assert!(matches!(receiver.stream(), (2, Stream::Sound(AudioConfig { channels: 1, .. }))));
        assert_eq!(receiver.next(2, &mut dropped).map(|frame| frame.pts), Some(Ticks90k(3)));
        assert_eq!(dropped, 1);
        assert!(receiver.next(2, &mut dropped).is_none());
    }
}
