//! Feature `http`: requests and responses of the `http` crate, as hyper, axum, tower
//! and reqwest use them.
//!
//! [`HttpRequest`] and [`HttpResponse`] are views to select and respond with;
//! [`RequestEdits::apply`] and [`ResponseEdits::apply`] carry the edits out on a
//! [`HeaderMap`].
//!
//! ```
//! use stickroute::{Backend, CookiePolicy, HttpRequest, HttpResponse, Now, Server};
//!
//! # let backend: Backend = Backend::builder("app")
//! #     .server(Server::new("app1", "10.0.0.1:8080").cookie("a1"))
//! #     .cookie(CookiePolicy::insert("SRV").indirect().nocache())
//! #     .build()?;
//! # let client = "192.0.2.7".parse()?;
//! let mut request = http::Request::get("/").header("cookie", "SRV=a1; lang=en").body(())?;
//! let (selection, edits) = {
//!     let view = HttpRequest::new(&request, Some(client));
//!     let selection = backend.select(&view, Now::system())?;
//!     let edits = selection.request_edits(&view);
//!     (selection, edits)
//! };
//! edits.apply(request.version(), request.headers_mut());
//! assert_eq!(request.headers()["cookie"], "lang=en");
//!
//! // ... forward the request, then:
//! # let mut selection = selection;
//! let mut response = http::Response::new(());
//! let edits = backend.respond(&mut selection, &HttpResponse::new(&response), Now::system());
//! edits.apply(response.headers_mut());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request, response,
};

use crate::cookie::FieldEdit;
use crate::message::{HeaderVisitor, Request, Response};
use crate::selection::{RequestEdits, ResponseEdits};

/// A [`Request`] made of the parts of an [`http::Request`] and the client's address.
///
/// HTTP/2 and HTTP/3 split the `Cookie` field for compression; its parts are seen as one
/// field joined by `; ` (RFC 9113 section 8.2.3). The joined field and an absolute
/// target are put together when they are first asked for, the only allocations here.
#[derive(Debug)]
pub struct HttpRequest<'a> {
    source: Option<IpAddr>,
    source_port: Option<u16>,
    destination: Option<SocketAddr>,
    is_tls: bool,
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
    target: OnceCell<String>,
    cookie: OnceCell<Vec<u8>>,
}

impl<'a> HttpRequest<'a> {
    /// A view of a request; `source` is the client's address, if it has one.
    pub fn new<B>(request: &'a http::Request<B>, source: Option<IpAddr>) -> Self {
        Self::of(
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            source,
        )
    }

    /// A view of the parts of a request; `source` is the client's address, if it has one.
    pub fn from_parts(parts: &'a request::Parts, source: Option<IpAddr>) -> Self {
        Self::of(
            &parts.method,
            &parts.uri,
            parts.version,
            &parts.headers,
            source,
        )
    }

    /// Adds the client's port, for what routes by it (`src_port`).
    #[must_use]
    pub fn source_port(mut self, port: u16) -> Self {
        self.source_port = Some(port);
        self
    }

    /// Adds the address and port the client connected to, for what routes by them
    /// (`dst`, `dst_port`).
    #[must_use]
    pub fn destination(mut self, destination: SocketAddr) -> Self {
        self.destination = Some(destination);
        self
    }

    /// Says that the client's connection is encrypted, for what routes by it (`ssl_fc`).
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    fn of(
        method: &'a Method,
        uri: &'a Uri,
        version: Version,
        headers: &'a HeaderMap,
        source: Option<IpAddr>,
    ) -> Self {
        Self {
            source,
            source_port: None,
            destination: None,
            is_tls: false,
            method,
            uri,
            version,
            headers,
            target: OnceCell::new(),
            cookie: OnceCell::new(),
        }
    }
}

impl Request for HttpRequest<'_> {
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
        self.method.as_str().as_bytes()
    }

    fn target(&self) -> &[u8] {
        match (self.uri.authority(), self.uri.path_and_query()) {
            (None, Some(path)) => path.as_str(),
            _ => self.target.get_or_init(|| self.uri.to_string()),
        }
        .as_bytes()
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        if name == COOKIE && is_split(self.version, self.headers) {
            let joined = self.cookie.get_or_init(|| joined_cookie(self.headers));
            let _ = visit(joined);
            return;
        }
        visit_map(self.headers, name, visit);
    }
}

/// A [`Response`] made of an [`http::Response`].
#[derive(Clone, Copy, Debug)]
pub struct HttpResponse<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
}

impl<'a> HttpResponse<'a> {
    /// A view of a response.
    pub fn new<B>(response: &'a http::Response<B>) -> Self {
        Self {
            status: response.status(),
            headers: response.headers(),
        }
    }

    /// A view of the parts of a response.
    pub fn from_parts(parts: &'a response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: &parts.headers,
        }
    }
}

impl Response for HttpResponse<'_> {
    fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        visit_map(self.headers, name, visit);
    }
}

impl RequestEdits {
    /// Carries the edits out; `version` is the version the request came with.
    ///
    /// The split `Cookie` field of HTTP/2 and HTTP/3 becomes one field, as it must before
    /// it is forwarded over HTTP/1.1 (RFC 9113 section 8.2.3). An edited value that a
    /// [`HeaderValue`] refuses, which takes an original one that was wrong already, is
    /// left out.
    pub fn apply(&self, version: Version, headers: &mut HeaderMap) {
        if is_split(version, headers) {
            let joined = joined_cookie(headers);
            headers.remove(COOKIE);
            append(headers, COOKIE, &joined[..]);
        }
        if !self.is_empty() {
            let edits = self.cookie_fields().iter().enumerate();
            replace_fields(headers, &COOKIE, edits);
        }
    }
}

