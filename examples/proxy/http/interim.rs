//! Responses before the response, `100 Continue` and the like.

use hyper::header::{self, HeaderMap};
use hyper::{Request, StatusCode, Version};

use crate::client::under_way::UnderWay;
use crate::http::headers;

/// Lets those to `request` through to a client of this version; hyper would drop them. Each is
/// handed to `counts`.
pub(crate) fn pass<B>(
    request: &mut Request<B>,
    version: Version,
    client: &UnderWay,
    counts: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static,
) {
    if version != Version::HTTP_11 {
        return;
    }
    let client = client.clone();
    hyper::ext::on_informational(request, move |interim| {
        counts(interim.status(), interim.headers());
        client.send_interim(&head(interim.status(), interim.headers()));
    });
}

/// As HTTP/1.1 writes it.
fn head(status: StatusCode, fields: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in fields {
        if !headers::HOP_BY_HOP.contains(name) && name != header::CONTENT_LENGTH {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    head.extend(b"\r\n");
    head
}
