//! Sends raw bytes to a proxy and takes its answer apart.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::hex;
use crate::origin::{SEEN, SERVER};
use crate::support;

/// Where HAProxy tells [`Answer::state`].
pub(crate) const STATE: &str = "x-state";

/// What is compared of an answer.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server that answered, `None` if the proxy did.
    pub(crate) server: Option<String>,
    pub(crate) set_cookie: Vec<Vec<u8>>,
    pub(crate) cache_control: Vec<Vec<u8>>,
    /// The `Cookie` fields that reached the server.
    pub(crate) forwarded: Vec<Vec<u8>>,
    /// The two letters of the cookie states, and the retries, with a plus sign when one
    /// of them moved the request: `DI/+2`.
    pub(crate) state: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readable = |lines: &[Vec<u8>]| -> Vec<String> {
            let escaped = lines.iter().map(|line| line.escape_ascii().to_string());
            escaped.collect()
        };
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("server", &self.server)
            .field("set_cookie", &readable(&self.set_cookie))
            .field("cache_control", &readable(&self.cache_control))
            .field("forwarded", &readable(&self.forwarded))
            .field("state", &self.state)
            .finish()
    }
}

/// An answer of which the head has come; dropped, it is given up.
#[derive(Debug)]
pub(crate) struct Pending(BufReader<TcpStream>, Answer);

impl Pending {
    /// Reads until the proxy closes.
    pub(crate) fn finish(mut self) -> io::Result<Answer> {
        self.0.read_to_end(&mut Vec::new())?;
        Ok(self.1)
    }
}

/// Sends a request from a loopback address and reads the head of the answer.
pub(crate) fn begin(
    proxy: SocketAddr,
    source: Ipv4Addr,
    request: &[u8],
) -> io::Result<(Answer, Pending)> {
    begin_on(support::connect_from(source, proxy)?, request)
}

/// The same on a connection that is there.
pub(crate) fn begin_on(mut stream: TcpStream, request: &[u8]) -> io::Result<(Answer, Pending)> {
    // It may wait for a server for as long as the test holds others open.
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    stream.write_all(request)?;
    let mut reader = BufReader::new(stream);
    let answer = read_answer(&mut reader)?;
    Ok((answer.clone(), Pending(reader, answer)))
}

/// Sends one request after the other over one connection, until the proxy answers one by
/// itself. Servers answer with three bytes. A connection that breaks off is an empty answer.
pub(crate) fn converse(proxy: SocketAddr, requests: &[Vec<u8>]) -> io::Result<Vec<Answer>> {
    let stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::new();
    for request in requests {
        let sent = reader.get_mut().write_all(request);
        let answer = sent.and_then(|()| read_answer(&mut reader));
        let answer = answer.unwrap_or_default();
        let is_served = answer.server.is_some();
        answers.push(answer);
        if !is_served {
            break;
        }
        reader.read_exact(&mut [0; 3])?;
    }
    // It may be closed already.
    let _ = reader.get_mut().shutdown(Shutdown::Write);
    let _ = reader.read_to_end(&mut Vec::new());
    Ok(answers)
}

fn read_answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            break;
        }
    }
    Ok(parse(&head))
}

fn parse(response: &[u8]) -> Answer {
    let mut answer = Answer::default();
    let mut lines = response.split(|byte| *byte == b'\n');
    let status = lines.next().unwrap_or_default();
    let digits = status.get(9..12).map(String::from_utf8_lossy);
    answer.status = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    for line in lines.take_while(|line| line.len() > 1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = &line[colon + 1..];
        let value = value.strip_prefix(b" ").unwrap_or(value);
        answer.note(&line[..colon], value);
    }
    answer
}

impl Answer {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match name.as_str() {
            "set-cookie" => self.set_cookie.push(value.to_vec()),
            "cache-control" => self.cache_control.push(value.to_vec()),
            // Behind two letters about how the session ended.
            STATE => self.state = String::from_utf8_lossy(&value[2..]).into_owned(),
            SERVER => self.server = Some(String::from_utf8_lossy(value).into_owned()),
            SEEN => {
                let lines = value.split(|byte| *byte == b'.').skip(1);
                self.forwarded = lines.map(hex::decode).collect();
            }
            _ => {}
        }
    }
}

/// Sends a line to a control port; an empty answer means that it was carried out.
pub(crate) fn command(control: SocketAddr, line: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(control)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    // It may have answered and gone already.
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim().to_owned())
}
