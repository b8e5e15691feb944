//! A real HAProxy and `examples/proxy` side by side: the same random requests to both,
//! before the same servers, and every answer compared.
//!
//! ```text
//! cargo test --test live_haproxy -- --ignored --nocapture
//! ```
//!
//! Compared are the status, the server, every `Set-Cookie` and `Cache-Control` line, the
//! `Cookie` bytes the server received, the two letters of the cookie states, and the
//! number of retries. Between requests, servers are drained, taken
//! down, reweighted, and refuse connections, on both sides at the same moment. Algorithms
//! that look at the load are asked while other sessions are held open.
//!
//! * `STICKROUTE_LIVE_SEED` chooses other requests: a number, default 1, or `clock` for
//!   others each second; the seed is printed, and repeats a run.
//! * `STICKROUTE_LIVE_REQUESTS` is the number of requests, default 3000.
//! * `STICKROUTE_LIVE_ONLY` is a part of the names of the configurations to compare,
//!   default all of them.
//! * `STICKROUTE_LIVE_CONFIGURATIONS` is the number of random configurations with stick
//!   rules, default 15, see `sticky/mod.rs`, and of those with all algorithms, default 16,
//!   see `balance/mod.rs`.
//!
//! Dates in cookies follow the wall clock. No request is sent close to the end of a
//! second, and when one lasts into the next second all the same (retries do), its
//! `Set-Cookie` lines may differ.
//!
//! Outside this check are control characters in field values, which the example refuses with
//! status 400 before routing sees them; `wire.rs` has those.

mod balance;
mod broken;
mod changes;
mod checks;
mod client;
#[cfg(feature = "haproxy")]
mod commands;
mod endings;
mod generator;
mod haproxy;
mod health;
mod hex;
mod inspections;
mod logs;
mod named;
mod observe;
mod origin;
mod patterns;
mod program;
mod published;
mod queues;
mod retries;
mod rules;
mod scenario;
mod service;
mod slow_start;
mod states;
mod sticky;
#[path = "../support/mod.rs"]
mod support;
mod whole;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use stickroute::Now;

use client::{Answer, Pending};
use generator::{Event, Jar, Random, Request};
use haproxy::Side;
use origin::Origin;
use scenario::{SCENARIOS, Scenario};

#[test]
#[ignore = "runs a real HAProxy for a minute; see the top of this file"]
fn the_example_answers_as_haproxy_does() {
    let seed = seed();
    let requests = number("STICKROUTE_LIVE_REQUESTS").unwrap_or(3_000) as usize;
    println!("{}", haproxy::version());
    println!("STICKROUTE_LIVE_SEED={seed}");
    let program = support::example("proxy");
    let folder = std::env::temp_dir().join(format!("stickroute-live-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is a place for temporary files");

    let mut report = Report::default();
    let only = std::env::var("STICKROUTE_LIVE_ONLY").unwrap_or_default();
    let scenarios = || {
        let salted = SCENARIOS.iter().zip(0..);
        salted.filter(|(scenario, _)| scenario.name.contains(&only))
    };
    assert!(
        scenarios().next().is_some(),
        "no configuration is called {only:?}"
    );
    let share = requests.div_ceil(scenarios().count());
    for (scenario, salt) in scenarios() {
        let random = Random(seed ^ (salt << 48));
        let before = report.clone();
        if let Err(difference) =
            Run::start(scenario, &program, &folder, random).requests(share, &mut report)
        {
            println!("{:<24} DIFFERENT\n{difference}", scenario.name);
            report.differences += 1;
        }
        println!("{:<24} {}", scenario.name, report.since(&before));
    }
    // What is left of the folder is small and harmless.
    let _ = std::fs::remove_dir_all(&folder);
    println!("{report:?}");
    assert_eq!(
        report.differences, 0,
        "STICKROUTE_LIVE_SEED={seed} repeats this run"
    );
}

/// Where random inputs begin: always the same, so that a run that fails has found
/// something in the change it was started for. Other inputs are a run of their own.
fn seed() -> u64 {
    seed_or(1)
}

fn seed_or(default: u64) -> u64 {
    const VARIABLE: &str = "STICKROUTE_LIVE_SEED";
    if std::env::var(VARIABLE).is_ok_and(|text| text == "clock") {
        return Now::system().wall_seconds();
    }
    number(VARIABLE).unwrap_or(default)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text:?} is no number")),
    )
}

