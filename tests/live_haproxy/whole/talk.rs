//! Clients: what one of them does on a connection, and what it hears.

use std::fmt;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support;

use super::message::{Body, Head, Reader};
use super::servers::SERVER;

/// In place of the side that is talked to, in names of requests.
pub(super) const SIDE: &str = "^";

/// What a client does next.
#[derive(Clone)]
pub(super) enum Act {
    /// It sends this.
    Send(Vec<u8>),
    Pause,
    /// It sends nothing any more.
    CloseHalf,
    /// It waits for an answer, to HEAD if so said.
    Hear {
        is_head: bool,
    },
    /// It waits for a server to switch protocols, and goes on only then.
    HearSwitch,
    /// It waits for so many bytes that are no HTTP any more.
    HearBytes(usize),
    /// It waits for the end.
    HearRest,
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => {
                let begin = bytes[..bytes.len().min(400)].escape_ascii();
                write!(f, "Send({}: {begin})", bytes.len())
            }
            Self::Pause => f.write_str("Pause"),
            Self::CloseHalf => f.write_str("CloseHalf"),
            Self::Hear { is_head } => write!(f, "Hear(is_head: {is_head})"),
            Self::HearSwitch => f.write_str("HearSwitch"),
            Self::HearBytes(count) => write!(f, "HearBytes({count})"),
            Self::HearRest => f.write_str("HearRest"),
        }
    }
}

/// All that a client does on one connection.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) source: Ipv4Addr,
    pub(super) frontend: usize,
    pub(super) acts: Vec<Act>,
}

/// An answer.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case, by name.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// It ended before its end.
    pub(super) is_cut: bool,
    /// What went wrong, or what is no answer.
    pub(super) note: String,
}

impl Answer {
    fn noted(note: String) -> Self {
        Self {
            note,
            ..Self::default()
        }
    }

    pub(super) fn new(head: &Head, body: Body) -> Self {
        let mut fields = head.fields.clone();
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        Self {
            status: head.status(),
            fields,
            body: body.bytes,
            is_cut: body.is_cut,
            note: String::new(),
        }
    }

    /// Whether a server gave it.
    pub(super) fn is_served(&self) -> bool {
        self.fields.iter().any(|(name, _)| name == SERVER)
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter();
        fields.filter_map(move |(found, value)| (found == name).then_some(value.as_str()))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body[..self.body.len().min(120)].escape_ascii();
        let length = self.body.len();
        write!(f, "{} {:?} {length}:\"{body}\"", self.status, self.fields)?;
        if self.is_cut {
            write!(f, " cut")?;
        }
        write!(f, " {}", self.note)
    }
}

impl Talk {
    /// What one of the proxies answers.
    pub(super) fn play(&self, proxy: SocketAddr, side: &str) -> Vec<Answer> {
        let mut answers = Vec::new();
        let ended = self.converse(proxy, side, &mut answers);
        if let Err(error) = ended {
            answers.push(Answer::noted(format!("{:?}", error.kind())));
        }
        answers
    }

    fn converse(&self, proxy: SocketAddr, side: &str, answers: &mut Vec<Answer>) -> io::Result<()> {
        let stream = support::connect_from(self.source, proxy)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(40)))?;
        let mut reader = Reader::new(stream);
        for act in &self.acts {
            match act {
                Act::Send(bytes) => {
                    let bytes = for_side(bytes, side);
                    // An early answer may have closed the connection.
                    let _ = reader.stream().write_all(&bytes);
                }
                Act::Pause => thread::sleep(Duration::from_millis(3)),
                Act::CloseHalf => {
                    let _ = reader.stream().shutdown(Shutdown::Write);
                }
                Act::Hear { is_head } => {
                    if !hear(&mut reader, *is_head, answers)? {
                        break;
                    }
                }
                Act::HearSwitch => {
                    hear(&mut reader, false, answers)?;
                    if answers.last().is_none_or(|answer| answer.status != 101) {
                        break;
                    }
                }
                Act::HearBytes(count) => {
                    let body = reader.exactly(*count)?;
                    answers.push(Answer::noted(format!("bytes {body:?}")));
                }
                Act::HearRest => {
                    while reader.more()? > 0 {}
                    let rest = reader.take();
                    answers.push(Answer::noted(format!("rest {}", rest.escape_ascii())));
                }
            }
        }
        let _ = reader.stream().shutdown(Shutdown::Write);
        while reader.more()? > 0 {}
        let rest = reader.take();
        if !rest.is_empty() {
            answers.push(Answer::noted(format!("more: {}", rest.escape_ascii())));
        }
        Ok(())
    }
}

/// Hears an answer, interim ones left out, and says whether another one may follow.
fn hear(reader: &mut Reader, is_head: bool, answers: &mut Vec<Answer>) -> io::Result<bool> {
    let head = loop {
        match reader.head()? {
            Some(head) if head.status() == 100 => {}
            Some(head) => break head,
            None => {
                let rest = reader.take();
                answers.push(Answer::noted(format!("end {}", rest.escape_ascii())));
                return Ok(false);
            }
        }
    };
    let status = head.status();
    let is_bare = is_head || matches!(status, 101 | 204 | 304);
    let body = if is_bare {
        Body::default()
    } else {
        reader.body(&head, true)?
    };
    let goes_on = (head.keeps_alive() || status == 101) && !body.is_cut;
    answers.push(Answer::new(&head, body));
    Ok(goes_on)
}

/// The bytes, with the side in the names of requests.
fn for_side(bytes: &[u8], side: &str) -> Vec<u8> {
    let from = SIDE.as_bytes()[0];
    let to = side.as_bytes()[0];
    let bytes = bytes.iter();
    bytes
        .map(|byte| if *byte == from { to } else { *byte })
        .collect()
}

/// A request by `curl`, with a jar of cookies.
#[derive(Clone, Debug)]
pub(super) struct Curl {
    pub(super) source: Ipv4Addr,
    pub(super) frontend: usize,
    pub(super) target: String,
    pub(super) arguments: Vec<String>,
}

impl Curl {
    pub(super) fn play(&self, proxy: SocketAddr, side: &str, jar: &Path) -> Vec<Answer> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "--max-time", "40", "--http1.1", "--path-as-is"]);
        curl.arg("-b").arg(jar).arg("-c").arg(jar);
        curl.args(["--interface", &self.source.to_string()]);
        let arguments = self.arguments.iter();
        curl.args(arguments.map(|text| text.replace(SIDE, side)));
        curl.arg(format!("http://{proxy}{}", self.target));
        let output = curl.output().expect("curl is installed");
        vec![told(&output.stdout, output.status.code())]
    }
}

/// What `curl -i` prints; bodies are without chunks.
fn told(output: &[u8], code: Option<i32>) -> Answer {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        // Whether the connection is closed or reset.
        let code = if code == Some(56) { Some(52) } else { code };
        return Answer::noted(format!("curl {code:?}"));
    };
    let (head, rest) = output.split_at(end + 4);
    let interim: &[u8] = b"HTTP/1.1 100";
    if head.starts_with(interim) {
        return told(rest, code);
    }
    let head = Head::parse(&head[..end]);
    let body = Body {
        bytes: rest.to_vec(),
        is_cut: code != Some(0),
    };
    Answer::new(&head, body)
}
