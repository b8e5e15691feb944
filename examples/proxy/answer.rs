//! Answers the proxy makes itself.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::statistics::tally::Cause;

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
    text(StatusCode::SERVICE_UNAVAILABLE, "no server is available\n")
}

pub(crate) fn bad_answer() -> Answer {
    let text = text(StatusCode::BAD_GATEWAY, "the server gave no valid answer\n");
    because(text, Cause::BadResponse)
}

pub(crate) fn server_is_late() -> Answer {
    let text = text(
        StatusCode::GATEWAY_TIMEOUT,
        "the server gave no answer in time\n",
    );
    because(text, Cause::BadResponse)
}

pub(crate) fn client_is_late() -> Answer {
    let text = text(
        StatusCode::REQUEST_TIMEOUT,
        "the request did not end in time\n",
    );
    because(text, Cause::BadRequest)
}

/// Nobody hears it.
pub(crate) fn client_left() -> Answer {
    let text = text(StatusCode::BAD_REQUEST, "the request broke off\n");
    because(text, Cause::ClientLeft)
}

/// Says to the statistics why it is given.
pub(crate) fn because(mut answer: Answer, cause: Cause) -> Answer {
    answer.extensions_mut().insert(cause);
    answer
}
