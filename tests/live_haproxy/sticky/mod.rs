//! Random configurations with stick tables and stick rules: HAProxy and
//! `examples/proxy -f` run the same text, before the same servers, and get the same
//! requests and the same commands.
//!
//! Compared are the answers to requests and commands, and, every few requests, all of
//! every table, pointers left out and times as far as they are those of another entry.
//!
//! * `STICKROUTE_LIVE_SEED` is as in the main comparison; the seed of each configuration
//!   is printed, and repeats it as the first one.
//! * `STICKROUTE_LIVE_CONFIGURATIONS` is their number, default 15.
//!
//! What `docs/differences.md` lists does not happen here: tables are never full, times do
//! not run out, and no text has a zero byte.

mod configuration;
mod expressions;
mod traffic;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use stickroute::Now;
use stickroute::haproxy::Configuration;

use crate::generator::Random;
use crate::origin::Origin;
use crate::program::{Program, Shown, is_same};
use crate::support;
use crate::support::configuration::Folder;
use crate::{number, seed};
pub(crate) use configuration::Kind;
use configuration::{FARMS, Plan, SERVERS};
pub(crate) use expressions::{Stage, key};
use traffic::Event;

const CONNECTIONS: usize = 50;

/// Times of one entry differ by no more, in milliseconds, and by as long as it took to ask
/// both sides.
const SLACK: i64 = 300;

#[test]
#[ignore = "runs a real HAProxy"]
fn random_stick_rules_do_what_they_do_in_haproxy() {
    let seed = seed();
    let configurations = number("STICKROUTE_LIVE_CONFIGURATIONS").unwrap_or(15);
    // Two for each server, so that it can move.
    let names = (0..2 * FARMS * SERVERS).map(|number| format!("o{number}"));
    let origins = names.map(|name| Origin::start(&name, support::free_address()));
    let mut origins: Vec<Origin> = origins.collect();
    let mut report = Report::default();
    let mut different = Vec::new();
    for seed in seed..seed + configurations {
        println!("STICKROUTE_LIVE_SEED={seed}");
        origins.iter_mut().for_each(Origin::listen);
        if let Err(difference) = compare(seed, &mut origins, &mut report) {
            println!("DIFFERENT\n{difference}");
            different.push(seed);
        }
    }
    println!("{report:?}");
    assert!(different.is_empty(), "seeds that differ: {different:?}");
    assert!(
        report.served * 2 > report.requests && report.entries > configurations as usize,
        "hardly anything was compared"
    );
}

/// How much was compared.
#[derive(Debug, Default)]
struct Report {
    refused: usize,
    requests: usize,
    served: usize,
    commands: usize,
    tables: usize,
    entries: usize,
}

/// One configuration on both sides.
struct Run<'a> {
    plan: Plan,
    random: Random,
    origins: &'a mut [Origin],
    addresses: Vec<SocketAddr>,
    /// HAProxy and ours.
    programs: [Program; 2],
    history: Vec<String>,
    report: &'a mut Report,
    /// How long it took to ask both sides the same, at most, in milliseconds: so far apart
    /// they may have done it.
    slowest: AtomicI64,
}

