//! The head of a request, read as HAProxy reads it.
//!
//! Stricter than HAProxy: what hyper cannot carry is no request, which is control
//! characters in values, and targets that the `http` crate knows as none.

use std::borrow::Cow;
use std::io::Write;

use hyper::Version;

use crate::client::syntax::{self, LONGEST_BODY};
use crate::client::wire::Refusal;

/// As many fields as hyper takes, and as HAProxy does. HAProxy: `tune.http.maxhdr`.
const MOST_FIELDS: usize = 100;

/// HAProxy has a byte for the length of a field's name.
pub(crate) const LONGEST_NAME: usize = 255;

/// How it is known where a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunks,
    /// Perhaps never: it asks for a tunnel.
    Tunnel,
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head<'h> {
    method: &'h [u8],
    target: &'h [u8],
    /// HTTP/1.0 or HTTP/1.1.
    version: Version,
    /// The version it came with.
    pub(crate) told_version: (u8, u8),
    /// Its length and encoding are written from `framing`.
    fields: Vec<(&'h [u8], Cow<'h, [u8]>)>,
    length: Option<u64>,
    is_chunked: bool,
    pub(crate) framing: Framing,
    /// It came with `Expect: 100-continue`.
    pub(crate) expects: bool,
    /// Two lengths in one message: nothing behind it is believed.
    closes: bool,
}

type Read<T> = Result<T, Refusal>;

fn check(holds: bool) -> Read<()> {
    holds.then_some(()).ok_or(Refusal::Malformed)
}

/// Whether bytes that have no end yet may become a head, as far as whole lines and the method
/// tell.
pub(super) fn may_become(bytes: &[u8]) -> Read<()> {
    let Some(whole) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let word = bytes.split(is_blank).next().unwrap_or_default();
        // It may be the first half of an empty line.
        return check(bytes.is_empty() || bytes == b"\r" || syntax::is_token(word));
    };
    let mut lines = lines_of(&bytes[..whole]);
    let mut head = Head::first_line(lines.next().unwrap_or_default())?;
    lines.try_for_each(|line| head.line(line))
}

fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

impl<'h> Head<'h> {
    /// `bytes` end with an empty line.
    pub(crate) fn parse(bytes: &'h [u8]) -> Read<Self> {
        let mut lines = lines_of(bytes);
        let mut head = Self::first_line(lines.next().unwrap_or_default())?;
        for line in lines.take_while(|line| !line.is_empty()) {
            head.line(line)?;
        }
        check(head.fields.len() <= MOST_FIELDS)?;
        head.framing()?;
        head.host()?;
        Ok(head)
    }

