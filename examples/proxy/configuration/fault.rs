//! What a configuration asks of this program in vain.

use std::fmt;

use stickroute::haproxy::{Location, Word};

/// Something that cannot be honoured: an error, or a warning.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) location: Location,
    word: String,
    message: String,
}

impl Fault {
    pub(crate) fn new(word: &Word, message: impl Into<String>) -> Self {
        Self::at(word.location(), word.to_string(), message)
    }

    pub(crate) fn at(
        location: &Location,
        word: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            location: location.clone(),
            word: word.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: '{}': {}", self.location, self.word, self.message)
    }
}
