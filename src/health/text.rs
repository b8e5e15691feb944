//! How names and values of fields are looked at.

#[cfg(feature = "haproxy")]
use crate::haproxy::Pattern;

/// What a text must be like. HAProxy: `-m str`, `beg`, `end`, `sub` and `reg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMatch(How);

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Part(Vec<u8>),
    #[cfg(feature = "haproxy")]
    Pattern(Pattern),
}

impl TextMatch {
    /// It is this text.
    pub fn exact(text: impl Into<Vec<u8>>) -> Self {
        Self(How::Exact(text.into()))
    }

    /// It begins with this text.
    pub fn prefix(text: impl Into<Vec<u8>>) -> Self {
        Self(How::Prefix(text.into()))
    }

    /// It ends with this text.
    pub fn suffix(text: impl Into<Vec<u8>>) -> Self {
        Self(How::Suffix(text.into()))
    }

    /// This text is in it.
    pub fn part(text: impl Into<Vec<u8>>) -> Self {
        Self(How::Part(text.into()))
    }

    /// The pattern matches somewhere in it.
    #[cfg(feature = "haproxy")]
    pub fn pattern(pattern: Pattern) -> Self {
        Self(How::Pattern(pattern))
    }

    pub(super) fn holds(&self, text: &[u8]) -> bool {
        match &self.0 {
            How::Exact(own) => own == text,
            How::Prefix(own) => text.starts_with(own),
            How::Suffix(own) => text.ends_with(own),
            How::Part(own) => memchr::memmem::find(text, own).is_some(),
            #[cfg(feature = "haproxy")]
            How::Pattern(own) => own.is_match(text),
        }
    }

    /// For names of fields, which are compared in small letters.
    pub(super) fn lowered(self) -> Self {
        Self(match self.0 {
            How::Exact(own) => How::Exact(own.to_ascii_lowercase()),
            How::Prefix(own) => How::Prefix(own.to_ascii_lowercase()),
            How::Suffix(own) => How::Suffix(own.to_ascii_lowercase()),
            How::Part(own) => How::Part(own.to_ascii_lowercase()),
            #[cfg(feature = "haproxy")]
            How::Pattern(own) => How::Pattern(own.in_either_case()),
        })
    }
}
