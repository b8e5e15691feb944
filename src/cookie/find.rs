//! Finding the values of one cookie in a `Cookie` field, quickly.
//!
//! # How it works
//!
//! The cookie is often the first one, so that is looked at before anything else.
//!
//! A vector search finds the name's bytes; what stands around each candidate (a
//! delimiter before, an `=` behind) tells whether it can be the cookie at all. The
//! only thing that could still deceive is a delimiter inside a quoted value. So the
//! bytes passed over are searched for a double quote, and if there is one, the exact
//! but slower [splitter](super::items) decides from the last known start of an item.
//! In a field that is not long both searches are [one](super::sight), for the name's
//! first and last byte. Either way each byte is looked at a bounded number of times.

use std::fmt;
use std::iter::FusedIterator;

use memchr::{memchr, memmem};

use super::items::{Items, is_blank, skip_blanks, trim, trim_end, value_end};
use super::sight::Outline;
use crate::short::Words;

/// The value of the first cookie called `name` in the value of a `Cookie` field.
///
/// Names are compared byte for byte (RFC 6265 section 5.4). The value is as
/// received: quotes are part of it and nothing is decoded. Who looks for the same
/// name again and again saves a little by preparing a [`Name`].
///
/// ```
/// use stickroute::cookie::value;
///
/// let header = br#"a=1; SRV="s2"; SRV=s3"#;
/// assert_eq!(value(header, b"SRV"), Some(&br#""s2""#[..]));
/// assert_eq!(value(header, b"srv"), None);
/// ```
pub fn value<'h>(header: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let header = trim(header);
    if is_searchable(name) {
        if let Some(equals) = equals_of(header, 0, name) {
            return Some(value_behind(header, equals).0);
        }
        if header.len() >= LONG {
            return Name::new(name).values(header).next();
        }
    }
    let mut items = Items::starting_at(header, 0);
    items.find(|item| item.is_cookie(name))?.value()
}

/// Length from which preparing a search pays for a single field, and beginning one that
/// was prepared.
const LONG: usize = 512;

/// The name of a cookie, prepared for searching many `Cookie` fields.
#[derive(Clone)]
pub struct Name<'n> {
    finder: memmem::Finder<'n>,
    words: Words,
    outline: Outline,
    searchable: bool,
}

impl<'n> Name<'n> {
    /// Prepares any bytes; those that are no cookie name are found as the splitter
    /// sees them or, like a name with `=`, not at all.
    pub fn new(name: &'n [u8]) -> Self {
        Self {
            finder: memmem::Finder::new(name),
            words: Words::of(name),
            outline: Outline::of(name),
            searchable: is_searchable(name),
        }
    }

    /// The same name with bytes of its own.
    pub fn into_owned(self) -> Name<'static> {
        Name {
            finder: self.finder.into_owned(),
            words: self.words,
            outline: self.outline,
            searchable: self.searchable,
        }
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        self.finder.needle()
    }

    /// The values of every cookie of this name in the value of a `Cookie` field, in
    /// order.
    ///
    /// ```
    /// use stickroute::cookie::Name;
    ///
    /// let name = Name::new(b"SRV");
    /// let values: Vec<_> = name.values(b"SRV=a; lang=en, SRV = b ;SRV").collect();
    /// assert_eq!(values, [b"a", b"b"]);
    /// ```
    #[inline]
    pub fn values<'s, 'h>(&'s self, header: &'h [u8]) -> Values<'s, 'h> {
        Values {
            name: self,
            header: trim(header),
            next: Some(0),
        }
    }

    /// The `=` of the cookie of this name, should it begin here.
    #[inline]
    fn equals(&self, header: &[u8], start: usize) -> Option<usize> {
        let name = self.as_bytes();
        let end = start + name.len();
        let found = header.get(start..end)?;
        let same = Words::of(found) == self.words && (found.len() <= Words::WHOLE || found == name);
        if same {
            equals_behind(header, end)
        } else {
            None
        }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name(\"{}\")", self.as_bytes().escape_ascii())
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name<'_> {}

/// The values of one cookie in a `Cookie` field; see [`Name::values`].
#[derive(Clone, Debug)]
pub struct Values<'n, 'h> {
    name: &'n Name<'n>,
    header: &'h [u8],
    /// Start of an item that was not looked at yet, blanks included.
    next: Option<usize>,
}

impl<'h> Iterator for Values<'_, 'h> {
    type Item = &'h [u8];

    #[inline]
    fn next(&mut self) -> Option<&'h [u8]> {
        let item = self.next?;
        if self.name.searchable
            && let Some(equals) = self.name.equals(self.header, item)
        {
            return Some(self.take(equals));
        }
        self.behind(item)
    }
}

