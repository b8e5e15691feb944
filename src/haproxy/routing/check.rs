//! From `option httpchk` and `http-check` lines to the checks of a backend.

use std::time::Duration;

use crate::haproxy::config::{Finding, FindingKind, Proxy, Timeout, Word};
use crate::health::{Expect, HealthPolicy, HttpCheck};

/// How the servers of a backend are checked; see [`Routing::check`](super::Routing::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendCheck {
    kind: CheckKind,
    connect: Option<Duration>,
    answer: Option<Duration>,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckKind {
    /// It connects, which is all. HAProxy: no option, or `option tcp-check` alone.
    Connect,
    /// It sends a request and looks at the answer. HAProxy: `option httpchk`.
    Http(HttpCheck),
}

impl BackendCheck {
    /// What a check does.
    pub fn kind(&self) -> &CheckKind {
        &self.kind
    }

    /// How long a check may take to connect: `timeout connect`, but no longer than the
    /// interval of the server. Without `timeout check` the whole check has the interval.
    pub fn connect_within(&self, policy: HealthPolicy) -> Duration {
        let interval = policy.normal_interval();
        match (self.answer, self.connect) {
            (Some(_), Some(connect)) => connect.min(interval),
            _ => interval,
        }
    }

    /// How long the server may take from then on to answer; `None` is what is left of
    /// [`connect_within`](Self::connect_within). HAProxy: `timeout check`.
    pub fn answer_within(&self) -> Option<Duration> {
        self.answer
    }
}

/// The checks of a section, `None` if none of its servers is checked.
pub(super) fn read(proxy: &Proxy) -> Result<Option<BackendCheck>, Vec<Finding>> {
    let mut servers = proxy.backend.servers.iter();
    if !servers.any(|server| server.settings.check) {
        return Ok(None);
    }
    let kind = kind(proxy)?;
    Ok(Some(BackendCheck {
        kind,
        connect: proxy.timeout(Timeout::Connect),
        answer: proxy.timeout(Timeout::Check),
    }))
}

fn kind(proxy: &Proxy) -> Result<CheckKind, Vec<Finding>> {
    let settings = &proxy.backend;
    let Some(line) = &settings.check else {
        return Ok(CheckKind::Connect);
    };
    let mut findings = Vec::new();
    let of = |keyword: &'static str| {
        let rules = settings.check_rules.iter();
        rules.filter(move |words| words[0].is(keyword))
    };
    let kind = match line.kind.text() {
        "httpchk" => match first_line(&line.arguments) {
            Ok(check) => {
                let mut http = Http::new(check);
                findings.extend(of("http-check").filter_map(|words| http.follow(words).err()));
                CheckKind::Http(http.check)
            }
            Err(finding) => return Err(vec![finding]),
        },
        "tcp-check" => {
            let rules = of("tcp-check").filter(|words| !words[1].is("comment"));
            findings.extend(rules.map(|words| {
                let message =
                    "not supported; expected nothing but option tcp-check, which connects";
                not_supported(&words[1], message)
            }));
            CheckKind::Connect
        }
        _ => {
            let message = "not supported; expected option httpchk, option tcp-check or neither";
            return Err(vec![not_supported(&line.kind, message)]);
        }
    };
    if findings.is_empty() {
        Ok(kind)
    } else {
        Err(findings)
    }
}

fn not_supported(word: &Word, message: &str) -> Finding {
    Finding::error(FindingKind::NotSupported, word, message)
}

fn wrong(word: &Word, message: &impl ToString) -> Finding {
    Finding::error(FindingKind::Argument, word, message.to_string())
}

/// `option httpchk [[METHOD] URI [VERSION]]`.
fn first_line(arguments: &[Word]) -> Result<HttpCheck, Finding> {
    let check = HttpCheck::new();
    match arguments {
        [] => Ok(check),
        [target] => uri(check, target),
        [name, target] => uri(method(check, name)?, target),
        [name, target, number, ..] => version(uri(method(check, name)?, target)?, number),
    }
}

