//! Who waits, who is served by whom and in which order, who is refused: random requests
//! that are held open, to a real HAProxy and to the backend built from the same text.
//!
//! After each step both must agree about every answer, its cookie states included, and
//! about the length of every queue. `STICKROUTE_LIVE_SEED` and `STICKROUTE_LIVE_STEPS`, 60 for each
//! configuration by default, are as in the main comparison.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use stickroute::haproxy::{Configuration, Routing};
use stickroute::{
    Admission, Backend, Now, Priority, SelectError, Selection, SimpleRequest, SimpleResponse, Turn,
    Waiting,
};

use crate::client::{self, Answer, Pending, STATE};
use crate::generator::Random;
use crate::haproxy::{self, Side};
use crate::origin::{self, Origin};
use crate::{hex, number, seed, support};

/// A name, what the backend says, and what its servers say.
type Text = (&'static str, &'static str, &'static [&'static str]);

const FARM: &[&str] = &["maxconn 1", "maxconn 2", "maxconn 1"];
const SHORT: &[&str] = &["maxconn 1 maxqueue 1", "maxconn 2 maxqueue 2", "maxconn 1"];
const GROWING: &[&str] = &["minconn 1 maxconn 4", "maxconn 2", "minconn 2 maxconn 3"];
const SPARE: &[&str] = &[
    "maxconn 1",
    "maxconn 2 backup",
    "maxconn 1 maxqueue 2 backup",
];

const TEXTS: &[Text] = &[
    ("roundrobin", "balance roundrobin", FARM),
    (
        "roundrobin, redispatch",
        "balance roundrobin\n option redispatch",
        FARM,
    ),
    (
        "roundrobin, short",
        "balance roundrobin\n option redispatch",
        SHORT,
    ),
    ("roundrobin, refused", "balance roundrobin", SHORT),
    (
        "roundrobin, persist",
        "balance roundrobin\n option redispatch\n option persist",
        SHORT,
    ),
    (
        "roundrobin, growing",
        "balance roundrobin\n fullconn 12",
        GROWING,
    ),
    (
        "roundrobin, backups",
        "balance roundrobin\n option redispatch",
        SPARE,
    ),
    ("static-rr", "balance static-rr\n option redispatch", SHORT),
    ("first", "balance first\n option redispatch", SHORT),
    ("first, growing", "balance first\n fullconn 9", GROWING),
    ("leastconn", "balance leastconn", FARM),
    (
        "leastconn, short",
        "balance leastconn\n option redispatch",
        SHORT,
    ),
    (
        "leastconn, growing",
        "balance leastconn\n fullconn 10",
        GROWING,
    ),
    ("hdr", "balance hdr(x-key)\n option redispatch", SHORT),
    (
        "hdr, backups",
        "balance hdr(x-key)\n option allbackups",
        SPARE,
    ),
    (
        "consistent",
        "balance hdr(x-key)\n hash-type consistent\n option redispatch",
        SHORT,
    ),
    (
        "consistent, bounded",
        "balance hdr(x-key)\n hash-type consistent\n hash-balance-factor 130",
        SHORT,
    ),
];

#[test]
#[ignore = "runs a real HAProxy for a minute; see the top of this file"]
fn requests_wait_as_in_haproxy() {
    let seed = seed();
    let steps = number("STICKROUTE_LIVE_STEPS").unwrap_or(60);
    let only = std::env::var("STICKROUTE_LIVE_ONLY").unwrap_or_default();
    println!("STICKROUTE_LIVE_SEED={seed}");
    let folder = std::env::temp_dir().join(format!("stickroute-queues-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is a place for temporary files");
    let mut differences = 0;
    for (text, salt) in TEXTS
        .iter()
        .zip(0..)
        .filter(|(text, _)| text.0.contains(&only))
    {
        let mut run = Run::start(text, &folder, Random(seed ^ (salt << 48)));
        let result = (0..steps).try_for_each(|_| run.step());
        if let Err(difference) = result {
            println!(
                "{} DIFFERENT\n{difference}\nhistory: {:#?}",
                text.0, run.history
            );
            differences += 1;
        }
        println!("{:<24} {:?}", text.0, run.tally);
        run.end();
    }
    // What is left of the folder is small and harmless.
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(
        differences, 0,
        "STICKROUTE_LIVE_SEED={seed} repeats this run"
    );
}

/// What the same request became on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    server: Option<String>,
    /// The cookie states and whether it was redispatched, as in [`Answer::state`].
    state: String,
}

