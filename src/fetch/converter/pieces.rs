//! Converters that keep a part of the text.

use std::sync::Arc;

/// Which fields or words are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Counted from 1, backwards from -1.
    index: i32,
    delimiters: Arc<[u8]>,
    /// `None` for all there are.
    count: Option<u32>,
}

impl Pieces {
    pub(super) fn new(index: i32, delimiters: Vec<u8>, count: Option<u32>) -> Self {
        Self {
            index,
            delimiters: delimiters.into(),
            count,
        }
    }

    /// `None` if there is no field of that number.
    pub(super) fn fields<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let way = self.way();
        let mut rest = text;
        for _ in 1..self.index.unsigned_abs() {
            let length = self.next_delimiter(way, rest)?;
            rest = way.skip(rest, length + 1);
        }
        (self.index != 0).then(|| self.keep(way, rest, |_| 1))
    }

    /// Empty if there is no word of that number.
    pub(super) fn words<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let way = self.way();
        let mut rest = way.skip(text, self.leading_delimiters(way, text));
        for _ in 1..self.index.unsigned_abs() {
            let Some(word) = self.next_delimiter(way, rest) else {
                return b"";
            };
            rest = way.skip(rest, word);
            rest = way.skip(rest, self.leading_delimiters(way, rest));
        }
        if self.index == 0 {
            return b"";
        }
        self.keep(way, rest, |kept| {
            self.leading_delimiters(way, way.skip(rest, kept))
        })
    }

    /// The first `count` pieces of `rest`; `gap` tells how long the gap is that comes
    /// behind so many bytes. Pieces that are missing take in all there is.
    fn keep<'t>(&self, way: Way, rest: &'t [u8], gap: impl Fn(usize) -> usize) -> &'t [u8] {
        let Some(count) = self.count else {
            return rest;
        };
        let mut kept = 0;
        for piece in 0..count {
            if piece > 0 {
                kept += gap(kept);
            }
            if kept >= rest.len() {
                return rest;
            }
            match self.next_delimiter(way, way.skip(rest, kept)) {
                Some(length) => kept += length,
                None => return rest,
            }
        }
        way.take(rest, kept)
    }

    fn way(&self) -> Way {
        if self.index < 0 {
            Way::Backwards
        } else {
            Way::Onwards
        }
    }

    fn is_delimiter(&self, byte: u8) -> bool {
        self.delimiters.contains(&byte)
    }

    /// How many bytes come before the next delimiter.
    fn next_delimiter(&self, way: Way, text: &[u8]) -> Option<usize> {
        way.position(text, |byte| self.is_delimiter(byte))
    }

    fn leading_delimiters(&self, way: Way, text: &[u8]) -> usize {
        let first = way.position(text, |byte| !self.is_delimiter(byte));
        first.unwrap_or(text.len())
    }
}

/// From which end a text is read.
#[derive(Clone, Copy)]
enum Way {
    Onwards,
    Backwards,
}

impl Way {
    fn position(self, text: &[u8], test: impl Fn(u8) -> bool) -> Option<usize> {
        match self {
            Self::Onwards => text.iter().position(|byte| test(*byte)),
            Self::Backwards => text.iter().rev().position(|byte| test(*byte)),
        }
    }

    fn skip(self, text: &[u8], length: usize) -> &[u8] {
        match self {
            Self::Onwards => &text[length..],
            Self::Backwards => &text[..text.len() - length],
        }
    }

    fn take(self, text: &[u8], length: usize) -> &[u8] {
        match self {
            Self::Onwards => &text[..length],
            Self::Backwards => &text[text.len() - length..],
        }
    }
}

pub(super) fn trim_start<'t>(text: &'t [u8], bytes: &[u8]) -> &'t [u8] {
    let start = text.iter().position(|byte| !bytes.contains(byte));
    &text[start.unwrap_or(text.len())..]
}

pub(super) fn trim_end<'t>(text: &'t [u8], bytes: &[u8]) -> &'t [u8] {
    let last = text.iter().rposition(|byte| !bytes.contains(byte));
    &text[..last.map_or(0, |last| last + 1)]
}

pub(super) fn bytes(text: &[u8], offset: usize, length: Option<usize>) -> &[u8] {
    let rest = text.get(offset..).unwrap_or(b"");
    &rest[..rest.len().min(length.unwrap_or(usize::MAX))]
}

pub(super) fn host_only(host: &[u8]) -> &[u8] {
    match memchr::memrchr2(b':', b']', host) {
        Some(end) if host[end] == b':' => &host[..end],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"_f1_f2__f3_";

    fn pieces(index: i32, count: Option<u32>) -> Pieces {
        Pieces::new(index, b"_".to_vec(), count)
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn fields_are_counted_from_either_end() {
        let table = [
            (1, Some(1), Some("")),
            (1, Some(2), Some("_f1")),
            (2, None, Some("f1_f2__f3_")),
            (3, Some(2), Some("f2_")),
            (5, Some(2), Some("f3_")),
            (6, None, Some("")),
            (7, None, None),
            (0, None, None),
            (0, Some(1), None),
            (-7, Some(1), None),
            (-1, Some(1), Some("")),
            (-1, Some(2), Some("f3_")),
            (-2, Some(2), Some("_f3")),
            (-3, None, Some("_f1_f2_")),
            (-4, Some(2), Some("f1_f2")),
            (-5, Some(9), Some("_f1")),
        ];
        for (index, count, expected) in table {
            let fields = pieces(index, count);
            assert_eq!(
                fields.fields(TEXT),
                expected.map(str::as_bytes),
                "{index} {count:?}"
            );
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn words_are_counted_without_empty_ones() {
        let table = [
            (1, Some(1), "f1"),
            (1, None, "f1_f2__f3_"),
            (2, Some(2), "f2__f3"),
            (3, Some(2), "f3_"),
            (4, None, ""),
            (4, Some(1), ""),
            (-1, Some(1), "f3"),
            (-1, None, "_f1_f2__f3"),
            (-2, Some(2), "f1_f2"),
            (-3, Some(2), "_f1"),
            (-4, Some(2), ""),
        ];
        for (index, count, expected) in table {
            let words = pieces(index, count);
            assert_eq!(words.words(TEXT), expected.as_bytes(), "{index} {count:?}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_host_loses_its_port_but_no_part_in_brackets() {
        for (host, expected) in [
            ("h:80", "h"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("h", "h"),
            ("::1", ":"),
        ] {
            assert_eq!(host_only(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }
}
