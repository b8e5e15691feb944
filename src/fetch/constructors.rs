//! The fetches by name.

use std::sync::Arc;

use super::connection::Connection;
use super::cookies::{CookieFetch, CookieView};
use super::fields::{FieldView, HeaderFetch};
use super::payload::Payload;
use super::tables::Question;
use super::target::Target;
use super::{Custom, Fetch, Kind, Side, TableRead};
use crate::cookie::Name;
use crate::message::{Request, Response};
use crate::sample::Sample;
use crate::table::{DataKind, StickTable};

/// The connection.
impl Fetch {
    /// The client's address. HAProxy: `src`.
    pub fn src() -> Self {
        Self(Kind::Connection(Connection::Source))
    }

    /// The client's port. HAProxy: `src_port`.
    pub fn src_port() -> Self {
        Self(Kind::Connection(Connection::SourcePort))
    }

    /// The address the client connected to. HAProxy: `dst`.
    pub fn dst() -> Self {
        Self(Kind::Connection(Connection::Destination))
    }

    /// The port the client connected to. HAProxy: `dst_port`.
    pub fn dst_port() -> Self {
        Self(Kind::Connection(Connection::DestinationPort))
    }

    /// A value that a stick table stores with the entry of the client's address, 0 without
    /// an entry. HAProxy: `src_get_gpc0(T)`, `src_conn_rate(T)`, `src_get_gpc(I,T)` and so
    /// on.
    ///
    /// It is what [`Converter::table_data`](crate::Converter::table_data) makes of
    /// [`src`](Self::src).
    pub fn source_data(table: Arc<StickTable>, kind: DataKind, element: u32) -> Self {
        Self::about_source(TableRead::new(Question::Data(kind, element), table))
    }

    pub(crate) fn about_source(read: TableRead) -> Self {
        Self(Kind::Source(read))
    }

    /// Whether the client's connection is encrypted. HAProxy: `ssl_fc`.
    pub fn is_tls() -> Self {
        Self(Kind::Connection(Connection::Tls))
    }
}

/// The request line.
impl Fetch {
    /// The method. HAProxy: `method`.
    pub fn method() -> Self {
        Self(Kind::Method)
    }

    /// The request target as received. HAProxy: `url`.
    pub fn url() -> Self {
        Self(Kind::Target(Target::Url))
    }

    /// The path, without the query; absent for `*` and `host:port`. HAProxy: `path`.
    pub fn path() -> Self {
        Self(Kind::Target(Target::Path))
    }

    /// The path with the query. HAProxy: `pathq`.
    pub fn path_and_query() -> Self {
        Self(Kind::Target(Target::PathAndQuery))
    }

    /// What stands behind the first `?`; absent without one. HAProxy: `query`.
    pub fn query() -> Self {
        Self(Kind::Target(Target::Query))
    }

    /// The first `Host` with the path behind it. HAProxy: `base`.
    pub fn base() -> Self {
        Self(Kind::Target(Target::Base))
    }

    /// A hash of 32 bits of [`base`](Self::base). HAProxy: `base32`.
    pub fn base32() -> Self {
        Self(Kind::Target(Target::Base32))
    }

    /// The 4 bytes of [`base32`](Self::base32) and the 4 or 16 of the client's address.
    /// HAProxy: `base32+src`.
    pub fn base32_src() -> Self {
        Self(Kind::Target(Target::Base32Source))
    }

    /// A hash of 32 bits of the first `Host` with the path and the query behind it.
    /// HAProxy: `url32`.
    pub fn url32() -> Self {
        Self(Kind::Target(Target::Url32))
    }

    /// The 4 bytes of [`url32`](Self::url32) and the 4 or 16 of the client's address.
    /// HAProxy: `url32+src`.
    pub fn url32_src() -> Self {
        Self(Kind::Target(Target::Url32Source))
    }

    /// The first parameter of this name in the query, not decoded. HAProxy:
    /// `url_param(NAME)`, also written `urlp`.
    pub fn url_param(name: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Target(Target::Param(name.into().into())))
    }

    /// [`url_param`](Self::url_param) as a number, 0 where it begins with none.
    /// HAProxy: `urlp_val(NAME)`.
    pub fn url_param_integer(name: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Target(Target::ParamInteger(name.into().into())))
    }
}

