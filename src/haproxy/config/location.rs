//! Places in configuration files, and what was read there.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file; places sort in the order in which they are read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Which of the files it is; the name alone would sort wrongly.
    pub(super) order: u32,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) file: Arc<str>,
}

impl Location {
    /// Name of the file, as the caller gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line in the file, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Column in the line, in bytes from 1.
    pub fn column(&self) -> u32 {
        self.column
    }

    /// The same line, another byte of it, counted from 0.
    pub(super) fn at(&self, byte: usize) -> Self {
        let column = u32::try_from(byte + 1).unwrap_or(u32::MAX);
        Self {
            column,
            ..self.clone()
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was read.
    pub location: Location,
}

impl<T> Located<T> {
    pub(super) fn as_ref(&self) -> Located<&T> {
        Located {
            value: &self.value,
            location: self.location.clone(),
        }
    }
}

/// A word of a line, unquoted, and where it begins.
///
/// Words are bytes: `\xHH` and the encoding of the file may make any but zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    pub(in crate::haproxy) bytes: Vec<u8>,
    pub(in crate::haproxy) location: Location,
}

impl Word {
    /// The bytes, without quotes and escapes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text, if the bytes are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// Where it begins.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The text, or an empty one that no keyword is equal to.
    pub(in crate::haproxy) fn text(&self) -> &str {
        self.as_str().unwrap_or_default()
    }

    pub(in crate::haproxy) fn is(&self, text: &str) -> bool {
        self.bytes == text.as_bytes()
    }

    pub(in crate::haproxy) fn located<T>(&self, value: T) -> Located<T> {
        Located {
            value,
            location: self.location.clone(),
        }
    }
}

impl fmt::Display for Word {
    /// Bytes that are not printable ASCII are shown as escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.escape_ascii().fmt(f)
    }
}
