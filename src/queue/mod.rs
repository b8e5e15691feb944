//! Who waits for a slot, and who gets the next one.
//!
//! # How it works
//!
//! A backend has one [`Line`]: a queue for each server, of requests that want this server,
//! and a common queue, of requests that take any. One lock guards them all. It is taken by
//! whoever has to wait and by whoever gives back a slot that somebody may wait for, never
//! while nobody waits.
//!
//! Who gives a slot back, and somebody is waiting for it, hands it on: under the lock the
//! first of the server's queue and, if the server may serve it, the first of the common queue
//! are compared, and the one before the other gets a slot, for as long as there are slots.
//! Wakers are called once the lock is released, since their code is not ours.
//!
//! # Why nobody is forgotten
//!
//! The last slot is given back at the very moment somebody begins to wait: that must not
//! end with a free slot and a waiting request. Two variables would make this a race that
//! only full fences win (each side writes one and reads the other). There is only one: the
//! sessions of a server, the length of its queue, and a mark that somebody waits in the
//! common queue, are one word, changed in single steps, which therefore have one order that
//! all threads agree on.
//!
//! * *A server's queue.* One step either takes a slot or joins the queue. If the slot is given
//!   back before that step, the step sees it and takes it; if after, giving back sees that
//!   somebody waits, and comes for the lock.
//! * *The common queue.* Who is the first to wait in it marks the words of all servers, then
//!   looks once more for a free slot. What was given back before the mark is seen by that
//!   look; what is given back later sees the mark, and comes for the lock.
//!
//! Whoever comes for the lock because of what it saw in a word finds the queue as it was
//! left by whoever changed that word: all words are changed so under the lock. If it had
//! been there first, its own change of the word would have come first, too, and it could not
//! have seen the other. Relaxed ordering is enough for this; what is behind the lock is
//! ordered by the lock.
//!
//! * *The end of a server.* Who [waits](Drained) for a server to be empty marks its word in the
//!   same way, then looks whether it is. A session that ends before the mark is seen by that
//!   look; one that ends later sees the mark, and comes for the lock. While nobody waits, a
//!   session ends as if there were no such thing. The word of a server that was removed is
//!   marked, too, so that a request which still sees the server takes no slot of it.
//!
//! A limit that grows and shrinks with the crowd is read beside the word, but it is at least
//! one: the last session of a server that ends finds a free slot for the first who waits.
//!
//! `RUSTFLAGS="--cfg crossbeam_loom" cargo test --release --lib queue::model` tries all
//! interleavings.

mod drained;
mod line;
#[cfg(all(test, crossbeam_loom))]
mod model;
mod priority;
pub(crate) mod sync;
mod ticket;
mod waiting;

pub use drained::{DrainEnd, Drained};
pub(crate) use line::{Called, Comer, Entry, Line, Seated};
pub use priority::Priority;
pub(crate) use waiting::Spot;
pub use waiting::{Admission, SentBack, Turn, Waiting};
