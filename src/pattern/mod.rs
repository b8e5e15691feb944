//! Regular expressions as HAProxy's configurations have them.

mod class;
mod error;
mod replacement;
mod syntax;

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Captures, Regex, RegexBuilder};

pub use error::{PatternError, PatternProblem};
pub use replacement::{InvalidReplacement, Replacement};

/// The most memory of a compiled pattern, in bytes.
const LARGEST: usize = 1 << 20;

/// The most memory that a thread spends on matching faster, in bytes.
const CACHE: usize = 1 << 18;

/// So many groups may be inside each other.
const DEEPEST: u32 = 100;

/// A regular expression, with the meaning that it has to PCRE, with which HAProxy is built.
///
/// Bytes are matched, and matching takes time that grows with the text alone. What cannot be
/// done so is refused: look-around, back-references in the pattern, atomic groups, possessive
/// repetitions, recursion. So are flags but for `i` and `s`, `\p`, `\Q`, `\K`, `\R` and the
/// like; a pattern that takes more than 1 MiB, too. HAProxy: `-m reg`, `regsub`,
/// `replace-header`, `http-check expect rstring`.
///
/// ```
/// use stickroute::haproxy::{Pattern, Replacement};
///
/// let pattern = Pattern::new(r"^/users/(\d+)(?:/|$)")?;
/// assert!(pattern.is_match(b"/users/7"));
/// let replacement = Replacement::parse(r"/u\1/")?;
/// let path = pattern.rewrite(b"/users/7/inbox", &replacement);
/// assert_eq!(path.as_deref(), Some(&b"/u7/"[..])); // all of the text is replaced
///
/// let error = Pattern::new(r"(?=a)").unwrap_err();
/// assert_eq!(error.to_string(), "character 1: \"(?=\": look-around is not supported");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: Vec<u8>,
    ignores_case: bool,
    regex: Regex,
    /// Which groups of the compiled pattern are the first nine of the text.
    groups: Vec<usize>,
    /// Which are the line ends that a `$` stands before.
    ends: Vec<usize>,
}

/// What one match has found.
struct Match<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
    /// Those of `\1` to `\9`.
    groups: Vec<Option<(usize, usize)>>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, or cannot be done, and where.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, PatternError> {
        Self::compile(text.as_ref(), false)
    }

    /// Compiles a pattern that matches ASCII letters in either case. HAProxy: `-i`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn ignoring_case(text: impl AsRef<[u8]>) -> Result<Self, PatternError> {
        Self::compile(text.as_ref(), true)
    }

    fn compile(text: &[u8], ignores_case: bool) -> Result<Self, PatternError> {
        let translated = syntax::translate(text)?;
        let regex = RegexBuilder::new(&translated.text)
            .unicode(false)
            .case_insensitive(ignores_case)
            .size_limit(LARGEST)
            .dfa_size_limit(CACHE)
            .nest_limit(DEEPEST)
            .build()
            .map_err(|error| PatternError::of_crate(&error))?;
        Ok(Self {
            text: text.to_vec(),
            ignores_case,
            regex,
            groups: translated.groups,
            ends: translated.ends,
        })
    }

    /// The same without regard to the case of letters.
    pub(crate) fn in_either_case(self) -> Self {
        Self::ignoring_case(&self.text).unwrap_or(self)
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// What takes the place of the whole text, `None` where nothing matches. HAProxy:
    /// `replace-header`, `replace-path`, `replace-pathq`, `replace-uri`.
    pub fn rewrite(&self, text: &[u8], replacement: &Replacement) -> Option<Vec<u8>> {
        let found = self.find(text, 0)?;
        Some(replacement.filled(&found))
    }

    /// The same with each element between the commas of a field, blanks around those that
    /// match included. HAProxy: `replace-value`.
    pub fn rewrite_elements(&self, field: &[u8], replacement: &Replacement) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(field.len());
        let (mut rest, mut has_changed) = (field, false);
        loop {
            let end = crate::fetch::element_end(rest);
            let element = crate::cookie::trim(&rest[..end]);
            match self.rewrite(element, replacement) {
                Some(new) => {
                    has_changed = true;
                    out.extend(new);
                }
                None => out.extend(&rest[..end]),
            }
            let Some(next) = rest.get(end + 1..) else {
                return has_changed.then_some(out);
            };
            out.push(b',');
            rest = next;
        }
    }

    /// The text with the first match replaced, or `all` of them; at most 16 KiB of it are
    /// given where anything was replaced. HAProxy: `regsub`, `regsub(…,g)`.
    ///
    /// A `^` matches at the start of the text alone, and an empty match counts right behind
    /// another one, as in HAProxy.
    pub fn substitute<'t>(
        &self,
        text: Cow<'t, [u8]>,
        replacement: &Replacement,
        all: bool,
    ) -> Cow<'t, [u8]> {
        let mut out = Vec::new();
        let mut from = 0;
        while let Some(found) = self.find(&text, from) {
            out.extend(&text[from..found.start]);
            out.extend(replacement.filled(&found));
            let is_stuck = found.end == from;
            from = found.end;
            if is_stuck {
                out.extend(text.get(from));
                from += 1;
            }
            if !all || from > text.len() || out.len() > MOST {
                break;
            }
        }
        if from == 0 {
            return text;
        }
        out.extend(text.get(from..).unwrap_or_default());
        out.truncate(MOST);
        Cow::Owned(out)
    }

    fn find<'t>(&self, text: &'t [u8], from: usize) -> Option<Match<'t>> {
        let captures = self.regex.captures_at(text, from)?;
        let whole = captures.get(0)?;
        let most = self.line_end(&captures).unwrap_or(text.len());
        let group = |index: &usize| {
            let group = captures.get(*index)?;
            Some((group.start().min(most), group.end().min(most)))
        };
        Some(Match {
            text,
            start: whole.start(),
            end: whole.end().min(most),
            groups: self.groups.iter().map(group).collect(),
        })
    }

    /// Where the line end is that a `$` stands before, which is no part of the match.
    fn line_end(&self, captures: &Captures<'_>) -> Option<usize> {
        let mut ends = self.ends.iter().filter_map(|index| captures.get(*index));
        ends.next().map(|end| end.start())
    }
}

/// The most bytes that a substitution gives. HAProxy: `tune.bufsize`.
const MOST: usize = 16_384;

impl<'t> Match<'t> {
    /// The text of a group, empty if it is none of the match; 0 is all of it.
    fn group(&self, number: u8) -> &'t [u8] {
        let place = match number {
            0 => Some((self.start, self.end)),
            _ => self.groups.get(usize::from(number) - 1).copied().flatten(),
        };
        place.map_or(b"", |(start, end)| &self.text[start..end])
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.ignores_case) == (&other.text, other.ignores_case)
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = if self.ignores_case { "i" } else { "" };
        write!(f, "Pattern(/{}/{flag})", self.text.escape_ascii())
    }
}

#[cfg(test)]
mod tests;
