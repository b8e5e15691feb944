//! What a proxy takes off a message and puts on it.

use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::{Method, Uri, Version, response};
use hyper::{Request, Response, StatusCode};
use stickroute::RequestEdits;

use crate::client::head::LONGEST_NAME;
use crate::server::pool::RequestBody;

/// Fields that concern one connection only (RFC 9110 section 7.6.1).
pub(crate) static HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What every recipient needs, so that it cannot be listed (RFC 9110 section 7.6.1).
static NOT_LISTED: [HeaderName; 2] = [header::CONTENT_LENGTH, header::HOST];

/// Removes what `Connection` lists. Do it before anything is added: a client must not be
/// able to have a field removed that this proxy tells the server.
pub(crate) fn remove_listed(headers: &mut HeaderMap) {
    let listed: Vec<String> = connection_options(headers).map(str::to_owned).collect();
    for name in &listed {
        if !NOT_LISTED
            .iter()
            .chain(&HOP_BY_HOP)
            .any(|kept| name.eq_ignore_ascii_case(kept.as_str()))
        {
            headers.remove(name);
        }
    }
}

/// Whether a response is one as far as HAProxy is concerned: encoded in chunks or not at all,
/// with names of fields that it can keep.
pub(crate) fn are_sound(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = encodings.next().map(HeaderValue::as_bytes);
    let is_plain = first.is_none_or(|word| word.eq_ignore_ascii_case(b"chunked"));
    let are_short = headers
        .keys()
        .all(|name| name.as_str().len() <= LONGEST_NAME);
    is_plain && encodings.next().is_none() && are_short
}

/// Removes the fields that concern one connection.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Two lengths in one message are how requests are smuggled (RFC 9112 section 6.1).
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|options| options.split(','))
        .map(str::trim)
}

/// The request for the server: HTTP/1.1 with the edits carried out.
pub(crate) fn outgoing(
    parts: &Parts,
    body: RequestBody,
    edits: &RequestEdits,
    upgrade: Option<&HeaderValue>,
) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = target(parts);
    *request.headers_mut() = parts.headers.clone();
    let headers = request.headers_mut();
    edits.apply(parts.version, headers);
    remove_hop_by_hop(headers);
    add_host(parts, headers);
    if let Some(protocol) = upgrade {
        add_upgrade(headers, protocol.clone());
    }
    request
}

/// The response for the client: HTTP/1.1, perhaps with the protocol that comes behind it.
pub(crate) fn incoming(parts: &mut response::Parts, upgrade: Option<&HeaderValue>) {
    let protocol = parts.headers.get(header::UPGRADE).cloned();
    remove_listed(&mut parts.headers);
    remove_hop_by_hop(&mut parts.headers);
    if parts.status == StatusCode::SWITCHING_PROTOCOLS
        && let Some(protocol) = protocol.or_else(|| upgrade.cloned())
    {
        add_upgrade(&mut parts.headers, protocol);
    }
    parts.version = Version::HTTP_11;
}

/// Whether a request may be sent twice: it has no body and the server does the same however
/// often it gets it (RFC 9110 section 9.2.2).
pub(crate) fn is_repeatable(method: &Method, body: &RequestBody) -> bool {
    method.is_idempotent() && body.is_end_stream()
}

/// As the client has sent it; that of HTTP/2 without scheme and authority (RFC 9112 section
/// 3.2.1), which are a part of every target there.
fn target(parts: &Parts) -> Uri {
    if parts.version < Version::HTTP_2 {
        return parts.uri.clone();
    }
    let path = parts.uri.path_and_query().cloned();
    path.map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// HTTP/2 names the host in the target alone (RFC 9113 section 8.3.1).
fn add_host(parts: &Parts, headers: &mut HeaderMap) {
    let authority = parts.uri.authority();
    let value = authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let (Some(value), true) = (value, parts.version == Version::HTTP_2) {
        headers.entry(header::HOST).or_insert(value);
    }
}

/// What a client wants to speak instead of HTTP, if it asks for that; `None` for HTTP/2,
/// which would hide requests from the rules, and which a client that offers it needs not.
pub(crate) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    let asks = connection_options(&parts.headers).any(|name| name.eq_ignore_ascii_case("upgrade"));
    let is_able = parts.version == Version::HTTP_11 && !has_body(&parts.headers);
    let protocol = parts
        .headers
        .get(header::UPGRADE)
        .filter(|_| asks && is_able)?;
    let is_http = protocol.as_bytes().eq_ignore_ascii_case(b"h2c");
    (!is_http).then(|| protocol.clone())
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let is_long = length.is_some_and(|length| length.as_bytes() != b"0");
    is_long || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Says that the rest of the connection is in another protocol.
fn add_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Lets the connection to the server end with its response.
pub(crate) fn close_after<B>(request: &mut Request<B>) {
    let close = HeaderValue::from_static("close");
    request.headers_mut().insert(header::CONNECTION, close);
}

/// Lets the connection to the client end with this response.
pub(crate) fn close<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}
