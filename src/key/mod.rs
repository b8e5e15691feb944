//! Keys of stick tables: their types, how samples become keys, how keys are shown.
//!
//! A key is looked up without an allocation: it borrows the bytes of its sample, or
//! holds the few that a conversion makes in itself.

mod bytes;
mod convert;
mod text;

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sample::{Sample, SampleType};
pub use bytes::KeyBytes;

/// The type of the keys of one table. HAProxy: `stick-table type`.
///
/// ```
/// use stickroute::{KeyType, Sample};
///
/// let sample = Sample::from(&b"session-17-of-app"[..]);
/// let key = KeyType::String(10).key(&sample);
/// assert_eq!(key.map(|key| key.to_string()).as_deref(), Some("session-17"));
///
/// // A text that is no address gives no key: a rule then does nothing.
/// assert_eq!(KeyType::Ip.key(&sample), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// IPv4 addresses, 4 bytes. HAProxy: `type ip`.
    Ip,
    /// IPv6 addresses, 16 bytes. HAProxy: `type ipv6`.
    Ipv6,
    /// Unsigned 32-bit numbers. HAProxy: `type integer`.
    Integer,
    /// Texts of which this many bytes count, 1 to [`MAX_LENGTH`](Self::MAX_LENGTH).
    /// HAProxy: `type string len N`.
    ///
    /// Longer texts are cut, so that they meet in one key. The bytes are compared as
    /// they are, upper and lower case differ.
    String(usize),
    /// Exactly this many bytes, 1 to [`MAX_LENGTH`](Self::MAX_LENGTH). HAProxy:
    /// `type binary len N`.
    ///
    /// Shorter values are filled up with zeros, longer ones are cut.
    Binary(usize),
}

impl KeyType {
    /// The longest key, in bytes.
    pub const MAX_LENGTH: usize = u16::MAX as usize;

    /// Texts of 31 bytes: what HAProxy keeps without `len`. Its manual says 32, but the
    /// zero at the end is one of them.
    pub const STRING: Self = Self::String(31);

    /// Values of 32 bytes: what HAProxy keeps without `len`.
    pub const BINARY: Self = Self::Binary(32);

    /// The most bytes a key has.
    pub const fn length(self) -> usize {
        match self {
            Self::Ip | Self::Integer => 4,
            Self::Ipv6 => 16,
            Self::String(length) | Self::Binary(length) => length,
        }
    }

    /// Whether samples of this type can become keys at all, though not each must.
    ///
    /// HAProxy refuses a configuration where they cannot.
    pub const fn accepts(self, sample: SampleType) -> bool {
        use SampleType::{Binary, Bool, Method};
        match self {
            Self::Ip | Self::Ipv6 => !matches!(sample, Binary | Bool | Method),
            Self::Integer => !matches!(sample, Binary | Method),
            Self::String(_) | Self::Binary(_) => true,
        }
    }

    /// Makes a key of a sample, or `None` where HAProxy has no key: no lookup is done
    /// and nothing stored.
    ///
    /// | from, to | ip | ipv6 | integer | string | binary |
    /// |---|---|---|---|---|---|
    /// | IPv4 | itself | `::ffff:a.b.c.d` | the number | dotted text | 4 bytes |
    /// | IPv6 | if v4-mapped | itself | – | shortest text | 16 bytes |
    /// | integer | low 32 bits | low 32 bits, v4-mapped | low 32 bits | decimal text | 8 bytes, big-endian |
    /// | string | if it is one | if it is one | leading digits, else 0; – if empty | itself | its bytes |
    /// | binary | – | – | – | up to the first zero | itself |
    /// | boolean | – | – | 0 or 1 | `0` or `1` | 8 bytes |
    /// | method | – | – | – | its text | its text |
    ///
    /// A text ends before its first zero byte. (HAProxy looks up the whole text, but
    /// stores it cut.)
    pub fn key<'s>(self, sample: &'s Sample<'_>) -> Option<Key<'s>> {
        match self {
            Self::Ip => sample.ipv4().map(Key::Ip),
            Self::Ipv6 => sample.ipv6().map(Key::Ipv6),
            Self::Integer => sample.integer().map(|number| Key::Integer(number as u32)),
            Self::String(length) => Some(Key::String(convert::to_text(sample).cut(length))),
            Self::Binary(length) => Some(Key::Binary(convert::to_bytes(sample).fitted(length))),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Ipv6 => "ipv6",
            Self::Integer => "integer",
            Self::String(_) => "string",
            Self::Binary(_) => "binary",
        })
    }
}

