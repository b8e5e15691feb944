//! Converters: functions from a sample to a sample.

mod encoding;
mod number;
mod pieces;

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::hash::{self, HashFunction, full_hash};
use crate::sample::{Sample, SampleType};

pub use number::Arithmetic;
use number::Unary;
use pieces::Pieces;

/// A function from a sample to a sample, of those HAProxy knows.
///
/// A converter casts its input first (see [`Sample::cast`]); where there is no value of
/// its input type, or the conversion fails, the expression has no value. None of them
/// allocates unless it makes new bytes: [`lower`](Self::lower) of a text in lower case
/// is that text.
///
/// ```
/// use stickroute::{Converter, Expression, Fetch, Sample, SimpleRequest};
///
/// let tenant = Expression::from(Fetch::path()).then(Converter::field(2, "/"))?;
/// let request = SimpleRequest::new("GET", "/acme/orders/7");
/// assert_eq!(tenant.on_request(&request), Some(Sample::from("acme")));
/// # Ok::<(), stickroute::TypeMismatch>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Converter(Op);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Op {
    Lower,
    Upper,
    IpMask(Ipv4Addr, Option<Ipv6Addr>),
    UrlDecode {
        is_form: bool,
    },
    UrlEncode,
    Hex,
    HexToInteger,
    Base64,
    FromBase64,
    Append(Arc<[u8]>),
    Length,
    Bytes {
        offset: usize,
        length: Option<usize>,
    },
    Field(Pieces),
    Word(Pieces),
    TrimStart(Arc<[u8]>),
    TrimEnd(Arc<[u8]>),
    HostOnly,
    Hash(HashFunction, bool),
    Crc32c(bool),
    Xxh32(u32),
    Xxh64(u64),
    Arithmetic(Arithmetic, i64),
    Unary(Unary),
    Not,
    Bool,
}

/// Letters and addresses.
impl Converter {
    /// ASCII letters in lower case. HAProxy: `lower`.
    pub fn lower() -> Self {
        Self(Op::Lower)
    }

    /// ASCII letters in upper case. HAProxy: `upper`.
    pub fn upper() -> Self {
        Self(Op::Upper)
    }

    /// The network an IPv4 address is in, of this many bits; more than 32 are 32. An
    /// IPv6 address that holds an IPv4 one becomes that; another has no value.
    /// HAProxy: `ipmask(BITS)`.
    pub fn ipmask(bits: u8) -> Self {
        Self(Op::IpMask(ipv4_mask(bits), None))
    }

    /// The network an address is in: so many bits of an IPv4 address (at most 32), so
    /// many of an IPv6 address (at most 128). HAProxy: `ipmask(BITS,BITS)`.
    ///
    /// ```
    /// use stickroute::{Converter, Expression, Fetch, SimpleRequest};
    ///
    /// // Clients with IPv6 privacy addresses stay inside their /64.
    /// let network = Expression::from(Fetch::src()).then(Converter::ipmask_both(24, 64))?;
    /// let request = SimpleRequest::default().source("2001:db8::17".parse().unwrap());
    /// let text = network.on_request(&request).map(|sample| sample.with_text(<[u8]>::to_vec));
    /// assert_eq!(text.as_deref(), Some(&b"2001:db8::"[..]));
    /// # Ok::<(), stickroute::TypeMismatch>(())
    /// ```
    pub fn ipmask_both(ipv4_bits: u8, ipv6_bits: u8) -> Self {
        Self::netmask(ipv4_mask(ipv4_bits), Some(ipv6_mask(ipv6_bits)))
    }

    /// The bits of an address that are set in a mask, which need not be contiguous.
    /// HAProxy: `ipmask(MASK)` and `ipmask(MASK,MASK)`.
    pub fn netmask(ipv4: Ipv4Addr, ipv6: Option<Ipv6Addr>) -> Self {
        Self(Op::IpMask(ipv4, ipv6))
    }
}

/// Encodings.
impl Converter {
    /// Percent-decoding; `+` becomes a space behind the first `?`. No value where `%` is
    /// not followed by two hexadecimal digits. HAProxy: `url_dec`.
    pub fn url_decode() -> Self {
        Self(Op::UrlDecode { is_form: false })
    }

