//! Converters by their names.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::arguments::{Arguments, integer, unsigned};
use super::error::ExpressionError;
use super::fetches::{ipv4, ipv6};
use crate::fetch::{Arithmetic, Converter};
use crate::hash::HashFunction;
use crate::pattern::{Pattern, Replacement};

type Read = Result<Option<Converter>, ExpressionError>;

/// `None` for a name that is not supported.
pub(super) fn read(name: &str, arguments: &mut Arguments) -> Read {
    if let Some(converter) = plain(name) {
        return Ok(Some(converter));
    }
    if let Some(operation) = arithmetic(name) {
        let operand = arguments.parse_required("a whole number", integer)?;
        return Ok(Some(Converter::arithmetic(operation, operand)));
    }
    if let Some(converter) = hash(name, arguments)? {
        return Ok(Some(converter));
    }
    Ok(Some(match name {
        "ipmask" => ipmask(arguments)?,
        "url_dec" => match arguments.parse(INTEGER, integer)? {
            None | Some(0) => Converter::url_decode(),
            Some(_) => Converter::url_decode_form(),
        },
        "url_enc" => url_encode(arguments)?,
        "concat" => concat(arguments)?,
        "bytes" => bytes(arguments)?,
        "regsub" => regsub(arguments)?,
        "field" => {
            let (index, delimiters, count) = pieces(arguments)?;
            Converter::fields(index, delimiters, count)
        }
        "word" => {
            let (index, delimiters, count) = pieces(arguments)?;
            Converter::words(index, delimiters, count)
        }
        "ltrim" => Converter::trim_start(arguments.required(TRIMMED)?),
        "rtrim" => Converter::trim_end(arguments.required(TRIMMED)?),
        _ => return Ok(None),
    }))
}

const INTEGER: &str = "a whole number";
const REPLACEMENT: &str = "a text with a digit, xHH or another byte behind each \\";
const TRIMMED: &str = "the characters to take away";

fn plain(name: &str) -> Option<Converter> {
    Some(match name {
        "lower" => Converter::lower(),
        "upper" => Converter::upper(),
        "hex" => Converter::hex(),
        "hex2i" => Converter::hex_to_integer(),
        "base64" => Converter::base64(),
        "b64dec" => Converter::from_base64(),
        "length" => Converter::length(),
        "host_only" => Converter::host_only(),
        "neg" => Converter::negate(),
        "cpl" => Converter::complement(),
        "odd" => Converter::odd(),
        "even" => Converter::even(),
        "bool" => Converter::bool(),
        "not" => Converter::not(),
        _ => return None,
    })
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        "add" => Arithmetic::Add,
        "sub" => Arithmetic::Subtract,
        "mul" => Arithmetic::Multiply,
        "div" => Arithmetic::Divide,
        "mod" => Arithmetic::Remainder,
        "and" => Arithmetic::And,
        "or" => Arithmetic::Or,
        "xor" => Arithmetic::Xor,
        _ => return None,
    })
}

/// The argument is the avalanche, any number but 0, or a seed.
fn hash(name: &str, arguments: &mut Arguments) -> Read {
    let function = match name {
        "sdbm" => HashFunction::Sdbm,
        "djb2" => HashFunction::Djb2,
        "wt6" => HashFunction::Wt6,
        "crc32" => HashFunction::Crc32,
        "crc32c" | "xxh32" | "xxh64" => HashFunction::Decimal,
        _ => return Ok(None),
    };
    let number = arguments.parse(INTEGER, integer)?.unwrap_or(0);
    Ok(Some(match name {
        "crc32c" => Converter::crc32c(number != 0),
        "xxh32" => Converter::xxh32(number as u32),
        "xxh64" => Converter::xxh64(number as u64),
        _ => Converter::hash(function, number != 0),
    }))
}

fn ipmask(arguments: &mut Arguments) -> Result<Converter, ExpressionError> {
    let v4 = arguments.parse_required("a number of bits up to 32, or a mask", ipv4_mask)?;
    let v6 = arguments.parse("a number of bits up to 128, or a mask", ipv6_mask)?;
    Ok(Converter::netmask(v4, v6))
}

pub(in crate::haproxy) fn ipv4_mask(text: &[u8]) -> Option<Ipv4Addr> {
    match unsigned::<u32>(text) {
        Some(bits) if bits <= 32 => Some(Ipv4Addr::from_bits(
            !u32::MAX.checked_shr(bits).unwrap_or(0),
        )),
        Some(_) => None,
        None => ipv4(text),
    }
}

pub(in crate::haproxy) fn ipv6_mask(text: &[u8]) -> Option<Ipv6Addr> {
    match unsigned::<u32>(text) {
        Some(bits) if bits <= 128 => Some(Ipv6Addr::from_bits(
            !u128::MAX.checked_shr(bits).unwrap_or(0),
        )),
        Some(_) => None,
        None => ipv6(text),
    }
}

fn url_encode(arguments: &mut Arguments) -> Result<Converter, ExpressionError> {
    arguments.parse("query, or nothing", |text| (text == b"query").then_some(()))?;
    Ok(Converter::url_encode())
}

/// There are no variables here.
fn concat(arguments: &mut Arguments) -> Result<Converter, ExpressionError> {
    let mut text = arguments.optional().unwrap_or_default().to_vec();
    if arguments.optional().is_some() {
        return Err(arguments.not_supported());
    }
    text.extend(arguments.optional().unwrap_or_default());
    Ok(Converter::append(text))
}

fn bytes(arguments: &mut Arguments) -> Result<Converter, ExpressionError> {
    let offset = arguments.parse_required("an offset from 0", unsigned)?;
    let length = arguments.parse("a length from 0", unsigned)?;
    Ok(match length {
        Some(length) => Converter::bytes(offset, length),
        None => Converter::bytes_from(offset),
    })
}

/// The flags are behind the pattern, which is read by them.
fn regsub(arguments: &mut Arguments) -> Result<Converter, ExpressionError> {
    let text = arguments.required("a regular expression")?.to_vec();
    let place = arguments.here();
    let replacement =
        arguments.parse_even_empty(REPLACEMENT, |text| Replacement::parse(text).ok())?;
    let flags = arguments.parse("some of the flags g and i", |flags| {
        let known = flags.iter().all(|flag| matches!(flag, b'g' | b'i'));
        known.then(|| (flags.contains(&b'g'), flags.contains(&b'i')))
    })?;
    let (all, ignores_case) = flags.unwrap_or_default();
    let pattern = if ignores_case {
        Pattern::ignoring_case(&text)
    } else {
        Pattern::new(&text)
    };
    let pattern = pattern.map_err(|error| arguments.no_pattern(place, error))?;
    Ok(Converter::substitute(pattern, replacement, all))
}

type PiecesArguments = (i32, Vec<u8>, Option<u32>);

fn pieces(arguments: &mut Arguments) -> Result<PiecesArguments, ExpressionError> {
    let index = arguments.parse_required("a number from 1, or from -1 for the end", |text| {
        let index = integer(text)?.try_into().ok()?;
        (index != 0).then_some(index)
    })?;
    let delimiters = arguments.required("the delimiters")?.to_vec();
    let count = arguments.parse("how many, or 0 for all there are", unsigned)?;
    let count = match count {
        None => Some(1),
        Some(0) => None,
        Some(count) => Some(count),
    };
    Ok((index, delimiters, count))
}