impl ResponseEdits {
    /// Carries the edits out. Fields are appended, never overwritten, and left out where
    /// the map holds as many names as it can, which are tens of thousands.
    pub fn apply(&self, headers: &mut HeaderMap) {
        if !self.set_cookie_fields().is_empty() {
            let edits = self.set_cookie_fields().iter();
            replace_fields(
                headers,
                &SET_COOKIE,
                edits.map(|(index, edit)| (*index, edit)),
            );
        }
        if let Some(value) = self.set_cookie() {
            append(headers, SET_COOKIE, value);
        }
        if let Some(value) = self.cache_control() {
            append(headers, CACHE_CONTROL, HeaderValue::from_static(value));
        }
    }
}

/// Puts the fields of one name back in order, edited; fields without an edit stay.
fn replace_fields<'e>(
    headers: &mut HeaderMap,
    name: &HeaderName,
    edits: impl Iterator<Item = (usize, &'e FieldEdit)>,
) {
    let mut values: Vec<Option<HeaderValue>> =
        headers.get_all(name).iter().cloned().map(Some).collect();
    headers.remove(name);
    for (index, edit) in edits {
        let Some(value) = values.get_mut(index) else {
            continue;
        };
        match edit {
            FieldEdit::Keep => {}
            FieldEdit::Remove => *value = None,
            FieldEdit::Replace(bytes) => *value = HeaderValue::from_bytes(bytes).ok(),
        }
    }
    for value in values.into_iter().flatten() {
        append(headers, name.clone(), value);
    }
}

/// A value that is none, or one field more than a map can hold, is left out.
fn append(headers: &mut HeaderMap, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        let _ = headers.try_append(name, value);
    }
}

fn visit_map<'a>(headers: &'a HeaderMap, name: &str, visit: HeaderVisitor<'_, 'a>) {
    for value in headers.get_all(name) {
        if visit(value.as_bytes()) == ControlFlow::Break(()) {
            return;
        }
    }
}

fn is_split(version: Version, headers: &HeaderMap) -> bool {
    version >= Version::HTTP_2 && headers.get_all(COOKIE).iter().nth(1).is_some()
}

fn joined_cookie(headers: &HeaderMap) -> Vec<u8> {
    let values: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    values.join(&b"; "[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter().map(|&(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    }

    fn cookies(view: &HttpRequest<'_>) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        view.visit_headers("cookie", &mut |value| {
            seen.push(value.to_vec());
            ControlFlow::Continue(())
        });
        seen
    }

    fn request(version: Version, uri: &str) -> http::Request<()> {
        let mut request = http::Request::builder()
            .version(version)
            .uri(uri)
            .body(())
            .unwrap();
        *request.headers_mut() = headers(&[("cookie", "a=1"), ("cookie", "SRV=x")]);
        request
    }

    #[test]
    fn split_cookie_fields_are_one_field_in_http_2_and_two_in_http_1() {
        let split = request(Version::HTTP_2, "/");
        assert_eq!(cookies(&HttpRequest::new(&split, None)), [b"a=1; SRV=x"]);
        let two = request(Version::HTTP_11, "/");
        assert_eq!(
            cookies(&HttpRequest::new(&two, None)),
            [&b"a=1"[..], b"SRV=x"]
        );
    }

    #[test]
    fn the_target_is_the_one_of_the_request_line() {
        for uri in ["/a?b=c", "http://h.example/a?b", "*"] {
            let request = request(Version::HTTP_11, uri);
            assert_eq!(HttpRequest::new(&request, None).target(), uri.as_bytes());
        }
    }

    #[test]
    fn a_map_that_is_full_is_no_reason_to_panic() {
        let mut map = HeaderMap::new();
        let mut names = (0..).map(|n| HeaderName::try_from(format!("x-{n}")).unwrap());
        let value = HeaderValue::from_static("");
        while map.try_append(names.next().unwrap(), value.clone()).is_ok() {}
        let full = map.len();
        let edits = ResponseEdits {
            set_cookie: Some(b"SRV=s1; path=/".to_vec()),
            private: true,
            ..ResponseEdits::default()
        };
        edits.apply(&mut map);
        assert_eq!(map.len(), full);
    }

    #[test]
    fn response_edits_append_and_keep_the_order_of_what_stays() {
        let mut map = headers(&[
            ("set-cookie", "a=1"),
            ("set-cookie", "SRV=old"),
            ("set-cookie", "b=2"),
            ("cache-control", "max-age=60"),
        ]);
        let edits = ResponseEdits {
            fields: vec![(1, FieldEdit::Remove)],
            set_cookie: Some(b"SRV=s1; path=/".to_vec()),
            private: true,
        };
        edits.apply(&mut map);
        let all = |name: &HeaderName| -> Vec<_> { map.get_all(name).iter().cloned().collect() };
        assert_eq!(all(&SET_COOKIE), ["a=1", "b=2", "SRV=s1; path=/"]);
        assert_eq!(all(&CACHE_CONTROL), ["max-age=60", "private"]);
    }
}
