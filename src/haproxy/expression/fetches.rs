//! Fetches by their names.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::arguments::{Arguments, integer, unsigned};
use super::error::ExpressionError;
use crate::fetch::{CookieView, Fetch, FieldView, HeaderFetch, Payload, Side, digit};
use crate::haproxy::is_token;
use crate::sample::Sample;
use crate::text::leading_ipv4;

type Read = Result<Option<Fetch>, ExpressionError>;

/// `None` for a name that is not supported.
pub(super) fn read(name: &str, arguments: &mut Arguments) -> Read {
    if let Some(fetch) = plain(name) {
        return Ok(Some(fetch));
    }
    if let Some((side, view)) = field(name) {
        return header(side, view, arguments).map(Some);
    }
    if let Some((side, view)) = cookie(name) {
        let name = arguments.required("the name of a cookie")?;
        return Ok(Some(Fetch::cookie_of(side, name, view)));
    }
    if let Some(fetch) = of_payload(name, arguments)? {
        return Ok(Some(fetch));
    }
    match name {
        "url_param" | "urlp" => parameter(arguments).map(|name| Some(Fetch::url_param(name))),
        "urlp_val" => parameter(arguments).map(|name| Some(Fetch::url_param_integer(name))),
        _ => constant(name, arguments),
    }
}

fn plain(name: &str) -> Option<Fetch> {
    Some(match name {
        "src" => Fetch::src(),
        "src_port" => Fetch::src_port(),
        "dst" => Fetch::dst(),
        "dst_port" => Fetch::dst_port(),
        "ssl_fc" => Fetch::is_tls(),
        "method" => Fetch::method(),
        "url" => Fetch::url(),
        "path" => Fetch::path(),
        "pathq" => Fetch::path_and_query(),
        "query" => Fetch::query(),
        "base" => Fetch::base(),
        "base32" => Fetch::base32(),
        "base32+src" => Fetch::base32_src(),
        "url32" => Fetch::url32(),
        "url32+src" => Fetch::url32_src(),
        "status" => Fetch::status(),
        "always_true" => Fetch::constant(true),
        "always_false" => Fetch::constant(false),
        "wait_end" => Fetch::wait_end(),
        _ => return None,
    })
}

fn field(name: &str) -> Option<(Side, FieldView)> {
    Some(match name {
        "hdr" => (Side::Either, FieldView::Element),
        "req.hdr" => (Side::Request, FieldView::Element),
        "res.hdr" | "shdr" => (Side::Response, FieldView::Element),
        "req.fhdr" => (Side::Request, FieldView::Line),
        "res.fhdr" => (Side::Response, FieldView::Line),
        "hdr_ip" | "req.hdr_ip" => (Side::Request, FieldView::Address),
        "res.hdr_ip" | "shdr_ip" => (Side::Response, FieldView::Address),
        "hdr_val" | "req.hdr_val" => (Side::Request, FieldView::Integer),
        "res.hdr_val" | "shdr_val" => (Side::Response, FieldView::Integer),
        "hdr_cnt" | "req.hdr_cnt" => (Side::Request, FieldView::ElementCount),
        "res.hdr_cnt" | "shdr_cnt" => (Side::Response, FieldView::ElementCount),
        "req.fhdr_cnt" => (Side::Request, FieldView::LineCount),
        "res.fhdr_cnt" => (Side::Response, FieldView::LineCount),
        _ => return None,
    })
}

fn cookie(name: &str) -> Option<(Side, CookieView)> {
    Some(match name {
        "cookie" => (Side::Either, CookieView::Value),
        "cook" | "req.cook" => (Side::Request, CookieView::Value),
        "res.cook" | "scook" => (Side::Response, CookieView::Value),
        "cook_cnt" | "req.cook_cnt" => (Side::Request, CookieView::Count),
        "res.cook_cnt" | "scook_cnt" => (Side::Response, CookieView::Count),
        "cook_val" | "req.cook_val" => (Side::Request, CookieView::Integer),
        "res.cook_val" | "scook_val" => (Side::Response, CookieView::Integer),
        _ => return None,
    })
}

