//! Lines of a file, and their words.

use super::finding::{Finding, FindingKind, shown};
use super::location::{Location, Word};
use crate::words::{self, Environment, Fault, WordError};

/// The longest line that is read, in bytes.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// The most words of a line, as in HAProxy.
pub(super) const MOST_WORDS: usize = 64;

/// A line with at least one word that is not empty.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) words: Vec<Word>,
    /// Behind the last byte, where a missing word is missed.
    pub(super) end: Word,
}

impl Line {
    /// Reads a line; `None` if it has no words or the first is empty, as in HAProxy.
    pub(super) fn read(
        text: &[u8],
        start: &Location,
        environment: Environment<'_>,
    ) -> Result<Option<Self>, Finding> {
        let place = |position| start.at(position);
        if text.len() > LONGEST_LINE {
            let message = format!("the line is too long; expected at most {LONGEST_LINE} bytes");
            return Err(line_error(text, place(0), &message));
        }
        // Even in a comment, where words are not looked at.
        if let Some(position) = memchr::memchr(0, text) {
            let message = reason(Fault::Nul);
            return Err(line_error(&text[position..], place(position), message));
        }
        let words = words::split_in(text, Some(environment)).map_err(|error| {
            let WordError { fault, position } = error;
            line_error(&text[position..], place(position), reason(fault))
        })?;
        let mut words: Vec<Word> = words.into_iter().map(|word| located(word, start)).collect();
        if words.len() > MOST_WORDS {
            let message = format!("too many words; expected at most {MOST_WORDS} in a line");
            let word = words.swap_remove(MOST_WORDS);
            return Err(Finding::error(FindingKind::Line, &word, message));
        }
        let end = Word {
            bytes: b"end of line".to_vec(),
            location: place(text.len()),
        };
        let has_words = words.first().is_some_and(|word| !word.bytes.is_empty());
        Ok(has_words.then_some(Self { words, end }))
    }
}

fn located(word: words::Word, start: &Location) -> Word {
    Word {
        location: start.at(word.position),
        bytes: word.bytes,
    }
}

fn line_error(text: &[u8], location: Location, message: &str) -> Finding {
    let word = Word {
        bytes: Vec::new(),
        location,
    };
    Finding {
        word: shown(&text[..text.len().min(20)]),
        ..Finding::error(FindingKind::Line, &word, message)
    }
}

fn reason(fault: Fault) -> &'static str {
    match fault {
        Fault::UnterminatedQuote => "the quote is not closed on this line",
        Fault::BadHexadecimal => "expected two hexadecimal digits behind \\x",
        Fault::Nul => "a zero byte is not allowed",
        Fault::Variable => {
            "expected $NAME, ${NAME}, ${NAME-default} or ${NAME[*]} with a name of letters, digits and _; write \\$ for a dollar sign"
        }
        Fault::TooLong => "the variables make the line too long; expected at most 1048576 bytes",
    }
}
