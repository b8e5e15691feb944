//! A ring that would be too large.

use std::fmt;

/// A change refused by a ring, which is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingError {
    /// More points than allowed; told before any memory is taken for them.
    TooManyPoints {
        /// Points the ring would have.
        points: u64,
        /// Points allowed.
        limit: u64,
        /// Memory the ring would take.
        bytes: u64,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::TooManyPoints {
            points,
            limit,
            bytes,
        } = self;
        write!(
            f,
            "the ring would have {points} points in {bytes} bytes of memory; {limit} points are allowed"
        )
    }
}

impl std::error::Error for RingError {}
