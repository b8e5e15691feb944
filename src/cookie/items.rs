//! Splitting a `Cookie` header field into its items, byte for byte as HAProxy does.

use std::iter::FusedIterator;
use std::ops::Range;

use memchr::{memchr2, memchr3};

use crate::short::{lowest, splat, zeros};

/// What an item of a `Cookie` field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// Begins with `$`, as `$Path` of RFC 2965: belongs to the cookie before it.
    Attribute,
    /// Has no `=`: application data, empty items included.
    Bare,
    /// A name, possibly empty, and a value, possibly empty.
    Pair,
}

/// One item of a `Cookie` field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Item<'h> {
    header: &'h [u8],
    /// The delimiter this item stands behind, `None` for the first item.
    pub(super) delimiter: Option<usize>,
    pub(super) start: usize,
    pub(super) name_end: usize,
    /// The `=` and the bounds of the value behind it.
    pair: Option<(usize, usize, usize)>,
    /// The delimiter that ends this item, or the end of the field.
    end: usize,
}

impl<'h> Item<'h> {
    /// What the item is.
    pub fn kind(&self) -> ItemKind {
        if self.header.get(self.start) == Some(&b'$') {
            ItemKind::Attribute
        } else if self.pair.is_none() {
            ItemKind::Bare
        } else {
            ItemKind::Pair
        }
    }

    /// The bytes before the first `=`, without the blanks on either side; the whole
    /// of a bare item.
    pub fn name(&self) -> &'h [u8] {
        &self.header[self.start..self.name_end]
    }

    /// The bytes behind the first `=`, without the blanks on either side; `None`
    /// without an `=`. Quotes are part of the value.
    pub fn value(&self) -> Option<&'h [u8]> {
        Some(&self.header[self.value_range()?])
    }

    pub(super) fn value_range(&self) -> Option<Range<usize>> {
        self.pair.map(|(_, start, end)| start..end)
    }

    pub(super) fn equals(&self) -> Option<usize> {
        self.pair.map(|(equals, ..)| equals)
    }

    /// Where the item behind this one begins, if there is one.
    pub(super) fn next(&self) -> Option<usize> {
        (self.end < self.header.len()).then_some(self.end + 1)
    }

    /// Whether this is the cookie called `name`: no attribute, the same bytes.
    pub(super) fn is_cookie(&self, name: &[u8]) -> bool {
        self.kind() == ItemKind::Pair && self.name() == name
    }
}

impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item")
            .field("kind", &self.kind())
            .field("name", &self.name().escape_ascii().to_string())
            .field("value", &self.value().map(|v| v.escape_ascii().to_string()))
            .finish_non_exhaustive()
    }
}

/// The items of a `Cookie` field in order; see [`items`].
#[derive(Clone, Debug)]
pub struct Items<'h> {
    header: &'h [u8],
    next: Option<usize>,
}

/// Splits the value of a `Cookie` field into its items.
///
/// Items are separated by `;` or `,`. Double quotes protect both inside a value,
/// and there a backslash protects the byte behind it; in a name quotes mean nothing.
/// A quote that is never closed takes in the rest of the field. An item always
/// follows a delimiter, be it an empty one, so a field has at least one item.
/// Blanks are spaces and tabs.
///
/// This is HAProxy's reading, which is wider than RFC 6265 section 5.4.
///
/// ```
/// let header = br#"a=1, b="x;y"; flag"#;
/// let names: Vec<_> = stickroute::cookie::items(header).map(|item| item.name()).collect();
/// assert_eq!(names, [&b"a"[..], b"b", b"flag"]);
/// ```
pub fn items(header: &[u8]) -> Items<'_> {
    Items::starting_at(trim(header), 0)
}

impl<'h> Items<'h> {
    /// The items from one that begins at `start`, just behind a delimiter.
    pub(super) fn starting_at(header: &'h [u8], start: usize) -> Self {
        Self {
            header,
            next: Some(start),
        }
    }
}

impl<'h> Iterator for Items<'h> {
    type Item = Item<'h>;

    fn next(&mut self) -> Option<Item<'h>> {
        let item = item_at(self.header, self.next?);
        self.next = item.next();
        Some(item)
    }
}

impl FusedIterator for Items<'_> {}

fn item_at(header: &[u8], behind: usize) -> Item<'_> {
    let start = skip_blanks(header, behind);
    let stop = find(header, start, |rest| memchr3(b'=', b',', b';', rest));
    let pair = (header.get(stop) == Some(&b'=')).then(|| {
        let value = skip_blanks(header, stop + 1);
        (stop, value, value_end(header, value))
    });
    let end = pair.map_or(stop, |(_, _, end)| end);
    Item {
        header,
        delimiter: behind.checked_sub(1),
        start,
        name_end: trim_end(header, start, stop),
        pair: pair.map(|(equals, value, end)| (equals, value, trim_end(header, value, end))),
        end,
    }
}

/// The delimiter that ends the value at `start`, or the end of the field.
#[inline]
pub(super) fn value_end(header: &[u8], start: usize) -> usize {
    let rest = &header[start..];
    let (words, tail) = rest[..rest.len().min(SHORT)].as_chunks();
    for (index, word) in words.iter().enumerate() {
        let marks = ends_or_quotes(u64::from_le_bytes(*word));
        if marks != 0 {
            return end_at(header, start, start + 8 * index + lowest(marks));
        }
    }
    if rest.len() >= SHORT {
        return long_value_end(header, start);
    }
    let marks = ends_or_quotes(last_word(header, tail));
    if marks != 0 {
        return end_at(header, start, header.len() - tail.len() + lowest(marks));
    }
    header.len()
}

