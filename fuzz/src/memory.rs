//! How much memory a piece of work holds at most, by an allocator that counts.
#![allow(unsafe_code)] // GlobalAlloc has no safe form

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The most memory that a target may hold at once, besides its input: `each` for every byte of it, and `fixed`.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes for each byte of input.
    pub each: usize,
    /// Bytes for any input.
    pub fixed: usize,
}

impl Bound {
    /// For an input of `length` bytes.
    pub fn of(self, length: usize) -> usize {
        self.fixed + self.each * length
    }
}

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The system's allocator with a count for each thread.
struct Counting;

impl Counting {
    fn count(bytes: isize) {
        let held = HELD.get() + bytes;
        HELD.set(held);
        MOST.set(MOST.get().max(held));
    }
}

// SAFETY: every call goes to `System` unchanged; counting touches neither memory nor layout and cannot allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::count(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may exist at once.
        Self::count(size.cast_signed());
        Self::count(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The most bytes that `work` held at once on this thread.
pub fn most_during(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    work();
    (MOST.get() - before).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_once_is_counted_and_what_was_freed_is_not() {
        let twice = || (0..2).for_each(|_| drop(Vec::<u8>::with_capacity(1000)));
        assert_eq!(most_during(twice), 1000);
        assert_eq!(most_during(|| drop((vec![0_u8; 500], vec![1_u8; 700]))), 1200);
        assert_eq!(Bound { each: 3, fixed: 10 }.of(5), 25);
    }
}
