//! What the program is asked to do, in HAProxy's words or in this example's own.
//!
//! * `options.rs`: which of the two it is, and the options of this example;
//! * `flags.rs`: those of HAProxy; `arguments.rs`: the words of both, one after the other;
//! * `setup.rs`: from the options of this example to a backend;
//! * `voice.rs`: what the program says while it starts and ends;
//! * `daemon.rs`: its way to the background.

pub(crate) mod arguments;
pub(crate) mod daemon;
pub(crate) mod flags;
pub(crate) mod options;
pub(crate) mod setup;
pub(crate) mod voice;