/// How much was compared.
#[derive(Clone, Debug, Default)]
struct Report {
    requests: usize,
    /// Without `Set-Cookie`, because a second ended meanwhile.
    in_part: usize,
    /// Answered by a server.
    served: usize,
    /// Answered by a server and held open.
    held: usize,
    events: usize,
    differences: usize,
    /// How often HAProxy told which state; see [`Answer::state`].
    states: BTreeMap<String, usize>,
}

impl Report {
    fn since(&self, before: &Self) -> String {
        format!(
            "{:>5} requests, {:>5} served, {:>3} held, {:>3} events, {:>2} compared in part",
            self.requests - before.requests,
            self.served - before.served,
            self.held - before.held,
            self.events - before.events,
            self.in_part - before.in_part,
        )
    }
}

/// One configuration on both sides.
struct Run<'a> {
    scenario: &'a Scenario,
    random: Random,
    jar: Jar,
    haproxy: Side,
    ours: Side,
    origins: Vec<Origin>,
    open: Vec<Held>,
    /// What has happened to the servers, for the description of a difference.
    history: Vec<String>,
}

/// The head of an answer, and what is to come.
type Begun = std::io::Result<(Answer, Pending)>;

/// A session that is open on both sides.
struct Held {
    gate: u64,
    theirs: Pending,
    ours: Pending,
}

impl<'a> Run<'a> {
    fn start(scenario: &'a Scenario, program: &Path, folder: &Path, random: Random) -> Self {
        let numbers = 1..=scenario.servers.len();
        let origins: Vec<Origin> = numbers
            .map(|number| Origin::start(&format!("s{number}"), support::free_address()))
            .collect();
        Self {
            scenario,
            random,
            jar: Jar::default(),
            haproxy: haproxy::haproxy(scenario, &origins, folder),
            ours: haproxy::stickroute(scenario, &origins, program),
            origins,
            open: Vec::new(),
            history: Vec::new(),
        }
    }

    fn requests(mut self, count: usize, report: &mut Report) -> Result<(), String> {
        for number in 0..count {
            if self.random.percent(8) {
                self.event(number)?;
                report.events += 1;
            }
            self.close_some(number)?;
            if self.scenario.held > 0 && self.random.percent(50) {
                self.hold(number, report)?;
            } else {
                self.request(number, report)?;
            }
            report.requests += 1;
        }
        while !self.open.is_empty() {
            self.close(count, 0)?;
        }
        Ok(())
    }

    /// Ends sessions: those there are too many of, and others by chance.
    fn close_some(&mut self, number: usize) -> Result<(), String> {
        while !self.open.is_empty()
            && (self.open.len() > self.scenario.held || self.random.percent(30))
        {
            let which = self.random.below(self.open.len());
            self.close(number, which)?;
        }
        Ok(())
    }

    fn close(&mut self, number: usize, which: usize) -> Result<(), String> {
        let Held { gate, theirs, ours } = self.open.swap_remove(which);
        origin::open_gate(gate);
        let ends = [theirs.finish(), ours.finish()].map(|end| end.map_err(|it| it.to_string()));
        let [theirs, ours] = ends.map(|end| end.map(|answer| answer.state));
        let ours = ours.map(|_| self.ours.logged_state());
        self.history.push(format!("{number}: gate {gate} opens"));
        // HAProxy does not tell the states of a passive cookie.
        let known = |state: &str| state.get(2..).unwrap_or_default().to_owned();
        if theirs.as_deref().map(known) == ours.as_deref().map(known) && theirs.is_ok() {
            return Ok(());
        }
        Err(format!(
            "held at gate {gate}\nHAProxy: {theirs:?}\nours:    {ours:?}"
        ))
    }

    /// A request that stays open, if a server answers.
    fn hold(&mut self, number: usize, report: &mut Report) -> Result<(), String> {
        static GATES: AtomicU64 = AtomicU64::new(1);
        let gate = GATES.fetch_add(1, Relaxed);
        quiet_moment();
        let request = generator::held(&mut self.random, gate);
        let (theirs, ours) = self.begin_both(&request);
        let (Ok((theirs, their_rest)), Ok((mut ours, our_rest))) = (theirs, ours) else {
            return Err(format!("no answer to the request at gate {gate}"));
        };
        let is_open = theirs.server.is_some() && ours.server.is_some();
        ours.state = if is_open {
            theirs.state.clone() // told when it ends
        } else {
            self.ours.logged_state()
        };
        self.history
            .push(format!("{number}: gate {gate} on {:?}", theirs.server));
        if comparable(&theirs, &theirs, false) != comparable(&ours, &theirs, false) {
            return Err(self.describe(number, &request, &theirs, &ours));
        }
        report.served += usize::from(is_open);
        report.held += usize::from(is_open);
        if is_open {
            self.open.push(Held {
                gate,
                theirs: their_rest,
                ours: our_rest,
            });
        }
        Ok(())
    }

