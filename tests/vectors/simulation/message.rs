//! Messages: what the client says, and what the server replies.

use std::net::IpAddr;
use std::ops::ControlFlow;

use serde_json::Value;
use stickroute::haproxy::Mode;
use stickroute::{HeaderVisitor, Request, Response, SimpleRequest};

use crate::packets;

/// What a client sends, as a proxy of either mode sees it.
pub(super) struct Message {
    http: SimpleRequest,
    /// Its source and its bytes.
    tcp: SimpleRequest,
    pub(super) protocol: Protocol,
    /// Bytes of an HTTP request as HAProxy counts them.
    pub(super) size: i64,
}

/// What the server has to understand.
pub(super) enum Protocol {
    Http,
    /// The session the client wants to go on with; empty if none.
    Tls(Vec<u8>),
    Rdp,
}

impl Message {
    /// The request of a step: method, path and headers as far as they are written.
    pub(super) fn http(source: IpAddr, step: &Value) -> Self {
        let method = step["method"].as_str().unwrap_or("GET");
        let path = step["path"].as_str().unwrap_or("/");
        let mut http = SimpleRequest::new(method, path).source(source);
        let mut bytes = format!("{method} {path} {VERSION}\r\n").into_bytes();
        let mut size = ENDS + method.len() + path.len() + VERSION.len();
        for (name, value) in headers(step) {
            bytes.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
            size += name.len() + value.len();
            http = http.header(name, value);
        }
        bytes.extend(b"\r\n");
        Self {
            http,
            tcp: raw(source, bytes),
            protocol: Protocol::Http,
            size: size as i64,
        }
    }

    pub(super) fn tls(source: IpAddr, session: &str) -> Self {
        let session = latin1(session);
        let hello = packets::client_hello(&session);
        Self::of_bytes(source, hello, Protocol::Tls(session))
    }

    pub(super) fn rdp(source: IpAddr, cookie: &str) -> Self {
        Self::of_bytes(source, packets::rdp(cookie), Protocol::Rdp)
    }

    fn of_bytes(source: IpAddr, bytes: Vec<u8>, protocol: Protocol) -> Self {
        let tcp = raw(source, bytes);
        Self {
            http: tcp.clone(),
            size: 0,
            tcp,
            protocol,
        }
    }

    /// The request as a proxy of this mode sees it.
    pub(super) fn seen(&self, mode: Mode) -> &SimpleRequest {
        match mode {
            Mode::Http => &self.http,
            Mode::Tcp => &self.tcp,
        }
    }

    /// The values of a field.
    pub(super) fn header(&self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        self.http.visit_headers(name, &mut |value| {
            values.push(text(value));
            ControlFlow::Continue(())
        });
        values
    }
}

/// What the recorded client put into every request, and what a step adds to it.
fn headers(step: &Value) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let own = [("Host", "app"), ("Connection", "close")];
    let added = step["headers"].as_array().into_iter().flatten();
    let added = added.map(|header| {
        let name = header[0].as_str().expect("a name");
        (name, latin1(header[1].as_str().expect("a value")))
    });
    own.map(|(name, value)| (name, value.into()))
        .into_iter()
        .chain(added)
}

const VERSION: &str = "HTTP/1.1";
/// HAProxy counts the words of the first line, names and values of fields, and this.
const ENDS: usize = 6;

fn raw(source: IpAddr, bytes: Vec<u8>) -> SimpleRequest {
    SimpleRequest::default().source(source).payload(bytes)
}

/// Recordings hold bytes as ISO-8859-1 characters.
pub(super) fn latin1(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(u32::from(c)).expect("ISO-8859-1");
    text.chars().map(byte).collect()
}

pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// What a server replies, which rules may change.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// Length of the body.
    pub(super) body: u16,
    pub(super) payload: Vec<u8>,
}

/// What HAProxy counts of a recorded reply without headers of its own, the digits of
/// `Content-Length` and the body left out.
const BARE_REPLY: usize = 57;

impl Reply {
    /// Bytes of the reply as HAProxy counts them.
    pub(super) fn size(&self) -> i64 {
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        let digits = self.body.to_string().len();
        (BARE_REPLY + headers + digits + usize::from(self.body)) as i64
    }

    /// The values of a field.
    pub(super) fn header(&self, name: &str) -> Vec<String> {
        let of_name = self.headers.iter().filter(|header| is(header, name));
        of_name.map(|(_, value)| text(value)).collect()
    }

    /// Puts one field in the place of all of its name.
    pub(super) fn set_header(&mut self, name: &str, value: Vec<u8>) {
        self.headers.retain(|header| !is(header, name));
        self.headers.push((name.to_owned(), value));
    }
}

fn is((known, _): &(String, Vec<u8>), name: &str) -> bool {
    known.eq_ignore_ascii_case(name)
}

impl Response for Reply {
    fn status(&self) -> u16 {
        self.status
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        for header in self.headers.iter().filter(|header| is(header, name)) {
            if visit(&header.1).is_break() {
                return;
            }
        }
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }
}
