//! The command line: what it says, HAProxy's and this example's own; the voice of the
//! program, and its way to the background.

pub(crate) mod arguments;
pub(crate) mod daemon;
pub(crate) mod flags;
pub(crate) mod options;
pub(crate) mod voice;
