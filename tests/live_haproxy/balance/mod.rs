//! Who is chosen: random configurations of a backend, built by the library from the text
//! that HAProxy runs, and the same requests and commands to both.
//!
//! Equal must be the server of every request, the answers to commands, refused ones
//! included, and at the end the state and the weight of every server.
//!
//! ```text
//! STICKROUTE_LIVE_CONFIGURATIONS=100 cargo test --test live_haproxy balancing -- --ignored --nocapture
//! ```
//!
//! * `STICKROUTE_LIVE_SEED` chooses other configurations, and is a number or `clock`; each
//!   one's seed is printed, and repeats it as the first. By default they are always the
//!   same.
//! * `STICKROUTE_LIVE_CONFIGURATIONS` is their number, default 16, which has
//!   every algorithm.
//!
//! No server has a `maxconn` here, so that nobody waits; that is in `queues.rs`. What
//! `random` draws is not known.

mod configuration;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use stickroute::haproxy::{Configuration, Routing};
use stickroute::{Now, Selection};

use crate::client::{self, Answer, Pending};
use crate::generator::Random;
use crate::haproxy::{self, Side};
use crate::origin::{self, Origin};
use crate::support;
use crate::support::configuration::Folder;
use crate::{number, seed_or};
use configuration::{KINDS, Plan, SERVERS};
use traffic::Request;

const SEED: u64 = 2_612;
const REQUESTS: usize = 200;

#[test]
#[ignore = "runs a real HAProxy"]
fn random_balancing_chooses_as_haproxy_does() {
    let seed = seed_or(SEED);
    let configurations = number("STICKROUTE_LIVE_CONFIGURATIONS").unwrap_or(KINDS);
    let origins = (1..=SERVERS).map(|n| Origin::start(&format!("s{n}"), support::free_address()));
    let origins: Vec<Origin> = origins.collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let mut report = Report::default();
    let mut different = Vec::new();
    for seed in seed..seed + configurations {
        println!("STICKROUTE_LIVE_SEED={seed}");
        if let Err(difference) = compare(seed, &addresses, &mut report) {
            println!("DIFFERENT\n{difference}");
            different.push(seed);
        }
    }
    println!("{report:#?}");
    assert!(different.is_empty(), "seeds that differ: {different:?}");
    assert!(
        report.served * 2 > report.requests && report.requests > 0,
        "hardly anything was compared"
    );
}

/// How much was compared.
#[derive(Debug, Default)]
struct Report {
    /// Configurations by the first word behind `balance`.
    algorithms: BTreeMap<String, usize>,
    /// Configurations that both refuse.
    refused: usize,
    servers: usize,
    requests: usize,
    served: usize,
    held: usize,
    commands: usize,
    /// Commands that both refuse, or answer with a text.
    answered: usize,
}

fn compare(seed: u64, origins: &[SocketAddr], report: &mut Report) -> Result<(), String> {
    let mut random = Random(seed);
    let plan = Plan::new(&mut random, seed, origins);
    let folder = Folder::new(&format!("balance-{seed}"));
    let any = SocketAddr::from(([127, 0, 0, 1], 9));
    let text = filled(&plan.text, any, any);
    let built = Configuration::parse("haproxy.cfg", text.as_str())
        .and_then(|configuration| configuration.build())
        .map_err(|error| error.to_string());
    let theirs = checked(&folder, &text);
    let routing = match (theirs, built) {
        (Ok(()), Ok(routing)) => routing,
        (Err(_), Err(_)) => {
            report.refused += 1;
            return Ok(());
        }
        (theirs, ours) => {
            let ours = ours.map(|_| "accepted");
            return Err(format!(
                "{}\nHAProxy: {theirs:?}\nours: {ours:?}",
                plan.text
            ));
        }
    };
    let side = haproxy::start(&folder.file(""), |listen, control| {
        filled(&plan.text, listen, control)
    });
    let mut run = Run {
        plan,
        random,
        side,
        routing,
        open: Vec::new(),
        history: Vec::new(),
        report,
    };
    run.count();
    run.all()
        .map_err(|what| format!("{}\n{}\n{what}", run.plan.text, run.history.join("\n")))
}

fn filled(text: &str, listen: SocketAddr, control: SocketAddr) -> String {
    let text = text.replace("LISTEN", &listen.to_string());
    text.replace("CONTROL", &control.to_string())
}

/// What HAProxy says to a configuration if it refuses it.
fn checked(folder: &Folder, text: &str) -> Result<(), String> {
    let file = folder.file("check.cfg");
    std::fs::write(&file, text).expect("the folder can be written to");
    let mut command = Command::new("haproxy");
    command.arg("-c").arg("-f").arg(&file);
    let output = command.output().expect("haproxy is installed");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A session that is open on both sides.
struct Held {
    gate: u64,
    theirs: Pending,
    _ours: Selection,
}

/// One configuration on both sides.
struct Run<'a> {
    plan: Plan,
    random: Random,
    side: Side,
    routing: Routing,
    open: Vec<Held>,
    history: Vec<String>,
    report: &'a mut Report,
}

