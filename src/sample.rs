//! Samples: the typed values that fetches take out of messages.
//!
//! The casts between types are HAProxy's. They happen in front of a converter, in front
//! of a hash and when a sample becomes the key of a stick table.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::text::{leading_ipv4, leading_number};

/// A typed value taken out of a message.
///
/// ```
/// use stickroute::{Fetch, Sample, SimpleRequest};
///
/// let request = SimpleRequest::new("GET", "/cart?sid=x1");
/// let session = Fetch::url_param("sid");
/// assert_eq!(session.on_request(&request), Some(Sample::from("x1")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sample<'a> {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A signed number.
    Integer(i64),
    /// Text, in any encoding.
    Str(Cow<'a, [u8]>),
    /// Bytes that are no text.
    Binary(Cow<'a, [u8]>),
    /// True or false.
    Bool(bool),
    /// The method of an HTTP request.
    Method(Cow<'a, [u8]>),
}

/// The type of a sample, as far as it is known before there is a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SampleType {
    /// Known only when there is a sample: the type of [`Fetch::custom`](crate::Fetch::custom).
    Any,
    /// [`Sample::Ipv4`] or [`Sample::Ipv6`].
    Address,
    /// [`Sample::Ipv4`]. HAProxy 2.6 says so of `src` too, which may give an IPv6 address.
    Ipv4,
    /// [`Sample::Ipv6`].
    Ipv6,
    /// [`Sample::Integer`].
    Integer,
    /// [`Sample::Str`].
    Str,
    /// [`Sample::Binary`].
    Binary,
    /// [`Sample::Bool`].
    Bool,
    /// [`Sample::Method`].
    Method,
}

impl SampleType {
    /// Whether some sample of this type has a value in the type `to`.
    ///
    /// The check of start-up: a single sample may still have none, like a text that is
    /// no address. Methods and bytes become nothing but text and bytes, and numbers are
    /// made of no IPv6 address.
    pub fn casts_to(self, to: Self) -> bool {
        let is_address = matches!(to, Self::Address | Self::Ipv4 | Self::Ipv6);
        match self {
            _ if self == to || matches!(to, Self::Any | Self::Str | Self::Binary) => true,
            Self::Any => true,
            Self::Binary | Self::Method => false,
            Self::Bool => to == Self::Integer,
            Self::Ipv6 => is_address,
            Self::Address | Self::Ipv4 | Self::Integer | Self::Str => to != Self::Method,
        }
    }
}

impl fmt::Display for SampleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any type",
            Self::Address => "an address",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Integer => "an integer",
            Self::Str => "a string",
            Self::Binary => "binary",
            Self::Bool => "a boolean",
            Self::Method => "a method",
        })
    }
}

impl<'a> Sample<'a> {
    /// The type of this very sample: neither [`SampleType::Any`] nor
    /// [`SampleType::Address`].
    pub fn sample_type(&self) -> SampleType {
        match self {
            Self::Ipv4(_) => SampleType::Ipv4,
            Self::Ipv6(_) => SampleType::Ipv6,
            Self::Integer(_) => SampleType::Integer,
            Self::Str(_) => SampleType::Str,
            Self::Binary(_) => SampleType::Binary,
            Self::Bool(_) => SampleType::Bool,
            Self::Method(_) => SampleType::Method,
        }
    }

