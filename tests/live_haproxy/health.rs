//! Health checks: what HAProxy sends to a server, what it makes of the answers and of an
//! operator's orders between them, beside the backend built from the same text.
//!
//! Whenever a check of HAProxy's has come, and before it is answered, both must show the
//! same states; then both get the next answer. `STICKROUTE_LIVE_SEED` is as in the main
//! comparison.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use stickroute::haproxy::{BackendCheck, Configuration, Routing};
use stickroute::health::{CheckStatus, CheckWish};
use stickroute::{Backend, Now};

use crate::generator::Random;
use crate::haproxy::{self, Side};
use crate::support::configuration::Folder;
use crate::{client, seed, support};

/// What the backend says, and what its server says.
const TEXTS: &[(&str, &str)] = &[
    ("option httpchk", ""),
    (
        "option httpchk\n http-check disable-on-404",
        "rise 3 fall 2",
    ),
    (
        "option httpchk GET /health HTTP/1.1\n http-check send hdr Host h hdr X-A 1 body text\n \
         http-check expect ! status 500-599\n http-check disable-on-404",
        "rise 1 fall 4",
    ),
    (
        "option httpchk\n http-check send meth PUT uri /x\n http-check expect string fine",
        "rise 2 fall 1",
    ),
    (
        "option httpchk\n http-check expect !string fine\n http-check disable-on-404",
        "rise 2 fall 2 disabled",
    ),
    // Nobody gets warm as long as this runs.
    (
        "option httpchk\n http-check disable-on-404",
        "rise 2 fall 2 slowstart 1h",
    ),
    (
        "option httpchk\n http-check connect linger\n http-check send meth GET uri /a\n \
         http-check expect status 200-499\n http-check connect\n http-check send uri /b hdr X y\n \
         http-check expect rstring ^fi.e",
        "rise 2 fall 2",
    ),
    (
        "option httpchk\n http-check expect ok-status L7OKC rstatus ^[23]\n \
         http-check expect string fine\n http-check expect ok-status L7OKC hdr name content-length",
        "rise 1 fall 2",
    ),
    (
        "option tcp-check\n tcp-check send PING\\r\\n\n tcp-check expect rstring HTTP/1.[01]\n \
         tcp-check expect ! string 500\n tcp-check send-binary 0a0d\n tcp-check expect string 200",
        "rise 2 fall 2",
    ),
    (
        "option tcp-check\n tcp-check connect\n tcp-check send A\n \
         tcp-check expect min-recv 10 error-status L7OKC rbinary ^48545450\n tcp-check connect\n \
         tcp-check send B\n tcp-check expect string fine",
        "rise 1 fall 2",
    ),
];

/// What a second connection of a check is answered.
const GOOD: &str = "HTTP/1.0 200 OK\r\n\r\nfine";

const CHECKS: usize = 50;

/// The words of a line of `show servers state` that are compared: states, and what is about
/// checks but for the result, which is 0 while one is on its way.
const COLUMNS: [usize; 9] = [5, 6, 10, 12, 13, 21, 22, 23, 24];

#[test]
#[ignore = "runs a real HAProxy"]
fn checks_count_as_in_haproxy() {
    let seed = seed();
    println!("STICKROUTE_LIVE_SEED={seed}");
    let folder = Folder::new("health");
    let mut changes = 0;
    for (text, salt) in TEXTS.iter().zip(0..) {
        let mut run = Run::start(*text, &folder, Random(seed ^ (salt << 48)));
        for _ in 0..CHECKS {
            run.step();
        }
        println!("{:?}: {} changes of state", text.1, run.changes);
        changes += run.changes;
    }
    assert!(changes > 20, "hardly anything happened");
}

struct Run {
    random: Random,
    origin: TcpListener,
    side: Side,
    routing: Routing,
    start: Now,
    changes: usize,
    history: Vec<String>,
}

fn text_for(
    (backend, server): (&str, &str),
    origin: SocketAddr,
    [listen, control]: [SocketAddr; 2],
) -> String {
    format!(
        "global\n nbthread 1\n stats socket ipv4@{control} level admin\n\
         defaults\n mode http\n timeout client 60s\n timeout server 60s\n timeout connect 60s\n \
         timeout check 60s\n\
         frontend web\n bind {listen}\n default_backend app\n\
         backend app\n {backend}\n \
         server s {origin} check inter 100ms fastinter 20ms downinter 20ms {server}\n"
    )
}

