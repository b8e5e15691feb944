//! What a real HAProxy did, played against the library.
//!
//! Each file of recordings is one test. It prints how many cases ran, failed, and are
//! listed as differences in `docs/differences.md`, and fails when none ran. The files were
//! given to us, but for those of `tests/recorded/`, see `tests/record/README.md`. Other
//! recordings of the same form are played with
//! `STICKROUTE_VECTORS=folder cargo test --test vectors -- --nocapture`.

mod balance;
mod cookie;
mod packets;
mod recorded;
mod report;
mod simulation;
mod stick_table;
mod tables;
