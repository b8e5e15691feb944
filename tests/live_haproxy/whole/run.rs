//! One configuration in service on both sides.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::generator::Random;
use crate::program::{Program, Shown};
use crate::support::{self, configuration::Folder};

use super::compare;
use super::plan::Plan;
use super::servers::{Manner, Received, Seen, Server};
use super::talk::Answer;
use super::traffic::{Client, Jars, Traffic, Visit};

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub(super) visits: usize,
    pub(super) requests: usize,
    pub(super) served: usize,
    pub(super) events: usize,
    pub(super) lines: usize,
    pub(super) entries: usize,
    pub(super) states: usize,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.visits += other.visits;
        self.requests += other.requests;
        self.served += other.served;
        self.events += other.events;
        self.lines += other.lines;
        self.entries += other.entries;
        self.states += other.states;
    }
}

/// HAProxy or ours.
struct Side {
    program: Program,
    log: UdpSocket,
    ports: BTreeMap<u16, SocketAddr>,
    letter: &'static str,
    folder: Folder,
    told: Vec<String>,
}

impl Side {
    fn start(
        plan: &Plan,
        servers: &BTreeMap<u16, SocketAddr>,
        letter: &'static str,
        seed: u64,
    ) -> Self {
        let folder = Folder::new(&format!("whole-{}-{seed}-{letter}", plan.name));
        let log = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
        let patience = Some(Duration::from_millis(5));
        log.set_read_timeout(patience).expect("it can be set");
        let mut ports = plan.free_ports();
        ports.extend(servers);
        let text = plan.moved(&ports, log.local_addr().expect("it is bound"), &folder);
        let start = if letter == "h" {
            Program::haproxy
        } else {
            Program::ours
        };
        Self {
            // Nothing but the socket is asked whether it runs: a connection may count.
            program: start(&text, &folder, &["-L", "lb1"], Vec::new()),
            log,
            ports,
            letter,
            folder,
            told: Vec::new(),
        }
    }

    fn play(&self, client: &Client, listen: &[u16]) -> Vec<Answer> {
        match &client.visit {
            Visit::Talk(talk) => talk.play(self.ports[&listen[talk.frontend]], self.letter),
            Visit::Curl(curl) => {
                let proxy = self.ports[&listen[curl.frontend]];
                curl.play(proxy, self.letter, &self.jar(client.number))
            }
        }
    }

    fn jar(&self, client: usize) -> PathBuf {
        self.folder.file(&format!("jar{client}"))
    }

    /// Reads what has been logged meanwhile, about servers left out.
    fn listen_to_log(&mut self) {
        let mut line = [0; 16_384];
        while let Ok(length) = self.log.recv(&mut line) {
            let text = String::from_utf8_lossy(&line[..length]);
            let is_about_visits = text.contains("127.0.0.1");
            if is_about_visits {
                self.told.push(compare::line(&text));
            }
        }
    }

    /// Sessions in all backends.
    fn sessions(&self) -> u64 {
        const BACKENDS: &str = "show stat -1 2 -1";
        const CURRENT: usize = 4;
        let answer = self.program.ask(BACKENDS);
        let lines = answer.lines().filter(|line| !line.starts_with('#'));
        let current = lines.filter_map(|line| line.split(',').nth(CURRENT)?.parse::<u64>().ok());
        current.sum()
    }

    fn states(&self) -> Vec<String> {
        let answer = self.program.ask("show servers state");
        answer.lines().map(compare::state).collect()
    }
}

/// A configuration on both sides.
pub(super) struct Run<'p> {
    plan: &'p Plan,
    random: Random,
    traffic: Traffic<'p>,
    jars: Jars,
    received: Received,
    servers: BTreeMap<u16, Server>,
    listen: Vec<u16>,
    sides: [Side; 2],
    history: Vec<String>,
    report: Report,
}

type Outcome<T = ()> = Result<T, String>;

