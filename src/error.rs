//! What can be wrong: in a configuration, in a change, in a choice.

use std::fmt;

/// A selector that cannot serve a farm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorError {
    /// More ring points than allowed, and the memory they would take.
    TooManyPoints {
        /// Points asked for: 16 a unit of weight and server.
        points: u64,
        /// Points allowed.
        limit: u64,
        /// Memory those asked for would take.
        bytes: u64,
    },
    /// Anything a selector of the caller's own has to say.
    Other(String),
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyPoints {
                points,
                limit,
                bytes,
            } => write!(
                f,
                "the ring would have {points} points in {bytes} bytes of memory; {limit} points are allowed"
            ),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for SelectorError {}