/// Length up to which words are looked at one by one: a vector search takes longer to
/// begin.
const SHORT: usize = 32;

/// The end of a value whose first delimiter or quote is here.
#[inline]
fn end_at(header: &[u8], start: usize, found: usize) -> usize {
    if header[found] == b'"' {
        return long_value_end(header, start);
    }
    found
}

/// The bytes of a word that are a delimiter or a quote, marked from the lowest on.
#[inline]
fn ends_or_quotes(word: u64) -> u64 {
    zeros(word ^ splat(b';')) | zeros(word ^ splat(b',')) | zeros(word ^ splat(b'"'))
}

/// The last bytes of a field, fewer than eight, with zeros behind them.
#[inline]
fn last_word(header: &[u8], tail: &[u8]) -> u64 {
    match header.last_chunk() {
        Some(word) if !tail.is_empty() => u64::from_le_bytes(*word) >> (64 - 8 * tail.len()),
        Some(_) => 0,
        None => {
            let bytes = tail.iter().rev();
            bytes.fold(0, |word, &byte| word << 8 | u64::from(byte))
        }
    }
}

#[inline(never)]
fn long_value_end(header: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        at = find(header, at, |rest| memchr3(b',', b';', b'"', rest));
        if header.get(at) != Some(&b'"') {
            return at;
        }
        at = behind_closing_quote(header, at + 1);
    }
}

fn behind_closing_quote(header: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        at = find(header, at, |rest| memchr2(b'"', b'\\', rest));
        match header.get(at) {
            // The byte behind a backslash is protected, whatever it is.
            Some(b'\\') => at = (at + 2).min(header.len()),
            Some(_) => return at + 1,
            None => return at,
        }
    }
}

fn find(header: &[u8], from: usize, search: impl Fn(&[u8]) -> Option<usize>) -> usize {
    search(&header[from..]).map_or(header.len(), |offset| from + offset)
}

pub(super) const fn is_blank(byte: u8) -> bool {
    // Nearly every byte is settled by one comparison.
    byte <= b' ' && (byte == b' ' || byte == b'\t')
}

/// The first position at or behind `from` that is no blank.
#[inline]
pub(super) fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while bytes.get(at).copied().is_some_and(is_blank) {
        at += 1;
    }
    at
}

/// `end`, moved back over blanks, but not before `start`.
#[inline]
pub(super) fn trim_end(bytes: &[u8], start: usize, end: usize) -> usize {
    let mut end = end;
    while end > start && is_blank(bytes[end - 1]) {
        end -= 1;
    }
    end
}

/// The bytes without the blanks at both ends, as every field value is read.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let start = skip_blanks(bytes, 0);
    &bytes[start..trim_end(bytes, start, bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::ItemKind::{Attribute, Bare, Pair};
    use super::*;

    fn split(header: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
        items(header)
            .map(|item| (item.name(), item.value()))
            .collect()
    }

    fn pair<'a>(name: &'a [u8], value: &'a [u8]) -> (&'a [u8], Option<&'a [u8]>) {
        (name, Some(value))
    }

    #[test]
    fn commas_and_semicolons_both_separate() {
        let expected = [pair(b"a", b"1"), pair(b"b", b"2"), (b"c", None)];
        assert_eq!(split(b" a = 1 ,b=2;\tc "), expected);
    }

    #[test]
    fn quotes_protect_in_values_only() {
        assert_eq!(
            split(br#"a"b;c="d;e,f"g;h"#),
            [
                (&b"a\"b"[..], None),
                pair(b"c", br#""d;e,f"g"#),
                (b"h", None)
            ]
        );
    }

    #[test]
    fn a_quote_may_open_anywhere_in_a_value() {
        assert_eq!(
            split(br#"a=x"y;z"w;b=2"#),
            [pair(b"a", br#"x"y;z"w"#), pair(b"b", b"2")]
        );
    }

    #[test]
    fn an_unterminated_quote_takes_the_rest() {
        assert_eq!(split(br#"a="b;c=2"#), [pair(b"a", br#""b;c=2"#)]);
        assert_eq!(split(br#"a="b\"#), [pair(b"a", br#""b\"#)]);
    }

    #[test]
    fn a_backslash_protects_inside_quotes_only() {
        assert_eq!(split(br#"a="\";";b=2"#).len(), 2);
        assert_eq!(split(br"a=\;b=2").len(), 2);
    }

    #[test]
    fn later_equal_signs_belong_to_the_value() {
        assert_eq!(split(b"a==b=c"), [pair(b"a", b"=b=c")]);
        assert_eq!(split(b"=v"), [pair(b"", b"v")]);
    }

    #[test]
    fn an_empty_item_follows_a_final_delimiter() {
        assert_eq!(split(b"a=1;"), [pair(b"a", b"1"), (b"", None)]);
        assert_eq!(split(b""), [(&b""[..], None)]);
    }

    #[test]
    fn a_dollar_makes_an_attribute_even_without_value() {
        let kinds: Vec<_> = items(b"$Version=1; a=1; $Path; b")
            .map(|item| item.kind())
            .collect();
        assert_eq!(kinds, [Attribute, Pair, Attribute, Bare]);
    }
}
