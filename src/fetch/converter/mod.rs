//! Converters: functions from a sample to a sample.

mod constructors;
mod encoding;
mod number;
mod pieces;

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::TableRead;
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
    Table(TableRead),
    #[cfg(feature = "haproxy")]
    Substitute(Arc<Substitution>),
}

/// What is put in the place of what. HAProxy: `regsub`.
#[cfg(feature = "haproxy")]
#[derive(Debug, PartialEq, Eq)]
struct Substitution {
    pattern: crate::pattern::Pattern,
    replacement: crate::pattern::Replacement,
    all: bool,
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
            Op::Table(_) => SampleType::Any,
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
            Op::Table(read) => read.output(),
            _ => SampleType::Str,
        }
    }

    /// Converts a sample; `None` where the conversion fails.
    pub fn apply<'a>(&self, sample: Sample<'a>) -> Option<Sample<'a>> {
        match (&self.0, sample.cast(self.input())?) {
            (Op::Table(read), sample) => read.about(&sample),
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

    #[cfg(feature = "haproxy")]
    pub(super) fn reads_table(&self) -> bool {
        matches!(self.0, Op::Table(_))
    }

    /// Puts the table in the place of its name.
    #[cfg(feature = "haproxy")]
    pub(super) fn bind(&mut self, find: &super::FindTable<'_>) {
        if let Op::Table(read) = &mut self.0 {
            read.bind(find);
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
            #[cfg(feature = "haproxy")]
            Op::Substitute(it) => it.pattern.substitute(text, &it.replacement, it.all),
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