#[derive(Debug, Default)]
struct Tally {
    requests: u32,
    waited: u32,
    refused: u32,
    sent_back: u32,
    gave_up: u32,
    orders: u32,
}

type Begun = (u64, std::io::Result<(Answer, Pending)>);

/// One configuration on both sides.
struct Run {
    random: Random,
    side: Side,
    routing: Routing,
    _origins: Vec<Origin>,
    begun: Receiver<Begun>,
    sender: Sender<Begun>,
    clock: u64,
    /// In the order of their turns, were it only for classes and numbers.
    waiting: BTreeMap<(i16, u64), (SimpleRequest, TcpStream, Waiting)>,
    open: Vec<(u64, Selection, Pending)>,
    /// Expected of HAProxy after this step.
    due: BTreeMap<u64, (Outcome, Option<Selection>)>,
    drained: [bool; 3],
    has_backups: bool,
    grows: bool,
    history: Vec<String>,
    tally: Tally,
}

fn text_for(text: &Text, origins: &[Origin], listen: SocketAddr, control: SocketAddr) -> String {
    let (_, backend, servers) = text;
    let mut text = format!(
        "global\n nbthread 1\n stats socket ipv4@{control} level admin\n\
         defaults\n mode http\n timeout client 10m\n timeout server 10m\n \
         timeout connect 1s\n timeout queue 10m\n option abortonclose\n\
         frontend web\n bind {listen}\n \
         http-request set-priority-class hdr_val(x-class)\n default_backend app\n\
         backend app\n cookie SRV insert indirect\n \
         http-after-response set-header {STATE} \"%tsc/%rc\"\n {backend}\n"
    );
    for (origin, words) in origins.iter().zip(*servers) {
        let (name, address) = (origin.name(), origin.address());
        writeln!(text, " server {name} {address} cookie {name} {words}").expect("it is a string");
    }
    text
}

