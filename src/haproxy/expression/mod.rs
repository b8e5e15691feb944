//! Sample expressions: `req.hdr(x-key,1),lower`.

mod arguments;
mod converters;
mod error;
mod fetches;
mod known;

use crate::fetch::{Converter, Expression, Fetch};

use arguments::Reader;
pub(super) use arguments::integer;
pub(super) use converters::{ipv4_mask, ipv6_mask};
pub use error::{ExpressionError, ExpressionProblem};
pub(super) use fetches::{binary, ipv6};

/// Reads a sample expression: a fetch, and converters behind commas.
///
/// The text is one word of a line, after the quotes of the line itself were taken off.
/// Quotes in an argument protect commas and parentheses.
///
/// ```
/// use stickroute::{Sample, SimpleRequest, haproxy};
///
/// let key = haproxy::expression("req.hdr(x-key,1),field(1,':'),lower")?;
/// let request = SimpleRequest::new("GET", "/").header("X-Key", "Alpha:7, beta");
/// assert_eq!(key.on_request(&request), Some(Sample::from("alpha")));
///
/// let error = haproxy::expression("hdr(x),lowr").unwrap_err();
/// assert_eq!(error.to_string(), "character 8: there is no converter \"lowr\"");
/// # Ok::<(), haproxy::ExpressionError>(())
/// ```
///
/// | fetches of a request | |
/// |---|---|
/// | connection | `src` `src_port` `dst` `dst_port` `ssl_fc` |
/// | request line | `method` `url` `path` `pathq` `query` `base` `base32` `base32+src` `url32` `url32+src` `url_param(NAME)` `urlp(NAME)` `urlp_val(NAME)` |
/// | header fields | `req.hdr(NAME,N)` `req.fhdr(NAME,N)` `req.hdr_ip(NAME,N)` `req.hdr_val(NAME,N)` `req.hdr_cnt(NAME)` `req.fhdr_cnt(NAME)`, without `req.` too |
/// | cookies | `req.cook(NAME)` `req.cook_val(NAME)` `req.cook_cnt(NAME)`, without `req.` too |
/// | first bytes | `req.payload(OFFSET,LENGTH)` `req.payload_lv(OFFSET,SIZE)` `req.len` `req.rdp_cookie(NAME)` `req.rdp_cookie_cnt(NAME)` `req.ssl_hello_type` |
/// | constants | `always_true` `always_false` `bool(B)` `int(N)` `str(TEXT)` `bin(HEX)` `ipv4(A)` `ipv6(A)` `meth(M)` |
///
/// Of a response there are `status`, `res.` instead of `req.` in all of these but
/// `res.rdp_cookie`, and `shdr` and `scook`. `hdr`, `cookie`, `payload` and `payload_lv`
/// look at whichever message is at hand.
///
/// | converters | |
/// |---|---|
/// | letters, encodings | `lower` `upper` `hex` `hex2i` `base64` `b64dec` `url_dec` `url_enc` |
/// | pieces | `field(N,DELIMITERS,COUNT)` `word(N,DELIMITERS,COUNT)` `bytes(OFFSET,LENGTH)` `ltrim(BYTES)` `rtrim(BYTES)` `host_only` `length` `concat(TEXT)` |
/// | addresses | `ipmask(BITS,BITS)` |
/// | hashes | `sdbm` `djb2` `wt6` `crc32` `crc32c`, each with `(1)` for the avalanche, `xxh32(SEED)` `xxh64(SEED)` |
/// | numbers | `add(N)` `sub(N)` `mul(N)` `div(N)` `mod(N)` `and(N)` `or(N)` `xor(N)` `neg` `cpl` `odd` `even` `bool` `not` |
///
/// # Errors
/// The first thing that is wrong, with its place and what would be right. A name that
/// HAProxy 2.6 knows and this library does not is told apart from one nobody knows.
pub fn expression(text: impl AsRef<[u8]>) -> Result<Expression, ExpressionError> {
    read(text.as_ref(), None)
}

/// As [`expression`]; the fetch is read as if it had the name `alias`.
pub(super) fn read(text: &[u8], alias: Option<&str>) -> Result<Expression, ExpressionError> {
    let mut reader = Reader::new(text);
    let mut expression = Expression::from(fetch(&mut reader, alias)?);
    while reader.comma()? {
        let position = reader.position();
        let converter = converter(&mut reader)?;
        expression = expression
            .then(converter)
            .map_err(|mismatch| error::problem(position, ExpressionProblem::Type(mismatch)))?;
    }
    Ok(expression)
}

/// The name a text begins with, up to the first byte that is in no name.
pub(super) fn leading_name(text: &[u8]) -> &str {
    Reader::new(text).name()
}

fn fetch(reader: &mut Reader<'_>, alias: Option<&str>) -> Result<Fetch, ExpressionError> {
    let position = reader.position();
    let written = reader.name();
    let name = alias.unwrap_or(written);
    let mut arguments = reader.arguments(written)?;
    let Some(fetch) = fetches::read(name, &mut arguments)? else {
        let found = name.to_owned();
        return Err(error::problem(
            position,
            if known::is_fetch(name) {
                ExpressionProblem::NotSupportedFetch { found }
            } else {
                ExpressionProblem::UnknownFetch { found }
            },
        ));
    };
    arguments.end()?;
    Ok(fetch)
}

fn converter(reader: &mut Reader<'_>) -> Result<Converter, ExpressionError> {
    let position = reader.position();
    let name = reader.name();
    let mut arguments = reader.arguments(name)?;
    let Some(converter) = converters::read(name, &mut arguments)? else {
        let found = name.to_owned();
        return Err(error::problem(
            position,
            if known::is_converter(name) {
                ExpressionProblem::NotSupportedConverter { found }
            } else {
                ExpressionProblem::UnknownConverter { found }
            },
        ));
    };
    arguments.end()?;
    Ok(converter)
}
