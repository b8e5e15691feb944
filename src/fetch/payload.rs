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
                let cookie = rdp_cookie_so_far(payload, name.as_deref()).ok()?;
                Some(Sample::Integer(cookie.is_some().into()))
            }
            Self::HelloType => {
                let kind = hello_type_so_far(payload).ok().flatten();
                kind.map(|kind| Sample::Integer(kind.into()))
            }
        }
    }

    /// Whether more bytes behind these would leave everything as it is.
    #[cfg(feature = "haproxy")]
    pub(super) fn is_settled(&self, payload: &[u8]) -> bool {
        match self {
            Self::Length | Self::Range { length: None, .. } => false,
            Self::Range { .. } => self.of(payload).is_some(),
            Self::Prefixed { offset, size } => prefixed_so_far(payload, *offset, *size).is_some(),
            Self::RdpCookie(name) | Self::RdpCookieCount(name) => {
                rdp_cookie_so_far(payload, name.as_deref()).is_ok()
            }
            Self::HelloType => hello_type_so_far(payload).is_ok(),
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
    super::non_empty(prefixed_so_far(payload, offset, size)?)
}

/// `None` as long as they are not all there.
fn prefixed_so_far(payload: &[u8], offset: usize, size: usize) -> Option<&[u8]> {
    let prefix = range(payload, offset, Some(size))?;
    let length = prefix.iter().try_fold(0_usize, |length, byte| {
        length.checked_mul(256)?.checked_add(usize::from(*byte))
    })?;
    range(payload, offset + size, Some(length))
}

/// The bytes end before it is known what they are.
#[derive(Debug, PartialEq, Eq)]
struct CutShort;

/// The value of the cookie in an RDP connection request (MS-RDPBCGR section 2.2.1.1):
/// behind 11 bytes of headers `Cookie:`, any number of spaces, the name, `=`, the value
/// and a line end. Letters match in either case.
pub(crate) fn rdp_cookie<'a>(payload: &'a [u8], name: Option<&[u8]>) -> Option<&'a [u8]> {
    rdp_cookie_so_far(payload, name).ok().flatten()
}

fn rdp_cookie_so_far<'a>(
    payload: &'a [u8],
    name: Option<&[u8]>,
) -> Result<Option<&'a [u8]>, CutShort> {
    let packet = payload.get(HEADERS_LENGTH..).ok_or(CutShort)?;
    if packet.len() <= COOKIE.len() {
        return Err(CutShort);
    }
    let Some(mut rest) = strip_prefix_any_case(packet, COOKIE) else {
        return Ok(None);
    };
    while let [b' ', behind @ ..] = rest {
        rest = behind;
    }
    if let Some(name) = name {
        let (found, behind) = rest.split_at_checked(name.len()).ok_or(CutShort)?;
        let equals = behind.first().ok_or(CutShort)?;
        if !found.eq_ignore_ascii_case(name) || *equals != b'=' {
            return Ok(None);
        }
    }
    let end = memchr::memchr(b'\r', rest).ok_or(CutShort)?;
    if *rest.get(end + 1).ok_or(CutShort)? != b'\n' {
        return Ok(None);
    }
    let cookie = &rest[..end];
    let equals = name.map_or_else(|| memchr::memchr(b'=', cookie), |name| Some(name.len()));
    Ok(equals.and_then(|equals| cookie.get(equals + 1..)))
}

/// TPKT (4 bytes) and X.224 connection request (7 bytes).
const HEADERS_LENGTH: usize = 11;

const COOKIE: &[u8] = b"Cookie:";

fn strip_prefix_any_case<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The type of the handshake message in a TLS record (RFC 8446 sections 5.1 and 4), once
/// the whole message is there. HAProxy takes records of every type for one, and 255, too.
fn hello_type_so_far(payload: &[u8]) -> Result<Option<u8>, CutShort> {
    let record = payload.first().ok_or(CutShort)?;
    if !matches!(record, 20..=23 | 255) {
        return Ok(None);
    }
    let &[_, version, _, high, low, kind, a, b, c, ref message @ ..] = payload else {
        return Err(CutShort);
    };
    if version < 3 || u16::from_be_bytes([high, low]) < 4 {
        return Ok(None);
    }
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    match message.get(..length) {
        Some(_) => Ok(Some(kind)),
        None => Err(CutShort),
    }
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
        assert_eq!(hello_type_so_far(&hello(b"")), Ok(Some(1)));
        assert_eq!(hello_type_so_far(&hello(b"session")[..48]), Err(CutShort));
        assert_eq!(hello_type_so_far(b"GET / HTTP/1.1"), Ok(None));
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn what_is_no_hello_is_known_early_or_late() {
        for bytes in [
            &b""[..],
            &[22],
            &[22, 2],
            &[23, 2, 0, 0, 0, 0, 0, 0],
            &[255; 40],
        ] {
            assert_eq!(hello_type_so_far(bytes), Err(CutShort), "{bytes:?}");
        }
        for bytes in [
            &b"G"[..],
            &[19],
            &[0x80],
            &[22, 2, 1, 0, 4, 1, 0, 0, 0],
            &[22, 3, 1, 0, 3, 1, 0, 0, 0],
        ] {
            assert_eq!(hello_type_so_far(bytes), Ok(None), "{bytes:?}");
        }
        for first in [20, 21, 22, 23, 255] {
            let bytes = [first, 4, 1, 0, 4, 9, 0, 0, 1, 7];
            assert_eq!(hello_type_so_far(&bytes), Ok(Some(9)), "{first}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn that_there_is_no_rdp_cookie_may_be_known_before_the_line_ends() {
        let look = |cookie: &str, name: &str| {
            rdp_cookie_so_far(&rdp(cookie), Some(name.as_bytes())).map(|found| found.is_some())
        };
        assert_eq!(rdp_cookie_so_far(b"HELLO WORLD", None), Err(CutShort));
        assert_eq!(
            rdp_cookie_so_far(b"HELLO WORLD THIS IS NOT RDP", None),
            Ok(None)
        );
        for cookie in [
            "",
            "Cozokie",
            "Cookie:    ",
            "Cookie: msts",
            "Cookie: mstshash",
            "Cookie: mstshash=a\r",
        ] {
            assert_eq!(look(cookie, "mstshash"), Err(CutShort), "{cookie}");
        }
        for cookie in [
            "Foozokie",
            "Cookie: mstshasher",
            "Cookie: id=alice mstshash",
            "Cookie: mstshash=a\rX",
        ] {
            assert_eq!(look(cookie, "mstshash"), Ok(false), "{cookie}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn cookies_are_not_counted_before_it_is_known() {
        let count = |payload: &[u8]| Payload::RdpCookieCount(None).of(payload)?.integer();
        assert_eq!(count(b"AB"), None);
        assert_eq!(count(b"HELLO WORLD THIS IS NOT RDP"), Some(0));
        assert_eq!(count(&rdp("Cookie: a=b\r\n")), Some(1));
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