/// A key of a stick table.
///
/// It borrows from the sample it was made of where it can; [`into_owned`](Self::into_owned)
/// makes it independent. Its text is the one of HAProxy's `show table`: addresses and
/// numbers as usual, binary keys in upper-case hex, and strings with blanks, `=`, `\`
/// and what cannot be printed escaped.
///
/// ```
/// use stickroute::Key;
///
/// assert_eq!(Key::string(b"a b=\xe9").to_string(), r"a\ b\=\xE9");
/// assert_eq!(Key::binary(&[0, 0xab]).to_string(), "00AB");
/// assert_eq!(Key::from(std::net::Ipv4Addr::LOCALHOST).to_string(), "127.0.0.1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key<'k> {
    /// An IPv4 address.
    Ip(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A number.
    Integer(u32),
    /// A text without zero bytes, as [`Key::string`] makes it.
    String(KeyBytes<'k>),
    /// Bytes. To a table, zeros at the end are as good as none.
    Binary(KeyBytes<'k>),
}

impl<'k> Key<'k> {
    /// A text, ended before its first zero byte.
    #[inline]
    pub fn string(text: &'k [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Self::String(KeyBytes::borrowed(&text[..end]))
    }

    /// Bytes as they are.
    pub const fn binary(bytes: &'k [u8]) -> Self {
        Self::Binary(KeyBytes::borrowed(bytes))
    }

    /// The key without what it borrows.
    pub fn into_owned(self) -> Key<'static> {
        match self {
            Self::Ip(address) => Key::Ip(address),
            Self::Ipv6(address) => Key::Ipv6(address),
            Self::Integer(number) => Key::Integer(number),
            Self::String(bytes) => Key::String(bytes.into_owned()),
            Self::Binary(bytes) => Key::Binary(bytes.into_owned()),
        }
    }

    /// The name of its type, as HAProxy writes it.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Ip(_) => "ip",
            Self::Ipv6(_) => "ipv6",
            Self::Integer(_) => "integer",
            Self::String(_) => "string",
            Self::Binary(_) => "binary",
        }
    }
}

impl From<Ipv4Addr> for Key<'_> {
    fn from(address: Ipv4Addr) -> Self {
        Self::Ip(address)
    }
}

impl From<Ipv6Addr> for Key<'_> {
    fn from(address: Ipv6Addr) -> Self {
        Self::Ipv6(address)
    }
}

impl From<IpAddr> for Key<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ip(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

impl From<u32> for Key<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number)
    }
}

/// The order in which HAProxy 2.6 shows the keys of a table: by their bytes in memory,
/// which for numbers are the little-endian ones. So 65536, 256, 1, 257, 2.
impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Ip(a), Self::Ip(b)) => a.cmp(b),
            (Self::Ipv6(a), Self::Ipv6(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.to_le_bytes().cmp(&b.to_le_bytes()),
            (Self::String(a), Self::String(b)) | (Self::Binary(a), Self::Binary(b)) => a.cmp(b),
            _ => self.type_rank().cmp(&other.type_rank()),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Key<'_> {
    /// Keys of different types are never in one table; any order does.
    const fn type_rank(&self) -> u8 {
        match self {
            Self::Ip(_) => 0,
            Self::Ipv6(_) => 1,
            Self::Integer(_) => 2,
            Self::String(_) => 3,
            Self::Binary(_) => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_their_bytes_in_memory() {
        let mut numbers: Vec<Key> = [1u32, 2, 256, 257, 65536].map(Key::from).into();
        numbers.sort();
        assert_eq!(numbers, [65536u32, 256, 1, 257, 2].map(Key::from));
        assert!(Key::from(Ipv4Addr::new(9, 255, 0, 0)) < Key::from(Ipv4Addr::new(10, 0, 0, 0)));
        assert!(Key::string(b"B") < Key::string(b"a"));
        assert!(Key::string(b"a") < Key::string(b"ab"));
    }

    #[test]
    fn an_owned_key_equals_the_one_it_came_from() {
        let text = vec![b'x'; 100];
        let key = Key::string(&text);
        assert_eq!(key.clone().into_owned(), key);
        assert_eq!(Key::string(b"ab\0cd"), Key::string(b"ab"));
    }
}
