//! Patterns of numbers: `5`, `1:3`, `gt 7`.

use super::AclError;
use super::error::missing;
use super::pattern::unexpected;
use crate::haproxy::expression::integer;
use crate::words::Word;

/// From the first number to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: i64,
    last: i64,
}

const EXPECTED: &str = "a whole number, or two with : between";

/// An operator applies to every number behind it, up to the next operator.
pub(super) fn read(words: &[Word], end: usize) -> Result<Vec<Range>, AclError> {
    let mut operator: &[u8] = b"eq";
    let mut ranges = Vec::new();
    let mut is_complete = false;
    for word in words {
        is_complete = !is_operator(&word.bytes);
        if !is_complete {
            operator = &word.bytes;
            continue;
        }
        let range = if operator == b"eq" {
            Some(of_text(&word.bytes).ok_or_else(|| unexpected(word, EXPECTED))?)
        } else {
            let number = integer(&word.bytes);
            let number = number.ok_or_else(|| unexpected(word, "a whole number"))?;
            bounded(operator, number)
        };
        ranges.extend(range);
    }
    if is_complete {
        Ok(ranges)
    } else {
        Err(missing(end, EXPECTED))
    }
}

pub(super) fn contain(ranges: &[Range], number: i64) -> bool {
    ranges
        .iter()
        .any(|range| (range.first..=range.last).contains(&number))
}

fn is_operator(word: &[u8]) -> bool {
    matches!(word, b"eq" | b"ge" | b"gt" | b"le" | b"lt")
}

/// `None` for a text that is no range.
fn of_text(text: &[u8]) -> Option<Range> {
    let (first, last) = match text.iter().position(|byte| *byte == b':') {
        None => (integer(text)?, integer(text)?),
        Some(colon) => {
            let (first, last) = (&text[..colon], &text[colon + 1..]);
            let first = if first.is_empty() {
                i64::MIN
            } else {
                integer(first)?
            };
            let last = if last.is_empty() {
                i64::MAX
            } else {
                integer(last)?
            };
            (first, last)
        }
    };
    (text != b":" && first <= last).then_some(Range { first, last })
}

/// `None` where no number is on that side.
fn bounded(operator: &[u8], number: i64) -> Option<Range> {
    let (first, last) = match operator {
        b"ge" => (number, i64::MAX),
        b"gt" => (number.checked_add(1)?, i64::MAX),
        b"le" => (i64::MIN, number),
        _ => (i64::MIN, number.checked_sub(1)?),
    };
    Some(Range { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words;

    fn ranges(text: &str) -> Result<Vec<Range>, AclError> {
        read(&words::split(text.as_bytes()).unwrap(), text.len())
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_operator_counts_up_to_the_next_one() {
        for (text, inside, outside) in [
            ("5", 5, 4),
            ("1 3 5", 3, 4),
            ("1:3", 3, 4),
            (":4", -9, 5),
            ("7:", 9, 6),
            ("gt 2", 3, 2),
            ("ge 2", 2, 1),
            ("le 2", 2, 3),
            ("lt 3 gt 7", 8, 5),
            ("lt 3 2", 2, 3),
            ("ge 9 eq 5", 5, 6),
        ] {
            let ranges = ranges(text).unwrap();
            assert!(contain(&ranges, inside), "{text}");
            assert!(!contain(&ranges, outside), "{text}");
        }
        assert!(!contain(
            &ranges("gt 9223372036854775807").unwrap(),
            i64::MAX
        ));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["x", "1:x", "3:1", ":", "5.0", "gt", "gt 1:3", "eq", "5 lt"] {
            assert!(ranges(text).is_err(), "{text}");
        }
    }
}
