//! What a variable says about a session.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::date::Date;
use super::record::{LogRecord, LogTimers};
use super::variable::Variable;

/// A value, and how it may be written.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'r> {
    /// May stand in quotes.
    Text(Cow<'r, [u8]>),
    /// A text of a client's, in which some bytes are encoded.
    Untrusted(Cow<'r, [u8]>, Encoding),
    /// The same, and nothing where there is none, not even a dash.
    Optional(Cow<'r, [u8]>, Encoding),
    /// Never in quotes.
    Bare(String),
    /// Four hexadecimal digits or more if they are asked for.
    Number(u64),
    /// The same, and nothing where there is none.
    Port(Option<u16>),
    Address(Option<IpAddr>),
    /// `{a|b}`
    Captures(&'r [Option<Vec<u8>>]),
    /// `a b`
    CommonCaptures(&'r [Option<Vec<u8>>]),
}

/// Which bytes are written as `#` and two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Those that would end a line or a terminal's patience.
    Controls,
    /// And those beyond ASCII, `"` and `#`.
    Uri,
    /// And `{`, `|` and `}`.
    Header,
}

impl Encoding {
    pub(super) fn encode(self, text: &[u8]) -> Cow<'_, [u8]> {
        if !text.iter().any(|&byte| self.takes(byte)) {
            return Cow::Borrowed(text);
        }
        let mut encoded = Vec::with_capacity(text.len() + 8);
        for &byte in text {
            if self.takes(byte) {
                encoded.extend_from_slice(format!("#{byte:02X}").as_bytes());
            } else {
                encoded.push(byte);
            }
        }
        Cow::Owned(encoded)
    }

    fn takes(self, byte: u8) -> bool {
        match self {
            _ if byte.is_ascii_control() => true,
            Self::Controls => false,
            Self::Uri => !byte.is_ascii() || b"\"#".contains(&byte),
            Self::Header => Self::Uri.takes(byte) || b"{|}".contains(&byte),
        }
    }
}

impl Variable {
    /// What it says.
    pub(super) fn of_record<'r>(self, record: &LogRecord<'r>) -> Value<'r> {
        self.of_message(record)
            .or_else(|| self.of_time(record))
            .or_else(|| self.of_ends(record))
            .unwrap_or_else(|| self.of_counters(record))
    }

    fn of_message<'r>(self, record: &LogRecord<'r>) -> Option<Value<'r>> {
        let uri = |text| Value::Untrusted(text, Encoding::Uri);
        let cookie = |text: Option<&'r [u8]>| {
            let text = Cow::Borrowed(text.unwrap_or_default());
            Value::Untrusted(text, Encoding::Controls)
        };
        let line = Line::of(record);
        Some(match self {
            Self::Method => uri(line.part(|line| line.method)),
            Self::Uri => uri(line.part(|line| line.uri)),
            Self::Path => uri(line.part(|line| before_query(line.uri))),
            Self::PathOnly => uri(line.part(|line| path_only(line.uri))),
            Self::Query => Value::Optional(line.part(|line| query(line.uri)), Encoding::Uri),
            Self::Version => uri(line.part(|line| line.version)),
            Self::RequestLine => uri(line.whole()),
            Self::RequestCookie => cookie(record.request_cookie),
            Self::ResponseCookie => cookie(record.response_cookie),
            Self::RequestCaptures => Value::Captures(record.request_captures),
            Self::RequestCapturesCommon => Value::CommonCaptures(record.request_captures),
            Self::ResponseCaptures => Value::Captures(record.response_captures),
            Self::ResponseCapturesCommon => Value::CommonCaptures(record.response_captures),
            Self::Status => Value::Bare(record.status.map_or(-1, i32::from).to_string()),
            Self::UniqueId => {
                let text = Cow::Borrowed(record.unique_id);
                Value::Untrusted(text, Encoding::Controls)
            }
            _ => return None,
        })
    }

    fn of_time<'r>(self, record: &LogRecord<'_>) -> Option<Value<'r>> {
        let timers = &record.timers;
        let begun = record.begun;
        let request = begun + timers.handshake + timers.idle;
        let zone = |date: Duration| format!("{} +0000", Date::of(date).common());
        let precise = |date: Duration| {
            let fraction = date.subsec_millis();
            format!("{}.{fraction:03}", Date::of(date).common())
        };
        Some(Value::Bare(match self {
            Self::Date => precise(begun),
            Self::DateInUtc | Self::DateLocal => zone(begun),
            Self::RequestDate => precise(request),
            Self::RequestDateInUtc | Self::RequestDateLocal => zone(request),
            Self::Seconds => return Some(Value::Number(begun.as_secs())),
            Self::Milliseconds => format!("{:03}", begun.subsec_millis()),
            Self::TotalTime | Self::UserTime | Self::ActiveTime => {
                growing(record, self.timer(timers)?)
            }
            _ => self.timer(timers)?.to_string(),
        }))
    }

    fn timer(self, timers: &LogTimers) -> Option<i64> {
        let total = timers.total;
        let or_none = |time: Option<Duration>| time.map_or(-1, milliseconds);
        let since_accepted = timers
            .request
            .map(|time| time + timers.handshake + timers.idle);
        Some(match self {
            Self::HandshakeTime => milliseconds(timers.handshake),
            Self::IdleTime => milliseconds(timers.idle),
            Self::RequestTime => or_none(timers.request),
            Self::RequestAndIdleTime => or_none(since_accepted),
            Self::QueueTime => or_none(timers.queue),
            Self::ConnectTime => or_none(timers.connect),
            Self::ResponseTime => or_none(timers.response),
            Self::TotalTime => milliseconds(total),
            Self::UserTime => milliseconds(total.saturating_sub(timers.idle)),
            Self::ActiveTime => milliseconds(total.saturating_sub(timers.idle + timers.handshake)),
            Self::DataTime => or_none(data(timers, since_accepted)),
            _ => return None,
        })
    }

    fn of_ends<'r>(self, record: &LogRecord<'r>) -> Option<Value<'r>> {
        let text = |text: &'r str| Value::Text(Cow::Borrowed(text.as_bytes()));
        let unix_or = |end: Option<SocketAddr>| match end {
            Some(end) => Value::Address(Some(end.ip())),
            None => text("unix"),
        };
        let ip = |end: Option<SocketAddr>| Value::Address(end.map(|end| end.ip()));
        let port = |end: Option<SocketAddr>| Value::Port(end.map(|end| end.port()));
        Some(match self {
            Self::Client => unix_or(record.client),
            Self::FrontendAddress => unix_or(record.frontend_address),
            Self::ClientPort => port(record.client),
            Self::FrontendPort => port(record.frontend_address),
            Self::BackendSource => ip(record.backend_source),
            Self::BackendSourcePort => port(record.backend_source),
            Self::ServerAddress => ip(record.server_address),
            Self::ServerPort => port(record.server_address),
            Self::Frontend => text(record.frontend),
            Self::FrontendTransport => {
                let mark = if record.is_tls { "~" } else { "" };
                let name = format!("{}{mark}", record.frontend);
                Value::Text(Cow::Owned(name.into_bytes()))
            }
            Self::Backend => text(record.backend.unwrap_or(record.frontend)),
            Self::Server => text(record.server.unwrap_or("<NOSRV>")),
            Self::HostName => text(record.host_name),
            Self::TlsCipher => text(record.tls_cipher),
            Self::TlsVersion => text(record.tls_version),
            _ => return None,
        })
    }

    fn of_counters<'r>(self, record: &LogRecord<'_>) -> Value<'r> {
        Value::Bare(match self {
            Self::ProcessId => return Value::Number(record.process_id.into()),
            Self::RequestCounter => return Value::Number(record.request_counter),
            Self::LogCounter => record.log_counter.to_string(),
            Self::BytesRead => growing(record, record.bytes_read),
            Self::BytesUploaded => record.bytes_uploaded.to_string(),
            Self::ActiveConnections => record.connections.to_string(),
            Self::FrontendConnections => record.frontend_connections.to_string(),
            Self::BackendConnections => record.backend_connections.to_string(),
            Self::ServerConnections => record.server_connections.to_string(),
            Self::Retries => {
                let mark = if record.redispatched { "+" } else { "" };
                format!("{mark}{}", record.retries)
            }
            Self::ServerQueue => record.server_queue.to_string(),
            Self::BackendQueue => record.backend_queue.to_string(),
            Self::Termination => record.termination.letters(),
            _ => record.termination.all_letters(),
        })
    }
}

