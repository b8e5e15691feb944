//! The arguments of a keyword, read one by one.

use std::time::Duration;

use super::finding::{Finding, FindingKind};
use super::line::Line;
use super::location::Word;
use super::suggest::expected_one_of;
use crate::timespan::{self, Unit};

/// The longest time HAProxy can count in milliseconds.
pub(super) const LONGEST_TIME: Duration = Duration::from_millis(i32::MAX as u64);

/// The words behind a keyword.
#[derive(Debug)]
pub(super) struct Args<'l> {
    line: &'l Line,
    /// The next word.
    at: usize,
}

impl<'l> Args<'l> {
    /// The words of a line behind its first one.
    pub(super) fn of(line: &'l Line) -> Self {
        Self { line, at: 1 }
    }

    /// The last word read: the keyword at first.
    pub(super) fn current(&self) -> &'l Word {
        &self.line.words[self.at - 1]
    }

    pub(super) fn peek(&self) -> Option<&'l Word> {
        self.line.words.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<&'l Word> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    /// All words left.
    pub(super) fn rest(&mut self) -> &'l [Word] {
        let rest = &self.line.words[self.at..];
        self.at = self.line.words.len();
        rest
    }

    /// Behind the last word.
    pub(super) fn end_of_line(&self) -> &'l Word {
        &self.line.end
    }

    /// The next word, which must not be missing or empty.
    pub(super) fn required(&mut self, expected: &str) -> Result<&'l Word, Finding> {
        match self.next() {
            Some(word) if !word.bytes.is_empty() => Ok(word),
            found => Err(missing(found.unwrap_or(&self.line.end), expected)),
        }
    }

    /// That no word is left.
    pub(super) fn end(&mut self) -> Result<(), Finding> {
        self.next().map_or(Ok(()), |word| {
            Err(argument(word, "expected nothing more on this line"))
        })
    }

    /// One of some names, and which.
    pub(super) fn one_of(&mut self, names: &[&str]) -> Result<(usize, &'l Word), Finding> {
        let word = self.required(&format!("one of {}", names.join(", ")))?;
        match names.iter().position(|name| word.is(name)) {
            Some(index) => Ok((index, word)),
            None => Err(argument(word, expected_one_of(word.text(), names))),
        }
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number(&mut self, min: i64, max: i64) -> Result<i64, Finding> {
        let expected = format!("a whole number from {min} to {max}");
        let word = self.required(&expected)?;
        number(word, min, max).ok_or_else(|| argument(word, format!("expected {expected}")))
    }

    /// A whole number from `min` to 2³¹ − 1.
    pub(super) fn count(&mut self, min: u32) -> Result<u32, Finding> {
        let number = self.number(i64::from(min), i64::from(i32::MAX))?;
        Ok(number as u32)
    }

    /// A length of time, in milliseconds where no unit is given, rounded up to them.
    pub(super) fn time(&mut self) -> Result<Duration, Finding> {
        let expected = "a length of time up to 2147483647 ms: digits and one of us, ms, s, m, h, d or nothing for ms";
        let word = self.required(expected)?;
        time(word, Unit::Millisecond).ok_or_else(|| argument(word, format!("expected {expected}")))
    }

    /// A length of time, in seconds where no unit is given.
    pub(super) fn seconds(&mut self) -> Result<Duration, Finding> {
        let expected = "a length of time up to 2147483647 ms: digits and one of us, ms, s, m, h, d or nothing for s";
        let word = self.required(expected)?;
        time(word, Unit::Second).ok_or_else(|| argument(word, format!("expected {expected}")))
    }
}

/// A whole number in decimal digits, with a sign if `min` is below zero.
pub(super) fn number(word: &Word, min: i64, max: i64) -> Option<i64> {
    let is_plain = |byte: &u8| byte.is_ascii_digit() || (*byte == b'-' && min < 0);
    let number: i64 = word.text().parse().ok()?;
    (word.bytes.iter().all(is_plain) && (min..=max).contains(&number)).then_some(number)
}

/// A length of time that HAProxy can count.
fn time(word: &Word, unit: Unit) -> Option<Duration> {
    let time = timespan::parse(&word.bytes, unit).ok()?;
    let milliseconds = time.duration.as_nanos().div_ceil(1_000_000);
    let milliseconds = u64::try_from(milliseconds).ok()?;
    let rounded = Duration::from_millis(milliseconds);
    (!time.has_junk && rounded <= LONGEST_TIME).then_some(rounded)
}

/// An argument that is not there, or empty.
pub(super) fn missing(place: &Word, expected: &str) -> Finding {
    Finding::error(FindingKind::Missing, place, format!("expected {expected}"))
}

/// An argument that cannot be followed.
pub(super) fn argument(word: &Word, message: impl Into<String>) -> Finding {
    Finding::error(FindingKind::Argument, word, message)
}
