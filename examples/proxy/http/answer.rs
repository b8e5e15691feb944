//! Answers the proxy makes itself.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use stickroute::haproxy::{Cause, Phase};

use crate::log::Ending;
use crate::server::orders::Order;
use crate::server::queue::NoServer;

/// An answer with its body.
pub(crate) type Made = Box<Response<Full<Bytes>>>;

/// What a client gets instead of a response of a server.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The page that the configuration has for this status, and how the exchange ends.
    Page(StatusCode, Ending),
    /// Just this.
    Made(Made, Ending),
    /// What a rule says that denies.
    Denied(Box<Answer>),
    /// Nothing, as a rule wants it.
    Silence(Ending),
    /// Nothing: the client has gone.
    Nothing,
    /// Nothing: the client is to ask again, and there is nothing to tell of this time.
    AskAgain,
}

impl Answer {
    /// How the exchange ends with it.
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Page(_, ending) | Self::Made(_, ending) | Self::Silence(ending) => *ending,
            Self::Denied(answer) => answer.ending(),
            Self::Nothing => (Cause::Client, Phase::Data),
            Self::AskAgain => (Cause::Server, Phase::Headers),
        }
    }
}

/// How an exchange ends that the proxy answers by itself.
pub(crate) const LOCAL: Ending = (Cause::Local, Phase::Request);

impl From<NoServer> for Answer {
    fn from(NoServer: NoServer) -> Self {
        no_server()
    }
}

impl Answer {
    /// Whether it sends the client somewhere else.
    pub(crate) fn redirects(&self) -> bool {
        matches!(self, Self::Made(made, _) if made.status().is_redirection())
    }
}

pub(crate) const fn no_server() -> Answer {
    Answer::Page(
        StatusCode::SERVICE_UNAVAILABLE,
        (Cause::Server, Phase::Connect),
    )
}

/// The server's answer is no HTTP, or there is none.
pub(crate) const fn bad_answer(cause: Cause) -> Answer {
    Answer::Page(StatusCode::BAD_GATEWAY, (cause, Phase::Headers))
}

pub(crate) const fn server_is_late() -> Answer {
    Answer::Page(
        StatusCode::GATEWAY_TIMEOUT,
        (Cause::ServerTimeout, Phase::Headers),
    )
}

/// The client says nothing more, and is not waited for.
pub(crate) const fn client_left() -> Answer {
    Answer::Page(StatusCode::BAD_REQUEST, (Cause::Client, Phase::Headers))
}

pub(crate) const fn bad_request() -> Answer {
    Answer::Page(StatusCode::BAD_REQUEST, (Cause::Proxy, Phase::Headers))
}

/// The session was ordered to end, and the client is told nothing.
pub(crate) fn ended_early(order: Order) -> Answer {
    Answer::Silence((order.cause(), Phase::Done))
}

/// The page of a status where the configuration has none.
pub(crate) fn page(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text(status)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

fn text(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    let text = match status.as_u16() {
        200 => "The proxy is there.",
        400 => "This is no valid request.",
        401 | 407 => "Who you are has to be known first.",
        403 => "A rule of the proxy forbids it.",
        404 | 410 => "There is nothing here.",
        408 => "The request did not end in time.",
        413 => "The request is too large.",
        422 => "The request is encoded in an unknown way.",
        429 => "These are too many requests.",
        500 => "The proxy could not do what it should.",
        502 => "The server gave no valid answer.",
        503 => "No server is available.",
        504 => "The server gave no answer in time.",
        _ => "The proxy answers itself.",
    };
    let number = status.as_u16();
    format!("<html><body><h1>{number} {reason}</h1>\n{text}\n</body></html>\n")
}

/// The same, as bytes to send to a client whose request hyper never gets to see.
pub(crate) fn last_words(status: StatusCode) -> Vec<u8> {
    let text = text(status);
    let reason = status.canonical_reason().unwrap_or("Error");
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-length: {}\r\ncache-control: no-cache\r\n\
         content-type: text/html\r\nconnection: close\r\n\r\n{text}",
        status.as_u16(),
        text.len()
    )
    .into_bytes()
}