    /// Percent-decoding of a form or a query: every `+` becomes a space.
    /// HAProxy: `url_dec(1)`.
    pub fn url_decode_form() -> Self {
        Self(Op::UrlDecode { is_form: true })
    }

    /// Percent-encoding of all but letters, digits and `-._~`. HAProxy: `url_enc`.
    pub fn url_encode() -> Self {
        Self(Op::UrlEncode)
    }

    /// Two upper-case hexadecimal digits a byte. HAProxy: `hex`.
    pub fn hex() -> Self {
        Self(Op::Hex)
    }

    /// The number written in hexadecimal digits, of which the last 16 count; no value
    /// with anything else in it. HAProxy: `hex2i`.
    pub fn hex_to_integer() -> Self {
        Self(Op::HexToInteger)
    }

    /// Base64 with padding (RFC 4648 section 4). HAProxy: `base64`.
    pub fn base64() -> Self {
        Self(Op::Base64)
    }

    /// The bytes that were written in base64 with padding; no value for anything else.
    /// HAProxy: `b64dec`.
    pub fn from_base64() -> Self {
        Self(Op::FromBase64)
    }
}

/// Pieces of text.
impl Converter {
    /// The text with more behind it. HAProxy: `concat(TEXT)`, without a variable.
    pub fn append(text: impl Into<Vec<u8>>) -> Self {
        Self(Op::Append(text.into().into()))
    }

    /// Length in bytes. HAProxy: `length`.
    pub fn length() -> Self {
        Self(Op::Length)
    }

    /// The bytes from `offset` to the end; empty if there are none.
    /// HAProxy: `bytes(OFFSET)`.
    pub fn bytes_from(offset: usize) -> Self {
        let length = None;
        Self(Op::Bytes { offset, length })
    }

    /// At most `length` bytes from `offset`; empty if there are none.
    /// HAProxy: `bytes(OFFSET,LENGTH)`.
    pub fn bytes(offset: usize, length: usize) -> Self {
        let length = Some(length);
        Self(Op::Bytes { offset, length })
    }

    /// One of the fields between delimiters, counted from 1, or from the end and -1.
    ///
    /// Each byte of `delimiters` is one. Two delimiters in a row have an empty field
    /// between them; a field that is not there is no value, and field 0 never is there.
    /// HAProxy: `field(INDEX,DELIMITERS)`.
    pub fn field(index: i32, delimiters: impl Into<Vec<u8>>) -> Self {
        Self(Op::Field(Pieces::new(index, delimiters.into(), Some(1))))
    }

    /// So many fields in a row, onwards from `index` or, with a negative one, backwards;
    /// `None` takes all there are. HAProxy: `field(INDEX,DELIMITERS,COUNT)`, 0 for all.
    pub fn fields(index: i32, delimiters: impl Into<Vec<u8>>, count: Option<u32>) -> Self {
        Self(Op::Field(Pieces::new(index, delimiters.into(), count)))
    }

    /// One of the words between runs of delimiters, as [`field`](Self::field) otherwise;
    /// a word that is not there is empty.
    /// HAProxy: `word(INDEX,DELIMITERS)`.
    pub fn word(index: i32, delimiters: impl Into<Vec<u8>>) -> Self {
        Self(Op::Word(Pieces::new(index, delimiters.into(), Some(1))))
    }

    /// So many words in a row. If the text ends before they are complete, the delimiters
    /// at that end of it belong to them. HAProxy: `word(INDEX,DELIMITERS,COUNT)`, 0 for
    /// all.
    pub fn words(index: i32, delimiters: impl Into<Vec<u8>>, count: Option<u32>) -> Self {
        Self(Op::Word(Pieces::new(index, delimiters.into(), count)))
    }

    /// The text without these bytes at its start. HAProxy: `ltrim(BYTES)`.
    pub fn trim_start(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Op::TrimStart(bytes.into().into()))
    }

    /// The text without these bytes at its end. HAProxy: `rtrim(BYTES)`.
    pub fn trim_end(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Op::TrimEnd(bytes.into().into()))
    }

    /// A `Host` in lower case without its port: what stands before the last colon that is
    /// in no brackets. HAProxy: `host_only`.
    pub fn host_only() -> Self {
        Self(Op::HostOnly)
    }
}

