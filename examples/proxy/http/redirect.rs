//! Sending clients elsewhere: `redirect` lines, `http-request redirect` and
//! `http-response redirect`.

use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode, Uri};
use stickroute::haproxy::LogFormat;

use crate::http::answer::Made;

/// Where a client is sent.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) kind: RedirectKind,
    pub(crate) target: LogFormat,
    pub(crate) status: StatusCode,
    pub(crate) drops_query: bool,
    /// The place ends with a slash.
    pub(crate) appends_slash: bool,
    /// An empty place is none: the rule does not hold.
    pub(crate) ignores_empty: bool,
    pub(crate) cookie: Option<HeaderValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectKind {
    Location,
    Prefix,
    Scheme,
}

impl Redirect {
    /// To a place that is still to be said more about.
    pub(crate) fn to(kind: RedirectKind, target: LogFormat) -> Self {
        Self {
            kind,
            target,
            status: StatusCode::FOUND,
            drops_query: false,
            appends_slash: false,
            ignores_empty: false,
            cookie: None,
        }
    }

    /// The answer to a request, if there is one.
    pub(crate) fn of_request(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        fill: impl Fn(&LogFormat) -> Vec<u8>,
    ) -> Option<Made> {
        let mut location = fill(&self.target);
        let path = match uri.path_and_query() {
            Some(path) if !self.drops_query => path.as_str(),
            _ => uri.path(),
        };
        match self.kind {
            RedirectKind::Location => return self.answer(&location),
            RedirectKind::Prefix => {
                // HAProxy: with the prefix / nothing is put before the path.
                if location == b"/" {
                    location.clear();
                }
            }
            RedirectKind::Scheme => {
                let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
                let host = host.or_else(|| Some(uri.authority()?.as_str().as_bytes()));
                location.extend_from_slice(b"://");
                location.extend_from_slice(host.unwrap_or_default());
            }
        }
        location.extend_from_slice(path.as_bytes());
        if self.appends_slash && location.last() != Some(&b'/') {
            location.push(b'/');
        }
        self.answer(&location)
    }

    /// The answer instead of a response, of which only a place is known to go to.
    pub(crate) fn of_response(&self, fill: impl Fn(&LogFormat) -> Vec<u8>) -> Option<Made> {
        self.answer(&fill(&self.target))
    }

    fn answer(&self, location: &[u8]) -> Option<Made> {
        if self.ignores_empty && location.is_empty() {
            return None;
        }
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        if let Ok(value) = HeaderValue::from_bytes(location) {
            headers.insert(header::LOCATION, value);
        }
        // What is not said for good is not to be kept.
        if matches!(self.status.as_u16(), 302 | 303 | 307) {
            let value = HeaderValue::from_static("no-cache");
            headers.insert(header::CACHE_CONTROL, value);
        }
        if let Some(cookie) = &self.cookie {
            headers.insert(header::SET_COOKIE, cookie.clone());
        }
        Some(Box::new(answer))
    }
}
