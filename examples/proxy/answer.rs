//! Answers the proxy makes itself.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

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
    text(StatusCode::BAD_GATEWAY, "the server gave no valid answer\n")
}

pub(crate) fn server_is_late() -> Answer {
    text(
        StatusCode::GATEWAY_TIMEOUT,
        "the server gave no answer in time\n",
    )
}

pub(crate) fn client_is_late() -> Answer {
    text(
        StatusCode::REQUEST_TIMEOUT,
        "the request did not end in time\n",
    )
}
