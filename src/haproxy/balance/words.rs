//! The words of a line, counted for the sake of errors.

use crate::haproxy::DirectiveError;

pub(super) const NOTHING: &str = "nothing more";

/// The words of a line, counted for the sake of errors.
pub(super) struct Words<'a> {
    pub(super) directive: &'static str,
    rest: std::str::SplitWhitespace<'a>,
    /// Words read so far, hence the number of the last one.
    pub(super) read: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(directive: &'static str, text: &'a str) -> Self {
        Self {
            directive,
            rest: text.split_whitespace(),
            read: 0,
        }
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        let word = self.rest.next()?;
        self.read += 1;
        Some(word)
    }

    pub(super) fn required(&mut self, expected: &'static str) -> Result<&'a str, DirectiveError> {
        let missing = DirectiveError::MissingWord {
            directive: self.directive,
            position: self.read + 1,
            expected,
        };
        self.next().ok_or(missing)
    }

    pub(super) fn positive(&mut self) -> Result<usize, DirectiveError> {
        const EXPECTED: &str = "a whole number from 1";
        let word = self.required(EXPECTED)?;
        match word.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(self.unexpected(word, EXPECTED)),
        }
    }

    pub(super) fn end(&mut self) -> Result<(), DirectiveError> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(self.unexpected(word, NOTHING)),
        }
    }

    /// The word just read means nothing.
    pub(super) fn unexpected(&self, word: &str, expected: &'static str) -> DirectiveError {
        DirectiveError::UnexpectedWord {
            directive: self.directive,
            position: self.read,
            found: word.into(),
            expected,
        }
    }

    /// The word just read means something to HAProxy only.
    pub(super) fn not_supported_yet(&self, word: &str) -> DirectiveError {
        DirectiveError::NotSupportedYet {
            directive: self.directive,
            position: self.read,
            found: word.into(),
        }
    }
}