/// Hashes and numbers.
impl Converter {
    /// A hash of 32 bits, on request with [`full_hash`] behind it.
    /// HAProxy: `sdbm`, `djb2`, `wt6` and `crc32`, each with `(1)` for the avalanche.
    pub fn hash(function: HashFunction, avalanche: bool) -> Self {
        Self(Op::Hash(function, avalanche))
    }

    /// [`hash::crc32c`], on request with [`full_hash`] behind it. HAProxy: `crc32c`.
    pub fn crc32c(avalanche: bool) -> Self {
        Self(Op::Crc32c(avalanche))
    }

    /// [`hash::xxh32`]. HAProxy: `xxh32(SEED)`, seed 0 by default.
    pub fn xxh32(seed: u32) -> Self {
        Self(Op::Xxh32(seed))
    }

    /// [`hash::xxh64`] as a signed number. HAProxy: `xxh64(SEED)`, seed 0 by default.
    pub fn xxh64(seed: u64) -> Self {
        Self(Op::Xxh64(seed))
    }

    /// A calculation with a second number.
    pub fn arithmetic(operation: Arithmetic, operand: i64) -> Self {
        Self(Op::Arithmetic(operation, operand))
    }

    /// The opposite number; of the smallest one the largest. HAProxy: `neg`.
    pub fn negate() -> Self {
        Self(Op::Unary(Unary::Negate))
    }

    /// The number with every bit inverted. HAProxy: `cpl`.
    pub fn complement() -> Self {
        Self(Op::Unary(Unary::Complement))
    }

    /// Whether the number is odd. HAProxy: `odd`.
    pub fn odd() -> Self {
        Self(Op::Unary(Unary::Odd))
    }

    /// Whether the number is even. HAProxy: `even`.
    pub fn even() -> Self {
        Self(Op::Unary(Unary::Even))
    }

    /// Whether the number is not 0. HAProxy: `bool`.
    pub fn bool() -> Self {
        Self(Op::Bool)
    }

    /// Whether the number is 0. HAProxy: `not`.
    pub fn not() -> Self {
        Self(Op::Not)
    }
}

impl Converter {
    /// The type a sample is cast to before the conversion.
    pub fn input(&self) -> SampleType {
        match self.0 {
            Op::IpMask(..) => SampleType::Address,
            Op::Hex
            | Op::Base64
            | Op::Bytes { .. }
            | Op::Hash(..)
            | Op::Crc32c(_)
            | Op::Xxh32(_)
            | Op::Xxh64(_) => SampleType::Binary,
            Op::Arithmetic(..) | Op::Unary(_) | Op::Bool => SampleType::Integer,
            Op::Not => SampleType::Bool,
            _ => SampleType::Str,
        }
    }

    /// The type of what comes out.
    pub fn output(&self) -> SampleType {
        match &self.0 {
            Op::IpMask(..) => SampleType::Address,
            Op::FromBase64 | Op::Bytes { .. } => SampleType::Binary,
            Op::Hash(..)
            | Op::Crc32c(_)
            | Op::Xxh32(_)
            | Op::Xxh64(_)
            | Op::HexToInteger
            | Op::Length
            | Op::Arithmetic(..) => SampleType::Integer,
            Op::Unary(unary) => unary.output(),
            Op::Bool | Op::Not => SampleType::Bool,
            _ => SampleType::Str,
        }
    }