/// Header fields and cookies of the request.
impl Fetch {
    /// One comma-separated element of the header fields of this name, by default the
    /// last one of the last field. HAProxy: `req.hdr(NAME)`.
    ///
    /// ```
    /// use stickroute::{Fetch, Sample, SimpleRequest};
    ///
    /// let request = SimpleRequest::new("GET", "/").header("X-Forwarded-For", "10.0.0.1, 10.0.0.2");
    /// let last: Fetch = Fetch::header("x-forwarded-for").into();
    /// let first: Fetch = Fetch::header("x-forwarded-for").occurrence(1).into();
    /// assert_eq!(last.on_request(&request), Some(Sample::from("10.0.0.2")));
    /// assert_eq!(first.on_request(&request), Some(Sample::from("10.0.0.1")));
    /// ```
    pub fn header(name: impl Into<Arc<str>>) -> HeaderFetch {
        HeaderFetch::new(Side::Request, name, FieldView::Element)
    }

    /// A whole header field, commas included, by default the last one of this name.
    /// HAProxy: `req.fhdr(NAME)`.
    pub fn full_header(name: impl Into<Arc<str>>) -> HeaderFetch {
        HeaderFetch::new(Side::Request, name, FieldView::Line)
    }

    /// One element of the header fields of this name, by default the last one, as an
    /// address; a port may stand behind an IPv4 address. HAProxy: `req.hdr_ip(NAME)`.
    pub fn header_ip(name: impl Into<Arc<str>>) -> HeaderFetch {
        HeaderFetch::new(Side::Request, name, FieldView::Address)
    }

    /// One element of the header fields of this name, by default the last one, as a
    /// number: the one it begins with, 0 without digits. HAProxy: `req.hdr_val(NAME)`.
    pub fn header_integer(name: impl Into<Arc<str>>) -> HeaderFetch {
        HeaderFetch::new(Side::Request, name, FieldView::Integer)
    }

    /// How many comma-separated elements the header fields of this name have.
    /// HAProxy: `req.hdr_cnt(NAME)`.
    pub fn header_count(name: impl Into<Arc<str>>) -> Self {
        HeaderFetch::new(Side::Request, name, FieldView::ElementCount).into()
    }

    /// How many header fields of this name there are. HAProxy: `req.fhdr_cnt(NAME)`.
    pub fn full_header_count(name: impl Into<Arc<str>>) -> Self {
        HeaderFetch::new(Side::Request, name, FieldView::LineCount).into()
    }

    /// The value of a cookie, quotes included; of several of that name the last one.
    /// HAProxy: `req.cook(NAME)`.
    pub fn cookie(name: impl AsRef<[u8]>) -> Self {
        Self::cookie_of(Side::Request, name.as_ref(), CookieView::Value)
    }

    /// How many cookies of this name there are. HAProxy: `req.cook_cnt(NAME)`.
    pub fn cookie_count(name: impl AsRef<[u8]>) -> Self {
        Self::cookie_of(Side::Request, name.as_ref(), CookieView::Count)
    }

    /// The value of a cookie as a number. HAProxy: `req.cook_val(NAME)`.
    pub fn cookie_integer(name: impl AsRef<[u8]>) -> Self {
        Self::cookie_of(Side::Request, name.as_ref(), CookieView::Integer)
    }

    pub(crate) fn cookie_of(side: Side, name: &[u8], view: CookieView) -> Self {
        let name = Name::new(name).into_owned();
        Self(Kind::Cookie(side, Box::new(CookieFetch { name, view })))
    }
}

/// The response.
impl Fetch {
    /// The status code. HAProxy: `status`.
    pub fn status() -> Self {
        Self(Kind::Status)
    }

    /// As [`header`](Self::header), of the response. HAProxy: `res.hdr(NAME)`.
    pub fn response_header(name: impl Into<Arc<str>>) -> HeaderFetch {
        HeaderFetch::new(Side::Response, name, FieldView::Element)
    }

    /// As [`full_header`](Self::full_header), of the response. HAProxy: `res.fhdr(NAME)`.
    pub fn full_response_header(name: impl Into<Arc<str>>) -> HeaderFetch {
        HeaderFetch::new(Side::Response, name, FieldView::Line)
    }

    /// The value of a cookie the response sets, quotes included. HAProxy: `res.cook(NAME)`.
    pub fn response_cookie(name: impl AsRef<[u8]>) -> Self {
        Self::cookie_of(Side::Response, name.as_ref(), CookieView::Value)
    }
}

