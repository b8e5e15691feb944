//! The tables: what a client sends and when, what the server does with it, and what ours
//! comes to where that is something else than what HAProxy comes to.
//!
//! A row is a paragraph. Its first line is a name and a door, see `side.rs`. What the client
//! does follows, a line for each step, then what the server does, behind `server`, and last,
//! if there is a difference that docs/differences.md tells of, `ours` with what is found.
//!
//! In bytes, escapes are those of `tests/support/wire.txt`; `$R/` is a path that names the row,
//! `$P` and `$Q` are the port of the client in digits and in bytes.

use std::time::Duration;

use super::side::Seen;
use crate::support::wire::{self, Then};

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) door: String,
    pub(super) client: Vec<Step>,
    /// `None` is a good server.
    pub(super) server: Option<Vec<Step>>,
    /// What ours comes to, where it is something else.
    pub(super) ours: Option<String>,
}

/// What one of the two does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// `> bytes`
    Send(Vec<u8>),
    /// On a connection of its own, which lasts as long as the row: `first > bytes`.
    First(Vec<u8>),
    /// One byte after the other, with so much time between: `slowly MS > bytes`.
    Slowly(Duration, Vec<u8>),
    /// `wait MS`
    Wait(Duration),
    /// Until this has been heard: `until bytes`.
    Until(Vec<u8>),
    /// The server does not read the body first: `early`.
    Early,
    /// It reads to the end; at the end of a server's steps that is told: `hear`.
    Hear,
    /// Nothing more is sent: `half`.
    CloseHalf,
    /// `close`
    Close,
    /// `reset`
    Reset,
}

/// Those of `wire.txt` that are in the tables here in another form, as what HAProxy writes about
/// them depends on the moment in which it hears of the end, or where differences that
/// docs/differences.md tells of show in the log.
const SKIPPED: [&str; 9] = [
    "absolute, port of HTTP",
    "h2c",
    "trailer",
    "server: fold",
    "server: 600",
    "answer and end before the body",
    "answer before the body",
    "part of a body, half closed",
    "part of a chunk, half closed",
];

/// What a client says last that wants to know whether it is still listened to.
const LAST: &str = "GET $R/last HTTP/1.1$HConnection: close\\r\\n\\r\\n";

impl Step {
    pub(super) fn parse(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let behind = |text: &str| {
            let (before, bytes) = text.split_once("> ").expect("what is sent");
            (before.trim().to_owned(), wire::bytes(bytes))
        };
        match word {
            ">" => Self::Send(wire::bytes(rest)),
            "first" => Self::First(behind(rest).1),
            "slowly" => {
                let (pause, bytes) = behind(rest);
                Self::Slowly(time(&pause), bytes)
            }
            "wait" => Self::Wait(time(rest)),
            "until" => Self::Until(wire::bytes(rest)),
            "again" => Self::Send(wire::bytes(LAST)),
            "early" => Self::Early,
            "hear" => Self::Hear,
            "half" => Self::CloseHalf,
            "close" => Self::Close,
            "reset" => Self::Reset,
            _ => panic!("no such word: {line}"),
        }
    }

    /// With what is known when it is played.
    pub(super) fn filled(&self, number: usize, port: u16) -> Self {
        let fill = |bytes: &[u8]| {
            let bytes = replaced(bytes, b"$R/", format!("/row{number:03}/").as_bytes());
            let bytes = replaced(&bytes, b"$P", port.to_string().as_bytes());
            replaced(&bytes, b"$Q", &port.to_be_bytes())
        };
        match self {
            Self::Send(bytes) => Self::Send(fill(bytes)),
            Self::First(bytes) => Self::First(fill(bytes)),
            Self::Slowly(pause, bytes) => Self::Slowly(*pause, fill(bytes)),
            other => other.clone(),
        }
    }
}

fn time(text: &str) -> Duration {
    let number = text.parse().expect("a number of milliseconds");
    Duration::from_millis(number)
}

fn replaced(bytes: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut replaced = Vec::new();
    while let Some(at) = wire::find(rest, part) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(by);
        rest = &rest[at + part.len()..];
    }
    [&replaced, rest].concat()
}

impl Row {
    /// The rows of a table.
    pub(super) fn all(table: &str) -> Vec<Self> {
        let lines = table.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<&str> = lines.collect();
        let paragraphs = lines.split(|line| line.trim().is_empty());
        let paragraphs = paragraphs.filter(|lines| !lines.is_empty());
        paragraphs.map(Self::parse).collect()
    }

    fn parse(lines: &[&str]) -> Self {
        let (name, door) = lines[0].rsplit_once(", ").expect("a name and a door");
        let (lines, ours) = match lines.split_last() {
            Some((last, lines)) if last.starts_with("ours ") => (lines, Some(&last[5..])),
            _ => (lines, None),
        };
        let mut halves = lines[1..].split(|line| *line == "server");
        let mut steps = || {
            Some(
                halves
                    .next()?
                    .iter()
                    .map(|line| Step::parse(line))
                    .collect(),
            )
        };
        Self {
            name: name.to_owned(),
            door: door.to_owned(),
            client: steps().unwrap_or_default(),
            server: steps(),
            ours: ours.map(str::to_owned),
        }
    }

    /// The rows of `tests/support/wire.txt`, for what is logged of them.
    pub(super) fn of_wire() -> Vec<Self> {
        let rows = wire::rows().into_iter();
        let same = rows.filter(|row| row.ours() == row.haproxy && !SKIPPED.contains(&row.name));
        same.map(|row| {
            // Every path there has one part.
            let sent = replaced(&row.sent, b" /", b" $R/");
            let sent = replaced(&sent, b"//h/", b"//h$R/");
            let then = match row.then {
                Then::AskAgain => Some(Step::parse("again")),
                Then::CloseHalf => Some(Step::CloseHalf),
                Then::Wait | Then::BeginWithProxy => None,
            };
            let door = if row.then == Then::BeginWithProxy {
                "proxied"
            } else {
                "web"
            };
            Self {
                name: format!("wire: {}", row.name),
                door: door.to_owned(),
                client: [Step::Send(sent)].into_iter().chain(then).collect(),
                server: None,
                ours: None,
            }
        })
        .collect()
    }

    /// Whether they are the same, or ours is what the row says.
    pub(super) fn is_right(&self, theirs: &Seen, ours: &Seen) -> bool {
        match &self.ours {
            None => theirs == ours,
            Some(expected) => theirs != ours && ours.to_string() == *expected,
        }
    }

    /// Whether it is in mode tcp.
    pub(super) fn is_raw(&self) -> bool {
        self.door.starts_with("raw")
    }
}
