//! Sample fetches, converters and the expressions made of them.
//!
//! A [`Fetch`] takes one value out of a request or a response, a [`Converter`] makes
//! another value of it, and an [`Expression`] is a fetch with any number of converters
//! behind it. Stick rules, `balance hash` and conditions are made of expressions.

mod address;
mod bytes;
mod connection;
mod constructors;
mod converter;
mod cookies;
mod expression;
mod fields;
mod payload;
mod tables;
mod target;
mod url;

use std::fmt;
use std::sync::Arc;

use crate::message::{Request, Response};
use crate::sample::{Sample, SampleType};

#[cfg(feature = "haproxy")]
pub(crate) use bytes::digit;
pub use converter::{Arithmetic, Converter};
pub use expression::{Expression, TypeMismatch};
pub use fields::HeaderFetch;
pub(crate) use fields::{element_end, elements};
pub(crate) use payload::{Payload, rdp_cookie};
pub(crate) use tables::TableRead;
pub(crate) use url::{path, url_param};
#[cfg(feature = "haproxy")]
pub(crate) use {
    cookies::CookieView,
    fields::FieldView,
    tables::{FindTable, Question, TableRef},
};

use connection::Connection;
use cookies::CookieFetch;
use fields::Fields;
use target::Target;

/// A value that can be taken out of a request or a response.
///
/// A message without that value, a missing header for example, is no error: there is no
/// sample then. An empty value is a value.
///
/// ```
/// use stickroute::{Fetch, Sample, SimpleRequest};
///
/// let request = SimpleRequest::new("GET", "/cart?sid=")
///     .source("192.0.2.7".parse()?)
///     .header("Cookie", "JSESSIONID=abc");
/// let session = Fetch::cookie("JSESSIONID");
/// assert_eq!(session.on_request(&request), Some(Sample::from("abc")));
/// assert_eq!(Fetch::url_param("sid").on_request(&request), Some(Sample::from("")));
/// assert_eq!(Fetch::url_param("id").on_request(&request), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone)]
pub struct Fetch(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Constant(Sample<'static>),
    /// Whether nothing more is waited for.
    End,
    Connection(Connection),
    Method,
    Target(Target),
    Fields(Side, Fields),
    Cookie(Side, Box<CookieFetch>),
    Status,
    Payload(Side, Payload),
    /// About the client's address.
    Source(TableRead),
    Custom(Custom),
}

/// The message a fetch looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
    /// Whichever is at hand.
    Either,
}

/// Either message, for what is the same in both.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    Request(&'a dyn Request),
    Response(&'a dyn Response),
}

/// When an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// When the request has arrived and no server is chosen yet.
    Request,
    /// When the response of the server has arrived.
    Response,
}

/// Where a fetch finds its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: it is a constant.
    Constant,
    /// In what is known from the request on until the response has been passed on: the
    /// addresses of the connection, and the method. [`Expression::on_request`] gives it;
    /// a rule that applies at the response keeps what it gave.
    Exchange,
    /// In the request, which is gone when the response arrives.
    Request,
    /// In the response.
    Response,
    /// In either message, whichever is at hand.
    Message,
}

impl Origin {
    /// Whether there may be a value at that moment.
    pub fn is_available(self, moment: Moment) -> bool {
        match self {
            Self::Constant | Self::Exchange | Self::Message => true,
            Self::Request => moment == Moment::Request,
            Self::Response => moment == Moment::Response,
        }
    }
}

impl Fetch {
    /// The value in a request, `None` if there is none.
    pub fn on_request<'a>(&'a self, request: &'a dyn Request) -> Option<Sample<'a>> {
        match &self.0 {
            Kind::Connection(connection) => connection.of(request),
            Kind::Method => non_empty(request.method()).map(|m| Sample::Method(m.into())),
            Kind::Target(target) => target.of(request),
            Kind::Source(read) => read.about(&request.source()?.into()),
            Kind::Custom(Custom::Request { extract, .. }) => extract(request),
            _ => self.on_message(Message::Request(request)),
        }
    }

    /// The value in a response, `None` if there is none. Values of
    /// [`Origin::Exchange`] are found in the request.
    pub fn on_response<'a>(&'a self, response: &'a dyn Response) -> Option<Sample<'a>> {
        match &self.0 {
            Kind::Status => Some(Sample::Integer(response.status().into())),
            Kind::Custom(Custom::Response { extract, .. }) => extract(response),
            _ => self.on_message(Message::Response(response)),
        }
    }

    fn on_message<'a>(&'a self, message: Message<'a>) -> Option<Sample<'a>> {
        match &self.0 {
            Kind::Constant(sample) => Some(sample.borrowed()),
            Kind::End => Some(true.into()),
            Kind::Fields(side, fields) => fields.of(side.admit(message)?),
            Kind::Cookie(side, cookie) => cookie.of(side.admit(message)?),
            Kind::Payload(side, payload) => payload.of(side.admit(message)?.payload()),
            _ => None,
        }
    }

