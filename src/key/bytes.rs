//! The bytes of a key, wherever they lie.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{Cursor, Write};

/// The bytes of a string or binary key: borrowed, owned, or a few held in place.
///
/// Compared by content alone.
#[derive(Clone)]
pub struct KeyBytes<'k>(Storage<'k>);

/// Long enough for the longest text made here, that of an IPv6 address.
const IN_PLACE: usize = 39;

#[derive(Clone)]
enum Storage<'k> {
    Cow(Cow<'k, [u8]>),
    /// What a conversion has made: texts of addresses and numbers, their bytes.
    InPlace {
        bytes: [u8; IN_PLACE],
        length: u8,
    },
}

impl<'k> KeyBytes<'k> {
    /// The bytes of something else.
    pub(crate) const fn borrowed(bytes: &'k [u8]) -> Self {
        Self(Storage::Cow(Cow::Borrowed(bytes)))
    }

    pub(crate) const fn owned(bytes: Vec<u8>) -> Self {
        Self(Storage::Cow(Cow::Owned(bytes)))
    }

    /// A copy of at most 39 bytes; what is beyond them is left out.
    pub(crate) fn in_place(bytes: &[u8]) -> Self {
        let mut copy = [0; IN_PLACE];
        let length = bytes.len().min(IN_PLACE);
        copy[..length].copy_from_slice(&bytes[..length]);
        Self(Storage::InPlace {
            bytes: copy,
            length: length as u8,
        })
    }

    /// A text of at most 39 bytes.
    pub(crate) fn written(text: fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; IN_PLACE];
        let mut cursor = Cursor::new(&mut bytes[..]);
        // It only fails when the text is longer, and no text given here is.
        let _ = cursor.write_fmt(text);
        let length = cursor.position() as u8;
        Self(Storage::InPlace { bytes, length })
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Storage::Cow(bytes) => bytes,
            Storage::InPlace { bytes, length } => &bytes[..usize::from(*length)],
        }
    }

    /// Not more than so many bytes.
    pub(crate) fn cut(self, length: usize) -> Self {
        match self.0 {
            Storage::Cow(Cow::Borrowed(bytes)) => Self::borrowed(&bytes[..bytes.len().min(length)]),
            Storage::Cow(Cow::Owned(mut bytes)) => {
                bytes.truncate(length);
                Self::owned(bytes)
            }
            Storage::InPlace { bytes, length: has } => Self(Storage::InPlace {
                bytes,
                length: length.min(usize::from(has)) as u8,
            }),
        }
    }

    /// Not more than so many bytes, and where that costs nothing not fewer either: to a
    /// table, zeros at the end are as good as none.
    pub(crate) fn fitted(self, length: usize) -> Self {
        match self.0 {
            Storage::InPlace { bytes, .. } if length <= IN_PLACE => Self(Storage::InPlace {
                bytes,
                length: length as u8,
            }),
            _ => self.cut(length),
        }
    }

    /// What stands before the first zero.
    pub(crate) fn up_to_zero(self) -> Self {
        match memchr::memchr(0, self.as_slice()) {
            Some(zero) => self.cut(zero),
            None => self,
        }
    }

    /// The same bytes, borrowed from nothing.
    pub(crate) fn into_owned(self) -> KeyBytes<'static> {
        KeyBytes(match self.0 {
            Storage::Cow(bytes) => Storage::Cow(Cow::Owned(bytes.into_owned())),
            Storage::InPlace { bytes, length } => Storage::InPlace { bytes, length },
        })
    }
}

impl AsRef<[u8]> for KeyBytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for KeyBytes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for KeyBytes<'_> {}

impl Ord for KeyBytes<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl PartialOrd for KeyBytes<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for KeyBytes<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for KeyBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_bytes_lie_makes_no_difference() {
        let all = [
            KeyBytes::borrowed(b"abcdef"),
            KeyBytes::owned(b"abcdef".to_vec()),
            KeyBytes::in_place(b"abcdef"),
            KeyBytes::written(format_args!("abc{}", "def")),
        ];
        for bytes in &all {
            assert_eq!(bytes, &all[0]);
            assert_eq!(bytes.clone().cut(3).as_slice(), b"abc");
            assert_eq!(bytes.clone().cut(9).as_slice(), b"abcdef");
            assert_eq!(&bytes.clone().into_owned(), bytes);
        }
    }
}
