//! The converters by name.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::number::{Arithmetic, Unary};
use super::pieces::Pieces;
use super::{Converter, Op};
use crate::fetch::TableRead;
use crate::fetch::tables::Question;
use crate::hash::HashFunction;
use crate::table::{DataKind, StickTable};

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

    /// The text with the first match of a pattern replaced, or `all` of them. HAProxy:
    /// `regsub(PATTERN,REPLACEMENT)`, with flag `g` for all.
    ///
    /// ```
    /// use stickroute::haproxy::{Pattern, Replacement};
    /// use stickroute::{Converter, Expression, Fetch, Sample, SimpleRequest};
    ///
    /// let (digits, none) = (Pattern::new("[0-9]+")?, Replacement::parse("N")?);
    /// let path = Expression::from(Fetch::path()).then(Converter::substitute(digits, none, true))?;
    /// let request = SimpleRequest::new("GET", "/users/17/orders/4");
    /// assert_eq!(path.on_request(&request), Some(Sample::from("/users/N/orders/N")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "haproxy")]
    pub fn substitute(
        pattern: crate::haproxy::Pattern,
        replacement: crate::haproxy::Replacement,
        all: bool,
    ) -> Self {
        Self(Op::Substitute(Arc::new(super::Substitution {
            pattern,
            replacement,
            all,
        })))
    }

    /// A `Host` in lower case without its port: what stands before the last colon that is
    /// in no brackets. HAProxy: `host_only`.
    pub fn host_only() -> Self {
        Self(Op::HostOnly)
    }
}

/// Hashes and numbers.
impl Converter {
    /// A hash of 32 bits, on request with [`full_hash`](crate::hash::full_hash) behind it.
    /// HAProxy: `sdbm`, `djb2`, `wt6` and `crc32`, each with `(1)` for the avalanche.
    pub fn hash(function: HashFunction, avalanche: bool) -> Self {
        Self(Op::Hash(function, avalanche))
    }

    /// [`crc32c`](crate::hash::crc32c), on request with [`full_hash`](crate::hash::full_hash) behind it. HAProxy: `crc32c`.
    pub fn crc32c(avalanche: bool) -> Self {
        Self(Op::Crc32c(avalanche))
    }

    /// [`xxh32`](crate::hash::xxh32). HAProxy: `xxh32(SEED)`, seed 0 by default.
    pub fn xxh32(seed: u32) -> Self {
        Self(Op::Xxh32(seed))
    }

    /// [`xxh64`](crate::hash::xxh64) as a signed number. HAProxy: `xxh64(SEED)`, seed 0 by default.
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

/// What a stick table says about the sample as a key.
///
/// There is no value where the sample cannot be a key of the table, see
/// [`KeyType::key`](crate::KeyType::key). Reading refreshes nothing. Expressions have no
/// clock: entries are read as of the latest time the table was told of, see
/// [`StickTable::maintain`].
impl Converter {
    /// Whether there is an entry. HAProxy: `in_table(T)`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use stickroute::{Converter, Expression, Fetch, KeyType, Sample, SimpleRequest, StickTable};
    ///
    /// let abusers = Arc::new(StickTable::builder(KeyType::Ip).size(1_000).build()?);
    /// let is_abuser = Converter::in_table(Arc::clone(&abusers));
    /// let is_abuser = Expression::from(Fetch::src()).then(is_abuser)?;
    /// let request = SimpleRequest::default().source("192.0.2.7".parse()?);
    /// assert_eq!(is_abuser.on_request(&request), Some(Sample::Bool(false)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_table(table: Arc<StickTable>) -> Self {
        Self::of_table(TableRead::new(Question::IsThere, table))
    }

    /// The id of the server of the entry, 0 without either. HAProxy: `table_server_id(T)`.
    pub fn table_server_id(table: Arc<StickTable>) -> Self {
        Self::of_table(TableRead::new(Question::ServerId, table))
    }

    /// How many [hold](StickTable::hold) the entry, and one more for who asks; 0 without
    /// an entry. HAProxy 2.6: `table_trackers(T)`.
    pub fn table_trackers(table: Arc<StickTable>) -> Self {
        Self::of_table(TableRead::new(Question::Trackers, table))
    }

    /// A value stored with the entry, 0 without an entry; no value if the entry is there
    /// and does not store it. HAProxy: `table_gpc0(T)`, `table_conn_rate(T)`,
    /// `table_gpc(I,T)` and so on.
    ///
    /// `element` is 0 but in arrays, whose first two elements also stand for the single
    /// ones of the kind. It takes the lock of the table.
    pub fn table_data(table: Arc<StickTable>, kind: DataKind, element: u32) -> Self {
        Self::of_table(TableRead::new(Question::Data(kind, element), table))
    }

    pub(crate) fn of_table(read: TableRead) -> Self {
        Self(Op::Table(read))
    }
}

fn ipv4_mask(bits: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(!u32::MAX.checked_shr(bits.into()).unwrap_or(0))
}

fn ipv6_mask(bits: u8) -> Ipv6Addr {
    Ipv6Addr::from_bits(!u128::MAX.checked_shr(bits.into()).unwrap_or(0))
}