/// A name is needed: the views of messages hand out no field without one.
fn header(
    side: Side,
    view: FieldView,
    arguments: &mut Arguments,
) -> Result<Fetch, ExpressionError> {
    let name = arguments.parse_required("the name of a header field", |name| {
        let name = std::str::from_utf8(name).ok()?;
        is_token(name).then(|| name.to_owned())
    })?;
    let header = HeaderFetch::new(side, name, view);
    if matches!(view, FieldView::ElementCount | FieldView::LineCount) {
        return Ok(header.into());
    }
    let number = arguments.parse("a number from -10, of which -1 is the last one", |text| {
        let number = integer(text)?.try_into().ok()?;
        (number >= -10).then_some(number)
    })?;
    Ok(match number {
        Some(number) => header.occurrence(number).into(),
        None => header.into(),
    })
}

fn parameter(arguments: &mut Arguments) -> Result<Vec<u8>, ExpressionError> {
    let name = arguments.required("the name of a parameter")?.to_vec();
    match arguments.optional() {
        None => Ok(name),
        Some(_) => Err(arguments.not_supported()),
    }
}

fn of_payload(name: &str, arguments: &mut Arguments) -> Read {
    let (side, bare) = match name.split_once('.') {
        Some(("req", bare)) => (Side::Request, bare),
        Some(("res", bare)) => (Side::Response, bare),
        None if name.starts_with("payload") => (Side::Either, name),
        _ => match name {
            "rdp_cookie" | "rdp_cookie_cnt" => (Side::Request, name),
            "req_len" => (Side::Request, "len"),
            "req_ssl_hello_type" => (Side::Request, "ssl_hello_type"),
            "rep_ssl_hello_type" => (Side::Response, "ssl_hello_type"),
            _ => return Ok(None),
        },
    };
    let payload = match bare {
        "len" => Payload::Length,
        "payload" => range(arguments)?,
        "payload_lv" => prefixed(arguments)?,
        "ssl_hello_type" => Payload::HelloType,
        "rdp_cookie" if side == Side::Request => Payload::RdpCookie(rdp_name(arguments)),
        "rdp_cookie_cnt" if side == Side::Request => Payload::RdpCookieCount(rdp_name(arguments)),
        _ => return Ok(None),
    };
    Ok(Some(Fetch::payload_of(side, payload)))
}

fn rdp_name(arguments: &mut Arguments) -> Option<std::sync::Arc<[u8]>> {
    arguments.optional().map(Into::into)
}

fn range(arguments: &mut Arguments) -> Result<Payload, ExpressionError> {
    let offset = arguments.parse_required("an offset from 0", unsigned)?;
    let length = arguments.parse_required("a length, or 0 for all there is", unsigned)?;
    let length = (length > 0).then_some(length);
    Ok(Payload::Range { offset, length })
}

fn prefixed(arguments: &mut Arguments) -> Result<Payload, ExpressionError> {
    let offset = arguments.parse_required("an offset from 0", unsigned)?;
    let size = arguments.parse_required("the size of a length, 1 to 4 bytes", |text| {
        unsigned(text).filter(|size| (1..=4).contains(size))
    })?;
    match arguments.optional() {
        None => Ok(Payload::Prefixed { offset, size }),
        Some(_) => Err(arguments.not_supported()),
    }
}

fn constant(name: &str, arguments: &mut Arguments) -> Read {
    let sample = match name {
        "str" => {
            let text = arguments.optional().unwrap_or_default();
            Sample::Str(text.to_vec().into())
        }
        "int" => Sample::Integer(arguments.parse_required("a whole number", integer)?),
        "bool" => Sample::Bool(arguments.parse_required("true, false, 1 or 0", boolean)?),
        "bin" => {
            let bytes = arguments.parse_required("pairs of hexadecimal digits", binary)?;
            Sample::Binary(bytes.into())
        }
        "ipv4" => Sample::Ipv4(arguments.parse_required("an IPv4 address", ipv4)?),
        "ipv6" => Sample::Ipv6(arguments.parse_required("an IPv6 address", ipv6)?),
        "meth" => {
            let method = arguments.required("a method")?;
            Sample::Method(method.to_vec().into())
        }
        _ => return Ok(None),
    };
    Ok(Some(Fetch::constant(sample)))
}

fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"1" => Some(true),
        b"0" => Some(false),
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

pub(in crate::haproxy) fn binary(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    pairs.iter().map(byte).collect()
}

pub(in crate::haproxy) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let is_dotted = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    leading_ipv4(text).filter(|_| is_dotted)
}

pub(in crate::haproxy) fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