impl<'p> Run<'p> {
    pub(super) fn start(plan: &'p Plan, seed: u64) -> Self {
        let received = Received::default();
        let ports = plan.servers();
        let servers: BTreeMap<_, _> = ports
            .into_iter()
            .map(|port| {
                let name = format!("o{port}");
                let server = Server::start(&name, support::free_address(), &received);
                (port, server)
            })
            .collect();
        let addresses = servers
            .iter()
            .map(|(port, server)| (*port, server.address()));
        let addresses = addresses.collect();
        Self {
            plan,
            random: Random(seed),
            traffic: Traffic::new(plan),
            jars: Jars::default(),
            received,
            listen: plan.listen(),
            sides: ["h", "o"].map(|letter| Side::start(plan, &addresses, letter, seed)),
            servers,
            history: Vec::new(),
            report: Report::default(),
        }
    }

    /// Plays so many visits, with events between them.
    pub(super) fn play(mut self, visits: usize) -> (Report, Outcome) {
        let outcome = self.play_all(visits);
        let outcome = outcome.map_err(|difference| {
            let last = self.history.len().saturating_sub(25);
            let history = self.history[last..].join("\n  ");
            format!("{difference}\nhistory:\n  {history}")
        });
        (self.report, outcome)
    }

    fn play_all(&mut self, visits: usize) -> Outcome {
        self.settle()?;
        for number in 0..visits {
            if self.random.percent(15) {
                self.event()?;
            }
            if self.random.percent(10) && !self.plan.orders.is_empty() {
                self.order()?;
            }
            self.visit()?;
            if number % 10 == 9 {
                self.look()?;
            }
        }
        self.look()
    }

    /// A client comes.
    fn visit(&mut self) -> Outcome {
        if self.plan.is_timed {
            crate::quiet_moment();
        }
        let mut servers = self.servers.values();
        self.traffic.is_quiet = servers.all(|server| server.manner() == Manner::Fine);
        let client = self.traffic.visit(&mut self.random, &self.jars);
        self.note(&format!("{client:?}"));
        let [theirs, ours] = self.both(|side, listen| side.play(&client, listen));
        for answer in &theirs {
            self.jars.fill(client.number, answer);
            self.report.served += usize::from(answer.is_served());
        }
        self.report.visits += 1;
        self.leave()?;
        self.report.requests += client.requests.len();
        let [theirs, ours] = [(theirs, 0), (ours, 1)].map(|(answers, side)| {
            let ports = &self.sides[side].ports;
            let answers = answers.iter();
            let answers = answers.map(|answer| compare::answer(answer, ports));
            answers.collect::<Vec<_>>()
        });
        let answers = compare::difference("answers", &theirs, &ours);
        let [theirs, ours] = [0, 1].map(|side| self.seen(&client, &self.sides[side]));
        let seen = compare::difference("received by servers", &theirs, &ours);
        let differences: Vec<_> = [answers, seen].into_iter().flatten().collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(differences.concat())
    }

    /// Waits until nobody is there any more: a client may notice an end before the proxy has
    /// counted it.
    fn leave(&self) -> Outcome {
        let is_empty = || {
            let sessions = self.both(|side, _| side.sessions());
            sessions == [0, 0]
        };
        let is_empty = support::eventually(is_empty);
        is_empty
            .then_some(())
            .ok_or_else(|| "sessions are left".to_owned())
    }

    fn seen(&self, client: &Client, side: &Side) -> Vec<Seen> {
        let names = client.requests.iter();
        let names = names.map(|name| name.replace(super::talk::SIDE, side.letter));
        let seen = names.flat_map(|name| self.received.take(&name));
        seen.map(|seen| compare::seen(&seen, &side.ports)).collect()
    }

    fn both<T: Send>(&self, ask: impl Fn(&Side, &[u16]) -> T + Sync) -> [T; 2] {
        let [theirs, ours] = &self.sides;
        thread::scope(|scope| {
            let theirs = scope.spawn(|| ask(theirs, &self.listen));
            let ours = ask(ours, &self.listen);
            [theirs.join().expect("it does not panic"), ours]
        })
    }

    fn note(&mut self, what: &str) {
        let what: String = what.chars().take(1_500).collect();
        self.history.push(what);
    }

