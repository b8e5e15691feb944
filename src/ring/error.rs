//! A ring that would be too large.

use std::fmt;

use crate::error::SelectorError;

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
        // One wording, wherever a limit is hit.
        SelectorError::from(self.clone()).fmt(f)
    }
}

impl std::error::Error for RingError {}

impl From<RingError> for SelectorError {
    fn from(error: RingError) -> Self {
        let RingError::TooManyPoints {
            points,
            limit,
            bytes,
        } = error;
        Self::TooManyPoints {
            points,
            limit,
            bytes,
        }
    }
}
