//! Rules on HTTP messages: `http-request`, `http-response`, `http-after-response` and
//! `redirect`.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::{Uri, response};
use hyper::{Response, StatusCode};
use stickroute::HttpResponse;
use stickroute::haproxy::{AclCondition, Format};

use crate::answer::{self, Answer};
use crate::forward::view;
use crate::forwardfor::ForwardFor;
use crate::statistics::tally::Cause;
use crate::stream::Ends;

/// What a section does to messages.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    pub(crate) request: Vec<HttpRule>,
    /// Those of `redirect`, which come behind all others.
    pub(crate) redirect: Vec<HttpRule>,
    pub(crate) response: Vec<HttpRule>,
    /// On every response, also on those the proxy makes.
    pub(crate) after: Vec<HttpRule>,
    pub(crate) forwardfor: Option<ForwardFor>,
}

/// What is done, and when.
#[derive(Debug)]
pub(crate) struct HttpRule {
    pub(crate) action: Action,
    /// `None` is always.
    pub(crate) condition: Option<AclCondition>,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// `allow`: the rules behind it are left out.
    Allow,
    AddHeader(HeaderName, Format),
    SetHeader(HeaderName, Format),
    DelHeader(HeaderName),
    SetStatus(StatusCode),
    /// `deny` and `return`.
    Answer(Reply),
    Redirect(Redirect),
}

/// An answer made by a rule.
#[derive(Debug)]
pub(crate) struct Reply {
    /// It is one of `deny`.
    pub(crate) denies: bool,
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) headers: Vec<(HeaderName, Format)>,
    pub(crate) text: Option<Format>,
}

/// Where a client is sent.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) kind: RedirectKind,
    pub(crate) target: Format,
    pub(crate) status: StatusCode,
    pub(crate) drops_query: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectKind {
    Location,
    Prefix,
    Scheme,
}

impl Filters {
    /// Follows the rules on requests. An error is the answer that one of them gives.
    pub(crate) fn on_request(&self, ends: Ends, parts: &mut Parts) -> Result<(), Answer> {
        for rule in &self.request {
            if !rule.holds(|condition| condition.on_request(&view(parts, ends))) {
                continue;
            }
            if let Action::Allow = rule.action {
                break;
            }
            let fill = |format: &Format, parts: &Parts| format.on_request(&view(parts, ends));
            rule.on_request(parts, fill)?;
        }
        for rule in &self.redirect {
            if rule.holds(|condition| condition.on_request(&view(parts, ends))) {
                rule.on_request(parts, |format, parts| format.on_request(&view(parts, ends)))?;
            }
        }
        Ok(())
    }

    /// Follows the rules on responses of servers. An error is the answer that one of them
    /// gives instead.
    pub(crate) fn on_response(&self, parts: &mut response::Parts) -> Result<(), Answer> {
        for rule in &self.response {
            let view = HttpResponse::from_parts(parts);
            if !rule.holds(|condition| condition.on_response(&view)) {
                continue;
            }
            match &rule.action {
                Action::Allow => break,
                Action::SetStatus(status) => parts.status = *status,
                Action::Answer(reply) => return Err(reply.fill(|f| f.on_response(&view))),
                action => {
                    let fill = |format: &Format| format.on_response(&view);
                    let value = action.value(fill);
                    action.edit(&mut parts.headers, value);
                }
            }
        }
        Ok(())
    }

    /// Follows the rules on every response.
    pub(crate) fn after_response<B>(&self, response: &mut Response<B>) {
        for rule in &self.after {
            let view = HttpResponse::new(response);
            if !rule.holds(|condition| condition.on_response(&view)) {
                continue;
            }
            let value = rule.action.value(|format| format.on_response(&view));
            match &rule.action {
                Action::Allow => break,
                Action::SetStatus(status) => *response.status_mut() = *status,
                action => action.edit(response.headers_mut(), value),
            }
        }
    }
}

impl HttpRule {
    fn holds(&self, ask: impl FnOnce(&AclCondition) -> bool) -> bool {
        self.condition.as_ref().is_none_or(ask)
    }

    fn on_request(
        &self,
        parts: &mut Parts,
        fill: impl Fn(&Format, &Parts) -> Vec<u8>,
    ) -> Result<(), Answer> {
        match &self.action {
            Action::Answer(reply) => Err(reply.fill(|format| fill(format, parts))),
            Action::Redirect(redirect) => {
                Err(redirect.fill(&parts.uri, &parts.headers, |format| fill(format, parts)))
            }
            action => {
                let value = action.value(|format| fill(format, parts));
                action.edit(&mut parts.headers, value);
                Ok(())
            }
        }
    }
}

impl Action {
    /// What a header becomes. A value that no header can have is left out.
    fn value(&self, fill: impl FnOnce(&Format) -> Vec<u8>) -> Option<HeaderValue> {
        match self {
            Self::AddHeader(_, format) | Self::SetHeader(_, format) => {
                HeaderValue::from_maybe_shared(Bytes::from(fill(format))).ok()
            }
            _ => None,
        }
    }

    fn edit(&self, headers: &mut HeaderMap, value: Option<HeaderValue>) {
        match (self, value) {
            (Self::AddHeader(name, _), Some(value)) => {
                // A map that is full of names takes no more, which is as good as none.
                let _ = headers.try_append(name.clone(), value);
            }
            (Self::SetHeader(name, _), Some(value)) => {
                let _ = headers.try_insert(name.clone(), value);
            }
            (Self::DelHeader(name), _) => {
                headers.remove(name);
            }
            _ => {}
        }
    }
}

impl Reply {
    fn fill(&self, fill: impl Fn(&Format) -> Vec<u8>) -> Answer {
        let text = self.text.as_ref().map(&fill).unwrap_or_default();
        let mut answer = Response::new(Full::from(text));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        if let Some(kind) = &self.content_type {
            headers.insert(header::CONTENT_TYPE, kind.clone());
        }
        for (name, format) in &self.headers {
            if let Ok(value) = HeaderValue::from_bytes(&fill(format)) {
                headers.append(name, value);
            }
        }
        let cause = if self.denies {
            Cause::Denied
        } else {
            Cause::Intercepted
        };
        answer::because(Box::new(answer), cause)
    }
}

impl Redirect {
    fn fill(&self, uri: &Uri, headers: &HeaderMap, fill: impl Fn(&Format) -> Vec<u8>) -> Answer {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = self.status;
        let mut location = fill(&self.target);
        let path = match uri.path_and_query() {
            Some(path) if !self.drops_query => path.as_str(),
            _ => uri.path(),
        };
        match self.kind {
            RedirectKind::Location => {}
            RedirectKind::Prefix => {
                // HAProxy: with the prefix / nothing is put before the path.
                if location == b"/" {
                    location.clear();
                }
                location.extend_from_slice(path.as_bytes());
            }
            RedirectKind::Scheme => {
                let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
                let host = host.or_else(|| Some(uri.authority()?.as_str().as_bytes()));
                location.extend_from_slice(b"://");
                location.extend_from_slice(host.unwrap_or_default());
                location.extend_from_slice(path.as_bytes());
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(&location) {
            answer.headers_mut().insert(header::LOCATION, value);
        }
        answer::because(Box::new(answer), Cause::Intercepted)
    }
}