    /// Whether `test` holds for any occurrence of the value: a condition looks at every
    /// element, cookie or parameter where no occurrence is named.
    #[cfg(feature = "haproxy")]
    pub(crate) fn any<'a>(
        &'a self,
        message: Message<'a>,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> bool {
        match (&self.0, message) {
            (Kind::Fields(side, fields), _) => {
                let message = side.admit(message);
                message.is_some_and(|message| fields.any(message, test))
            }
            (Kind::Cookie(side, cookie), _) => {
                let message = side.admit(message);
                message.is_some_and(|message| cookie.any(message, test))
            }
            (Kind::Target(target), Message::Request(request)) => target.any(request, test),
            (_, Message::Request(request)) => self.on_request(request).is_some_and(test),
            (_, Message::Response(response)) => self.on_response(response).is_some_and(test),
        }
    }

    /// Whether `test` holds for any occurrence of the value in a message whose payload is
    /// still arriving; `None` as long as that may change to yes.
    #[cfg(feature = "haproxy")]
    pub(crate) fn any_so_far<'a>(
        &'a self,
        message: Message<'a>,
        test: &mut dyn FnMut(Sample<'a>) -> bool,
    ) -> Option<bool> {
        if matches!(self.0, Kind::End) {
            None
        } else if self.any(message, test) {
            Some(true)
        } else {
            self.is_settled(message).then_some(false)
        }
    }

    /// Whether the value, or that there is none, is the same whatever bytes follow.
    #[cfg(feature = "haproxy")]
    fn is_settled(&self, message: Message<'_>) -> bool {
        let has_head = match message {
            Message::Request(request) => !request.method().is_empty(),
            Message::Response(_) => true,
        };
        match &self.0 {
            Kind::End => false,
            Kind::Payload(side, payload) => side
                .admit(message)
                .is_none_or(|message| payload.is_settled(message.payload())),
            Kind::Fields(side, _) | Kind::Cookie(side, _) => {
                has_head || side.admit(message).is_none()
            }
            Kind::Method | Kind::Target(_) | Kind::Custom(Custom::Request { .. }) => has_head,
            Kind::Constant(_)
            | Kind::Connection(_)
            | Kind::Source(_)
            | Kind::Status
            | Kind::Custom(Custom::Response { .. }) => true,
        }
    }

    #[cfg(feature = "haproxy")]
    fn reads_table(&self) -> bool {
        matches!(self.0, Kind::Source(_))
    }

    /// Puts the table in the place of its name.
    #[cfg(feature = "haproxy")]
    fn bind(&mut self, find: &FindTable<'_>) {
        if let Kind::Source(read) = &mut self.0 {
            read.bind(find);
        }
    }

    /// The type of the value, as far as it is known before there is one.
    ///
    /// HAProxy 2.6 takes every address for an IPv4 one here, and so does this: what
    /// counts is the sample's own type.
    pub fn output(&self) -> SampleType {
        match &self.0 {
            Kind::Constant(sample) => sample.sample_type(),
            Kind::End => SampleType::Bool,
            Kind::Connection(connection) => connection.output(),
            Kind::Method => SampleType::Method,
            Kind::Target(target) => target.output(),
            Kind::Fields(_, fields) => fields.output(),
            Kind::Cookie(_, cookie) => cookie.output(),
            Kind::Status => SampleType::Integer,
            Kind::Payload(_, payload) => payload.output(),
            Kind::Source(read) => read.output(),
            Kind::Custom(_) => SampleType::Any,
        }
    }

    /// Where the value is found, hence when it can be asked for.
    pub fn origin(&self) -> Origin {
        match &self.0 {
            Kind::Constant(_) | Kind::End => Origin::Constant,
            Kind::Connection(_) | Kind::Method | Kind::Source(_) => Origin::Exchange,
            Kind::Target(_) | Kind::Custom(Custom::Request { .. }) => Origin::Request,
            Kind::Status | Kind::Custom(Custom::Response { .. }) => Origin::Response,
            Kind::Fields(side, _) | Kind::Cookie(side, _) | Kind::Payload(side, _) => side.origin(),
        }
    }
}

impl From<HeaderFetch> for Fetch {
    fn from(header: HeaderFetch) -> Self {
        let (side, fields) = header.into_parts();
        Self(Kind::Fields(side, fields))
    }
}

impl Side {
    fn admit(self, message: Message<'_>) -> Option<Message<'_>> {
        let admits = match message {
            Message::Request(_) => self != Self::Response,
            Message::Response(_) => self != Self::Request,
        };
        admits.then_some(message)
    }

    fn origin(self) -> Origin {
        match self {
            Self::Request => Origin::Request,
            Self::Response => Origin::Response,
            Self::Either => Origin::Message,
        }
    }
}

impl<'a> Message<'a> {
    fn payload(self) -> &'a [u8] {
        match self {
            Self::Request(request) => request.payload(),
            Self::Response(response) => response.payload(),
        }
    }
}

type OfRequest = dyn Fn(&dyn Request) -> Option<Sample<'_>> + Send + Sync;
type OfResponse = dyn Fn(&dyn Response) -> Option<Sample<'_>> + Send + Sync;

#[derive(Clone)]
enum Custom {
    Request {
        name: Arc<str>,
        extract: Arc<OfRequest>,
    },
    Response {
        name: Arc<str>,
        extract: Arc<OfResponse>,
    },
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Request { name, .. } | Self::Response { name, .. }) = self;
        f.debug_tuple("Custom").field(name).finish()
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn non_empty(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}