fn method(check: HttpCheck, word: &Word) -> Result<HttpCheck, Finding> {
    check
        .method(word.text())
        .map_err(|error| wrong(word, &error))
}

fn uri(check: HttpCheck, word: &Word) -> Result<HttpCheck, Finding> {
    check.uri(word.text()).map_err(|error| wrong(word, &error))
}

fn version(check: HttpCheck, word: &Word) -> Result<HttpCheck, Finding> {
    match word.text() {
        "HTTP/1.0" => Ok(check.http_1_0()),
        "HTTP/1.1" => Ok(check.http_1_1()),
        _ => {
            let message = "not supported; expected HTTP/1.0 or HTTP/1.1, and fields in \
                           http-check send hdr NAME VALUE";
            Err(not_supported(word, message))
        }
    }
}

/// A check as far as its lines have been read.
struct Http {
    check: HttpCheck,
    has_sent: bool,
    has_expected: bool,
}

impl Http {
    fn new(check: HttpCheck) -> Self {
        Self {
            check,
            has_sent: false,
            has_expected: false,
        }
    }

    /// Follows an `http-check` line.
    fn follow(&mut self, words: &[Word]) -> Result<(), Finding> {
        let (keyword, arguments) = (&words[1], &words[2..]);
        let once = |before: &mut bool| {
            if std::mem::replace(before, true) {
                return Err(not_supported(
                    keyword,
                    "not supported; expected one such line",
                ));
            }
            Ok(())
        };
        match keyword.text() {
            "comment" => Ok(()),
            "disable-on-404" => {
                self.change(|check| Ok(check.disable_on_404()))?;
                let extra = arguments.first();
                extra.map_or(Ok(()), |word| {
                    Err(wrong(word, &"expected nothing more on this line"))
                })
            }
            "send" => {
                once(&mut self.has_sent)?;
                self.send(arguments)
            }
            "expect" => {
                once(&mut self.has_expected)?;
                let expect = expect(keyword, arguments)?;
                self.change(|check| Ok(check.expect(expect)))
            }
            _ => {
                let message = "not supported; expected send, expect, disable-on-404 or comment";
                Err(not_supported(keyword, message))
            }
        }
    }

    fn change(
        &mut self,
        change: impl FnOnce(HttpCheck) -> Result<HttpCheck, Finding>,
    ) -> Result<(), Finding> {
        self.check = change(std::mem::take(&mut self.check))?;
        Ok(())
    }

    /// `send [meth M] [uri U] [ver V] [hdr N V]... [body B] [comment C]`.
    fn send(&mut self, words: &[Word]) -> Result<(), Finding> {
        let mut words = words.iter();
        while let Some(name) = words.next() {
            let mut value = || value(name, words.next());
            match name.text() {
                "comment" => drop(value()?),
                "meth" => {
                    let word = value()?;
                    self.change(|check| method(check, word))?;
                }
                "uri" => {
                    let word = value()?;
                    self.change(|check| uri(check, word))?;
                }
                "ver" => {
                    let word = value()?;
                    self.change(|check| version(check, word))?;
                }
                "body" => {
                    let word = value()?;
                    self.change(|check| Ok(check.body(word.bytes())))?;
                }
                "hdr" => {
                    let (field, word) = (value()?, value()?);
                    let content = plain(word)?;
                    self.change(|check| {
                        let added = check.header(field.text(), content);
                        added.map_err(|error| wrong(field, &error))
                    })?;
                }
                _ => {
                    let message = "not supported; expected meth, uri, ver, hdr, body or comment";
                    return Err(not_supported(name, message));
                }
            }
        }
        Ok(())
    }
}

/// The word behind a name.
fn value<'w>(name: &Word, word: Option<&'w Word>) -> Result<&'w Word, Finding> {
    let word = word.filter(|word| !word.bytes().is_empty());
    word.ok_or_else(|| {
        let message = "expected a value behind it";
        Finding::error(FindingKind::Missing, name, message)
    })
}