/// The first bytes of a connection that is not HTTP.
impl Fetch {
    /// How many bytes there are. HAProxy: `req.len` and `res.len`.
    pub fn payload_length() -> Self {
        Self::payload_of(Side::Either, Payload::Length)
    }

    /// `length` bytes from `offset`; absent when there are fewer. HAProxy:
    /// `payload(OFFSET,LENGTH)`.
    pub fn payload(offset: usize, length: usize) -> Self {
        let length = Some(length);
        Self::payload_of(Side::Either, Payload::Range { offset, length })
    }

    /// The bytes from `offset` to the end. HAProxy: `payload(OFFSET,0)`.
    pub fn payload_from(offset: usize) -> Self {
        let length = None;
        Self::payload_of(Side::Either, Payload::Range { offset, length })
    }

    /// Bytes with their length before them: a big-endian number of `size` bytes (1 to 4)
    /// at `offset`. Absent when they are not all there, or are none.
    ///
    /// `payload_lv(43, 1)` is the TLS session identifier, of a `ClientHello` as of a
    /// `ServerHello`. HAProxy: `payload_lv(OFFSET,SIZE)`.
    pub fn payload_lv(offset: usize, size: usize) -> Self {
        Self::payload_of(Side::Either, Payload::Prefixed { offset, size })
    }

    /// The cookie of this name with which an RDP connection begins.
    /// HAProxy: `req.rdp_cookie(NAME)`.
    pub fn rdp_cookie(name: impl Into<Vec<u8>>) -> Self {
        let name = Some(name.into().into());
        Self::payload_of(Side::Request, Payload::RdpCookie(name))
    }

    /// 1 for an RDP connection that begins with a cookie of any name, otherwise 0; absent
    /// as long as that is not known.
    /// HAProxy: `req.rdp_cookie_cnt`.
    pub fn rdp_cookie_count() -> Self {
        Self::payload_of(Side::Request, Payload::RdpCookieCount(None))
    }

    /// The type of the TLS handshake message at the start, 1 for a `ClientHello` and 2
    /// for a `ServerHello`; absent until the whole message is there. HAProxy: `req.ssl_hello_type` and `res.ssl_hello_type`.
    pub fn tls_hello_type() -> Self {
        Self::payload_of(Side::Either, Payload::HelloType)
    }

    pub(crate) fn payload_of(side: Side, payload: Payload) -> Self {
        Self(Kind::Payload(side, payload))
    }
}

/// Constants, and whatever else there is.
impl Fetch {
    /// The same sample always. HAProxy: `str(TEXT)`, `int(N)`, `bool(B)`, `bin(HEX)`,
    /// `ipv4(A)`, `ipv6(A)`, `meth(M)`, `always_true`, `always_false`.
    pub fn constant(sample: impl Into<Sample<'static>>) -> Self {
        Self(Kind::Constant(sample.into()))
    }

    /// True; in a condition that is asked while bytes are still arriving it is not known
    /// until they are all there. HAProxy: `wait_end`.
    pub fn wait_end() -> Self {
        Self(Kind::End)
    }

    /// Anything else of a request: a field of a body that was read already, the session
    /// of a gateway. `name` appears in `Debug` output only.
    ///
    /// ```
    /// use stickroute::{Fetch, Request, Sample};
    ///
    /// // "/acme/orders/7" belongs to "acme".
    /// let tenant = Fetch::custom("tenant", |request: &dyn Request| {
    ///     request.target().split(|&byte| byte == b'/').nth(1).map(Sample::from)
    /// });
    /// # let request = stickroute::SimpleRequest::new("GET", "/acme/orders/7");
    /// assert_eq!(tenant.on_request(&request), Some(Sample::from("acme")));
    /// ```
    pub fn custom<F>(name: impl Into<Arc<str>>, extract: F) -> Self
    where
        F: Fn(&dyn Request) -> Option<Sample<'_>> + Send + Sync + 'static,
    {
        let name = name.into();
        let extract = Arc::new(extract);
        Self(Kind::Custom(Custom::Request { name, extract }))
    }

    /// Anything else of a response. `name` appears in `Debug` output only.
    pub fn custom_response<F>(name: impl Into<Arc<str>>, extract: F) -> Self
    where
        F: Fn(&dyn Response) -> Option<Sample<'_>> + Send + Sync + 'static,
    {
        let name = name.into();
        let extract = Arc::new(extract);
        Self(Kind::Custom(Custom::Response { name, extract }))
    }
}