impl FusedIterator for Values<'_, '_> {}

impl<'h> Values<'_, 'h> {
    /// The next value, when there is none just where the item begins.
    fn behind(&mut self, item: usize) -> Option<&'h [u8]> {
        if !self.name.searchable {
            return self.split_from(item);
        }
        if self.header.len() - item < LONG {
            return self.look_around(item);
        }
        self.search(item)
    }

    /// The same as [`search`](Self::search), in one pass.
    #[inline]
    fn look_around(&mut self, item: usize) -> Option<&'h [u8]> {
        self.next = None;
        let mut from = item;
        while let Some(start) = self.name.outline.first_sight(self.header, from) {
            if self.header[start] == b'"' {
                return self.search(item);
            }
            if self.begins_item(start)
                && let Some(equals) = self.name.equals(self.header, start)
            {
                return Some(self.take(equals));
            }
            from = start + 1;
        }
        None
    }

    #[inline(never)]
    fn search(&mut self, item: usize) -> Option<&'h [u8]> {
        self.next = None;
        let (start, equals) = self.candidate(item)?;
        if memchr(b'"', &self.header[item..start]).is_some() {
            return self.split_from(item);
        }
        Some(self.take(equals))
    }

    /// The next place, with its `=`, that is the cookie unless a quoted value is
    /// around it. Every true one is such a place.
    fn candidate(&self, item: usize) -> Option<(usize, usize)> {
        let name = self.name.as_bytes();
        let mut from = item;
        while let Some(offset) = self.name.finder.find(&self.header[from..]) {
            let start = from + offset;
            if self.begins_item(start)
                && let Some(equals) = equals_behind(self.header, start + name.len())
            {
                return Some((start, equals));
            }
            // The name holds no blank, so that the blanks on either side of two
            // places are never the same twice over: the search stays linear.
            from = start + 1;
        }
        None
    }

    fn begins_item(&self, start: usize) -> bool {
        let before = trim_end(self.header, 0, start);
        before == 0 || matches!(self.header[before - 1], b';' | b',')
    }

    #[inline]
    fn take(&mut self, equals: usize) -> &'h [u8] {
        let (value, end) = value_behind(self.header, equals);
        self.next = (end < self.header.len()).then_some(end + 1);
        value
    }

    #[cold]
    fn split_from(&mut self, item: usize) -> Option<&'h [u8]> {
        let name = self.name.as_bytes();
        let found = Items::starting_at(self.header, item).find(|item| item.is_cookie(name));
        self.next = found.and_then(|item| item.next());
        found.and_then(|item| item.value())
    }
}

/// The `=` of the cookie called `name`, should it begin here.
#[inline]
fn equals_of(header: &[u8], start: usize, name: &[u8]) -> Option<usize> {
    // The first byte settles most places without a call to compare the rest.
    if header.get(start) != name.first() || !header[start..].starts_with(name) {
        return None;
    }
    equals_behind(header, start + name.len())
}

/// The `=` behind a name that ends here, if there is one.
#[inline]
fn equals_behind(header: &[u8], name_end: usize) -> Option<usize> {
    let at = skip_blanks(header, name_end);
    (header.get(at) == Some(&b'=')).then_some(at)
}

