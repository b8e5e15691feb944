//! Checks over HTTP: what to send, and what the answer says.

use std::borrow::Cow;
use std::fmt;

use super::answer::{Answer, Parsed};
use super::expect::Verdict;
use super::{CheckReport, CheckStatus, Expect};
use crate::server::OperationalState;

/// A request that is sent to a server, and what is expected of the answer.
///
/// HAProxy: `option httpchk`, `http-check send`, `http-check expect`.
///
/// ```
/// use stickroute::OperationalState::Running;
/// use stickroute::health::{CheckStatus, Expect, HttpCheck};
///
/// let check = HttpCheck::new()
///     .method("GET")?
///     .uri("/health")?
///     .http_1_1()
///     .header("Host", "app.example")?
///     .expect(Expect::text("ready"));
/// let request = b"GET /health HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\r\n";
/// assert_eq!(check.request(), request);
///
/// let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nI am rea";
/// assert_eq!(check.judge(answer, false, Running), None); // there is more to come
/// assert_eq!(check.judge(answer, true, Running), Some(CheckStatus::InvalidAnswer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    method: String,
    uri: String,
    is_1_1: bool,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    expect: Vec<Expect>,
    disable_on_404: bool,
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpCheck {
    /// `OPTIONS / HTTP/1.0`, and any status from 200 to 399, as HAProxy without arguments.
    pub fn new() -> Self {
        Self {
            method: "OPTIONS".into(),
            uri: "/".into(),
            is_1_1: false,
            headers: Vec::new(),
            body: Vec::new(),
            expect: Vec::new(),
            disable_on_404: false,
        }
    }

    /// Sets the method. HAProxy: `meth`.
    ///
    /// # Errors
    /// [`InvalidCheck`] if it is not a token of HTTP.
    pub fn method(mut self, method: &str) -> Result<Self, InvalidCheck> {
        self.method = token("method", method)?;
        Ok(self)
    }

    /// Sets the target. HAProxy: `uri`.
    ///
    /// # Errors
    /// [`InvalidCheck`] if it is empty or has anything but visible characters in it.
    pub fn uri(mut self, uri: &str) -> Result<Self, InvalidCheck> {
        if uri.is_empty() || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidCheck::new("target", uri));
        }
        self.uri = uri.into();
        Ok(self)
    }

    /// Speaks HTTP/1.1, and asks for the end of the connection. It wants a `Host` field.
    /// HAProxy: `ver HTTP/1.1`.
    #[must_use]
    pub fn http_1_1(mut self) -> Self {
        self.is_1_1 = true;
        self
    }

    /// Speaks HTTP/1.0, as without any of this. HAProxy: `ver HTTP/1.0`.
    #[must_use]
    pub fn http_1_0(mut self) -> Self {
        self.is_1_1 = false;
        self
    }

    /// Takes the fields back that were added.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        self.headers.clear();
        self
    }

    /// Adds a field, of which the name is sent in small letters. `Content-Length`,
    /// `Transfer-Encoding` and `Connection` are never sent as given; a `Connection` given keeps
    /// the check from asking for the end of the connection. HAProxy: `hdr`.
    ///
    /// # Errors
    /// [`InvalidCheck`] if the name is not a token of HTTP, or the value is empty or has
    /// control characters in it.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Result<Self, InvalidCheck> {
        let value = value.into();
        let name = token("field", name)?.to_ascii_lowercase();
        let is_plain = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
        if value.is_empty() || !value.iter().all(is_plain) {
            return Err(InvalidCheck::new("value", &String::from_utf8_lossy(&value)));
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sends a body; default none. HAProxy: `body`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Demands something of the answer, one thing after the other; default a status from 200
    /// to 399. HAProxy: `http-check expect`.
    #[must_use]
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect.push(expect);
        self
    }

    /// Lets status 404 of a server that is up mean, whatever is expected, that it is
    /// leaving: it gets no new sessions and keeps those it has. HAProxy:
    /// `http-check disable-on-404`.
    #[must_use]
    pub fn disable_on_404(mut self) -> Self {
        self.disable_on_404 = true;
        self
    }

    /// The bytes to send on a new connection.
    pub fn request(&self) -> Vec<u8> {
        let version = if self.is_1_1 { "1.1" } else { "1.0" };
        let line = format!("{} {} HTTP/{version}\r\n", self.method, self.uri);
        let mut request = line.into_bytes();
        let mut field = |name: &str, value: &[u8]| {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        };
        let own = ["content-length", "transfer-encoding", "connection"];
        let given = self.headers.iter();
        for (name, value) in given.filter(|(name, _)| !own.contains(&name.as_str())) {
            field(name, value);
        }
        let needs_length = !["GET", "HEAD", "OPTIONS", "DELETE"].contains(&self.method.as_str());
        if needs_length || !self.body.is_empty() {
            field("content-length", self.body.len().to_string().as_bytes());
        }
        let is_given = self.headers.iter().any(|(name, _)| name == "connection");
        if self.is_1_1 && !is_given {
            field("connection", b"close");
        }
        request.extend(b"\r\n");
        request.extend(&self.body);
        request
    }

    /// What an answer says, as far as it has come; `ended` when nothing more can come.
    /// `None` is to read on; it never is when `ended`. `state` is the server's so far, see
    /// [`HealthCounter::state`](super::HealthCounter::state): only one that is up can leave.
    ///
    /// Of a long answer the first 16 KiB count.
    pub fn judge(
        &self,
        answer: &[u8],
        ended: bool,
        state: OperationalState,
    ) -> Option<CheckStatus> {
        let report = self.report(answer, ended, state)?;
        Some(report.status())
    }

    /// As [`judge`](Self::judge), with the particulars.
    pub fn report(
        &self,
        answer: &[u8],
        ended: bool,
        state: OperationalState,
    ) -> Option<CheckReport> {
        match self.verdict(answer, ended, state) {
            (Verdict::Wait, _) => None,
            (Verdict::Fail(report), _) | (Verdict::Pass, report) => Some(report),
        }
    }

    /// The verdict, and what the check is if it passes and ends with this.
    pub(super) fn verdict(
        &self,
        answer: &[u8],
        ended: bool,
        state: OperationalState,
    ) -> (Verdict, CheckReport) {
        let expectations = self.expectations();
        let none = CheckReport::default();
        let answer = match Answer::parse(answer, ended) {
            Parsed::More => return (Verdict::Wait, none),
            Parsed::Invalid => return (Verdict::Fail(expectations[0].unreadable()), none),
            Parsed::Answer(answer) => answer,
        };
        let is_up = state != OperationalState::Stopped;
        if self.disable_on_404 && answer.status == 404 && is_up {
            let leaving = CheckReport::new(CheckStatus::Leaving).code_is(404);
            return (Verdict::Fail(leaving), none);
        }
        for expect in &*expectations {
            match expect.judge_http(&answer) {
                Verdict::Pass => {}
                other => return (other, none),
            }
        }
        let last = &expectations[expectations.len() - 1];
        (Verdict::Pass, last.passed("").code_is(answer.status))
    }

    /// What is demanded, at least one thing.
    pub(super) fn expectations(&self) -> Cow<'_, [Expect]> {
        if self.expect.is_empty() {
            return Cow::Owned(vec![Expect::default()]);
        }
        Cow::Borrowed(&self.expect)
    }
}

