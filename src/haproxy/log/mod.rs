//! Log lines as HAProxy writes them: formats with variables, and what is before a line on
//! its way to a syslog server.

mod date;
mod envelope;
mod record;
mod termination;
mod value;
mod variable;

pub use envelope::{Envelope, Facility, LogLevel, LogSender};
pub use record::{LogRecord, LogTimers};
pub use termination::{Cause, Phase, Termination};
pub(super) use variable::Variable;

use std::net::IpAddr;

use super::Mode;
use super::format::{FormatError, FormatProblem, Piece, Pieces, Style, error};
use crate::fetch::{Expression, FindTable, Origin};
use value::{Encoding, Value};

/// A text with variables and samples in it, for logs and for the arguments of rules.
///
/// All variables of HAProxy 2.6 are there: `%ci`, `%[src]`, `%{+Q}r`, `%tsc` ...; dates are
/// in UTC, those that HAProxy writes in local time too. HAProxy: `log-format`.
///
/// ```
/// use stickroute::SimpleRequest;
/// use stickroute::haproxy::{LogFormat, LogRecord, Mode};
///
/// let format = LogFormat::parse("%ci:%cp %f %b/%s %ST %{+Q}r", Mode::Http)?;
/// let request = SimpleRequest::new("GET", "/cart?id=\"7\"");
/// let mut record = LogRecord::default();
/// record.request = Some(&request);
/// record.version = "HTTP/1.1";
/// record.client = "192.0.2.7:40000".parse().ok();
/// record.frontend = "web";
/// record.backend = Some("app");
/// record.server = Some("s1");
/// record.status = Some(200);
/// let line = format.line(&record);
/// let expected = br##"192.0.2.7:40000 web app/s1 200 "GET /cart?id=#227#22 HTTP/1.1""##;
/// assert_eq!(line, expected);
/// # Ok::<(), stickroute::haproxy::FormatError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogFormat {
    pieces: Vec<Piece>,
}

impl LogFormat {
    /// What `option httplog` writes: one line for a request.
    pub fn http() -> Self {
        Self::known(
            "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
             %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r",
        )
    }

    /// What `option httplog clf` writes: the Common Log Format of web servers, with more
    /// behind it.
    pub fn common() -> Self {
        Self::known(
            "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s \
             %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl",
        )
    }

    /// What `option tcplog` writes: one line for a connection.
    pub fn tcp() -> Self {
        Self::known("%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq")
    }

    /// What is written where no option says how: that a client has come.
    pub fn connection(mode: Mode) -> Self {
        Self::known(match mode {
            Mode::Http => "Connect from %ci:%cp to %fi:%fp (%f/HTTP)",
            Mode::Tcp => "Connect from %ci:%cp to %fi:%fp (%f/TCP)",
        })
    }

    fn known(text: &str) -> Self {
        // The tests read them all.
        let read = Pieces::read(text.as_bytes());
        Self {
            pieces: read.map(|pieces| pieces.list).unwrap_or_default(),
        }
    }

    /// Reads the format of a log.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place: as HAProxy a variable about HTTP in
    /// mode tcp, and a sample of a message, which is gone when the line is written. A
    /// sample of a stick table is: see [`Routing::log_format`](super::Routing::log_format).
    pub fn parse(text: impl AsRef<[u8]>, mode: Mode) -> Result<Self, FormatError> {
        let pieces = Pieces::read(text.as_ref())?.without_tables()?;
        of_log(&pieces)?;
        Self::of(pieces, mode)
    }

    /// As [`parse`](Self::parse), with the tables that `find` knows.
    pub(super) fn with_tables(
        text: &[u8],
        mode: Mode,
        find: &FindTable<'_>,
    ) -> Result<Self, FormatError> {
        let pieces = Pieces::read(text)?.with_tables(find)?;
        of_log(&pieces)?;
        Self::of(pieces, mode)
    }

    /// Reads the argument of a rule, which is filled in while the message is there: any
    /// sample may be in it.
    ///
    /// # Errors
    /// As those of [`parse`](Self::parse), but for samples of messages.
    pub fn argument(text: impl AsRef<[u8]>, mode: Mode) -> Result<Self, FormatError> {
        Self::of(Pieces::read(text.as_ref())?.without_tables()?, mode)
    }

    /// As [`argument`](Self::argument), with the tables that `find` knows.
    pub(super) fn argument_with_tables(
        text: &[u8],
        mode: Mode,
        find: &FindTable<'_>,
    ) -> Result<Self, FormatError> {
        Self::of(Pieces::read(text)?.with_tables(find)?, mode)
    }

    fn of(pieces: Pieces, mode: Mode) -> Result<Self, FormatError> {
        let variables = pieces.list.iter().filter_map(|piece| match piece {
            Piece::Variable(_, variable) => Some(*variable),
            _ => None,
        });
        let mut about_http = variables.filter(|variable| variable.is_of_http());
        match about_http.next().filter(|_| mode == Mode::Tcp) {
            Some(variable) => {
                let position = pieces.first_variable.unwrap_or_default();
                Err(error(position, FormatProblem::NotHttp(variable.name())))
            }
            None => Ok(Self {
                pieces: pieces.list,
            }),
        }
    }