/// The value behind this `=`, and the delimiter that ends it or the end of the field.
#[inline]
fn value_behind(header: &[u8], equals: usize) -> (&[u8], usize) {
    let start = skip_blanks(header, equals + 1);
    let end = value_end(header, start);
    (&header[start..trim_end(header, start, end)], end)
}

/// Whether finding the bytes and looking around them is enough.
fn is_searchable(name: &[u8]) -> bool {
    let plain = |byte: &u8| !is_blank(*byte) && !b"=,;".contains(byte);
    !name.is_empty() && name[0] != b'$' && name.iter().all(plain)
}

#[cfg(test)]
pub(super) mod nasty {
    use proptest::prelude::*;

    /// Headers of the bytes that matter, most of them nearly a cookie.
    pub(in crate::cookie) fn header() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            4 => Just(&b"SID"[..]),
            4 => Just(&b"="[..]),
            3 => Just(&b";"[..]),
            2 => Just(&b","[..]),
            2 => Just(&b" "[..]),
            1 => Just(&b"\t"[..]),
            2 => Just(&b"\""[..]),
            1 => Just(&b"\\"[..]),
            1 => Just(&b"$"[..]),
            1 => Just(&b"~"[..]),
            1 => Just(&b"|"[..]),
            1 => Just(&b"SI"[..]),
            1 => Just(&b"D"[..]),
            2 => Just(&b"x"[..]),
            1 => Just(&b"; SID="[..]),
            1 => Just(&b"\xff"[..]),
        ];
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::super::items::items;
    use super::*;
    use proptest::prelude::*;

    fn exact<'h>(header: &'h [u8], name: &[u8]) -> Vec<&'h [u8]> {
        items(header)
            .filter(|item| item.is_cookie(name))
            .filter_map(|item| item.value())
            .collect()
    }

    fn quick<'h>(header: &'h [u8], name: &[u8]) -> Vec<&'h [u8]> {
        Name::new(name).values(header).collect()
    }

    #[test]
    fn names_are_whole_and_case_counts() {
        assert_eq!(
            value(b"XSID=1; SIDX=2; sid=3; SID; SID=4", b"SID"),
            Some(&b"4"[..])
        );
    }

    #[test]
    fn what_a_quoted_value_holds_is_no_cookie() {
        assert_eq!(quick(br#"a="; SID=1; "; SID=2"#, b"SID"), [b"2"]);
        assert_eq!(quick(br#"a="; SID=1"#, b"SID"), [b""; 0]);
        assert_eq!(quick(br#"a"; SID=1"#, b"SID"), [b"1"]);
    }

    #[test]
    fn every_occurrence_is_found_whatever_quotes_do() {
        let header = br#"SID="a;b";x="SID=";SID=c,SID=;SID"#;
        assert_eq!(quick(header, b"SID"), [&br#""a;b""#[..], b"c", b""]);
    }

    #[test]
    fn ten_thousand_cookies_and_long_headers_take_linear_time() {
        let many = b"SID=1;".repeat(10_000);
        assert_eq!(quick(&many, b"SID").len(), 10_000);
        // Each of these would take long if any part were quadratic.
        for unit in [
            &b"SID"[..],
            b"SID=\";",
            b"SID ",
            b" SID",
            b"\"SID",
            b";SID=\"\\\"\"",
            b" ",
        ] {
            let header = unit.repeat(1 << 14);
            assert_eq!(quick(&header, b"SID").len(), exact(&header, b"SID").len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_quick_search_finds_what_the_splitter_finds(header in super::nasty::header()) {
            for name in [&b"SID"[..], b"D", b"x", b"\"", b"$x", b"", b"S D", b"="] {
                prop_assert_eq!(quick(&header, name), exact(&header, name));
            }
        }
    }
}
