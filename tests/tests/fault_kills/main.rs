//! SIGKILL at the n-th call that changes anything, of the edge and of the remote host: nothing is lost, nothing is there twice,
//! nothing is half visible, and the next start goes on by itself.
//!
//! ```text
//! a job, written down by strace  -->  places: fsync 1, fsync 2, ... rename 1, ...
//! for each place: the same job from the same files, killed there  -->  a start that nobody kills  -->  what is there now?
//! ```
//!
//! A place is the n-th call of a kind in the first thread that gets so far, so each job is the work of one thread.
//! `PORTHOLE_ROUNDS` places of each job, evenly spread; all of them if there are not more. `PORTHOLE_SEED` repeats a choice.

mod edge;
mod places;
mod receive;
#[path = "../remote/recordings.rs"]
mod recordings;
mod remote;
mod tree;
