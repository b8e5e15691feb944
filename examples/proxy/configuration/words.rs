//! The words behind an action, read one after the other.

use std::ops::RangeInclusive;
use std::slice;

use hyper::StatusCode;
use hyper::header::HeaderName;
use stickroute::haproxy::{
    AclCondition, ConditionWords, FormatError, HttpErrors, LogFormat, Mode, Pattern, Routing, Word,
    expression,
};
use stickroute::{Expression, Moment, Origin};

use crate::configuration::fault::Fault;
use crate::http::names::Names;
use crate::server::pool::Pool;

pub(crate) type Read<T> = Result<T, Fault>;

/// The section that rules are read in, and what was built of it.
#[derive(Clone, Copy)]
pub(crate) struct Section<'s> {
    pub(crate) name: &'s str,
    /// `None` if it could not be built: then the rules are read for their mistakes only.
    pub(crate) routing: Option<&'s Routing<Pool>>,
    /// Pages that rules may name. HAProxy: `http-errors`.
    pub(crate) errors: &'s [HttpErrors],
}

impl Section<'_> {
    /// A condition that knows the stick tables of the configuration.
    pub(crate) fn condition(self, words: &ConditionWords) -> AclCondition {
        match self.routing {
            Some(routing) => routing.condition(self.name, words),
            None => words.condition().clone(),
        }
    }

    /// The format of a log.
    pub(crate) fn log_format(self, text: &[u8], mode: Mode) -> Result<LogFormat, FormatError> {
        match self.routing {
            Some(routing) => routing.log_format(self.name, text, mode),
            None => LogFormat::parse(text, mode),
        }
    }

    /// The argument of a rule, with variables of logs.
    pub(crate) fn argument(self, text: &[u8], mode: Mode) -> Result<LogFormat, FormatError> {
        match self.routing {
            Some(routing) => routing.argument(self.name, text, mode),
            None => LogFormat::argument(text, mode),
        }
    }
}

/// Words of a rule that are not read yet.
pub(crate) struct Words<'w> {
    pub(crate) section: Section<'w>,
    pub(crate) rest: slice::Iter<'w, Word>,
    /// The last one that was read.
    pub(crate) last: &'w Word,
    pub(crate) moment: Moment,
}

impl<'w> Words<'w> {
    pub(crate) fn next(&mut self, expected: &str) -> Read<&'w Word> {
        let word = self
            .rest
            .next()
            .ok_or_else(|| Fault::new(self.last, format!("expected {expected} behind it")))?;
        self.last = word;
        Ok(word)
    }

    pub(crate) fn end(&mut self) -> Read<()> {
        match self.rest.next() {
            Some(word) => Err(Fault::new(
                word,
                "not supported by this program; expected nothing more",
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn header(&mut self) -> Read<HeaderName> {
        header_name(self.next("the name of a header")?)
    }

    /// A name, and how others are compared with it.
    pub(crate) fn names(&mut self) -> Read<Names> {
        let word = self.next("the name of a header")?;
        let mut method = Some("str");
        if let Some(flag) = self.rest.as_slice().first()
            && flag.as_str() == Some("-m")
        {
            self.last = self.next("-m")?;
            method = self.next("beg, end, reg, str or sub")?.as_str();
        }
        let part = word.bytes().to_ascii_lowercase();
        Ok(match method {
            Some("str") => Names::Is(header_name(word)?),
            Some("beg") => Names::Begin(part),
            Some("end") => Names::End(part),
            Some("sub") => Names::Contain(part),
            Some("reg") => Names::Match(pattern_of(word)?),
            _ => return Err(Fault::new(self.last, "expected beg, end, reg, str or sub")),
        })
    }

    pub(crate) fn format(&mut self) -> Read<LogFormat> {
        let word = self.next("a text")?;
        self.format_of(word.bytes())
    }

    /// That of a text which the last word stands for.
    pub(crate) fn format_of(&self, text: &[u8]) -> Read<LogFormat> {
        let word = self.last;
        let format = self.section.argument(text, Mode::Http);
        let format = format.map_err(|error| Fault::new(word, error.to_string()))?;
        if self.moment == Moment::Response && looks_at_the_request(&format) {
            let message = "not supported here: a sample of the request";
            return Err(Fault::new(word, message));
        }
        Ok(format)
    }

    pub(crate) fn pattern(&mut self) -> Read<Pattern> {
        pattern_of(self.next("a regular expression")?)
    }

    /// A sample of a request.
    pub(crate) fn expression(&mut self) -> Read<Expression> {
        let word = self.next("a sample expression")?;
        let expression = expression(word.bytes());
        let expression = expression.map_err(|error| Fault::new(word, error.to_string()))?;
        if !expression.is_available(self.moment) {
            return Err(Fault::new(word, "there is no such sample at this moment"));
        }
        Ok(expression)
    }

    pub(crate) fn status(&mut self, range: RangeInclusive<u16>) -> Read<StatusCode> {
        let word = self.next("a status")?;
        let number = word.as_str().and_then(|text| text.parse().ok());
        let number = number.filter(|number| range.contains(number));
        let status = number.and_then(|number| StatusCode::from_u16(number).ok());
        let (least, most) = range.into_inner();
        status.ok_or_else(|| Fault::new(word, format!("expected a status from {least} to {most}")))
    }
}

fn header_name(word: &Word) -> Read<HeaderName> {
    let name = HeaderName::from_bytes(word.bytes());
    name.map_err(|_| Fault::new(word, "expected the name of a header"))
}

fn pattern_of(word: &Word) -> Read<Pattern> {
    let pattern = Pattern::new(word.bytes());
    pattern.map_err(|error| Fault::new(word, error.to_string()))
}

/// A format without samples.
pub(crate) fn literal(text: &[u8]) -> LogFormat {
    let pieces: Vec<_> = text.split(|byte| *byte == b'%').collect();
    let format = LogFormat::argument(pieces.join(&b"%%"[..]), Mode::Http);
    format.expect("each percent sign is written twice")
}

/// Whether a sample in a format is of the request, which a rule on responses does not see.
fn looks_at_the_request(format: &LogFormat) -> bool {
    let mut samples = format.samples();
    samples.any(|sample| sample.origin() == Origin::Request)
}
