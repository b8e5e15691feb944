//! Responses before the response, `100 Continue` and the like.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hyper::header::{self, HeaderMap};
use hyper::{Request, StatusCode, Version};

use crate::client::under_way::UnderWay;
use crate::http::headers;

/// Whether there has been one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interim(Arc<AtomicBool>);

impl Interim {
    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Lets those to `request` through to a client of this version; hyper would drop them.
    /// Each is handed to `counts`.
    pub(crate) fn pass<B>(
        &self,
        request: &mut Request<B>,
        version: Version,
        client: &UnderWay,
        counts: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static,
    ) {
        if version != Version::HTTP_11 {
            return;
        }
        let (client, has_come) = (client.clone(), Arc::clone(&self.0));
        hyper::ext::on_informational(request, move |interim| {
            has_come.store(true, Relaxed);
            counts(interim.status(), interim.headers());
            client.send_interim(&head(interim.status(), interim.headers()));
        });
    }
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
