//! Messages of HTTP/1 on a socket, read by both the clients and the servers of this check.

use std::io::{self, Read};
use std::net::TcpStream;

/// The first line and the fields of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) line: String,
    /// Names in lower case.
    pub(super) fields: Vec<(String, String)>,
}

impl Head {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| {
            let value = value.strip_prefix(' ').unwrap_or(value);
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            line,
            fields: fields.collect(),
        }
    }

    /// The first value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Of an answer.
    pub(super) fn status(&self) -> u16 {
        let digits = self.line.get(9..12).unwrap_or_default();
        digits.parse().unwrap_or(0)
    }

    /// Whether another message may follow.
    pub(super) fn keeps_alive(&self) -> bool {
        let words = self.field("connection").unwrap_or_default();
        let words = words.to_ascii_lowercase();
        if self.line.contains("HTTP/1.0") {
            return words.contains("keep-alive");
        }
        !words.contains("close")
    }
}

/// The body of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// It ended before its end.
    pub(super) is_cut: bool,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Reader {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Reader {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// What has been read and not used.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Reads, and says how much; 0 is the end.
    pub(super) fn more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16_384];
        let count = match self.stream.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// The first byte, if there is one.
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        while self.bytes.is_empty() {
            if self.more()? == 0 {
                return Ok(None);
            }
        }
        Ok(self.bytes.first().copied())
    }

    /// The head of the next message; none at the end of the connection.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.bytes, b"\r\n\r\n") {
                let head = Head::parse(&self.bytes[..end]);
                self.bytes.drain(..end + 4);
                return Ok(Some(head));
            }
            if self.more()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The body behind a head; `is_open` is said of answers without a length.
    pub(super) fn body(&mut self, head: &Head, is_open: bool) -> io::Result<Body> {
        if head.field("transfer-encoding").is_some() {
            return self.chunks();
        }
        let length = head.field("content-length");
        let length = length.and_then(|text| text.parse().ok());
        match length {
            None if is_open => {
                while self.more()? > 0 {}
                let bytes = self.take();
                Ok(Body {
                    bytes,
                    is_cut: false,
                })
            }
            length => self.exactly(length.unwrap_or(0)),
        }
    }

    /// So many bytes, or what there is of them.
    pub(super) fn exactly(&mut self, length: usize) -> io::Result<Body> {
        while self.bytes.len() < length {
            if self.more()? == 0 {
                let bytes = self.take();
                return Ok(Body {
                    bytes,
                    is_cut: true,
                });
            }
        }
        let rest = self.bytes.split_off(length);
        let bytes = std::mem::replace(&mut self.bytes, rest);
        Ok(Body {
            bytes,
            is_cut: false,
        })
    }

    fn chunks(&mut self) -> io::Result<Body> {
        let mut body = Body::default();
        while let Some(line) = self.line()? {
            let Ok(size) = usize::from_str_radix(&line, 16) else {
                body.bytes.extend(format!("[no size: {line}]").bytes());
                break;
            };
            if size == 0 {
                // Behind it may be fields, up to an empty line.
                while self.line()?.is_some_and(|line| !line.is_empty()) {}
                return Ok(body);
            }
            let part = self.exactly(size)?;
            body.bytes.extend(part.bytes);
            if part.is_cut {
                break;
            }
            self.line()?;
        }
        body.is_cut = true;
        Ok(body)
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = find(&self.bytes, b"\r\n") {
                let line = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                self.bytes.drain(..end + 2);
                return Ok(Some(line));
            }
            if self.more()? == 0 {
                return Ok(None);
            }
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