impl Run {
    fn start(text: (&str, &str), folder: &Folder, random: Random) -> Self {
        let origin = TcpListener::bind(support::free_address()).expect("it is free");
        let address = origin.local_addr().expect("it is bound");
        let mut same = String::new();
        let side = haproxy::start(&folder.file(""), |listen, control| {
            same = text_for(text, address, [listen, control]);
            same.clone()
        });
        let configuration = Configuration::parse("haproxy.cfg", same).expect("HAProxy reads it");
        let run = Self {
            random,
            origin,
            side,
            routing: configuration.build().expect("it is supported"),
            start: Now::system(),
            changes: 0,
            history: vec![format!("{text:?}")],
        };
        if text.1.contains("disabled") {
            // Nothing is checked before.
            run.both_are_the_same();
            run.order("set server app/s state ready");
        }
        run
    }

    fn backend(&self) -> &Backend {
        self.routing.backend("app").expect("it has a server")
    }

    fn check(&self) -> &BackendCheck {
        self.routing.check("app").expect("the server is checked")
    }

    /// A check comes; orders are given; it is answered.
    fn step(&mut self) {
        let (check, _) = self.origin.accept().expect("HAProxy checks");
        self.both_are_the_same();
        if self.random.percent(15) {
            let order = self.random.one_of(&[
                "health up",
                "health down",
                "health stopping",
                "state drain",
                "state ready",
                "check-port 0",
            ]);
            self.history.push(order.to_owned());
            self.order(&format!("set server app/s {order}"));
            self.both_are_the_same();
        }
        let answer = self.random.one_of(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nfine\r\n\n",
            "HTTP/1.0 200 OK\r\n\r\nfine",
            "HTTP/1.0 302 There\r\n\r\nfine",
            "HTTP/1.1 404 None\r\nContent-Length: 4\r\n\r\nfine",
            "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 503 Oh\r\nContent-Length: 4\r\n\r\nsick",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsick",
            "nonsense\r\n\r\n",
            "HTTP/1.1 200",
            "",
        ]);
        self.history.push(format!("{answer:?}"));
        let status = self.play(check, answer);
        let change = self.backend().report_check("s", status, Now::system());
        self.changes += usize::from(change.expect("there is such a server").is_some());
    }

    /// Plays a check to its end: everything that is sent is read from HAProxy and compared,
    /// and everything that is wanted is answered.
    fn play(&mut self, mut check: TcpStream, first: &str) -> CheckStatus {
        let sequence = self.check().sequence().clone();
        let farm = self.backend().farm();
        let mut run = sequence.start(farm.servers()[0].health().state());
        let (mut connections, mut answer) = (0, Some(first));
        loop {
            match run.next() {
                CheckWish::Connect(_) if connections == 0 => connections += 1,
                CheckWish::Connect(_) => {
                    check = self.origin.accept().expect("HAProxy connects again").0;
                    answer = Some(GOOD);
                }
                CheckWish::Send(expected) => reads(&mut check, &expected),
                CheckWish::Read => {
                    let Some(answer) = answer.take() else {
                        // The end of the answer is the end of the connection.
                        let _ = check.shutdown(Shutdown::Write);
                        run.ended();
                        continue;
                    };
                    let _ = check.write_all(answer.as_bytes());
                    run.received(answer.as_bytes());
                }
                CheckWish::Done(report) => return report.status(),
            }
        }
    }

    /// What HAProxy answers is not compared: it tells nothing, or gives reasons.
    fn order(&self, line: &str) {
        client::command(self.side.control, line).expect("HAProxy answers");
        let now = Now::system();
        let _ = self
            .routing
            .runtime(self.start)
            .answer(line.as_bytes(), now);
    }

    fn both_are_the_same(&self) {
        let line = "show servers state app";
        let theirs = client::command(self.side.control, line).expect("HAProxy answers");
        let ours = self.routing.runtime(self.start);
        let ours = ours.answer(line.as_bytes(), Now::system());
        assert_eq!(states(ours.text()), states(&theirs), "{:#?}", self.history);
    }
}

/// Reads what HAProxy is to send.
fn reads(check: &mut TcpStream, expected: &[u8]) {
    check
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("it can be set");
    let mut sent = vec![0; expected.len()];
    check.read_exact(&mut sent).expect("it is as long");
    let [sent, expected] = [&sent, expected].map(String::from_utf8_lossy);
    assert_eq!(sent, expected);
}

/// The compared columns. Whether a check is on its way is nothing that is known here.
fn states(answer: &str) -> Vec<String> {
    const CHECK_STATE: usize = 13;
    let row: Vec<_> = answer
        .lines()
        .nth(2)
        .unwrap_or_default()
        .split(' ')
        .collect();
    let column = |index: usize| match index {
        CHECK_STATE => (row[index].parse::<u8>().unwrap_or(0) & !1).to_string(),
        _ => row[index].to_owned(),
    };
    COLUMNS.map(column).to_vec()
}
