//! What of messages is kept for the log. HAProxy: `capture`.

use hyper::header::{self, HeaderMap, HeaderName};
use stickroute::haproxy::{CookieCapture, HeaderCapture, LogSettings};

/// What a frontend captures.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    request: Vec<(HeaderName, usize)>,
    response: Vec<(HeaderName, usize)>,
    cookie: Option<(Vec<u8>, usize)>,
}

/// What was captured of one message.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    /// One for each `capture header` line.
    pub(crate) headers: Vec<Option<Vec<u8>>>,
    pub(crate) cookie: Option<Vec<u8>>,
}

impl Captures {
    pub(super) fn of(settings: &LogSettings) -> Self {
        let headers = |captures: &[HeaderCapture]| {
            let named = |capture: &HeaderCapture| {
                // The library has seen to it that it is a name.
                let name = HeaderName::from_bytes(capture.name.bytes()).ok()?;
                Some((name, capture.length as usize))
            };
            captures.iter().filter_map(named).collect()
        };
        let cookie = |capture: &CookieCapture| {
            let name = capture.name.bytes().to_vec();
            (name, capture.length as usize)
        };
        Self {
            request: headers(&settings.request_captures),
            response: headers(&settings.response_captures),
            cookie: settings.cookie_capture.as_ref().map(cookie),
        }
    }

    pub(crate) fn of_request(&self, headers: &HeaderMap) -> Captured {
        Captured {
            headers: captured(&self.request, headers),
            cookie: self.cookie(headers, header::COOKIE),
        }
    }

    /// Nothing of a response.
    pub(crate) fn of_none(&self) -> Captured {
        Captured {
            headers: vec![None; self.response.len()],
            cookie: None,
        }
    }

    pub(crate) fn of_response(&self, headers: &HeaderMap) -> Captured {
        Captured {
            headers: captured(&self.response, headers),
            cookie: self.cookie(headers, header::SET_COOKIE),
        }
    }

    /// The last cookie whose name begins as the line says.
    fn cookie(&self, headers: &HeaderMap, field: HeaderName) -> Option<Vec<u8>> {
        let (name, length) = self.cookie.as_ref()?;
        let is_set = field == header::SET_COOKIE;
        let values = headers.get_all(field).into_iter();
        let cookies = values.flat_map(|value| {
            let all = value.as_bytes().split(|byte| *byte == b';');
            all.take(if is_set { 1 } else { usize::MAX })
        });
        let found = cookies
            .map(<[u8]>::trim_ascii)
            .find(|cookie| cookie.starts_with(name));
        found.map(|cookie| cookie[..cookie.len().min(*length)].to_vec())
    }
}

/// The last value of each header.
fn captured(wanted: &[(HeaderName, usize)], headers: &HeaderMap) -> Vec<Option<Vec<u8>>> {
    let one = |(name, length): &(HeaderName, usize)| {
        let value = headers.get_all(name).into_iter().next_back()?.as_bytes();
        Some(value[..value.len().min(*length)].to_vec())
    };
    wanted.iter().map(one).collect()
}
