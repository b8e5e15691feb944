//! The first bytes of a connection, for protocols other than HTTP.

use std::sync::Arc;

use crate::sample::{Sample, SampleType};

#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Length,
    Range {
        offset: usize,
        length: Option<usize>,
    },
    Prefixed {
        offset: usize,
        size: usize,
    },
    /// `None` for whatever name it has.
    RdpCookie(Option<Arc<[u8]>>),
    RdpCookieCount(Option<Arc<[u8]>>),
    HelloType,
}

impl Payload {
    pub(super) fn of<'a>(&self, payload: &'a [u8]) -> Option<Sample<'a>> {
        match self {
            Self::Length => Some(Sample::Integer(payload.len() as i64)),
            Self::Range { offset, length } => range(payload, *offset, *length).map(binary),
            Self::Prefixed { offset, size } => prefixed(payload, *offset, *size).map(binary),
            Self::RdpCookie(name) => rdp_cookie(payload, name.as_deref()).map(Sample::from),
            Self::RdpCookieCount(name) => {
                let is_there = rdp_cookie(payload, name.as_deref()).is_some();
                Some(Sample::Integer(is_there.into()))
            }
            Self::HelloType => hello_type(payload).map(|kind| Sample::Integer(kind.into())),
        }
    }

    pub(super) fn output(&self) -> SampleType {
        match self {
            Self::Range { .. } | Self::Prefixed { .. } => SampleType::Binary,
            Self::RdpCookie(_) => SampleType::Str,
            Self::Length | Self::RdpCookieCount(_) | Self::HelloType => SampleType::Integer,
        }
    }
}

fn binary(bytes: &[u8]) -> Sample<'_> {
    Sample::Binary(bytes.into())
}

fn range(payload: &[u8], offset: usize, length: Option<usize>) -> Option<&[u8]> {
    let rest = payload.get(offset..)?;
    rest.get(..length.unwrap_or(rest.len()))
}

/// No bytes are no value: a TLS client without a session has no session identifier.
fn prefixed(payload: &[u8], offset: usize, size: usize) -> Option<&[u8]> {
    let prefix = range(payload, offset, Some(size))?;
    let length = prefix.iter().try_fold(0_usize, |length, byte| {
        length.checked_mul(256)?.checked_add(usize::from(*byte))
    })?;
    super::non_empty(range(payload, offset + size, Some(length))?)
}

/// The value of the cookie in an RDP connection request (MS-RDPBCGR section 2.2.1.1):
/// behind 11 bytes of headers `Cookie:`, any number of spaces, the name, `=`, the value
/// and a line end. Letters match in either case.
pub(crate) fn rdp_cookie<'a>(payload: &'a [u8], name: Option<&[u8]>) -> Option<&'a [u8]> {
    let packet = payload.get(HEADERS_LENGTH..)?;
    let mut rest = strip_prefix_any_case(packet, b"Cookie:")?;
    while let [b' ', behind @ ..] = rest {
        rest = behind;
    }
    let end = memchr::memchr(b'\r', rest)?;
    if rest.get(end + 1) != Some(&b'\n') {
        return None;
    }
    let cookie = &rest[..end];
    match name {
        Some(name) => strip_prefix_any_case(cookie, name)?.strip_prefix(b"="),
        None => Some(&cookie[memchr::memchr(b'=', cookie)? + 1..]),
    }
}

/// TPKT (4 bytes) and X.224 connection request (7 bytes).
const HEADERS_LENGTH: usize = 11;

fn strip_prefix_any_case<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The type of the handshake message in a TLS record (RFC 8446 sections 5.1 and 4), once
/// the whole message is there.
fn hello_type(payload: &[u8]) -> Option<u8> {
    let &[22, 3, _, _, _, kind, a, b, c, ref message @ ..] = payload else {
        return None;
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    (message.len() >= length).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdp(cookie: &str) -> Vec<u8> {
        [&[3, 0, 0, 0, 0, 0xe0, 0, 0, 0, 0, 0], cookie.as_bytes()].concat()
    }

    #[test]
    fn the_session_identifier_of_a_hello_has_its_length_before_it() {
        let hello = |id: &[u8]| {
            let length = 35 + id.len() as u8;
            let mut hello = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length, 3, 3];
            hello.extend([7; 32]);
            hello.push(id.len() as u8);
            hello.extend(id);
            hello
        };
        assert_eq!(prefixed(&hello(b"session"), 43, 1), Some(&b"session"[..]));
        assert_eq!(prefixed(&hello(b""), 43, 1), None);
        assert_eq!(prefixed(&hello(b"session")[..48], 43, 1), None);
        assert_eq!(hello_type(&hello(b"")), Some(1));
        assert_eq!(hello_type(&hello(b"session")[..48]), None);
        assert_eq!(hello_type(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn a_range_is_there_as_a_whole_or_not_at_all() {
        assert_eq!(range(b"abc", 1, Some(2)), Some(&b"bc"[..]));
        assert_eq!(range(b"abc", 1, Some(3)), None);
        assert_eq!(range(b"abc", 3, None), Some(&b""[..]));
        assert_eq!(range(b"abc", 4, None), None);
        assert_eq!(prefixed(&[0xff; 40], 0, 33), None);
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_rdp_cookie_stands_behind_the_headers() {
        let value = |cookie: &str, name: Option<&str>| {
            let payload = rdp(cookie);
            let value = rdp_cookie(&payload, name.map(str::as_bytes));
            value.map(|value| value.escape_ascii().to_string())
        };
        let alice = Some("alice".to_owned());
        assert_eq!(value("Cookie: mstshash=alice\r\n", Some("mstshash")), alice);
        assert_eq!(value("COOKIE:MSTSHASH=alice\r\n", Some("mstshash")), alice);
        assert_eq!(value("Cookie: msts=alice\r\n", None), alice);
        let two_lines = Some("a\\nb".to_owned());
        assert_eq!(value("Cookie: id=a\nb\r\n", Some("id")), two_lines);
        for cookie in [
            "",
            "Cookie: mstshash=alice",
            "Cookie: mstshash=alice\n",
            "Cookie: msts=alice\r\n",
            "Cookie: mstshash\r\n",
            "cook: mstshash=alice\r\n",
        ] {
            assert_eq!(value(cookie, Some("mstshash")), None, "{cookie}");
        }
    }
}
