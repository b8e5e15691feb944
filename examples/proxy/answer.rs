//! Answers the proxy makes itself.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use stickroute::haproxy::{Cause, Phase};

use crate::log::Ending;

/// Boxed, as it is mostly not there.
pub(crate) type Answer = Box<Response<Full<Bytes>>>;

/// A status and a line of text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Box::new(answer)
}

pub(crate) fn no_server() -> Answer {
    let answer = text(StatusCode::SERVICE_UNAVAILABLE, "no server is available\n");
    ended(answer, (Cause::Server, Phase::Connect))
}

/// The server's answer is no HTTP, or it broke off.
pub(crate) fn bad_answer(cause: Cause) -> Answer {
    let answer = text(StatusCode::BAD_GATEWAY, "the server gave no valid answer\n");
    ended(answer, (cause, Phase::Headers))
}

pub(crate) fn server_is_late() -> Answer {
    let answer = text(
        StatusCode::GATEWAY_TIMEOUT,
        "the server gave no answer in time\n",
    );
    ended(answer, (Cause::ServerTimeout, Phase::Headers))
}

pub(crate) fn client_is_late() -> Answer {
    let answer = text(
        StatusCode::REQUEST_TIMEOUT,
        "the request did not end in time\n",
    );
    ended(answer, (Cause::ClientTimeout, Phase::Headers))
}

/// Says how the exchange ended, for the log.
pub(crate) fn ended(mut answer: Answer, ending: Ending) -> Answer {
    answer.extensions_mut().insert(ending);
    answer
}