const NOW: Now = Now::new(Duration::from_secs(5), Duration::from_secs(1_800_000_000));

impl Run<'_> {
    fn count(&mut self) {
        let mut words = self.plan.text.split_whitespace();
        let algorithm = words.by_ref().skip_while(|word| *word != "balance").nth(1);
        let name = algorithm.unwrap_or_default().to_owned();
        *self.report.algorithms.entry(name).or_default() += 1;
        self.report.servers += self.plan.servers;
    }

    fn all(&mut self) -> Result<(), String> {
        let mut is_served = true;
        for _ in 0..REQUESTS {
            self.orders(is_served)?;
            self.close_some()?;
            is_served = self.request()?;
        }
        while !self.open.is_empty() {
            self.close(0)?;
        }
        self.states()
    }

    fn orders(&mut self, is_served: bool) -> Result<(), String> {
        let (random, servers) = (&mut self.random, self.plan.servers);
        let orders = match random.below(100) {
            0..12 => traffic::orders(random, servers),
            12..40 if !is_served => traffic::recovery(random, servers),
            _ => Vec::new(),
        };
        orders.iter().try_for_each(|order| self.order(order))
    }

    fn order(&mut self, order: &str) -> Result<(), String> {
        let (theirs, ours) = self.ask(order);
        self.history.push(format!("{order} => {theirs:?}"));
        self.report.commands += 1;
        self.report.answered += usize::from(!theirs.is_empty());
        same("the command", &theirs, &ours)
    }

    fn ask(&self, order: &str) -> (String, String) {
        let theirs = client::command(self.side.control, order).expect("HAProxy answers");
        let ours = self.routing.runtime(NOW).answer(order.as_bytes(), NOW);
        (theirs, ours.text().trim().to_owned())
    }

    fn close_some(&mut self) -> Result<(), String> {
        while !self.open.is_empty() && (self.open.len() > self.plan.held || self.random.percent(30))
        {
            let which = self.random.below(self.open.len());
            self.close(which)?;
        }
        Ok(())
    }

    fn close(&mut self, which: usize) -> Result<(), String> {
        let Held { gate, theirs, .. } = self.open.remove(which);
        self.history.push(format!("gate {gate} opens"));
        origin::open_gate(gate);
        let ended = theirs.finish();
        ended.map(drop).map_err(|error| format!("no end: {error}"))
    }

    /// Tells whether a server was chosen.
    fn request(&mut self) -> Result<bool, String> {
        static GATES: AtomicU64 = AtomicU64::new(2_000_000);
        let is_held = self.plan.held > 0 && self.random.percent(60);
        let gate = if is_held {
            GATES.fetch_add(1, Relaxed)
        } else {
            0
        };
        let request = Request::new(&mut self.random, &self.plan, gate);
        let backend = self.routing.backend("app").expect("it has servers");
        let ours = backend.select(&request.view, NOW).ok();
        let chosen = ours.as_ref().map(|ours| ours.server().name().to_owned());
        let (answer, pending) = self.send(&request)?;
        self.report.requests += 1;
        self.report.served += usize::from(answer.server.is_some());
        let readable = request.bytes.escape_ascii().to_string();
        self.history.push(format!("{readable} => {answer:?}"));
        let is_refused = answer.server.is_some() || answer.status == 503 || self.plan.is_tcp;
        if chosen != answer.server || !is_refused {
            return Err(format!("the request: HAProxy {answer:?}, ours {chosen:?}"));
        }
        match ours {
            Some(selection) if is_held => {
                self.report.held += 1;
                self.open.push(Held {
                    gate,
                    theirs: pending,
                    _ours: selection,
                });
            }
            _ => {
                pending.finish().map_err(|error| error.to_string())?;
            }
        }
        Ok(chosen.is_some())
    }

    fn send(&self, request: &Request) -> Result<(Answer, Pending), String> {
        let stream = TcpStream::connect(self.side.listen);
        let begun = stream.and_then(|stream| client::begin_on(stream, &request.bytes));
        begun.map_err(|error| format!("{request:?}: {error}"))
    }

    /// All states, but for when they changed and what is about sockets.
    fn states(&self) -> Result<(), String> {
        const CHANGED: usize = 9;
        let (theirs, ours) = self.ask("show servers state app");
        let lines = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().map(|line| {
                let words = line.split(' ').enumerate();
                let words = words.filter(|(number, _)| *number != CHANGED);
                words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
            });
            lines.collect()
        };
        same("the states", &lines(&theirs), &lines(&ours))
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, theirs: &T, ours: &T) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    Err(format!("{what}: HAProxy {theirs:?}, ours {ours:?}"))
}