    fn begin_both(&self, request: &Request) -> (Begun, Begun) {
        let begin = |proxy| client::begin(proxy, request.source, &request.bytes);
        let (haproxy, ours) = (self.haproxy.listen, self.ours.listen);
        thread::scope(|scope| {
            let theirs = scope.spawn(|| begin(haproxy));
            let ours = begin(ours);
            (theirs.join().expect("HAProxy answers"), ours)
        })
    }

    /// Lets something happen to one server, on both sides.
    fn event(&mut self, number: usize) -> Result<(), String> {
        let origin = self.random.below(self.origins.len());
        let event = generator::event(&mut self.random);
        let origin = &mut self.origins[origin];
        self.history
            .push(format!("{number}: {} {event:?}", origin.name()));
        match event {
            Event::Refuse => origin.refuse(),
            Event::Listen => origin.listen(),
            Event::Order(words) => {
                let order = format!("set server app/{} {words}", origin.name());
                return self.order(&order);
            }
        }
        Ok(())
    }

    fn order(&self, order: &str) -> Result<(), String> {
        let [theirs, ours] = [&self.haproxy, &self.ours].map(|side| {
            client::command(side.control, order).unwrap_or_else(|error| panic!("{order}: {error}"))
        });
        if theirs == ours {
            return Ok(());
        }
        Err(format!("{order}\nHAProxy: {theirs:?}\nours:    {ours:?}"))
    }

    fn request(&mut self, number: usize, report: &mut Report) -> Result<(), String> {
        let before = quiet_moment();
        let request = generator::request(&mut self.random, &self.jar, before.wall_seconds());
        let (theirs, ours) = self.ask_both(&request);
        let ticked = wall(before, -20) != wall(Now::system(), 20);
        for cookie in &theirs.set_cookie {
            self.jar.fill(cookie);
        }
        report.served += usize::from(theirs.server.is_some());
        *report.states.entry(theirs.state.clone()).or_default() += 1;
        let equal = comparable(&theirs, &theirs, false) == comparable(&ours, &theirs, false);
        report.in_part += usize::from(!equal && ticked);
        if equal || ticked && comparable(&theirs, &theirs, true) == comparable(&ours, &theirs, true)
        {
            return Ok(());
        }
        Err(self.describe(number, &request, &theirs, &ours))
    }

    fn ask_both(&self, request: &Request) -> (Answer, Answer) {
        let (theirs, ours) = self.begin_both(request);
        let [theirs, mut ours] = [theirs, ours].map(|begun| {
            let answer = begun.and_then(|(_, rest)| rest.finish());
            answer.unwrap_or_else(|error| Answer {
                server: Some(format!("no answer: {error}")),
                ..Answer::default()
            })
        });
        ours.state = self.ours.logged_state();
        (theirs, ours)
    }

    fn describe(&self, number: usize, request: &Request, theirs: &Answer, ours: &Answer) -> String {
        format!(
            "{:#?}\nhistory: {:#?}\nrequest {number} from {}:\n{}\nHAProxy: {theirs:?}\nours:    {ours:?}",
            self.scenario,
            self.history,
            request.source,
            request
                .bytes
                .escape_ascii()
                .to_string()
                .replace("\\r\\n", "\n"),
        )
    }
}

/// What must be equal. Answers of the proxies themselves have texts of their own, and
/// HAProxy does not tell the states of a passive cookie.
fn comparable(answer: &Answer, theirs: &Answer, ticked: bool) -> Answer {
    let mut answer = answer.clone();
    if theirs.server.is_none() {
        answer.cache_control.clear();
        answer.state.truncate(2);
    }
    if theirs.state.starts_with("--") {
        let retries = answer.state.get(2..).unwrap_or_default();
        answer.state = format!("--{retries}");
    }
    if ticked {
        answer.set_cookie.clear();
        answer.cache_control.clear();
        answer.state.clear();
    }
    answer
}

/// Waits out the end of a second.
fn quiet_moment() -> Now {
    let millis = Now::system().wall().subsec_millis();
    let pause = match millis {
        0..30 => 30 - millis,
        850.. => 1_030 - millis,
        _ => 0,
    };
    thread::sleep(Duration::from_millis(pause.into()));
    Now::system()
}

/// The second on the wall clock, so many milliseconds away.
fn wall(now: Now, away: i128) -> i128 {
    (now.wall().as_millis() as i128 + away) / 1_000
}
