//! The views of a request and of a response that are asked of the caller.
//!
//! The library never parses a message: the proxy around it already has. It asks
//! for a handful of byte strings through two small traits, [`Request`] and
//! [`Response`]. The feature `http` implements them for the types of the `http`
//! crate; [`SimpleRequest`] and [`SimpleResponse`] are ready-made values for
//! everything else: tests, simulators, TCP proxies.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

/// Receives header values one by one; answers [`ControlFlow::Break`] when it has
/// seen enough.
pub type HeaderVisitor<'v, 'a> = &'v mut dyn FnMut(&'a [u8]) -> ControlFlow<()>;

/// What routing may ask about one request.
///
/// Every method has a default that says *there is none*, so that a proxy of plain
/// TCP connections implements [`source`](Request::source) alone.
///
/// ```
/// use std::net::IpAddr;
/// use stickroute::Request;
///
/// /// A TCP connection: nothing is known but where it comes from.
/// struct Connection(IpAddr);
///
/// impl Request for Connection {
///     fn source(&self) -> Option<IpAddr> {
///         Some(self.0)
///     }
/// }
/// ```
pub trait Request {
    /// Address of the client, `None` where there is no IP address (a Unix socket).
    fn source(&self) -> Option<IpAddr> {
        None
    }

    /// Port of the client, `None` where there is none or it is not known.
    fn source_port(&self) -> Option<u16> {
        None
    }

    /// Address and port the client connected to, `None` where they are not known.
    fn destination(&self) -> Option<SocketAddr> {
        None
    }

    /// Whether the connection of the client is encrypted.
    fn is_tls(&self) -> bool {
        false
    }

    /// Method as received, `GET` for example; empty outside HTTP.
    fn method(&self) -> &[u8] {
        b""
    }

    /// Request target as received (RFC 9112 section 3.2), neither decoded nor
    /// normalised; empty outside HTTP.
    fn target(&self) -> &[u8] {
        b""
    }

    /// Hands every value of the header field `name` to `visit`, in the order of
    /// the message and one call a field line, until it breaks off.
    ///
    /// Names are compared without regard to case. Values are passed as received:
    /// the library trims and splits them itself.
    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        let _ = (name, visit);
    }

    /// First bytes of the connection, for protocols that carry a session
    /// identifier of their own (RDP, TLS); empty when unknown.
    fn payload(&self) -> &[u8] {
        b""
    }
}

/// What routing may ask about the response to a request.
pub trait Response {
    /// Status code, 100 to 999 (RFC 9110 section 15).
    fn status(&self) -> u16;

    /// Hands every value of the header field `name` to `visit`; see
    /// [`Request::visit_headers`].
    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>);

    /// First bytes the server sent, for protocols that carry a session identifier of
    /// their own (TLS); empty when unknown.
    fn payload(&self) -> &[u8] {
        b""
    }
}

/// The first value of the header field `name`.
pub(crate) fn first_header<'a>(request: &'a dyn Request, name: &str) -> Option<&'a [u8]> {
    let mut first = None;
    request.visit_headers(name, &mut |value| {
        first = Some(value);
        ControlFlow::Break(())
    });
    first
}

type Headers = Vec<(String, Vec<u8>)>;

fn visit_list<'a>(headers: &'a Headers, name: &str, visit: HeaderVisitor<'_, 'a>) {
    for (_, value) in headers
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        if visit(value).is_break() {
            return;
        }
    }
}

/// A request built from its parts, for callers without an HTTP library.
///
/// ```
/// use stickroute::SimpleRequest;
///
/// let request = SimpleRequest::new("GET", "/cart?item=7")
///     .source("192.0.2.7".parse()?)
///     .header("Cookie", "SRV=s2; lang=en");
/// # let _ = request;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleRequest {
    source: Option<IpAddr>,
    source_port: Option<u16>,
    destination: Option<SocketAddr>,
    is_tls: bool,
    method: Vec<u8>,
    target: Vec<u8>,
    headers: Headers,
    payload: Vec<u8>,
}

impl SimpleRequest {
    /// A request without source address and without headers.
    pub fn new(method: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            ..Self::default()
        }
    }

    /// Sets the client's address.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets the client's port.
    #[must_use]
    pub fn source_port(mut self, port: u16) -> Self {
        self.source_port = Some(port);
        self
    }

    /// Sets the address and port the client connected to.
    #[must_use]
    pub fn destination(mut self, destination: SocketAddr) -> Self {
        self.destination = Some(destination);
        self
    }

    /// Says that the client's connection is encrypted.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Adds a header field after those already there.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the first bytes of the connection.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }
}

impl Request for SimpleRequest {
    fn source(&self) -> Option<IpAddr> {
        self.source
    }

    fn source_port(&self) -> Option<u16> {
        self.source_port
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.destination
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn method(&self) -> &[u8] {
        &self.method
    }

    fn target(&self) -> &[u8] {
        &self.target
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        visit_list(&self.headers, name, visit);
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// A response built from its parts, for callers without an HTTP library.
///
/// ```
/// use stickroute::SimpleResponse;
///
/// let response = SimpleResponse::new(200).header("Set-Cookie", "lang=en");
/// # let _ = response;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleResponse {
    status: u16,
    headers: Headers,
    payload: Vec<u8>,
}

impl SimpleResponse {
    /// A response without headers.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Adds a header field after those already there.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
    /// Sets the first bytes the server sent.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }
}

impl Response for SimpleResponse {
    fn status(&self) -> u16 {
        self.status
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        visit_list(&self.headers, name, visit);
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_visited_in_order_and_without_regard_to_case() {
        let request = SimpleRequest::new("GET", "/")
            .header("Cookie", "a=1")
            .header("Host", "h")
            .header("COOKIE", "b=2");
        let mut seen = Vec::new();
        request.visit_headers("cookie", &mut |value| {
            seen.push(value);
            ControlFlow::Continue(())
        });
        assert_eq!(seen, [b"a=1", b"b=2"]);
        assert_eq!(first_header(&request, "cookie"), Some(&b"a=1"[..]));
    }
}