/// A text that may have samples in it, and has none.
fn plain(word: &Word) -> Result<Vec<u8>, Finding> {
    let mut text = Vec::new();
    let mut bytes = word.bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' && bytes.next() != Some(b'%') {
            let message = "samples are not supported here; expected plain text, with %% for %";
            return Err(not_supported(word, message));
        }
        text.push(byte);
    }
    Ok(text)
}

/// `expect [comment C] [!] status LIST|string TEXT`.
fn expect(keyword: &Word, words: &[Word]) -> Result<Expect, Finding> {
    const EXPECTED: &str = "expected status or string, and a value";
    let (mut words, mut name) = (words, "");
    if let [comment, _, rest @ ..] = words
        && comment.is("comment")
    {
        words = rest;
    }
    let mut negated = false;
    if let [first, rest @ ..] = words {
        let positive = first.text().strip_prefix('!');
        negated = positive.is_some();
        name = positive.unwrap_or(first.text());
        words = if name.is_empty() { rest } else { words };
    }
    let Some((first, rest)) = words.split_first() else {
        return Err(Finding::error(FindingKind::Missing, keyword, EXPECTED));
    };
    let name = if name.is_empty() { first.text() } else { name };
    if !["status", "string"].contains(&name) {
        return Err(not_supported(first, &format!("not supported; {EXPECTED}")));
    }
    let word = value(first, rest.first())?;
    if let Some(extra) = rest.get(1) {
        return Err(wrong(extra, &"expected nothing more on this line"));
    }
    let expect = if name == "status" {
        Expect::status(word.text()).map_err(|error| wrong(word, &error))?
    } else {
        Expect::text(word.bytes())
    };
    Ok(if negated { expect.not() } else { expect })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OperationalState;
    use crate::haproxy::{Configuration, Routing};
    use crate::health::CheckStatus::{Answered, InvalidAnswer, WrongStatus};

    fn build(lines: &str) -> Result<Routing, String> {
        let text = format!(
            "defaults\n mode http\n timeout connect 1s\n timeout server 9s\nbackend b\n{lines}\n \
             server s 127.0.0.1:80 check\n"
        );
        let configuration = Configuration::parse("c", text.as_str());
        let built = configuration.and_then(|configuration| configuration.build());
        built.map_err(|error| error.to_string())
    }

    fn check(lines: &str) -> BackendCheck {
        build(lines).unwrap().check("b").unwrap().clone()
    }

    fn http(lines: &str) -> HttpCheck {
        match check(lines).kind {
            CheckKind::Http(check) => check,
            CheckKind::Connect => panic!("{lines} only connects"),
        }
    }

    #[test]
    fn requests_are_those_that_the_lines_describe() {
        for (lines, expected) in [
            (" option httpchk", "OPTIONS / HTTP/1.0\r\n\r\n"),
            (" option httpchk /x", "OPTIONS /x HTTP/1.0\r\n\r\n"),
            (" option httpchk HEAD /x", "HEAD /x HTTP/1.0\r\n\r\n"),
            (
                " option httpchk GET /z HTTP/1.1\n http-check send uri /y hdr Host h hdr X 1%%",
                "GET /y HTTP/1.1\r\nhost: h\r\nx: 1%\r\nconnection: close\r\n\r\n",
            ),
            (
                " option httpchk\n http-check send comment 'a b' meth POST ver HTTP/1.0 body 'a b'",
                "POST / HTTP/1.0\r\ncontent-length: 3\r\n\r\na b",
            ),
        ] {
            let request = http(lines).request();
            assert_eq!(String::from_utf8(request).unwrap(), expected);
        }
    }

    #[test]
    fn answers_are_what_the_lines_expect() {
        for (line, expected) in [
            ("status 200-299,500", Answered),
            ("! status 500", WrongStatus),
            ("!status 500", WrongStatus),
            ("comment x ! string 'not ok'", Answered),
            ("string ok", Answered),
            ("string fine", InvalidAnswer),
        ] {
            let check = http(&format!(" option httpchk\n http-check expect {line}"));
            let answer = b"HTTP/1.1 500 No\r\n\r\nok";
            assert_eq!(
                check.judge(answer, true, OperationalState::Running),
                Some(expected),
                "{line}"
            );
        }
        let leaving = http(" option httpchk\n http-check disable-on-404");
        assert_eq!(leaving, HttpCheck::new().disable_on_404());
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_place() {
        for (line, expected) in [
            (" option mysql-check", "c:6:9: 'mysql-check': not supported"),
            (
                " option tcp-check\n tcp-check send x",
                "c:7:12: 'send': not supported",
            ),
            (
                " option httpchk\n http-check connect",
                "c:7:13: 'connect': not supported",
            ),
            (
                " option httpchk\n http-check send-state",
                "c:7:13: 'send-state': not supported",
            ),
            (
                " option httpchk\n http-check expect rstatus 2..",
                "c:7:20: 'rstatus': not supported",
            ),
            (
                " option httpchk\n http-check expect status 2-1",
                "c:7:27: '2-1': \"2-1\" is no list",
            ),
            (
                " option httpchk\n http-check expect status 200 x",
                "c:7:31: 'x': expected nothing",
            ),
            (
                " option httpchk\n http-check expect !",
                "expected status or string, and a value",
            ),
            (
                " option httpchk\n http-check expect string ok\n http-check expect status 200",
                "c:8:13: 'expect': not supported; expected one",
            ),
            (
                " option httpchk\n http-check send hdr X %[src]",
                "c:7:24: '%[src]': samples",
            ),
            (
                " option httpchk\n http-check send uri-lf /",
                "c:7:18: 'uri-lf': not supported",
            ),
            (
                " option httpchk GET / HTTP/2",
                "c:6:23: 'HTTP/2': not supported",
            ),
            (
                " option httpchk\n http-check send hdr X",
                "c:7:18: 'hdr': expected a value",
            ),
        ] {
            let error = build(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn a_section_without_checked_servers_has_no_checks() {
        let text = "backend b\n option mysql-check\n server s 127.0.0.1:80\n";
        let routing = Configuration::parse("c", text).unwrap().build().unwrap();
        assert_eq!(routing.check("b"), None);
        assert_eq!(routing.check("x"), None);
    }

    #[test]
    fn a_check_has_an_interval_or_its_own_limits() {
        let policy = HealthPolicy::new();
        let [connect, interval] = [Duration::from_secs(1), Duration::from_secs(2)];
        let plain = check("");
        assert_eq!(plain.kind(), &CheckKind::Connect);
        assert_eq!(
            (plain.connect_within(policy), plain.answer_within()),
            (interval, None)
        );
        let limited = check(" option tcp-check\n timeout check 7s");
        let seven = Some(Duration::from_secs(7));
        assert_eq!(
            (limited.connect_within(policy), limited.answer_within()),
            (connect, seven)
        );
        assert_eq!(
            limited.connect_within(policy.interval(connect / 2)),
            connect / 2
        );
    }

    #[test]
    fn servers_count_as_their_options_say() {
        let text = "backend b\n default-server inter 5s fall 1\n \
                    server s 127.0.0.1:80 check rise 7 fastinter 100 downinter 1m port 81\n \
                    server t 127.0.0.1:80 addr 127.0.0.9\n";
        let routing = Configuration::parse("c", text).unwrap().build().unwrap();
        let farm = routing.backend("b").unwrap().farm();
        let [s, t] = farm.servers() else { panic!() };
        let policy = HealthPolicy::new()
            .rise(7)
            .fall(1)
            .interval(Duration::from_secs(5))
            .fast_interval(Duration::from_millis(100))
            .down_interval(Duration::from_secs(60));
        assert_eq!(s.health().policy(), policy);
        assert_eq!(s.next_check(), Some(Duration::from_secs(5)));
        assert_eq!(s.check_address().to_string(), "127.0.0.1:81");
        assert_eq!((t.is_checked(), t.next_check()), (false, None));
        assert_eq!(t.check_address().to_string(), "127.0.0.9:80");
    }
}
