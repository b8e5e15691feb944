//! Rules on HTTP messages: `http-request`, `http-response`, `http-after-response` and
//! `redirect`.

use std::net::{IpAddr, SocketAddr};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::{Method, response};
use hyper::{Response, StatusCode, Version};
use stickroute::haproxy::{AclCondition, Cause, LogFormat, LogRecord, Phase};
use stickroute::{Expression, HttpResponse, Request, Sample, SampleType};

use crate::client::stream::Ends;
use crate::http::answer::{Answer, Made};
use crate::http::forward::view;
use crate::http::forwardfor::ForwardFor;
use crate::http::headers;
use crate::http::names::Names;
use crate::http::redirect::Redirect;
use crate::http::rewrite::Rewrite;
use crate::http::target::{self, TargetPart};
use crate::log::Ending;

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

/// Tells what is known of the exchange, for rules that say something of it.
type Recorder<'f, 'r> = &'f dyn Fn() -> LogRecord<'r>;

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
    AddHeader(HeaderName, LogFormat),
    SetHeader(HeaderName, LogFormat),
    DelHeader(Names),
    SetStatus(StatusCode),
    SetMethod(LogFormat),
    /// A part of the target, or all of it.
    SetTarget(TargetPart, LogFormat),
    /// What a regular expression matches becomes something else. HAProxy: `replace-header`
    /// and the like.
    Rewrite(Rewrite),
    /// Another client than the one that is connected. HAProxy: `set-src`.
    SetSource(Expression),
    /// `deny` and `return` with something to say.
    Answer(Reply, Ending),
    /// `deny` without: the page of a status.
    Page(StatusCode, Ending),
    /// Neither: the connection is closed. HAProxy: an empty `errorfile`.
    Silence(Ending),
    Redirect(Redirect),
}

/// An answer made by a rule.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// HTTP/1.0 ends the connection.
    pub(crate) version: Version,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) headers: Vec<(HeaderName, LogFormat)>,
    pub(crate) text: Option<LogFormat>,
}

impl Filters {
    /// Follows the rules on requests. An error is the answer that one of them gives.
    pub(crate) fn on_request(
        &self,
        record: Recorder<'_, '_>,
        ends: &mut Ends,
        parts: &mut Parts,
    ) -> Result<(), Answer> {
        for rule in &self.request {
            if !rule.holds(|condition| condition.on_request(&view(parts, *ends))) {
                continue;
            }
            if let Action::Allow = rule.action {
                break;
            }
            rule.on_request(record, parts, ends)?;
        }
        for rule in &self.redirect {
            if rule.holds(|condition| condition.on_request(&view(parts, *ends))) {
                rule.on_request(record, parts, ends)?;
            }
        }
        Ok(())
    }

    /// Follows the rules on responses of servers. An error is the answer that one of them
    /// gives instead.
    pub(crate) fn on_response(
        &self,
        record: Recorder<'_, '_>,
        parts: &mut response::Parts,
    ) -> Result<(), Answer> {
        for rule in &self.response {
            let view = HttpResponse::from_parts(parts);
            if !rule.holds(|condition| condition.on_response(&view)) {
                continue;
            }
            match &rule.action {
                Action::Allow => break,
                Action::SetStatus(status) => parts.status = *status,
                Action::Redirect(redirect) => {
                    let made = redirect.of_response(|format| on_response(format, &record(), &view));
                    if let Some(made) = made {
                        return Err(Answer::Made(made, (Cause::Local, Phase::Headers)));
                    }
                }
                Action::Rewrite(rewrite) => {
                    let text = on_response(&rewrite.replacement, &record(), &view);
                    let done = rewrite.fields(&mut parts.headers, &text);
                    done.map_err(|_| FAILED_RESPONSE)?;
                }
                action => {
                    let fill = |format: &LogFormat| on_response(format, &record(), &view);
                    if let Some(answer) = action.answer(fill) {
                        return Err(answer);
                    }
                    let value = action.value(fill);
                    action.edit(&mut parts.headers, value);
                }
            }
        }
        Ok(())
    }

