//! From `option httpchk`, `http-check` and `tcp-check` lines to the checks of a backend.

mod connect;
mod expect;
mod http;
mod tcp;
mod words;

use std::time::Duration;

use crate::haproxy::config::{Finding, Proxy, Timeout, Word};
use crate::health::{CheckSequence, HealthPolicy};

/// How the servers of a backend are checked; see [`Routing::check`](super::Routing::check).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendCheck {
    sequence: CheckSequence,
    connect: Option<Duration>,
    answer: Option<Duration>,
}

impl BackendCheck {
    /// What a check does. HAProxy: `option httpchk` with its `http-check` lines, `option
    /// tcp-check` with its `tcp-check` lines, or a connection without either.
    pub fn sequence(&self) -> &CheckSequence {
        &self.sequence
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
    Ok(Some(BackendCheck {
        sequence: sequence(proxy)?,
        connect: proxy.timeout(Timeout::Connect),
        answer: proxy.timeout(Timeout::Check),
    }))
}

fn sequence(proxy: &Proxy) -> Result<CheckSequence, Vec<Finding>> {
    let settings = &proxy.backend;
    let Some(line) = &settings.check else {
        return Ok(CheckSequence::connection());
    };
    let of = |keyword: &'static str| {
        let rules = settings.check_rules.iter().map(Vec::as_slice);
        rules.filter(move |words| words[0].is(keyword))
    };
    match line.kind.text() {
        "httpchk" => http::read(&line.arguments, of("http-check")),
        "tcp-check" => tcp::read(of("tcp-check")),
        _ => Err(vec![words::not_supported(
            &line.kind,
            "not supported; expected option httpchk, option tcp-check or neither",
        )]),
    }
}