/// A part of a check that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCheck {
    what: &'static str,
    found: String,
}

impl InvalidCheck {
    fn new(what: &'static str, found: &str) -> Self {
        Self {
            what,
            found: found.to_owned(),
        }
    }
}

impl fmt::Display for InvalidCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found } = self;
        write!(f, "{found:?} is no {what} of a request")
    }
}

impl std::error::Error for InvalidCheck {}

fn token(what: &'static str, text: &str) -> Result<String, InvalidCheck> {
    if text.is_empty() || !text.bytes().all(super::answer::is_token) {
        return Err(InvalidCheck::new(what, text));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckStatus::{Answered, InvalidAnswer, Leaving, WrongStatus};
    use OperationalState::{Running, Stopped};

    fn check() -> HttpCheck {
        HttpCheck::new()
    }

    /// An answer with a body, and its length.
    fn page(status: u32, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 {status} OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    fn statuses(text: &str) -> Expect {
        Expect::status(text).unwrap()
    }

    // All of HAProxy 2.6.12, told in its own words.
    #[test]
    fn requests_are_those_of_haproxy() {
        let get = || check().method("GET").unwrap();
        for (check, expected) in [
            (check(), "OPTIONS / HTTP/1.0\r\n\r\n"),
            (check().uri("/x").unwrap(), "OPTIONS /x HTTP/1.0\r\n\r\n"),
            (
                check().method("PUT").unwrap(),
                "PUT / HTTP/1.0\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                check().uri("*").unwrap().http_1_1(),
                "OPTIONS * HTTP/1.1\r\nconnection: close\r\n\r\n",
            ),
            (
                get()
                    .header("Host", "h")
                    .unwrap()
                    .header("X-A", "b")
                    .unwrap(),
                "GET / HTTP/1.0\r\nhost: h\r\nx-a: b\r\n\r\n",
            ),
            (
                check()
                    .method("POST")
                    .unwrap()
                    .header("Content-Length", "3")
                    .unwrap()
                    .header("Content-Type", "t")
                    .unwrap()
                    .body("hello"),
                "POST / HTTP/1.0\r\ncontent-type: t\r\ncontent-length: 5\r\n\r\nhello",
            ),
            (
                check()
                    .http_1_1()
                    .header("connection", "keep-alive")
                    .unwrap()
                    .body("a b"),
                "OPTIONS / HTTP/1.1\r\ncontent-length: 3\r\n\r\na b",
            ),
            (
                check()
                    .http_1_1()
                    .header("Transfer-Encoding", "chunked")
                    .unwrap()
                    .body("x"),
                "OPTIONS / HTTP/1.1\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx",
            ),
        ] {
            assert_eq!(String::from_utf8(check.request()).unwrap(), expected);
        }
    }

    #[test]
    fn nothing_can_be_smuggled_into_a_request() {
        assert!(check().method("GET /").is_err());
        assert!(check().uri("/ HTTP/1.0\r\nX: y").is_err());
        assert!(check().uri("").is_err());
        assert!(check().header("X:", "y").is_err());
        assert!(check().header("X", "y\r\nZ: 1").is_err());
        let error = check().header("X", "").unwrap_err();
        assert_eq!(error.to_string(), "\"\" is no value of a request");
    }

    // All of HAProxy 2.6.12, which got these answers and then the end.
    #[test]
    fn answers_are_judged_as_by_haproxy() {
        for (answer, expected) in [
            ("HTTP/1.0 2000 OK\r\n\r\n", WrongStatus),
            ("HTTP/1.0 20 OK\r\n\r\n", WrongStatus),
            ("HTTP/2.0 200 OK\r\n\r\n", Answered),
            ("HTTP/3.0 200 OK\r\n\r\n", Answered),
            ("HTTP/1.1  200 OK\r\n\r\n", Answered),
            ("HTTP/1.1 200\r\n\r\n", Answered),
            ("HTTP/1.1 200\n\n", Answered),
            ("http/1.1 200 OK\r\n\r\n", InvalidAnswer),
            ("HTTP/1.1 199 OK\r\n\r\n", WrongStatus),
            ("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", WrongStatus),
            ("HTTP/1.1 399 OK\r\n\r\n", Answered),
            ("HTTP/1.1 400 OK\r\n\r\n", WrongStatus),
            ("HTTP/1.1 000 OK\r\n\r\n", WrongStatus),
            ("HTTP/1.1 999 OK\r\n\r\n", WrongStatus),
            ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", InvalidAnswer),
            ("HTTP/1.1 200 OK\r\nbad : h\r\n\r\n", InvalidAnswer),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", Answered),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
                InvalidAnswer,
            ),
            ("HTTP/1.1 200 OK\r\n", InvalidAnswer),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", Answered),
            ("garbage\r\n\r\n", InvalidAnswer),
            ("HTTP/1.1", InvalidAnswer),
            ("", InvalidAnswer),
        ] {
            assert_eq!(
                check().judge(answer.as_bytes(), true, Running),
                Some(expected),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn expectations_are_those_of_haproxy() {
        for (expect, status, body, expected) in [
            (statuses("200-299"), 250, "x", Answered),
            (statuses("200,404,500-503"), 502, "x", Answered),
            (statuses("200,404"), 403, "x", WrongStatus),
            (statuses("500-599").not(), 404, "x", Answered),
            (statuses("200").not(), 200, "x", WrongStatus),
            (Expect::text("world"), 500, "hello world", Answered),
            (Expect::text("nope"), 200, "hello world", InvalidAnswer),
            (
                Expect::text("world").not(),
                200,
                "hello world",
                InvalidAnswer,
            ),
            (Expect::text("nope").not(), 500, "hello world", Answered),
            (Expect::text("world"), 200, "", InvalidAnswer),
            (Expect::text("world").not(), 200, "", InvalidAnswer),
        ] {
            let check = check().expect(expect);
            let answer = page(status, body);
            assert_eq!(
                check.judge(&answer, false, Running),
                Some(expected),
                "{check:?} {status}"
            );
        }
    }

    #[test]
    fn bodies_are_read_as_far_as_they_are_sent_and_kept() {
        let check = check().expect(Expect::text("hello"));
        let head = "HTTP/1.1 200 OK\r\n";
        let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x\r\nlo\r\n0\r\n\r\n";
        let long = format!("Content-Length: 99999\r\n\r\n{}hello", "x".repeat(15_000));
        let longer = format!("\r\n{}hello", "x".repeat(20_000));
        for (rest, expected) in [
            (chunks, Answered),
            ("Content-Length: 30\r\n\r\nhello", Answered),
            ("Content-Length: 3\r\n\r\nhello", InvalidAnswer),
            (&long, Answered),
            (&longer, InvalidAnswer),
        ] {
            let answer = format!("{head}{rest}");
            assert_eq!(
                check.judge(answer.as_bytes(), true, Running),
                Some(expected),
                "{rest:.40}"
            );
        }
    }

    #[test]
    fn status_404_lets_a_server_leave_whatever_is_expected() {
        for expect in [
            statuses("200"),
            statuses("200,404"),
            statuses("404").not(),
            Expect::text("hello"),
            Expect::text("hello").not(),
        ] {
            let check = check().expect(expect).disable_on_404();
            let answer = page(404, "hello");
            assert_eq!(check.judge(&answer, false, Running), Some(Leaving));
            let otherwise = check.judge(&answer, false, Stopped);
            assert_ne!(otherwise, Some(Leaving));
        }
    }

    #[test]
    fn an_answer_is_judged_as_soon_as_it_can_be() {
        let check = check().expect(Expect::text("hello"));
        for answer in [&page(200, "say hello"), &page(500, "well")] {
            let judged: Vec<_> = (0..=answer.len())
                .map(|end| check.judge(&answer[..end], false, Running))
                .collect();
            let first = judged.iter().position(Option::is_some);
            assert_eq!(first, Some(answer.len()), "{judged:?}");
            let ended = (0..answer.len()).map(|end| check.judge(&answer[..end], true, Running));
            assert!(
                ended
                    .into_iter()
                    .all(|status| status == Some(InvalidAnswer))
            );
        }
    }
}