    /// The same value in another type, as HAProxy casts it; `None` where there is none.
    ///
    /// A text gives the number it begins with, 0 without digits and nothing when it is
    /// empty. Only an IPv6 address that holds an IPv4 one (`::ffff:1.2.3.4`) is also an
    /// IPv4 address. Bytes are text up to their first NUL.
    ///
    /// ```
    /// use stickroute::{Sample, SampleType};
    ///
    /// let cast = |text| Sample::from(text).cast(SampleType::Integer);
    /// assert_eq!(cast("12 items"), Some(Sample::Integer(12)));
    /// assert_eq!(cast("none"), Some(Sample::Integer(0)));
    /// assert_eq!(cast(""), None);
    /// ```
    pub fn cast(self, to: SampleType) -> Option<Self> {
        match to {
            SampleType::Any => Some(self),
            _ if to == self.sample_type() => Some(self),
            SampleType::Address => self.address().map(Self::from),
            SampleType::Ipv4 => self.ipv4().map(Self::Ipv4),
            SampleType::Ipv6 => self.ipv6().map(Self::Ipv6),
            SampleType::Integer => self.integer().map(Self::Integer),
            SampleType::Bool => self.integer().map(|number| Self::Bool(number != 0)),
            SampleType::Str => Some(Self::Str(self.into_text())),
            SampleType::Binary => Some(Self::Binary(self.into_bytes())),
            SampleType::Method => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bool(bool) => Some((*bool).into()),
            Self::Ipv4(address) => Some(address.to_bits().into()),
            Self::Str(text) if !text.is_empty() => Some(leading_number(text)),
            Self::Str(_) | Self::Ipv6(_) | Self::Binary(_) | Self::Method(_) => None,
        }
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Ipv6(address) => Some((*address).into()),
            Self::Str(text) => match leading_ipv4(text) {
                Some(address) => Some(address.into()),
                None => ipv6_of_text(text).map(IpAddr::V6),
            },
            _ => self.ipv4().map(IpAddr::V4),
        }
    }

    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Ipv4(address) => Some(*address),
            Self::Ipv6(address) => address.to_ipv4_mapped(),
            Self::Integer(number) => Some(Ipv4Addr::from_bits(*number as u32)),
            Self::Str(text) => leading_ipv4(text),
            Self::Bool(_) | Self::Binary(_) | Self::Method(_) => None,
        }
    }

    pub(crate) fn ipv6(&self) -> Option<Ipv6Addr> {
        match self {
            Self::Str(text) => ipv6_of_text(text),
            Self::Ipv6(address) => Some(*address),
            _ => self.ipv4().map(|address| address.to_ipv6_mapped()),
        }
    }

    /// The bytes that are hashed: text and bytes as they are, the 4 or 16 bytes of an
    /// address, 8 big-endian bytes of a number or a boolean.
    pub fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Str(bytes) | Self::Binary(bytes) | Self::Method(bytes) => read(bytes),
            Self::Ipv4(address) => read(&address.octets()),
            Self::Ipv6(address) => read(&address.octets()),
            Self::Integer(number) => read(&number.to_be_bytes()),
            Self::Bool(bool) => read(&i64::from(*bool).to_be_bytes()),
        }
    }

    /// The value as text: addresses in their usual form, numbers in decimal, a boolean
    /// as 0 or 1, bytes up to their first NUL.
    pub fn with_text<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Str(bytes) | Self::Method(bytes) => read(bytes),
            Self::Binary(bytes) => read(before_nul(bytes)),
            _ => {
                let mut buffer = [0; LONGEST_TEXT];
                let mut rest = &mut buffer[..];
                // The longest form of each type fits.
                let _ = self.write_text(&mut rest);
                let unused = rest.len();
                read(&buffer[..LONGEST_TEXT - unused])
            }
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        match self {
            Self::Str(bytes) | Self::Method(bytes) => out.write_all(bytes),
            Self::Binary(bytes) => out.write_all(before_nul(bytes)),
            Self::Ipv4(address) => write!(out, "{address}"),
            Self::Ipv6(address) => match compatible_ipv4(*address) {
                Some(v4) => write!(out, "::{v4}"),
                None => write!(out, "{address}"),
            },
            Self::Integer(number) => write!(out, "{number}"),
            Self::Bool(bool) => write!(out, "{}", i64::from(*bool)),
        }
    }

    fn into_text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Str(bytes) | Self::Method(bytes) => bytes,
            Self::Binary(Cow::Borrowed(bytes)) => Cow::Borrowed(before_nul(bytes)),
            _ => Cow::Owned(self.with_text(<[u8]>::to_vec)),
        }
    }

    fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Str(bytes) | Self::Method(bytes) | Self::Binary(bytes) => bytes,
            _ => Cow::Owned(self.with_bytes(<[u8]>::to_vec)),
        }
    }

    /// The same sample with bytes of its own.
    pub fn into_owned(self) -> Sample<'static> {
        let own = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        match self {
            Self::Ipv4(address) => Sample::Ipv4(address),
            Self::Ipv6(address) => Sample::Ipv6(address),
            Self::Integer(number) => Sample::Integer(number),
            Self::Bool(bool) => Sample::Bool(bool),
            Self::Str(bytes) => Sample::Str(own(bytes)),
            Self::Binary(bytes) => Sample::Binary(own(bytes)),
            Self::Method(bytes) => Sample::Method(own(bytes)),
        }
    }

    /// A sample that borrows the bytes of this one.
    pub fn borrowed(&self) -> Sample<'_> {
        match self {
            Self::Ipv4(address) => Sample::Ipv4(*address),
            Self::Ipv6(address) => Sample::Ipv6(*address),
            Self::Integer(number) => Sample::Integer(*number),
            Self::Bool(bool) => Sample::Bool(*bool),
            Self::Str(bytes) => Sample::Str(Cow::Borrowed(bytes)),
            Self::Binary(bytes) => Sample::Binary(Cow::Borrowed(bytes)),
            Self::Method(bytes) => Sample::Method(Cow::Borrowed(bytes)),
        }
    }
}

impl<'a> From<&'a str> for Sample<'a> {
    /// A [`Sample::Str`].
    fn from(text: &'a str) -> Self {
        Self::Str(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Sample<'a> {
    /// A [`Sample::Str`].
    fn from(text: &'a [u8]) -> Self {
        Self::Str(Cow::Borrowed(text))
    }
}

impl From<String> for Sample<'_> {
    /// A [`Sample::Str`].
    fn from(text: String) -> Self {
        Self::Str(Cow::Owned(text.into_bytes()))
    }
}

impl From<IpAddr> for Sample<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

impl From<i64> for Sample<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Sample<'_> {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

/// Longer than any address or number.
const LONGEST_TEXT: usize = 48;

fn before_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

/// The IPv4 address at the end of `::a.b.c.d`, which C libraries write in that form.
fn compatible_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    (bits >> 32 == 0 && bits > 0xffff).then(|| Ipv4Addr::from_bits(bits as u32))
}

fn ipv6_of_text(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