    /// The sample expressions in it.
    pub fn samples(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Sample(_, expression) => Some(expression),
            _ => None,
        })
    }

    /// The line of a log: `-` stands for what is not there, and blanks are neither at its
    /// start nor behind blanks.
    ///
    /// Control characters are never in it, whatever clients send: in samples they are
    /// written `#0A`, which HAProxy does in its own variables only.
    pub fn line(&self, record: &LogRecord<'_>) -> Vec<u8> {
        let mut line = Line {
            text: Vec::new(),
            is_log: true,
        };
        self.fill(record, &mut line);
        line.text
    }

    /// The argument of a rule: nothing stands for what is not there, and samples are as
    /// they are.
    pub fn text(&self, record: &LogRecord<'_>) -> Vec<u8> {
        let mut line = Line {
            text: Vec::new(),
            is_log: false,
        };
        self.fill(record, &mut line);
        line.text
    }

    fn fill(&self, record: &LogRecord<'_>, line: &mut Line) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => line.add_text(text),
                Piece::Sample(style, expression) => line.add_sample(*style, expression, record),
                Piece::Variable(style, variable) => {
                    line.add_value(*style, &variable.of_record(record));
                }
            }
        }
    }
}

/// That no sample is one of a message.
fn of_log(pieces: &Pieces) -> Result<(), FormatError> {
    let samples = pieces.list.iter().filter_map(|piece| match piece {
        Piece::Sample(_, expression) => Some(expression),
        _ => None,
    });
    let mut placed = samples.zip(&pieces.samples);
    let gone = placed.find(|(expression, _)| {
        matches!(
            expression.origin(),
            Origin::Request | Origin::Response | Origin::Message
        )
    });
    match gone {
        Some((_, position)) => Err(error(*position, FormatProblem::Gone)),
        None => Ok(()),
    }
}

/// A line that grows.
struct Line {
    text: Vec<u8>,
    /// Or the argument of a rule.
    is_log: bool,
}

impl Line {
    fn add_text(&mut self, text: &[u8]) {
        for &byte in text {
            let is_behind_blank = self.text.last().is_none_or(|last| *last == b' ');
            if !(self.is_log && byte == b' ' && is_behind_blank) {
                self.text.push(byte);
            }
        }
    }

    fn add_sample(&mut self, style: Style, expression: &Expression, record: &LogRecord<'_>) {
        let sample = match (record.response, record.request) {
            (Some(response), request) => expression
                .on_response(response)
                .or_else(|| expression.on_request(request?)),
            (None, Some(request)) => expression.on_request(request),
            (None, None) => None,
        };
        let Self { text, is_log } = self;
        let add = |value: &[u8]| {
            let value = if *is_log {
                Encoding::Controls.encode(value)
            } else {
                value.into()
            };
            style.add(&value, *is_log, text);
        };
        match sample {
            Some(sample) => sample.with_text(add),
            None => style.add(b"", *is_log, text),
        }
    }

    fn add_value(&mut self, style: Style, value: &Value<'_>) {
        let Self { text, is_log } = self;
        match value {
            Value::Text(value) => style.add(value, *is_log, text),
            Value::Untrusted(value, encoding) => {
                style.add(&encoding.encode(value), *is_log, text);
            }
            Value::Optional(value, encoding) => {
                style.add(&encoding.encode(value), false, text);
            }
            Value::Bare(value) => text.extend_from_slice(value.as_bytes()),
            Value::Number(number) => add_number(style, *number, text),
            Value::Port(Some(port)) => add_number(style, (*port).into(), text),
            Value::Port(None) => style.add(b"", *is_log, text),
            Value::Address(Some(ip)) if style.hex => add_hex(*ip, text),
            Value::Address(ip) => {
                let ip = ip.map(|ip| ip.to_string()).unwrap_or_default();
                style.add(ip.as_bytes(), *is_log, text);
            }
            Value::Captures(values) => add_captures(style, values, text),
            Value::CommonCaptures(values) => add_common_captures(style, values, text),
        }
    }
}

fn add_number(style: Style, number: u64, text: &mut Vec<u8>) {
    let digits = if style.hex {
        format!("{number:04X}")
    } else {
        number.to_string()
    };
    text.extend_from_slice(digits.as_bytes());
}

fn add_hex(ip: IpAddr, text: &mut Vec<u8>) {
    let digits = match ip {
        IpAddr::V4(ip) => format!("{:08X}", ip.to_bits()),
        IpAddr::V6(ip) => format!("{:032X}", ip.to_bits()),
    };
    text.extend_from_slice(digits.as_bytes());
}

/// `{a|b}`, and nothing if no header is captured.
fn add_captures(style: Style, values: &[Option<Vec<u8>>], text: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let values = values.iter().map(|value| encoded(value.as_ref()));
    let joined = values.collect::<Vec<_>>().join(&b'|');
    let mut inner = vec![b'{'];
    style.add_bare(&joined, &mut inner);
    inner.push(b'}');
    Style {
        escapes: false,
        ..style
    }
    .add(&inner, true, text);
}

/// `a b`, or `"a" "b"`.
fn add_common_captures(style: Style, values: &[Option<Vec<u8>>], text: &mut Vec<u8>) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        style.add(&encoded(value.as_ref()), true, text);
    }
}

fn encoded(value: Option<&Vec<u8>>) -> Vec<u8> {
    let value = value.map(Vec::as_slice).unwrap_or_default();
    Encoding::Header.encode(value).into_owned()
}

#[cfg(test)]
mod tests;