fn compare(seed: u64, origins: &mut [Origin], report: &mut Report) -> Result<(), String> {
    let mut random = Random(seed);
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let plan = Plan::new(&mut random, &addresses);
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("sticky-{seed}-{side}")));
    let [theirs, ours] = folders.each_ref().map(|folder| Filled::new(&plan, folder));
    let (expected, found) = (theirs.haproxy_says(), ours.we_say());
    if expected.is_some() != found.is_some() {
        return Err(format!(
            "{}\nHAProxy: {expected:?}\nours: {found:?}",
            plan.text
        ));
    }
    if expected.is_some() {
        report.refused += 1;
        return Ok(());
    }
    let programs = [theirs.start(Program::haproxy), ours.start(Program::ours)];
    let mut run = Run {
        plan,
        random,
        origins,
        addresses,
        programs,
        history: Vec::new(),
        report,
        slowest: AtomicI64::new(0),
    };
    let compared = run.all();
    compared.map_err(|difference| {
        let (text, history) = (&run.plan.text, run.history.join("\n"));
        format!("{text}\n{history}\n{difference}")
    })
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), String> {
        let is_patient = self.random.percent(20);
        for round in 1..=CONNECTIONS {
            if self.random.percent(15) {
                self.event()?;
            }
            if is_patient && round % 20 == 0 {
                // Shows what has been touched since and what has not.
                thread::sleep(Duration::from_millis(2 * SLACK as u64));
            }
            self.connection()?;
            if round % 6 == 0 {
                self.tables()?;
            }
        }
        self.servers()
    }

    /// Asks both at the same moment.
    fn both<T: Send>(&self, ask: impl Fn(&Program) -> T + Sync) -> [T; 2] {
        let [theirs, ours] = &self.programs;
        let start = Now::system().mono();
        let answers = thread::scope(|scope| {
            let theirs = scope.spawn(|| ask(theirs));
            let ours = ask(ours);
            [theirs.join().expect("HAProxy answers"), ours]
        });
        let taken = Now::system().mono().saturating_sub(start);
        self.slowest.fetch_max(taken.as_millis() as i64, Relaxed);
        answers
    }

    fn connection(&mut self) -> Result<(), String> {
        let frontend = self.random.below(self.plan.frontends);
        let mut requests = traffic::connection(&mut self.random);
        if self.plan.is_tcp {
            // The server closes behind its first answer.
            requests.truncate(1);
        }
        let [expected, found] = self.both(|program| program.converse(frontend, &requests));
        self.report.requests += expected.len();
        let served = expected.iter().filter(|answer| answer.server.is_some());
        self.report.served += served.count();
        for (number, request) in requests.iter().enumerate() {
            let readable = request.escape_ascii().to_string();
            let readable = readable.replace("\\r\\n", "\n    ");
            let answer = expected.get(number);
            self.history
                .push(format!("f{frontend}: {readable}=> {answer:?}"));
        }
        let mut pairs = expected.iter().zip(&found);
        if expected.len() == found.len() && pairs.all(|(expected, found)| is_same(expected, found))
        {
            return Ok(());
        }
        let shown = self.plan.tables.iter().map(|table| {
            let order = format!("show table {}", table.name);
            self.both(|program| program.ask(&order)).concat()
        });
        let shown: String = shown.collect();
        Err(format!("HAProxy: {expected:?}\nours: {found:?}\n{shown}"))
    }

    fn event(&mut self) -> Result<(), String> {
        let event = traffic::event(&mut self.random, &self.plan, &self.addresses);
        self.history.push(format!("{event:?}"));
        match event {
            Event::Refuse(number) => self.origins[number].refuse(),
            Event::Listen(number) => self.origins[number].listen(),
            Event::Order(order) => {
                self.report.commands += 1;
                let answers = self.both(|program| Shown::of(&program.ask(&order)).text);
                return same(&order, &answers);
            }
        }
        Ok(())
    }

    /// The end of a session may be noticed a little later than its client does.
    fn tables(&mut self) -> Result<(), String> {
        for table in &self.plan.tables {
            let order = format!("show table {}", table.name);
            let mut shown = [String::new(), String::new()];
            let is_same = support::eventually(|| {
                shown = self.both(|program| program.ask(&order));
                let [theirs, ours] = shown.each_ref().map(|answer| Shown::of(answer));
                theirs.text == ours.text
            });
            let [theirs, ours] = shown.each_ref().map(|answer| Shown::of(answer));
            let times = theirs.left.iter().zip(&ours.left);
            // Once when an entry was touched, once when it was asked for.
            let slack = SLACK + 2 * self.slowest.load(Relaxed);
            let is_close = times.into_iter().all(|(a, b)| (a - b).abs() < slack);
            if !is_same || !is_close {
                return same(&order, &shown);
            }
            self.report.tables += 1;
            self.report.entries += theirs.left.len();
        }
        Ok(())
    }

    /// All states, but for when they changed.
    fn servers(&mut self) -> Result<(), String> {
        const CHANGED: usize = 9;
        let order = "show servers state";
        let answers = self.both(|program| {
            let answer = program.ask(order);
            let lines = answer.lines().map(|line| {
                let words = line.split(' ').enumerate();
                let words = words.filter(|(number, _)| *number != CHANGED);
                words.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        same(order, &answers)
    }
}

fn same(order: &str, [theirs, ours]: &[String; 2]) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    Err(format!("{order}\nHAProxy:\n{theirs}\nours:\n{ours}"))
}

/// A configuration for one of the programs.
struct Filled<'a> {
    text: String,
    folder: &'a Folder,
    listen: Vec<SocketAddr>,
}

/// The peers of a configuration are never met, but HAProxy wants to be one of them.
const ARGUMENTS: [&str; 2] = ["-L", "lb1"];

impl<'a> Filled<'a> {
    fn new(plan: &Plan, folder: &'a Folder) -> Self {
        let socket = folder.file("stats.sock");
        let peer = support::free_address().to_string();
        let mut text = plan.text.replace("PEER", &peer);
        text = text.replace("SOCKET", &socket.display().to_string());
        let listen: Vec<_> = (0..plan.frontends)
            .map(|_| support::free_address())
            .collect();
        for (number, listen) in listen.iter().enumerate() {
            text = text.replace(&format!("LISTEN{number}"), &listen.to_string());
        }
        Self {
            text,
            folder,
            listen,
        }
    }

    /// Why HAProxy refuses it, if it does.
    fn haproxy_says(&self) -> Option<String> {
        let file = self.folder.file("check.cfg");
        std::fs::write(&file, &self.text).expect("the folder can be written to");
        let mut command = std::process::Command::new("haproxy");
        command.args(ARGUMENTS).arg("-c").arg("-f").arg(&file);
        let output = command.output().expect("haproxy is installed");
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then_some(says)
    }

    /// Why the library refuses it, if it does.
    fn we_say(&self) -> Option<String> {
        let read = Configuration::parse("check.cfg", self.text.as_str());
        let built = read.and_then(|configuration| configuration.build().map(drop));
        built.err().map(|error| error.to_string())
    }

    fn start(&self, start: fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program) -> Program {
        start(&self.text, self.folder, &ARGUMENTS, self.listen.clone())
    }
}