    /// Converts a sample; `None` where the conversion fails.
    pub fn apply<'a>(&self, sample: Sample<'a>) -> Option<Sample<'a>> {
        match (&self.0, sample.cast(self.input())?) {
            (_, Sample::Str(text)) => self.of_text(text),
            (_, Sample::Binary(bytes)) => Some(self.of_bytes(bytes)),
            (Op::IpMask(mask, _), Sample::Ipv4(v4)) => Some(Sample::Ipv4(v4 & *mask)),
            (Op::IpMask(v4_mask, v6_mask), Sample::Ipv6(v6)) => match v6.to_ipv4_mapped() {
                Some(v4) => Some(Sample::Ipv4(v4 & *v4_mask)),
                None => v6_mask.map(|mask| Sample::Ipv6(v6 & mask)),
            },
            (Op::Arithmetic(operation, operand), Sample::Integer(number)) => {
                Some(Sample::Integer(operation.apply(number, *operand)))
            }
            (Op::Unary(unary), Sample::Integer(number)) => Some(unary.apply(number)),
            (Op::Bool, Sample::Integer(number)) => Some(Sample::Bool(number != 0)),
            (Op::Not, Sample::Bool(bool)) => Some(Sample::Bool(!bool)),
            _ => None,
        }
    }

    fn of_text<'a>(&self, text: Cow<'a, [u8]>) -> Option<Sample<'a>> {
        Some(Sample::Str(match &self.0 {
            Op::Lower => encoding::map_bytes(text, u8::to_ascii_lowercase),
            Op::Upper => encoding::map_bytes(text, u8::to_ascii_uppercase),
            Op::UrlDecode { is_form } => encoding::url_decode(text, *is_form)?,
            Op::UrlEncode => encoding::url_encode(text),
            Op::HexToInteger => return encoding::hex_to_integer(&text).map(Sample::Integer),
            Op::FromBase64 => return Some(Sample::Binary(encoding::from_base64(&text)?.into())),
            Op::Length => return Some(Sample::Integer(text.len() as i64)),
            Op::Append(more) => [&text, &more[..]].concat().into(),
            Op::Field(pieces) => try_part(text, |text| pieces.fields(text))?,
            Op::Word(pieces) => part(text, |text| pieces.words(text)),
            Op::TrimStart(bytes) => part(text, |text| pieces::trim_start(text, bytes)),
            Op::TrimEnd(bytes) => part(text, |text| pieces::trim_end(text, bytes)),
            Op::HostOnly => {
                encoding::map_bytes(part(text, pieces::host_only), u8::to_ascii_lowercase)
            }
            _ => return None,
        }))
    }

    fn of_bytes<'a>(&self, bytes: Cow<'a, [u8]>) -> Sample<'a> {
        let mix = |hash: u32, avalanche: bool| if avalanche { full_hash(hash) } else { hash };
        Sample::Integer(match self.0 {
            Op::Hex => return Sample::Str(encoding::hex(&bytes).into()),
            Op::Base64 => return Sample::Str(encoding::base64(&bytes).into()),
            Op::Bytes { offset, length } => {
                return Sample::Binary(part(bytes, |bytes| pieces::bytes(bytes, offset, length)));
            }
            Op::Hash(function, avalanche) => mix(function.hash(&bytes), avalanche).into(),
            Op::Crc32c(avalanche) => mix(hash::crc32c(&bytes), avalanche).into(),
            Op::Xxh32(seed) => hash::xxh32(&bytes, seed).into(),
            Op::Xxh64(seed) => hash::xxh64(&bytes, seed) as i64,
            _ => return Sample::Binary(bytes),
        })
    }
}

impl fmt::Debug for Converter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of the text, borrowed if the text is.
fn try_part(
    text: Cow<'_, [u8]>,
    part: impl FnOnce(&[u8]) -> Option<&[u8]>,
) -> Option<Cow<'_, [u8]>> {
    match text {
        Cow::Borrowed(text) => part(text).map(Cow::Borrowed),
        Cow::Owned(text) => Some(Cow::Owned(part(&text)?.to_vec())),
    }
}

fn part(text: Cow<'_, [u8]>, part: impl FnOnce(&[u8]) -> &[u8]) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => Cow::Owned(part(&text).to_vec()),
    }
}

fn ipv4_mask(bits: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(!u32::MAX.checked_shr(bits.into()).unwrap_or(0))
}

fn ipv6_mask(bits: u8) -> Ipv6Addr {
    Ipv6Addr::from_bits(!u128::MAX.checked_shr(bits.into()).unwrap_or(0))
}
