//! Patterns of text.

use memchr::memmem;

/// How a text has to be related to a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Exact,
    Prefix,
    Suffix,
    Substring,
    /// The pattern stands between slashes or question marks.
    Directory,
    /// The pattern stands between dots, colons, slashes or question marks.
    Domain,
}

#[derive(Clone, Debug)]
pub(super) struct Texts {
    relation: Relation,
    ignores_case: bool,
    patterns: Vec<memmem::Finder<'static>>,
}

impl Texts {
    pub(super) fn new(relation: Relation, ignores_case: bool, patterns: Vec<&[u8]>) -> Self {
        let prepare = |pattern: &[u8]| {
            let pattern = if ignores_case {
                pattern.to_ascii_lowercase()
            } else {
                pattern.to_vec()
            };
            memmem::Finder::new(&pattern).into_owned()
        };
        Self {
            relation,
            ignores_case,
            patterns: patterns.into_iter().map(prepare).collect(),
        }
    }

    pub(super) fn hold(&self, text: &[u8]) -> bool {
        if self.ignores_case && text.iter().any(u8::is_ascii_uppercase) {
            return self.hold_exactly(&text.to_ascii_lowercase());
        }
        self.hold_exactly(text)
    }

    fn hold_exactly(&self, text: &[u8]) -> bool {
        self.patterns.iter().any(|finder| {
            let pattern = finder.needle();
            match self.relation {
                Relation::Exact => text == pattern,
                Relation::Prefix => text.starts_with(pattern),
                Relation::Suffix => text.ends_with(pattern),
                Relation::Substring => finder.find(text).is_some(),
                Relation::Directory | Relation::Domain => self.is_between(text, finder),
            }
        })
    }

    fn is_between(&self, text: &[u8], finder: &memmem::Finder<'_>) -> bool {
        let pattern = finder.needle();
        let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| is_delimiter(self.relation, *byte));
        let mut from = 0;
        while let Some(offset) = finder.find(&text[from..]) {
            let (start, end) = (from + offset, from + offset + pattern.len());
            let before = start.checked_sub(1).map(|before| &text[before]);
            if is_end(before) && is_end(text.get(end)) {
                return true;
            }
            // Any other place that counts begins behind a delimiter.
            let next = text[start..]
                .iter()
                .position(|byte| is_delimiter(self.relation, *byte));
            match next {
                Some(delimiter) => from = start + delimiter + 1,
                None => return false,
            }
        }
        false
    }
}

/// A pattern without the delimiters at its ends, which mean nothing. `None` if there is
/// nothing else: HAProxy finds such a pattern in some texts with empty parts.
pub(super) fn inner(relation: Relation, pattern: &[u8]) -> Option<&[u8]> {
    let mut pattern = pattern;
    while let [first, rest @ ..] = pattern
        && is_delimiter(relation, *first)
    {
        pattern = rest;
    }
    while let [rest @ .., last] = pattern
        && is_delimiter(relation, *last)
    {
        pattern = rest;
    }
    (!pattern.is_empty()).then_some(pattern)
}

fn is_delimiter(relation: Relation, byte: u8) -> bool {
    match relation {
        Relation::Directory => matches!(byte, b'/' | b'?'),
        Relation::Domain => matches!(byte, b'/' | b'?' | b'.' | b':'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(relation: Relation, pattern: &str, text: &str) -> bool {
        let pattern = inner(relation, pattern.as_bytes()).unwrap();
        Texts::new(relation, false, vec![pattern]).hold(text.as_bytes())
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_part_stands_between_delimiters() {
        for (pattern, text) in [
            ("b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("b", "/a/b?c"),
            ("aa", "/aaa/aa"),
        ] {
            assert!(
                holds(Relation::Directory, pattern, text),
                "{pattern} {text}"
            );
        }
        for (pattern, text) in [
            ("b", "/ab/bc"),
            ("c", "/a/b?s=1;c"),
            ("aa", "/aaa"),
            ("a.b", "/a.bc"),
        ] {
            assert!(
                !holds(Relation::Directory, pattern, text),
                "{pattern} {text}"
            );
        }
        assert!(holds(Relation::Domain, ".example.", "www.example.com:80"));
        assert!(holds(Relation::Domain, "example.com", "www.example.com:80"));
        assert!(!holds(Relation::Domain, "exam", "www.example.com"));
        assert_eq!(inner(Relation::Domain, b"/."), None);
    }

    #[test]
    fn letters_match_in_either_case_on_request() {
        let texts = Texts::new(Relation::Suffix, true, vec![b".PNG"]);
        assert!(texts.hold(b"/Logo.pNg"));
        assert!(!texts.hold(b"/Logo.jpg"));
    }

    #[test]
    fn long_texts_take_linear_time() {
        let text = b"/ab".repeat(1 << 16);
        assert!(!holds(
            Relation::Directory,
            "ab/ab/x",
            std::str::from_utf8(&text).unwrap()
        ));
    }
}
