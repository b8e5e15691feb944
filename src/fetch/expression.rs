//! A fetch with converters behind it.

use std::fmt;

use super::{Converter, Fetch, HeaderFetch, Moment, Origin};
#[cfg(feature = "haproxy")]
use super::{FindTable, Message};
use crate::message::{Request, Response};
use crate::sample::{Sample, SampleType};

/// A fetch and the converters its value goes through.
///
/// Feature `haproxy` reads expressions from HAProxy's text:
/// `haproxy::expression("req.hdr(x-key),lower")`.
///
/// ```
/// use stickroute::{Converter, Expression, Fetch, Sample, SimpleRequest};
///
/// let key = Expression::from(Fetch::header("x-key")).then(Converter::lower())?;
/// let request = SimpleRequest::new("GET", "/").header("X-Key", "Alpha, BETA");
/// assert_eq!(key.on_request(&request), Some(Sample::from("beta")));
/// # Ok::<(), stickroute::TypeMismatch>(())
/// ```
#[derive(Clone)]
pub struct Expression {
    fetch: Fetch,
    converters: Vec<Converter>,
}

impl Expression {
    /// The same expression with one more converter at its end.
    ///
    /// # Errors
    /// No value of [`output`](Self::output) can become the converter's input.
    pub fn then(mut self, converter: Converter) -> Result<Self, TypeMismatch> {
        let (found, expected) = (self.output(), converter.input());
        if !found.casts_to(expected) {
            return Err(TypeMismatch { found, expected });
        }
        self.converters.push(converter);
        Ok(self)
    }

    /// The value in a request, `None` where the fetch finds none or a converter fails.
    pub fn on_request<'a>(&'a self, request: &'a dyn Request) -> Option<Sample<'a>> {
        self.convert(self.fetch.on_request(request)?)
    }

    /// The value in a response; see [`Fetch::on_response`].
    pub fn on_response<'a>(&'a self, response: &'a dyn Response) -> Option<Sample<'a>> {
        self.convert(self.fetch.on_response(response)?)
    }

    /// Whether `test` holds for any occurrence of the value; see [`Fetch::any`].
    #[cfg(feature = "haproxy")]
    pub(crate) fn any<'a>(
        &'a self,
        message: Message<'a>,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> bool {
        self.fetch.any(message, &mut |sample| {
            self.convert(sample).is_some_and(&mut *test)
        })
    }

    /// As [`any`](Self::any), of a message whose payload is still arriving; see
    /// [`Fetch::any_so_far`].
    #[cfg(feature = "haproxy")]
    pub(crate) fn any_so_far<'a>(
        &'a self,
        message: Message<'a>,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> Option<bool> {
        self.fetch.any_so_far(message, &mut |sample| {
            self.convert(sample).is_some_and(&mut *test)
        })
    }

    #[cfg(feature = "haproxy")]
    pub(crate) fn has_converters(&self) -> bool {
        !self.converters.is_empty()
    }

    /// Whether there is a table to be put in.
    #[cfg(feature = "haproxy")]
    pub(crate) fn reads_tables(&self) -> bool {
        self.fetch.reads_table() || self.converters.iter().any(Converter::reads_table)
    }

    /// Puts tables in the place of their names; a name that is not found stays, and has no
    /// value.
    #[cfg(feature = "haproxy")]
    pub(crate) fn bind(&mut self, find: &FindTable<'_>) {
        self.fetch.bind(find);
        for converter in &mut self.converters {
            converter.bind(find);
        }
    }

    fn convert<'a>(&self, sample: Sample<'a>) -> Option<Sample<'a>> {
        let mut converters = self.converters.iter();
        converters.try_fold(sample, |sample, converter| converter.apply(sample))
    }

    /// The type of the value, as far as it is known before there is one.
    pub fn output(&self) -> SampleType {
        let last = self.converters.last();
        last.map_or_else(|| self.fetch.output(), Converter::output)
    }

    /// Where the value is found, hence when it can be asked for.
    pub fn origin(&self) -> Origin {
        self.fetch.origin()
    }

    /// Whether there may be a value at that moment.
    pub fn is_available(&self, moment: Moment) -> bool {
        self.origin().is_available(moment)
    }
}

impl From<Fetch> for Expression {
    fn from(fetch: Fetch) -> Self {
        let converters = Vec::new();
        Self { fetch, converters }
    }
}

impl From<HeaderFetch> for Expression {
    fn from(header: HeaderFetch) -> Self {
        Fetch::from(header).into()
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fetch.fmt(f)?;
        for converter in &self.converters {
            write!(f, ", {converter:?}")?;
        }
        Ok(())
    }
}

/// A converter that cannot read what comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeMismatch {
    /// What comes before the converter.
    pub found: SampleType,
    /// What the converter reads.
    pub expected: SampleType,
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot become {}", self.found, self.expected)
    }
}

impl std::error::Error for TypeMismatch {}