/// The words of a line behind its keyword.
type Words<'w> = &'w [Word];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OperationalState;
    use crate::haproxy::{Configuration, Routing};
    use crate::health::{CheckReport, CheckRun, CheckWish};

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

    /// Gives each thing sent the answer, and tells all that was sent and the end.
    fn play(lines: &str, answer: &str) -> (String, String) {
        let check = check(lines);
        let mut run = check.sequence().start(OperationalState::Running);
        let mut sent = Vec::new();
        loop {
            match run.next() {
                CheckWish::Connect(_) => {}
                CheckWish::Send(bytes) => sent.push(String::from_utf8(bytes).unwrap()),
                CheckWish::Read => answered(&mut run, answer),
                CheckWish::Done(report) => return (sent.join("|"), told(&report)),
            }
        }
    }

    fn answered(run: &mut CheckRun<'_>, answer: &str) {
        run.received(answer.as_bytes());
        run.ended();
    }

    fn told(report: &CheckReport) -> String {
        format!("{} {}", report.status(), report.info())
    }

    // All of HAProxy 2.6.12.
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
            (
                " option httpchk\n http-check send uri-lf /%% body-lf a",
                "OPTIONS /% HTTP/1.0\r\ncontent-length: 1\r\n\r\na",
            ),
            (
                " option httpchk GET / HTTP/1.0\\r\\nUser-agent:\\ LB\\ Check",
                "GET / HTTP/1.0\r\nuser-agent: LB Check\r\n\r\n",
            ),
            (
                " option httpchk PUT /o HTTP/1.1\\r\\nHost:\\ h\\r\\nX:\\ y\\r\\n\\r\\nbody\n \
                 http-check send hdr A b",
                "PUT /o HTTP/1.1\r\na: b\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody",
            ),
            (
                " option httpchk /o\n http-check connect",
                "OPTIONS /o HTTP/1.0\r\n\r\n",
            ),
            (
                " option httpchk PUT /o\n http-check connect linger\n http-check send\n \
                 http-check expect status 200\n http-check connect port 7\n \
                 http-check send hdr C d\n http-check expect status 200",
                "PUT /o HTTP/1.0\r\ncontent-length: 0\r\n\r\n|OPTIONS / HTTP/1.0\r\nc: d\r\n\r\n",
            ),
        ] {
            let (sent, _) = play(lines, "HTTP/1.0 200 OK\r\n\r\n");
            assert_eq!(sent, expected, "{lines}");
        }
    }

    // All of HAProxy 2.6.12.
    #[test]
    fn answers_are_what_the_lines_expect() {
        for (line, expected) in [
            ("status 200-299,500", "L7OK "),
            ("! status 500", "L7STS No"),
            ("!status 500", "L7STS No"),
            ("comment x ! string 'not ok'", "L7OK "),
            ("string ok", "L7OK "),
            ("string-lf ok", "L7OK "),
            ("string fine", "L7RSP HTTP content check did not match"),
            ("! string ok", "L7RSP HTTP check matched unwanted content"),
            ("rstring ^o.$", "L7OK "),
            ("! rstring ^o", "L7RSP HTTP check matched unwanted content"),
            ("rstatus ^5", "L7OK "),
            ("! rstatus ^5", "L7STS No"),
            ("hdr name x-a", "L7OK "),
            ("hdr name X-A value two", "L7OK "),
            ("hdr name x-a value 'one, two'", "L7STS No"),
            ("fhdr name x-a value 'one, two'", "L7OK "),
            ("fhdr name x-a value two", "L7STS No"),
            ("fhdr name x-a value -m sub two", "L7OK "),
            ("hdr name -m beg X- value -m reg ^th", "L7OK "),
            ("hdr name -m reg X-A value -m end ee", "L7OK "),
            ("hdr name-lf x-a value-lf TWO", "L7STS No"),
            ("fhdr name x-e value -m reg ^$", "L7OK "),
            ("! fhdr name x-a value three", "L7STS No"),
            ("! fhdr name x-a value four", "L7OK "),
            ("! hdr name x-b comment z", "L7OK "),
            ("ok-status L7OKC status 500", "L7OKC "),
            ("ok-status L4OK status 500", "L4OK "),
            ("error-status L4CON status 201", "L4CON No"),
            ("on-success 'all fine' status 500", "L7OK all fine"),
            (
                "on-error bad comment cc status 201",
                "L7STS bad comment: cc",
            ),
            (
                "status 201 comment cc on-error bad%%",
                "L7STS bad% comment: cc",
            ),
            ("min-recv 9 string ok", "L7OK "),
        ] {
            let lines = format!(" option httpchk\n http-check expect {line}");
            let answer = "HTTP/1.1 500 No\r\nX-A: one, two\r\nX-A: three\r\nX-E:\r\n\r\nok";
            assert_eq!(play(&lines, answer).1, expected, "{line}");
        }
    }

    // All of HAProxy 2.6.12.
    #[test]
    fn several_lines_expect_one_thing_after_the_other() {
        for (lines, expected) in [
            ("expect status 500\n http-check expect string ok", "L7OK "),
            (
                "expect status 500\n http-check expect string no",
                "L7RSP HTTP content check did not match",
            ),
            (
                "comment two\n http-check expect string x",
                "L7RSP HTTP content check did not match comment: two",
            ),
            (
                "expect status 500\n http-check comment cc\n http-check expect status 300",
                "L7STS No comment: cc",
            ),
            ("disable-on-404\n http-check expect status 300", "L7STS No"),
        ] {
            let lines = format!(" option httpchk\n http-check {lines}");
            let (_, end) = play(&lines, "HTTP/1.1 500 No\r\n\r\nok");
            assert_eq!(end, expected, "{lines}");
        }
        let (_, end) = play(
            " option httpchk\n http-check disable-on-404\n http-check expect string x",
            "HTTP/1.0 404 No\r\n\r\n",
        );
        assert_eq!(end, "L7OKC ");
    }

    // All of HAProxy 2.6.12.
    #[test]
    fn steps_without_http_are_those_of_the_lines() {
        for (lines, sent, expected) in [
            ("send PING\\r\\n", "PING\r\n", "L7OK (tcp-check)"),
            (
                "send a\n tcp-check expect string +PONG",
                "a",
                "L7OK (tcp-check)",
            ),
            ("send-lf a%%b", "a%b", "L7OK (tcp-check)"),
            ("send-binary 50494E47", "PING", "L7OK (tcp-check)"),
            (
                "expect binary 2b50\n tcp-check expect rbinary ^2B50",
                "",
                "L7OK (tcp-check)",
            ),
            (
                "expect rbinary ^2b50",
                "",
                "L7RSP TCPCHK did not match content (binary regex) at step 1",
            ),
            (
                "connect\n tcp-check expect ! rstring ^.P comment cc",
                "",
                "L7RSP TCPCHK matched unwanted content (regex) at step 2 comment: cc",
            ),
            (
                "comment dd\n tcp-check expect string x",
                "",
                "L7RSP TCPCHK did not match content 'x' at step 2 comment: dd",
            ),
            ("connect comment x", "", "L4OK (tcp-check)"),
            (
                "expect min-recv 3 ok-status L6OK string G",
                "",
                "L6OK (tcp-check)",
            ),
        ] {
            let lines = format!(" option tcp-check\n tcp-check {lines}");
            let found = play(&lines, "+PONG\r\n");
            assert_eq!(found, (sent.to_owned(), expected.to_owned()), "{lines}");
        }
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn what_is_not_supported_is_refused_with_its_place() {
        for (line, expected) in [
            (" option mysql-check", "c:6:9: 'mysql-check': not supported"),
            (
                " option tcp-check\n tcp-check send",
                "c:7:12: 'send': expected a value",
            ),
            (
                " option tcp-check\n tcp-check send x y",
                "c:7:19: 'y': expected",
            ),
            (
                " option tcp-check\n tcp-check send-binary 5",
                "c:7:24: '5': expected pairs of hexadecimal digits",
            ),
            (
                " option tcp-check\n tcp-check send x\n tcp-check connect",
                "c:8:12: 'connect': expected as the first step",
            ),
            (
                " option tcp-check\n tcp-check expect status 200",
                "c:7:19: 'status': expected",
            ),
            (
                " option tcp-check\n tcp-check set-var(check.x) int(3)",
                "c:7:12: 'set-var(check.x)': not supported: variables",
            ),
            (
                " option httpchk\n http-check connect ssl",
                "c:7:21: 'ssl': not supported; expected",
            ),
            (
                " option httpchk\n http-check connect port 70000",
                "c:7:26: '70000': not supported; expected a port",
            ),
            (
                " option httpchk\n http-check connect\n http-check expect status 200",
                "c:8:13: 'expect': expected a line http-check send before it",
            ),
            (
                " option httpchk\n http-check send\n http-check send",
                "c:8:13: 'send': expected a line http-check connect before it",
            ),
            (
                " option httpchk\n http-check connect\n http-check connect",
                "c:8:13: 'connect': expected a line http-check expect before it",
            ),
            (
                " option httpchk\n http-check expect status 200\n http-check connect",
                "c:8:13: 'connect': expected as the first step",
            ),
            (
                " option httpchk\n http-check send-state",
                "c:7:13: 'send-state': not supported",
            ),
            (
                " option httpchk\n http-check expect rstatus (?=2)",
                "c:7:28: '(?=2)': character 1: \"(?=\": look-around is not supported",
            ),
            (
                " option httpchk\n http-check expect status 2-1",
                "c:7:27: '2-1': \"2-1\" is no list",
            ),
            (
                " option httpchk\n http-check expect status 200 x",
                "c:7:31: 'x': expected",
            ),
            (
                " option httpchk\n http-check expect status 200 status 300",
                "c:7:31: 'status': expected one pattern",
            ),
            (
                " option httpchk\n http-check expect !",
                "'!': expected a value behind it",
            ),
            (
                " option httpchk\n http-check expect comment x",
                "expected a pattern",
            ),
            (
                " option httpchk\n http-check expect ! ok-status L7OK status 500",
                "c:7:22: 'ok-status': expected a pattern behind !",
            ),
            (
                " option httpchk\n http-check expect ok-status L7RSP status 500",
                "c:7:30: 'L7RSP': expected one of L4OK, L6OK, L7OK, L7OKC",
            ),
            (
                " option httpchk\n http-check expect hdr x-a",
                "c:7:24: 'x-a': expected name",
            ),
            (
                " option httpchk\n http-check expect hdr name -m foo x-a",
                "c:7:32: 'foo': expected one of str, beg, end, sub, reg",
            ),
            (
                " option httpchk\n http-check expect on-error %[status] status 201",
                "c:7:29: '%[status]': samples are not supported",
            ),
            (
                " option httpchk\n http-check expect status-code int(3) status 201",
                "c:7:20: 'status-code': not supported: samples",
            ),
            (
                " option httpchk\n http-check send hdr X %[src]",
                "c:7:24: '%[src]': samples",
            ),
            (
                " option httpchk GET / HTTP/2",
                "c:6:23: 'HTTP/2': not supported",
            ),
            (
                " option httpchk GET / HTTP/1.1 x",
                "c:6:32: 'x': expected nothing more",
            ),
            (
                " option httpchk GET / HTTP/1.1\\r\\nHost\\ h",
                "c:6:23: 'HTTP/1.1\\r\\nHost h': expected fields",
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
        assert_eq!(plain.sequence(), &CheckSequence::connection());
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