/// A number that is not the last word, if the session is not over.
fn growing(record: &LogRecord<'_>, number: impl Display) -> String {
    let mark = if record.is_unfinished { "+" } else { "" };
    format!("{mark}{number}")
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What is left of the total time when the head of the response is there.
fn data(timers: &LogTimers, since_accepted: Option<Duration>) -> Option<Duration> {
    let before = since_accepted? + timers.queue? + timers.connect? + timers.response?;
    Some(timers.total.saturating_sub(before))
}

/// A request line, if there was a valid one.
struct Line<'r>(Option<Parts<'r>>);

#[derive(Clone, Copy)]
struct Parts<'r> {
    method: &'r [u8],
    uri: &'r [u8],
    version: &'r [u8],
}

impl<'r> Line<'r> {
    fn of(record: &LogRecord<'r>) -> Self {
        Self(record.request.map(|request| Parts {
            method: request.method(),
            uri: request.target(),
            version: record.version.as_bytes(),
        }))
    }

    const NONE: &'static [u8] = b"<BADREQ>";

    fn part(&self, of: impl Fn(Parts<'r>) -> &'r [u8]) -> Cow<'r, [u8]> {
        Cow::Borrowed(self.0.map_or(Self::NONE, of))
    }

    fn whole(&self) -> Cow<'r, [u8]> {
        match self.0 {
            Some(parts) => {
                let words = [parts.method, parts.uri, parts.version];
                Cow::Owned(words.join(&b' '))
            }
            None => Cow::Borrowed(Self::NONE),
        }
    }
}

/// What is before the question mark.
fn before_query(uri: &[u8]) -> &[u8] {
    uri.split(|byte| *byte == b'?').next().unwrap_or(uri)
}

/// The question mark and what is behind it.
fn query(uri: &[u8]) -> &[u8] {
    &uri[before_query(uri).len()..]
}

/// The path without scheme and authority.
fn path_only(uri: &[u8]) -> &[u8] {
    let path = before_query(uri);
    let Some(scheme) = memchr::memmem::find(path, b"://") else {
        return path;
    };
    let authority = scheme + 3;
    match memchr::memchr(b'/', &path[authority..]) {
        Some(slash) => &path[authority + slash..],
        None => b"/",
    }
}