    /// Something happens to a server.
    fn event(&mut self) -> Outcome {
        let ports: Vec<u16> = self.servers.keys().copied().collect();
        let port = ports[self.random.below(ports.len())];
        let manners = &self.plan.manners;
        let manner = match self.servers[&port].manner() {
            Manner::Fine => manners[self.random.below(manners.len())],
            _ => Manner::Fine,
        };
        self.note(&format!("server {port}: {manner:?}"));
        let server = self.servers.get_mut(&port).expect("it is there");
        server.behave(manner);
        self.report.events += 1;
        // Connections that were kept are seen to be closed.
        thread::sleep(Duration::from_millis(30));
        self.settle()
    }

    fn order(&mut self) -> Outcome {
        let orders = &self.plan.orders;
        let order = orders[self.random.below(orders.len())].clone();
        self.note(&order);
        self.report.events += 1;
        let [theirs, ours] = self.both(|side, _| {
            let answer = Shown::of(&side.program.ask(&order)).text;
            answer.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        compare::difference(&order, &theirs, &ours).map_or(Ok(()), Err)?;
        self.settle()
    }

    /// Waits until checks have found what there is to be found, the same on both sides.
    fn settle(&mut self) -> Outcome {
        let mut states = [Vec::new(), Vec::new()];
        let is_settled = support::eventually(|| {
            states = self.both(|side, _| side.states());
            states[0] == states[1] && states[0].iter().all(|line| self.is_settled(line))
        });
        self.report.states += states[0].len();
        if is_settled {
            return Ok(());
        }
        let [theirs, ours] = states;
        let difference = compare::difference("show servers state", &theirs, &ours);
        Err(difference.unwrap_or_else(|| format!("nothing has settled: {theirs:#?}")))
    }

    /// Whether a line of `show servers state` tells of a server that is as it should be.
    fn is_settled(&self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        let [_, backend, _, name, _, state, admin, ..] = words[..] else {
            return true;
        };
        let port = words.get(18).and_then(|word| word.parse::<u16>().ok());
        let mut servers = self.servers.iter();
        let server = servers.find(|(_, server)| Some(server.address().port()) == port);
        let Some((_, server)) = server else {
            return true;
        };
        let is_left_alone = admin.parse::<u8>().unwrap_or(0) & compare::MAINTENANCE != 0;
        if is_left_alone || !self.plan.is_checked(backend, name) {
            return true;
        }
        let by_http = self.plan.checks_by_http(backend);
        let expected = match server.manner() {
            Manner::Killed => "0",
            Manner::Answers(404) if by_http => "3",
            Manner::Answers(_) | Manner::Closes | Manner::ClosesInHead if by_http => "0",
            _ => "2",
        };
        state == expected
    }

    /// Compares what the sides tell of what has been.
    fn look(&mut self) -> Outcome {
        self.settle()?;
        self.tables()?;
        self.logs()
    }

    fn tables(&mut self) -> Outcome {
        for table in self.plan.tables() {
            let mut tables = [Vec::new(), Vec::new()];
            let is_same = support::eventually(|| {
                tables = self.both(|side, _| {
                    let answer = side.program.ask(&format!("show table {table}"));
                    let text = Shown::of(&answer).text;
                    text.lines().map(str::to_owned).collect::<Vec<_>>()
                });
                tables[0] == tables[1]
            });
            self.report.entries += tables[0].len().saturating_sub(1);
            if !is_same {
                let [theirs, ours] = &tables;
                let difference = compare::difference("table", theirs, ours);
                return Err(difference.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Lines may come a little later, and those of clients that were there together in any
    /// order.
    fn logs(&mut self) -> Outcome {
        let mut is_same = false;
        // Once there are as many lines, no other ones are to be expected for long.
        let mut patience = 200;
        support::eventually(|| {
            for side in &mut self.sides {
                side.listen_to_log();
                side.told.sort();
            }
            let [theirs, ours] = &self.sides;
            is_same = theirs.told == ours.told;
            patience -= i32::from(theirs.told.len() == ours.told.len());
            is_same || patience == 0
        });
        let [theirs, ours] = &mut self.sides;
        self.report.lines += theirs.told.len();
        let [theirs, ours] = [theirs, ours].map(|side| std::mem::take(&mut side.told));
        if is_same {
            return Ok(());
        }
        Err(compare::difference("log", &theirs, &ours).unwrap_or_default())
    }
}
