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
    pub(super) fn new(relation: Relation, ignores_case: bool, patterns: Vec<Vec<u8>>) -> Self {
        let prepare = |mut pattern: Vec<u8>| {
            if ignores_case {
                pattern.make_ascii_lowercase();
            }
            memmem::Finder::new(inner(relation, &pattern)).into_owned()
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
                return !pattern.is_empty();
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

/// Delimiters at the ends of such a pattern mean nothing.
fn inner(relation: Relation, pattern: &[u8]) -> &[u8] {
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
    pattern
}

fn is_delimiter(relation: Relation, byte: u8) -> bool {
    match relation {
        Relation::Directory => matches!(byte, b'/' | b'?'),
        Relation::Domain => matches!(byte, b'/' | b'?' | b'.' | b':'),
        _ => false,
    }
}