impl Run {
    fn start(text: &Text, folder: &Path, random: Random) -> Self {
        let origins: Vec<Origin> = (1..=text.2.len())
            .map(|n| Origin::start(&format!("s{n}"), support::free_address()))
            .collect();
        let mut same = String::new();
        let side = haproxy::start(folder, |listen, control| {
            same = text_for(text, &origins, listen, control);
            same.clone()
        });
        let configuration = Configuration::parse("haproxy.cfg", same).expect("HAProxy reads it");
        let (sender, begun) = mpsc::channel();
        Self {
            random,
            side,
            routing: configuration.build().expect("there is nothing new in it"),
            _origins: origins,
            begun,
            sender,
            clock: 0,
            waiting: BTreeMap::new(),
            open: Vec::new(),
            due: BTreeMap::new(),
            drained: [false; 3],
            grows: text.2.iter().any(|words| words.contains("minconn")),
            has_backups: text.2.iter().any(|words| words.contains("backup")),
            history: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn backend(&self) -> &Backend {
        self.routing.backend("app").expect("it has servers")
    }

    fn now(&self) -> Now {
        Now::new(
            Duration::from_millis(self.clock),
            Duration::from_millis(self.clock),
        )
    }

    fn step(&mut self) -> Result<(), String> {
        // HAProxy tells arrivals apart by the millisecond.
        thread::sleep(Duration::from_millis(3));
        self.clock += 10;
        match self.random.below(100) {
            0..50 => self.come(),
            50..84 => self.finish(),
            84..88 => self.give_up(),
            _ => self.order()?,
        }
        self.settle();
        self.compare_answers()?;
        self.compare_queues()
    }

    fn come(&mut self) {
        static GATES: AtomicU64 = AtomicU64::new(1_000_000);
        if self.waiting.len() > 12 {
            return self.finish();
        }
        let gate = GATES.fetch_add(1, Relaxed);
        let cookie = self.random.one_of(&["", "", "SRV=s1", "SRV=s2", "SRV=s3"]);
        let class = self.random.one_of(&[0, 0, 0, 0, -3, 2]);
        let key = self.random.below(6).to_string();
        let mut lines = vec![
            ("x-gate", gate.to_string()),
            ("x-key", key),
            ("x-class", class.to_string()),
            (
                "x-answer",
                hex::encode(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"),
            ),
        ];
        if !cookie.is_empty() {
            lines.push(("Cookie", cookie.into()));
        }
        self.history.push(format!(
            "{gate} comes: {cookie:?}, class {class}, {}",
            lines[1].1
        ));
        self.tally.requests += 1;
        let stream = self.send(gate, &lines);
        let mut request = SimpleRequest::new("GET", "/");
        for (name, value) in lines {
            request = request.header(name, value);
        }
        let priority = Priority::default().class(class);
        let admission = self.backend().admit_with(&request, self.now(), priority);
        self.tally.waited += u32::from(matches!(admission, Ok(Admission::Waits(_))));
        self.admitted((class, gate), request, stream, admission);
    }

    fn send(&self, gate: u64, lines: &[(&str, String)]) -> TcpStream {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: live.test\r\n");
        for (name, value) in lines {
            write!(text, "{name}: {value}\r\n").expect("it is a string");
        }
        text.push_str("Connection: close\r\n\r\n");
        let stream = TcpStream::connect(self.side.listen).expect("HAProxy runs");
        let (ours, sender) = (stream.try_clone().expect("a socket"), self.sender.clone());
        // When the run is over nobody listens any more.
        thread::spawn(move || {
            let _ = sender.send((gate, client::begin_on(ours, text.as_bytes())));
        });
        stream
    }

    fn admitted(
        &mut self,
        (class, gate): (i16, u64),
        request: SimpleRequest,
        stream: TcpStream,
        admission: Result<Admission, SelectError>,
    ) {
        match admission {
            Ok(Admission::Waits(waiting)) => {
                self.waiting
                    .insert((class, gate), (request, stream, waiting));
            }
            Ok(Admission::Served(selection)) => self.served(gate, selection),
            Err(_) => {
                self.tally.refused += 1;
                let refused = Outcome {
                    server: None,
                    state: String::new(),
                };
                self.due.insert(gate, (refused, None));
            }
        }
    }

    fn served(&mut self, gate: u64, mut selection: Selection) {
        let now = self.now();
        let response = SimpleResponse::new(200);
        let _ = self.backend().respond(&mut selection, &response, now);
        let text = selection.to_string();
        let letters = text.rsplit(['(', ')']).nth(1).unwrap_or_default();
        let moved = if selection.is_redispatched() { "+" } else { "" };
        let outcome = Outcome {
            server: Some(selection.server().name().into()),
            state: format!("{letters}/{moved}{}", selection.retries()),
        };
        self.due.insert(gate, (outcome, Some(selection)));
    }

    /// Ends a session.
    fn finish(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let which = self.random.below(self.open.len());
        let (gate, selection, pending) = self.open.swap_remove(which);
        self.history.push(format!("{gate} ends"));
        origin::open_gate(gate);
        pending.finish().expect("the answer ends");
        drop(selection);
    }

    /// A client leaves that waits.
    fn give_up(&mut self) {
        // Whether HAProxy notices then that a limit has grown, and lets others go on, is a
        // matter of its timing.
        if self.waiting.is_empty() || self.grows && self.waiting.len() > 1 {
            return;
        }
        let which = self.random.below(self.waiting.len());
        let place = *self.waiting.keys().nth(which).expect("so many wait");
        let (_, stream, waiting) = self.waiting.remove(&place).expect("it waits");
        self.history.push(format!("{} gives up", place.1));
        self.tally.gave_up += 1;
        let _ = stream.shutdown(Shutdown::Both);
        drop(waiting);
    }

    fn order(&mut self) -> Result<(), String> {
        let server = self.random.below(3);
        let words = self.random.one_of(&[
            "state maint",
            "state ready",
            "state ready",
            "state ready",
            "state drain",
            "health down",
            "health up",
            "health up",
            "health stopping",
        ]);
        // Those who go on when a server comes back are not counted by HAProxy 2.6 until
        // they end, so it takes more than its limit; and it forgets those who could go on by a
        // backup that may serve now, or by a limit that has grown.
        let comes_back = words == "state ready" || words == "health up";
        let waits_for_any = self.backend().queued() > 0;
        let grows = self.grows && !self.waiting.is_empty();
        if grows || waits_for_any && (comes_back || self.has_backups) {
            return Ok(());
        }
        // Leaving drain wakes nobody in HAProxy, see docs/differences.md; leaving
        // maintenance does.
        if words == "state ready" && self.drained[server] {
            self.tell(server, "state maint")?;
            self.settle();
            self.compare_answers()?;
        }
        self.drained[server] =
            words == "state drain" || self.drained[server] && words != "state ready";
        self.tell(server, words)
    }

    fn tell(&mut self, server: usize, words: &str) -> Result<(), String> {
        let line = format!("set server app/s{} {words}", server + 1);
        self.history.push(line.clone());
        self.tally.orders += 1;
        let theirs = client::command(self.side.control, &line).expect("HAProxy answers");
        let answer = self
            .routing
            .runtime(self.now())
            .answer(line.as_bytes(), self.now());
        if theirs == answer.text().trim() {
            Ok(())
        } else {
            Err(format!("{theirs:?}, ours {:?}", answer.text()))
        }
    }

    /// Lets everybody go on whose turn has come.
    fn settle(&mut self) {
        loop {
            let before = self.due.len();
            let mut sent_back = false;
            for (place, (request, stream, waiting)) in std::mem::take(&mut self.waiting) {
                match waiting.try_take() {
                    Err(waiting) => {
                        self.waiting.insert(place, (request, stream, waiting));
                    }
                    Ok(Turn::Served(selection)) => self.served(place.1, selection),
                    Ok(Turn::SentBack(back)) => {
                        sent_back = true;
                        self.tally.sent_back += 1;
                        let admission = self.backend().readmit(back, &request, self.now());
                        self.admitted(place, request, stream, admission);
                    }
                }
            }
            if !sent_back && self.due.len() == before {
                return;
            }
        }
    }

    fn compare_answers(&mut self) -> Result<(), String> {
        while !self.due.is_empty() {
            let (gate, begun) = self
                .begun
                .recv_timeout(Duration::from_secs(60))
                .map_err(|_| format!("HAProxy does not answer, ours: {:?}", self.due))?;
            let Ok((answer, pending)) = begun else {
                continue; // of a client that has left
            };
            if answer.status == 0 {
                continue;
            }
            let theirs = Outcome {
                server: answer.server.clone(),
                state: match answer.server {
                    Some(_) => answer.state,
                    None => String::new(),
                },
            };
            let Some((ours, selection)) = self.due.remove(&gate) else {
                return Err(format!("{gate} is {theirs:?}, ours waits; {:?}", self.due));
            };
            if ours != theirs {
                return Err(format!("{gate} is {theirs:?}, ours {ours:?}"));
            }
            if let Some(selection) = selection {
                self.open.push((gate, selection, pending));
            }
        }
        Ok(())
    }

    /// Sessions and waiting requests of each server, and the length of the common queue.
    fn compare_queues(&self) -> Result<(), String> {
        let farm = self.backend().farm();
        let servers = farm.servers().iter();
        let mut ours: Vec<_> = servers
            .map(|it| (it.name().to_owned(), it.queued(), it.in_flight()))
            .collect();
        let all: u32 = ours.iter().map(|(_, queued, open)| queued + open).sum();
        let common = self.backend().queued();
        ours.push(("BACKEND".into(), common, all + common));
        let mut theirs = Vec::new();
        let equal = support::eventually(|| {
            let text = client::command(self.side.control, "show stat app 6 -1");
            theirs = text.map(|text| queues(&text)).unwrap_or_default();
            theirs == ours
        });
        if equal {
            return Ok(());
        }
        Err(format!("queued and open: {theirs:?}, ours {ours:?}"))
    }

    /// Lets all go that are still there, so that no thread is left.
    fn end(self) {
        for (gate, ..) in &self.open {
            origin::open_gate(*gate);
        }
        for (_, stream, _) in self.waiting.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Name, `qcur` and `scur` of each line: the servers, then the backend.
fn queues(text: &str) -> Vec<(String, u32, u32)> {
    let lines = text.lines().filter(|line| line.starts_with("app,"));
    let rows = lines.map(|line| {
        let columns: Vec<_> = line.split(',').collect();
        let number = |at: usize| columns[at].parse().unwrap_or(0);
        (columns[1].to_owned(), number(2), number(4))
    });
    rows.collect()
}