    /// Follows the rules on every response.
    pub(crate) fn after_response<B>(&self, record: Recorder<'_, '_>, response: &mut Response<B>) {
        for rule in &self.after {
            let view = HttpResponse::new(response);
            if !rule.holds(|condition| condition.on_response(&view)) {
                continue;
            }
            let value = rule
                .action
                .value(|format| on_response(format, &record(), &view));
            match &rule.action {
                Action::Allow => break,
                Action::SetStatus(status) => *response.status_mut() = *status,
                Action::Rewrite(rewrite) => {
                    let text = on_response(&rewrite.replacement, &record(), &view);
                    // The last word is said: what cannot be replaced stays.
                    let _ = rewrite.fields(response.headers_mut(), &text);
                }
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
        record: Recorder<'_, '_>,
        parts: &mut Parts,
        ends: &mut Ends,
    ) -> Result<(), Answer> {
        let fill =
            |format: &LogFormat, parts: &Parts| on_request(format, &record(), &view(parts, *ends));
        match &self.action {
            Action::Redirect(redirect) => {
                let (uri, headers) = (&parts.uri, &parts.headers);
                let made = redirect.of_request(uri, headers, |format| fill(format, parts));
                if let Some(made) = made {
                    return Err(Answer::Made(made, (Cause::Local, Phase::Request)));
                }
            }
            Action::SetMethod(format) => {
                let method = Method::from_bytes(&fill(format, parts));
                parts.method = method.map_err(|_| FAILED)?;
            }
            Action::SetTarget(part, format) => {
                let value = fill(format, parts);
                target::set(parts, *part, &value).ok_or(FAILED)?;
            }
            Action::Rewrite(rewrite) => {
                let text = fill(&rewrite.replacement, parts);
                rewrite.request(parts, &text).map_err(|_| FAILED)?;
            }
            Action::SetSource(expression) => set_source(expression, parts, ends),
            action => {
                if let Some(answer) = action.answer(|format| fill(format, parts)) {
                    return Err(answer);
                }
                let value = action.value(|format| fill(format, parts));
                action.edit(&mut parts.headers, value);
            }
        }
        Ok(())
    }
}

/// A request that a rule would have made no request any more. HAProxy: `strict-mode on`,
/// its default.
const FAILED: Answer = Answer::Page(
    StatusCode::INTERNAL_SERVER_ERROR,
    (Cause::Proxy, Phase::Request),
);

/// The same of a response.
const FAILED_RESPONSE: Answer = Answer::Page(
    StatusCode::INTERNAL_SERVER_ERROR,
    (Cause::Proxy, Phase::Headers),
);

/// The text of a format, with the request as the rules have left it so far.
pub(crate) fn on_request(
    format: &LogFormat,
    record: &LogRecord<'_>,
    request: &dyn Request,
) -> Vec<u8> {
    let mut record = *record;
    record.request = Some(request);
    format.text(&record)
}

fn on_response(format: &LogFormat, record: &LogRecord<'_>, response: &HttpResponse<'_>) -> Vec<u8> {
    let mut record = *record;
    record.response = Some(response);
    format.text(&record)
}

/// A sample that is no address changes nothing; the port becomes 0, as in HAProxy.
fn set_source(expression: &Expression, parts: &Parts, ends: &mut Ends) {
    let view = view(parts, *ends);
    let sample = expression.on_request(&view);
    let sample = sample.and_then(|sample| sample.cast(SampleType::Address));
    let ip = match sample {
        Some(Sample::Ipv4(ip)) => IpAddr::from(ip),
        Some(Sample::Ipv6(ip)) => IpAddr::from(ip),
        _ => return,
    };
    ends.source = Some(SocketAddr::new(ip, 0));
}

impl Action {
    /// The answer of `deny` or `return`.
    fn answer(&self, fill: impl Fn(&LogFormat) -> Vec<u8>) -> Option<Answer> {
        let answer = match self {
            Self::Page(status, ending) => Answer::Page(*status, *ending),
            Self::Answer(reply, ending) => Answer::Made(reply.fill(fill), *ending),
            Self::Silence(ending) => Answer::Silence(*ending),
            _ => return None,
        };
        let denies = answer.ending().0 == Cause::Proxy;
        Some(if denies {
            Answer::Denied(Box::new(answer))
        } else {
            answer
        })
    }

    /// What a header becomes. A value that no header can have is left out.
    fn value(&self, fill: impl FnOnce(&LogFormat) -> Vec<u8>) -> Option<HeaderValue> {
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
            (Self::DelHeader(names), _) => names.remove_from(headers),
            _ => {}
        }
    }
}

impl Reply {
    /// Nothing but a status.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            version: Version::HTTP_11,
            content_type: None,
            headers: Vec::new(),
            text: None,
        }
    }

    pub(crate) fn fill(&self, fill: impl Fn(&LogFormat) -> Vec<u8>) -> Made {
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
        if self.version == Version::HTTP_10 {
            headers::close(&mut answer);
        }
        Box::new(answer)
    }
}