    fn first_line(line: &'h [u8]) -> Read<Self> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut words = line.split(is_blank);
        let method = words.next().unwrap_or_default();
        let mut words = words.filter(|word| !word.is_empty());
        let (target, version) = (words.next(), words.next());
        let target = target.ok_or(Refusal::Malformed)?;
        let is_end = line.last().is_some_and(|byte| !is_blank(byte)) && words.next().is_none();
        check(is_end && syntax::is_token(method) && syntax::is_target(method, target))?;
        let told_version = match version {
            Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                (*major - b'0', *minor - b'0')
            }
            _ => return Err(Refusal::Malformed),
        };
        let version = if told_version < (1, 1) {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        };
        Ok(Self {
            method,
            target,
            version,
            told_version,
            fields: Vec::with_capacity(16),
            length: None,
            is_chunked: false,
            framing: Framing::Length(0),
            expects: false,
            closes: false,
        })
    }

    fn line(&mut self, line: &'h [u8]) -> Read<()> {
        check(line.iter().all(|byte| syntax::is_in_value(*byte)))?;
        if let [b' ' | b'\t', ..] = line {
            // A line that goes on, of which the end and the start become spaces.
            let (_, value) = self.fields.last_mut().ok_or(Refusal::Malformed)?;
            let value = value.to_mut();
            if !value.is_empty() {
                value.extend(b"   ");
            }
            value.extend(line.trim_ascii());
            return Ok(());
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or(Refusal::Malformed)?);
        check(syntax::is_token(name) && name.len() <= LONGEST_NAME)?;
        self.fields.push((name, value[1..].trim_ascii().into()));
        Ok(())
    }

    fn values<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        let fields = self.fields.iter();
        let named = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| &value[..])
    }

    fn words<'s>(&'s self, name: &'static str) -> impl Iterator<Item = &'s [u8]> {
        let values = self.values(name);
        values.flat_map(|value| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    }

    /// Finds out where the body ends, and takes the fields away that say so.
    fn framing(&mut self) -> Read<()> {
        self.length = self.length()?;
        self.is_chunked = self.is_chunked()?;
        // A server that reads HTTP/1.0 may not know of chunks.
        check(!(self.is_chunked && self.version == Version::HTTP_10))?;
        self.closes = self.is_chunked && self.length.is_some();
        let mut words = self.words("expect");
        let expects = words.any(|word| word.eq_ignore_ascii_case(b"100-continue"));
        drop(words);
        self.expects = expects;
        let asks = self.asks_for_a_tunnel();
        self.framing = match (asks, self.is_chunked, self.length) {
            (_, true, _) => Framing::Chunks,
            (true, false, None | Some(0)) => Framing::Tunnel,
            (_, false, length) => Framing::Length(length.unwrap_or(0)),
        };
        let is_written_anew = |name: &[u8]| {
            let mut names = ["content-length", "transfer-encoding"].iter();
            names.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        };
        self.fields.retain(|(name, _)| !is_written_anew(name));
        if self.expects {
            self.fields
                .retain(|(name, _)| !name.eq_ignore_ascii_case(b"expect"));
        }
        Ok(())
    }

    /// All that are told must be the same.
    fn length(&self) -> Read<Option<u64>> {
        let mut found = None;
        for word in self.words("content-length") {
            let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(word).ok().filter(|_| is_number);
            let number = text.and_then(|text| text.parse().ok());
            let number = number.filter(|number| *number <= LONGEST_BODY);
            let number: u64 = number.ok_or(Refusal::Malformed)?;
            check(found.is_none_or(|found| found == number))?;
            found = Some(number);
        }
        Ok(found)
    }

    /// Chunked is the last encoding, once; another before it is one too many for HAProxy.
    fn is_chunked(&self) -> Read<bool> {
        let words: Vec<_> = self.words("transfer-encoding").collect();
        let is_chunked = |word: &&&[u8]| word.eq_ignore_ascii_case(b"chunked");
        match (&words[..], words.iter().filter(is_chunked).count()) {
            ([], _) => Ok(false),
            ([_], 1) => Ok(true),
            ([.., last], 1) if is_chunked(&last) => Err(Refusal::Encoded),
            _ => Err(Refusal::Malformed),
        }
    }

    fn asks_for_a_tunnel(&self) -> bool {
        let mut options = self.words("connection");
        let asks = options.any(|word| word.eq_ignore_ascii_case(b"upgrade"));
        // HTTP/1.0 knows nothing of it (RFC 9110 section 7.8).
        let asks =
            asks && self.version == Version::HTTP_11 && self.values("upgrade").next().is_some();
        asks || self.method == b"CONNECT"
    }

    /// There is one host at most, and it is that of the target.
    fn host(&mut self) -> Read<()> {
        let mut hosts = self.values("host");
        if let Some(host) = hosts.next() {
            check(hosts.all(|other| other == host))?;
            let authority = syntax::authority(self.method, self.target);
            check(authority.is_none_or(|authority| syntax::is_same_host(authority, host)))?;
        }
        drop(hosts);
        let mut seen = 0;
        self.fields.retain(|(name, _)| {
            seen += usize::from(name.eq_ignore_ascii_case(b"host"));
            !name.eq_ignore_ascii_case(b"host") || seen == 1
        });
        let is_socket = self
            .words("upgrade")
            .any(|word| word.eq_ignore_ascii_case(b"websocket"));
        let has_key = self.values("sec-websocket-key").next().is_some();
        check(!(is_socket && self.framing == Framing::Tunnel && !has_key))
    }

    /// Writes it in the only form that is handed on.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let version = match self.version {
            Version::HTTP_10 => b" HTTP/1.0\r\n",
            _ => b" HTTP/1.1\r\n",
        };
        let mut write = |words: [&[u8]; 4]| words.map(|word| out.extend_from_slice(word));
        write([self.method, b" ", self.target, version]);
        for (name, value) in &self.fields {
            write([name, b": ", value, b"\r\n"]);
        }
        if self.closes {
            out.extend(b"Connection: close\r\n");
        }
        if self.is_chunked {
            out.extend(b"Transfer-Encoding: chunked\r\n");
        } else if let Some(length) = self.length {
            // Writing to memory does not fail.
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        out.extend(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(head: &[u8]) -> Option<Refusal> {
        Head::parse(head).err()
    }

    fn refuse_field(field: &[u8]) {
        let found = refusal(&[b"GET / HTTP/1.1\r\nHost: h\r\n", field, b"\r\n\r\n"].concat());
        assert_eq!(found, Some(Refusal::Malformed), "{}", field.escape_ascii());
    }

    #[test]
    fn what_is_no_request_line_is_refused() {
        let lines: [&[u8]; 16] = [
            b"GET /x",
            b"GET /x HTTP/1.01",
            b"GET /x HTTP/1.",
            b"GET /x http/1.1",
            b"GET /x RTSP/1.0",
            b"GET /x HTTP/1.1 ",
            b"GET /x y HTTP/1.1",
            b" GET /x HTTP/1.1",
            b"G(T /x HTTP/1.1",
            b"GET x HTTP/1.1",
            b"GET /x#y HTTP/1.1",
            b"GET /x\x01 HTTP/1.1",
            b"GET /\xe9 HTTP/1.1",
            b"GET h:80 HTTP/1.1",
            b"CONNECT /x HTTP/1.1",
            b"GET /x HTTP/1.1\r",
        ];
        for line in lines {
            let found = refusal(&[line, b"\r\n\r\n"].concat());
            assert_eq!(found, Some(Refusal::Malformed), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        let fields: [&[u8]; 11] = [
            b"X : 1",
            b": 1",
            b"X",
            b"X\x01Y: 1",
            b"X\xe9Y: 1",
            b"X(Y): 1",
            b"X: a\0b",
            b"X: a\rb",
            b"X: a\x01b",
            b"Host: i",
            b"Connection: upgrade\r\nUpgrade: websocket",
        ];
        for field in fields {
            refuse_field(field);
        }
        let folded = b"GET / HTTP/1.1\r\n X: 1\r\n\r\n";
        assert_eq!(refusal(folded), Some(Refusal::Malformed));
    }

    #[test]
    fn a_body_without_a_certain_end_is_refused() {
        let fields: [&[u8]; 12] = [
            b"Content-Length: 1\r\nContent-Length: 2",
            b"Content-Length: 1, 2",
            b"Content-Length: 1,",
            b"Content-Length: +1",
            b"Content-Length: -1",
            b"Content-Length:",
            b"Content-Length: 99999999999999999999",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: chunked, gzip",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: \x0bchunked",
        ];
        for field in fields {
            refuse_field(field);
        }
        let encoded = b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        assert_eq!(refusal(encoded), Some(Refusal::Encoded));
    }

    #[test]
    fn a_target_names_the_host_that_the_field_names() {
        for (line, host, is_same) in [
            ("GET http://h/x", "h", true),
            ("GET http://H/x", "h", true),
            ("GET http://h:80/x", "h", true),
            ("GET https://h/x", "h:443", true),
            ("GET http://u@h/x", "h", true),
            ("GET http://h:81/x", "h", false),
            ("GET http://other/x", "h", false),
            ("GET http://h?http://other/", "h", true),
            ("GET /http://other/", "h", true),
            ("CONNECT h:80", "h:80", true),
            ("CONNECT h:81", "h", false),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(refusal(head.as_bytes()).is_none(), is_same, "{head}");
        }
    }

    #[test]
    fn lengths_are_told_once() {
        for (fields, plain) in [
            ("Content-Length: 2, 2", "Content-Length: 2\r\n"),
            (
                "Content-Length: 02\r\nContent-Length: 2",
                "Content-Length: 2\r\n",
            ),
            (
                "Content-Length: 2\r\nTransfer-Encoding:\tChunked ",
                "Connection: close\r\nTransfer-Encoding: chunked\r\n",
            ),
        ] {
            let head = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            let mut written = Vec::new();
            Head::parse(head.as_bytes()).unwrap().write(&mut written);
            let expected = format!("POST / HTTP/1.1\r\n{plain}\r\n");
            assert_eq!(written, expected.as_bytes(), "{fields}");
        }
    }
}
