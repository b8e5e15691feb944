//! `retry-on` in `examples/proxy -f`: which requests are sent once more, and where.

use std::net::TcpListener;
use std::thread;

use crate::client::exchange;
use crate::configured::Service;
use crate::support::faulty::{Attempts, Manner, faulty};

/// A service before these servers, with these lines.
struct Tried {
    service: Service,
    attempts: Attempts,
}

impl Tried {
    fn start(name: &str, lines: &str, servers: &[(&'static str, Manner)]) -> Self {
        let attempts = Attempts::default();
        // Long enough for a busy machine, but for those who say nothing anyway.
        let is_silent = servers.iter().any(|(_, it)| matches!(it, Manner::Silent));
        let patience = if is_silent { "1s" } else { "5s" };
        let servers = servers.iter().map(|&(server, manner)| {
            let address = faulty(server, manner, &attempts);
            format!(" server {server} {address}\n")
        });
        let servers: String = servers.collect();
        let text = format!(
            "listen web\n bind LISTEN\n retries 2\n timeout server {patience}\n{lines}\n{servers}"
        );
        let service = Service::start(name, &text);
        Self { service, attempts }
    }

    /// The status, and the servers that got the request.
    fn send(&self, method: &str, body: &str) -> (String, Vec<String>) {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("{method} / HTTP/1.1\r\nHost: h\r\n{length}");
        let answer = exchange(self.service.listen(), &head, body);
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        let attempts = self.attempts.take().into_iter();
        let names = attempts.map(|(name, length)| {
            assert_eq!(length, body.len(), "a body was cut off");
            name
        });
        (status, names.collect())
    }
}

fn seen(status: &str, servers: &[&str]) -> (String, Vec<String>) {
    let servers = servers.iter().map(|&name| name.to_owned());
    (status.to_owned(), servers.collect())
}

#[test]
fn failures_that_are_named_are_retried_and_others_are_not() {
    use Manner::{Answers, Breaks, Closes, Junk, Silent};
    let cases = [
        ("503", Answers(503), "503", 3),
        ("500", Answers(503), "503", 1),
        ("404", Answers(404), "404", 3),
        ("conn-failure", Closes, "502", 1),
        ("empty-response", Closes, "502", 3),
        ("empty-response", Breaks, "502", 3),
        ("empty-response", Junk, "502", 1),
        ("junk-response", Junk, "502", 3),
        ("junk-response", Breaks, "502", 1),
        ("response-timeout", Silent, "504", 3),
        ("empty-response", Silent, "504", 1),
        ("all-retryable-errors", Silent, "504", 3),
    ];
    for (index, (causes, manner, status, times)) in cases.into_iter().enumerate() {
        let lines = format!(" retry-on {causes}");
        let tried = Tried::start(&format!("retries-{index}"), &lines, &[("s", manner)]);
        let expected = seen(status, &vec!["s"; times]);
        assert_eq!(tried.send("GET", ""), expected, "{causes} {manner:?}");
    }
}

#[test]
fn another_server_is_tried_where_redispatch_says_so() {
    let lines = " retry-on 503\n option redispatch 1";
    let servers = [
        ("bad", Manner::Answers(503)),
        ("good", Manner::Answers(200)),
    ];
    let tried = Tried::start("retries-other", lines, &servers);
    assert_eq!(tried.send("GET", ""), seen("200", &["bad", "good"]));
    let lines = " retry-on 503";
    let tried = Tried::start("retries-same", lines, &servers);
    assert_eq!(tried.send("GET", ""), seen("503", &["bad"; 3]));
    assert_eq!(tried.send("GET", ""), seen("200", &["good"]));
}

#[test]
fn bodies_are_sent_once_more_while_a_copy_of_them_is_kept() {
    let servers = [("s", Manner::Answers(503))];
    let tried = Tried::start("retries-body", " retry-on 503", &servers);
    for (length, times) in [(0, 3), (1, 3), (15_000, 3), (40_000, 1)] {
        let body = "b".repeat(length);
        let expected = seen("503", &vec!["s"; times]);
        assert_eq!(tried.send("POST", &body), expected, "{length} bytes");
    }
}

#[test]
fn a_body_that_nobody_has_read_is_sent_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap();
    // It closes each connection before it has read anything.
    thread::spawn(move || listener.incoming().for_each(drop));
    let lines = format!(" retry-on empty-response\n option redispatch 1\n server gone {gone}");
    let tried = Tried::start("retries-unread", &lines, &[("good", Manner::Answers(200))]);
    for _ in 0..20 {
        assert_eq!(tried.send("POST", "body"), seen("200", &["good"]));
    }
}
