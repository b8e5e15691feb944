//! `balance` and `hash-type` lines: the words of the configuration, the rules of
//! [`selector`](crate::haproxy::selector).

use super::args::{argument, missing};
use super::finding::Finding;
use super::location::Word;
use crate::haproxy::{DirectiveError, selector};

/// The words as one text.
pub(in crate::haproxy) fn text(words: &[Word]) -> String {
    let words: Vec<_> = words.iter().map(Word::text).collect();
    words.join(" ")
}

/// That a `balance` line means something to HAProxy. What this library does not have
/// yet is told when a backend is built.
pub(super) fn check_balance(keyword: &Word, words: &[Word], end: &Word) -> Result<(), Finding> {
    // A word with blanks would be read as several.
    if let Some(word) = words.iter().find(|word| word.bytes.contains(&b' ')) {
        return Err(argument(word, "expected a word without blanks"));
    }
    if words.first().is_some_and(|word| word.bytes.is_empty()) {
        return Err(missing(keyword, "the name of an algorithm behind it"));
    }
    match selector(&text(words), None) {
        Ok(_) | Err(DirectiveError::NotSupportedYet { .. }) => Ok(()),
        Err(error) => Err(refused(&error, words, end)),
    }
}

/// That a `hash-type` line can be followed.
pub(super) fn check_hash_type(words: &[Word], end: &Word) -> Result<(), Finding> {
    match selector("", Some(&text(words))) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(&error, words, end)),
    }
}

fn refused(error: &DirectiveError, words: &[Word], end: &Word) -> Finding {
    match error {
        DirectiveError::UnexpectedWord {
            position, expected, ..
        } => {
            let word = words.get(position - 1).unwrap_or(end);
            argument(word, format!("expected {expected}"))
        }
        DirectiveError::MissingWord { expected, .. } => missing(end, expected),
        DirectiveError::Expression {
            position, error, ..
        } => argument(words.get(position - 1).unwrap_or(end), error.to_string()),
        DirectiveError::NotSupportedYet { position, .. } => {
            argument(words.get(position - 1).unwrap_or(end), "not supported yet")
        }
    }
}
