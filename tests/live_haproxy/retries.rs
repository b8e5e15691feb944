//! Retries of requests that servers have failed, in HAProxy and in `examples/proxy -f`: the
//! same file before servers that fail in the same way; what each server got is compared.

use std::net::{Ipv4Addr, SocketAddr};

use crate::client;
use crate::program::Program;
use crate::support;
use crate::support::configuration::Folder;
use crate::support::faulty::{Attempts, Manner, faulty};

use Manner::{Answers, Breaks, Closes, Junk, Silent};

const BAD: &[Manner] = &[Answers(503)];
const ONE_OF_TWO: &[Manner] = &[Answers(503), Answers(200)];
const ONE_OF_THREE: &[Manner] = &[Answers(503), Closes, Answers(200)];

/// Lines of the backend, and its servers.
const CASES: &[(&str, &[Manner])] = &[
    ("retries 2\n retry-on 503", BAD),
    ("retries 0\n retry-on 503", BAD),
    ("retries 2", BAD),
    ("retries 2\n retry-on 404 500 502 504", BAD),
    ("retries 2\n retry-on all-retryable-errors", BAD),
    ("retries 2\n retry-on none\n option redispatch", ONE_OF_TWO),
    ("retries 2\n retry-on 503", ONE_OF_TWO),
    ("retries 2\n retry-on 503\n option redispatch", ONE_OF_TWO),
    (
        "retries 3\n retry-on 503 empty-response\n option redispatch",
        ONE_OF_THREE,
    ),
    ("retries 3\n retry-on 503\n option redispatch", ONE_OF_THREE),
    (
        "retries 3\n retry-on 503\n option redispatch\n balance source",
        &[Answers(503), Answers(503)],
    ),
    (
        "retries 3\n retry-on 503\n option redispatch 1\n balance source\n hash-type consistent",
        &[Answers(503), Answers(503), Answers(503)],
    ),
    (
        "retries 5\n retry-on 503\n option redispatch 2\n balance first",
        &[Answers(503), Answers(503)],
    ),
    ("retries 2\n retry-on 404 425", &[Answers(404)]),
    ("retries 2\n retry-on 401", &[Answers(401)]),
    ("retries 2\n retry-on empty-response", &[Closes]),
    ("retries 2\n retry-on empty-response", &[Breaks]),
    ("retries 2\n retry-on junk-response", &[Closes]),
    ("retries 2\n retry-on junk-response", &[Breaks]),
    ("retries 2\n retry-on junk-response", &[Junk]),
    ("retries 2\n retry-on empty-response", &[Junk]),
    ("retries 1\n retry-on response-timeout", &[Silent]),
    ("retries 1\n retry-on empty-response", &[Silent]),
];

/// Lengths of the bodies that are sent; 0 is a GET.
const BODIES: [usize; 4] = [0, 0, 100, 40_000];

#[test]
#[ignore = "runs a real HAProxy for half a minute; see the top of this file"]
fn failed_requests_are_sent_again_as_in_haproxy() {
    println!("{}", crate::haproxy::version());
    for (index, (lines, manners)) in CASES.iter().enumerate() {
        let attempts = Attempts::default();
        let names = ["s1", "s2", "s3"];
        let servers = names.iter().zip(*manners);
        let servers: Vec<_> = servers
            .map(|(name, manner)| (*name, faulty(name, *manner, &attempts)))
            .collect();
        let [expected, found] = [Program::haproxy, Program::ours].map(|start| {
            let folder = Folder::new(&format!("retries-{index}"));
            let listen = support::free_address();
            let text = configuration(lines, manners, &servers, listen);
            let text = text.replace("SOCKET", &folder.file("stats.sock").display().to_string());
            let _program = start(&text, &folder, &[], vec![listen]);
            BODIES.map(|length| (send(listen, length), attempts.take()))
        });
        println!("{lines:?}: {expected:?}");
        assert_eq!(found, expected, "{lines:?} {manners:?}");
    }
}

fn configuration(
    lines: &str,
    manners: &[Manner],
    servers: &[(&str, SocketAddr)],
    listen: SocketAddr,
) -> String {
    // Long enough for a busy machine, but for those who say nothing anyway.
    let is_silent = manners.iter().any(|it| matches!(it, Silent));
    let patience = if is_silent { "1s" } else { "5s" };
    let servers = servers.iter();
    let servers = servers.map(|(name, address)| format!(" server {name} {address}\n"));
    let servers: String = servers.collect();
    format!(
        "global\n stats socket SOCKET level admin\ndefaults\n mode http\n timeout connect 1s\n \
         timeout client 5s\n timeout server {patience}\nlisten web\n bind {listen}\n {lines}\n{servers}"
    )
}

/// Sends a request and tells the status of the answer.
fn send(proxy: SocketAddr, length: usize) -> u16 {
    let method = if length == 0 { "GET" } else { "POST" };
    let sized = match length {
        0 => String::new(),
        _ => format!("Content-Length: {length}\r\n"),
    };
    let body = "b".repeat(length);
    let head = format!("{method} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{sized}\r\n");
    let request = head + &body;
    let begun = client::begin(proxy, Ipv4Addr::LOCALHOST, request.as_bytes());
    let (answer, _) = begun.expect("there is an answer");
    answer.status
}
