//! Clients that keep their sessions and check every answer.
//!
//!     sessions ADDRESS COUNT SECONDS EVENTS
//!
//! Prints one line for each thing counted. A request is `lost` if it is not answered, or
//! with another status than 200. One whose answer broke off in the middle is `cut`: no proxy
//! can save that, for the client has its beginning.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stickroute_load::{absences, now, was_absent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Between two requests of a session.
const PAUSE: Duration = Duration::from_millis(10);
/// Longer than a proxy tries for.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many requests of a session go over one connection.
const MOST: u64 = 40;
/// What is asked for, one after the other.
const KINDS: [&str; 10] = [
    "GET /",
    "GET /think",
    "GET /",
    "POST /",
    "GET /10k",
    "GET /slow",
    "GET /",
    "GET /think",
    "POST /think",
    "GET /",
];

struct Seen {
    /// When the answers before and this one were there.
    before: u64,
    at: u64,
    from: String,
    to: String,
}

#[derive(Default)]
struct Counts {
    by_name: BTreeMap<String, u64>,
    moves: Vec<Seen>,
    /// Some of what should not have happened, in words.
    examples: Vec<String>,
}

impl Counts {
    fn add(&mut self, what: impl Into<String>) {
        *self.by_name.entry(what.into()).or_default() += 1;
    }

    fn tell(&mut self, example: String) {
        if self.examples.len() < 10 {
            self.examples.push(example);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, count, seconds, events] = &arguments[..] else {
        return Err("expected ADDRESS COUNT SECONDS EVENTS".into());
    };
    let address: SocketAddr = address.parse()?;
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let counts = Arc::new(Mutex::new(Counts::default()));
    let mut sessions = Vec::new();
    for number in 0..count.parse()? {
        let session = Session::new(number, address, Arc::clone(&counts));
        sessions.push(tokio::spawn(session.run(end)));
    }
    for session in sessions {
        session.await?;
    }
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    judge(&mut counts, events.as_ref())?;
    for what in [
        "requests",
        "lost",
        "cut",
        "mixed up",
        "moved",
        "moved wrongly",
    ] {
        counts.by_name.entry(what.into()).or_default();
    }
    for (what, count) in &counts.by_name {
        println!("{}: {count}", what.replace(' ', "_"));
    }
    for example in &counts.examples {
        eprintln!("    {example}");
    }
    Ok(())
}

/// A session moves rightly if its server was away at any moment since its last answer.
fn judge(counts: &mut Counts, events: &Path) -> std::io::Result<()> {
    let absences = absences(events)?;
    for seen in std::mem::take(&mut counts.moves) {
        counts.add("moved");
        if !was_absent(&absences, &seen.from, seen.before, seen.at) {
            counts.add("moved wrongly");
            let Seen {
                before,
                at,
                from,
                to,
            } = seen;
            counts.tell(format!("from {from} at {before} to {to} at {at}"));
        }
    }
    Ok(())
}

struct Session {
    number: u64,
    address: SocketAddr,
    cookie: Option<String>,
    /// Who answered last, and when.
    server: Option<(String, u64)>,
    asked: u64,
    counts: Arc<Mutex<Counts>>,
}

/// An answer, or what became of it.
enum Got {
    Whole(Answer),
    /// Not a byte came.
    Nothing(&'static str),
    Cut,
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

impl Session {
    fn new(number: u64, address: SocketAddr, counts: Arc<Mutex<Counts>>) -> Self {
        Self {
            number,
            address,
            cookie: None,
            server: None,
            asked: 0,
            counts,
        }
    }

    async fn run(mut self, end: Instant) {
        // Not all at once.
        sleep(PAUSE * (self.number % 32) as u32 / 16).await;
        while Instant::now() < end {
            let Ok(mut stream) = TcpStream::connect(self.address).await else {
                self.lose("cannot connect");
                sleep(PAUSE).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            for _ in 0..MOST {
                if Instant::now() >= end || !self.ask(&mut stream).await {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
    }

    fn count(&self, what: &str, why: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.add(what);
        counts.add(format!("{what}: {why}"));
    }

    fn lose(&self, why: &str) {
        self.count("lost", why);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = self.kind();
        counts.tell(format!(
            "{} {kind}: {why}, last at {:?}",
            now(),
            self.server
        ));
    }

    /// One request; whether the connection can take another.
    async fn ask(&mut self, stream: &mut TcpStream) -> bool {
        self.asked += 1;
        let request = self.request();
        let got = match timeout(PATIENCE, converse(stream, &request)).await {
            Ok(got) => got,
            Err(_) => Got::Nothing("silence"),
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.add("requests");
        drop(counts);
        match got {
            Got::Whole(answer) => self.check(&answer),
            Got::Nothing(why) => {
                self.lose(why);
                false
            }
            Got::Cut => {
                self.count("cut", "in the middle");
                false
            }
        }
    }

    /// What is asked for now. The same for each run: nothing is random.
    fn kind(&self) -> &'static str {
        KINDS[((self.number + self.asked) % 10) as usize]
    }

    fn request(&self) -> String {
        let kind = self.kind();
        let mut text = format!(
            "{kind} HTTP/1.1\r\nHost: load\r\nX-Session: {}\r\n",
            self.number
        );
        if let Some(cookie) = &self.cookie {
            text.push_str("Cookie: ");
            text.push_str(cookie);
            text.push_str("\r\n");
        }
        if kind.starts_with("POST") {
            text.push_str("Content-Length: 100\r\n\r\n");
            text.push_str(&"x".repeat(100));
        } else {
            text.push_str("\r\n");
        }
        text
    }

    fn check(&mut self, answer: &Answer) -> bool {
        if answer.status() != "200" {
            self.lose(answer.status());
            return answer.field("connection") != Some("close");
        }
        let number = self.number.to_string();
        let filling = number.as_bytes()[number.len() - 1];
        let is_own = answer.field("x-session") == Some(&number)
            && answer.body.iter().all(|byte| *byte == filling);
        if !is_own {
            self.count("mixed up", "another session's answer");
        }
        if let Some(cookie) = answer.field("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        self.arrive(answer.field("x-server").unwrap_or_default());
        answer.field("connection") != Some("close")
    }

    fn arrive(&mut self, server: &str) {
        let at = now();
        let last = self.server.replace((server.to_owned(), at));
        if let Some((from, before)) = last
            && from != server
        {
            let seen = Seen {
                before,
                at,
                from,
                to: server.to_owned(),
            };
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.moves.push(seen);
        }
    }
}

async fn converse(stream: &mut TcpStream, request: &str) -> Got {
    if stream.write_all(request.as_bytes()).await.is_err() {
        return Got::Nothing("closed while it was sent");
    }
    let mut heard = Vec::with_capacity(1024);
    loop {
        if let Some(answer) = whole(&heard) {
            return Got::Whole(answer);
        }
        match stream.read_buf(&mut heard).await {
            Ok(1..) => {}
            _ if !heard.is_empty() => return Got::Cut,
            Ok(_) => return Got::Nothing("closed"),
            Err(_) => return Got::Nothing("reset"),
        }
    }
}

fn whole(heard: &[u8]) -> Option<Answer> {
    let end = heard.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&heard[..end]).into_owned();
    let mut answer = Answer {
        head,
        body: Vec::new(),
    };
    let length: usize = answer.field("content-length")?.parse().ok()?;
    let body = heard.get(end..end + length)?;
    answer.body = body.to_vec();
    Some(answer)
}
