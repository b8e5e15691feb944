//! Promise: threads select, wait, hold and give up while another changes the farm, and every
//! server given to a request was one that could be given at some moment of the call; when all
//! is over no slot is taken and nobody waits.
//!
//! The changes are numbered, and what the farm is after each is written down before it is made.
//! A request notes which change was done when it began and which had begun when it had its
//! answer: the server must have been usable after one of those, with the very address and
//! payload it came with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock, RwLock};
use std::thread;

use stickroute::{
    AdminState, Admission, Backend, Condition, ConsistentHash, CookiePolicy, FirstFree, HashInput,
    LeastConnections, MapHash, Now, OperationalState, Random, Reason, Redispatch, Refusal,
    RetryPolicy, RoundRobin, SelectError, Selection, Selector, Server, ServerLoad, SimpleRequest,
    StaticRoundRobin, Turn, Waiting, Weight,
};

/// No server ever has more slots.
const MOST_SLOTS: u32 = 3;
const CHANGES: usize = 250;
const SERVERS: u32 = 6;

/// What may be known of one server from its selection: a new one has a new payload.
#[derive(Clone, Debug)]
struct Known {
    address: String,
    payload: u32,
    admin: AdminState,
    health: OperationalState,
    weight: u32,
}

impl Known {
    fn takes_new(&self) -> bool {
        self.admin == AdminState::Ready
            && self.health == OperationalState::Running
            && self.weight > 0
    }

    fn takes_bound(&self) -> bool {
        self.admin != AdminState::Maintenance && self.health != OperationalState::Stopped
    }

    fn is(&self, selection: &Selection<u32>) -> bool {
        let server = selection.server();
        (*server.payload(), server.address().to_string()) == (self.payload, self.address.clone())
    }
}

/// The servers by name.
type Generation = BTreeMap<String, Known>;

struct Scene {
    backend: Backend<u32>,
    /// What the farm was to be after each change; a change has begun once it is in here.
    log: RwLock<Vec<Generation>>,
    /// The latest change that is made.
    done: AtomicUsize,
    is_over: AtomicBool,
    /// Requests that have come to an end.
    requests: AtomicUsize,
    outcomes: [AtomicUsize; 4],
}

/// What has to come to pass, or the test has tested little.
enum Outcome {
    Served,
    Turn,
    SentBack,
    GaveUp,
}

/// A scheduling that differs from run to run is none of the test's business; the changes and
/// the requests are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(sides)) as u32
    }
}

fn server(name: &str, known: &Known) -> Server<u32> {
    Server::new(name, known.address.as_str())
        .cookie(name)
        .max_connections(1 + known.payload % MOST_SLOTS)
        .max_queue(4)
        .payload(known.payload)
}

fn fresh(payload: u32) -> Known {
    Known {
        address: format!("10.0.{}.{}:80", payload / 250, payload % 250),
        payload,
        admin: AdminState::Ready,
        health: OperationalState::Running,
        weight: 1,
    }
}

fn scene(selector: impl Selector + 'static) -> Scene {
    let first: Generation = (0..3).map(|n| (format!("s{n}"), fresh(n))).collect();
    let backend = Backend::builder("be")
        .servers(first.iter().map(|(name, known)| server(name, known)))
        .cookie(CookiePolicy::insert("SRV"))
        .retry(RetryPolicy::default().redispatch(Redispatch::LAST_RETRY))
        .balance(selector)
        .build()
        .unwrap();
    Scene {
        backend,
        log: RwLock::new(vec![first]),
        done: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        outcomes: Default::default(),
    }
}

impl Scene {
    /// Whether it held of the farm after some change from `since` on that has begun by now.
    fn held(&self, since: usize, holds: impl Fn(&Generation) -> bool) -> bool {
        self.log.read().unwrap()[since..].iter().any(holds)
    }

    /// Checks the server of a request that began after the change `since` was made.
    fn judge(&self, since: usize, selection: &Selection<u32>, way: Way) {
        // Who lined up at a server is served there though it takes nobody new by then.
        let is_bound = selection.reason() == Reason::Cookie || way == Way::InTurnHere;
        let may_be = |farm: &Generation| {
            let known = farm.get(selection.server().name());
            known.is_some_and(|known| {
                let usable = if is_bound {
                    known.takes_bound()
                } else {
                    known.takes_new()
                };
                known.is(selection) && usable
            })
        };
        let name = selection.server().name();
        assert!(
            self.held(since, may_be),
            "{way:?} {selection:?} at {} with payload {} was never so: {:?}",
            selection.server().address(),
            selection.server().payload(),
            self.log.read().unwrap()[since..]
                .iter()
                .map(|farm| farm.get(name))
                .collect::<Vec<_>>()
        );
        assert!(
            selection.server().in_flight() <= MOST_SLOTS,
            "{selection:?}"
        );
    }

    fn judge_refusal(&self, since: usize, error: &SelectError) {
        match error.refusal() {
            Refusal::Saturated => {}
            Refusal::NoServer => {
                let is_nobody = |farm: &Generation| !farm.values().any(Known::takes_new);
                assert!(self.held(since, is_nobody), "somebody served all the time");
            }
            other => panic!("{other:?}"),
        }
    }

    fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, SeqCst);
    }

    fn everything_happened(&self) -> bool {
        self.outcomes.iter().all(|count| count.load(SeqCst) > 5)
    }
}

/// A client that selects, holds a few sessions, and waits for a few turns.
struct Client<'s> {
    scene: &'s Scene,
    dice: Dice,
    held: Vec<Selection<u32>>,
    waiting: Vec<(usize, Waiting<u32>)>,
}

/// Ends the test, of which nothing would come any more.
impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.scene.is_over.store(true, SeqCst);
    }
}

/// How a request came by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AtOnce,
    /// After it had waited for whichever server had a slot first.
    InTurn,
    /// After it had waited for this server and no other.
    InTurnHere,
}

impl Client<'_> {
    fn run(mut self) {
        while !self.scene.is_over.load(SeqCst) {
            self.step();
            self.scene.requests.fetch_add(1, SeqCst);
        }
    }

    fn step(&mut self) {
        let since = self.scene.done.load(SeqCst);
        let request = self.request();
        let backend = &self.scene.backend;
        if self.dice.roll(2) == 0 {
            match backend.select(&request, Now::system()) {
                Ok(selection) => self.hold(since, selection, Way::AtOnce),
                Err(error) => self.scene.judge_refusal(since, &error),
            }
        } else {
            let admission = backend.admit(&request, Now::system());
            self.admitted(since, admission);
        }
        self.ask();
        while self.held.len() > 3 {
            let index = self.dice.roll(4) as usize;
            drop(self.held.swap_remove(index));
        }
        if self.waiting.len() > 3 {
            let index = self.dice.roll(4) as usize;
            drop(self.waiting.swap_remove(index));
            self.scene.count(Outcome::GaveUp);
        }
    }

    fn request(&mut self) -> SimpleRequest {
        let source = [10, 0, 0, self.dice.roll(250) as u8].into();
        let request = SimpleRequest::new("GET", "/").source(source);
        match self.dice.roll(2) {
            0 => request,
            _ => request.header("Cookie", format!("SRV=s{}", self.dice.roll(SERVERS))),
        }
    }

    fn admitted(&mut self, since: usize, admission: Result<Admission<u32>, SelectError>) {
        match admission {
            Ok(Admission::Served(selection)) => self.hold(since, selection, Way::AtOnce),
            Ok(Admission::Waits(waiting)) => self.waiting.push((since, waiting)),
            Err(error) => self.scene.judge_refusal(since, &error),
        }
    }

    /// Looks whose turn has come.
    fn ask(&mut self) {
        for (since, waiting) in std::mem::take(&mut self.waiting) {
            let way = waiting.server().map_or(Way::InTurn, |_| Way::InTurnHere);
            match waiting.try_take() {
                Err(waiting) => self.waiting.push((since, waiting)),
                Ok(Turn::Served(selection)) => {
                    self.scene.count(Outcome::Turn);
                    self.hold(since, selection, way);
                }
                Ok(Turn::SentBack(back)) => {
                    self.scene.count(Outcome::SentBack);
                    let since = self.scene.done.load(SeqCst);
                    let request = SimpleRequest::new("GET", "/").source([10, 0, 0, 1].into());
                    let again = self.scene.backend.readmit(back, &request, Now::system());
                    self.admitted(since, again);
                }
            }
        }
    }

    fn hold(&mut self, since: usize, selection: Selection<u32>, way: Way) {
        self.scene.judge(since, &selection, way);
        self.scene.count(Outcome::Served);
        self.held.push(selection);
    }
}

/// Whoever changes the farm, and the counts of all servers there ever were.
struct Operator<'s> {
    scene: &'s Scene,
    dice: Dice,
    payloads: u32,
    loads: Vec<Arc<ServerLoad>>,
}

impl Operator<'_> {
    fn run(mut self) -> Vec<Arc<ServerLoad>> {
        // Longer if something has not come to pass yet, but not for ever.
        for change in 1..=100 * CHANGES {
            if change > CHANGES && self.scene.everything_happened() {
                break;
            }
            self.note_loads();
            self.change();
            self.scene.done.store(change, SeqCst);
            // Requests come between the changes, however few processors there are.
            let seen = self.scene.requests.load(SeqCst);
            let is_busy = || self.scene.requests.load(SeqCst) >= seen + 2;
            while change % 4 == 0 && !is_busy() && !self.scene.is_over.load(SeqCst) {
                thread::yield_now();
            }
        }
        self.note_loads();
        self.loads
    }

    fn note_loads(&mut self) {
        for server in self.scene.backend.farm().servers() {
            if !self
                .loads
                .iter()
                .any(|load| Arc::ptr_eq(load, server.load()))
            {
                self.loads.push(Arc::clone(server.load()));
            }
        }
    }

    fn fresh(&mut self) -> Known {
        self.payloads += 1;
        fresh(self.payloads)
    }

    fn change(&mut self) {
        let mut farm = self.scene.log.read().unwrap().last().unwrap().clone();
        let name = format!("s{}", self.dice.roll(SERVERS));
        let Some(mut known) = farm.get(&name).cloned() else {
            return self.add(farm, name);
        };
        let way = self.dice.roll(9);
        match way {
            0 => return self.remove(farm, &name),
            1 => known = self.fresh(),
            2 => known.address = self.fresh().address,
            3 => known.admin = [AdminState::Ready, AdminState::Drain][self.dice.roll(2) as usize],
            4 => known.admin = AdminState::Maintenance,
            5 => known.weight = self.dice.roll(2),
            // Health counts for nothing during maintenance.
            6 if known.admin == AdminState::Maintenance => {}
            6 => {
                known.health = [OperationalState::Running, OperationalState::Stopped]
                    [self.dice.roll(2) as usize];
            }
            _ => known.admin = AdminState::Ready,
        }
        let before = farm.insert(name.clone(), known.clone()).unwrap();
        if before.admin == AdminState::Maintenance && known.admin != AdminState::Maintenance {
            farm.get_mut(&name).unwrap().health = OperationalState::Running;
        }
        let limit = 1 + self.dice.roll(MOST_SLOTS);
        self.begin(farm);
        let changed = self.scene.backend.update(|change| match way {
            1 => change.replace(&name, server(&name, &known)).map(drop),
            2 => change.set_address(&name, known.address.as_str()),
            3 | 4 | 8 => change.set_admin_state(&name, known.admin),
            5 => change.set_weight(&name, Weight::new(known.weight).unwrap()),
            6 => change.set_operational_state(&name, known.health),
            // Two servers at once, so that a half-made change would be seen.
            _ => {
                change.set_admin_state(&name, known.admin)?;
                change.set_max_connections(&name, limit)
            }
        });
        changed.unwrap();
    }

    fn add(&mut self, mut farm: Generation, name: String) {
        let known = self.fresh();
        let added = server(&name, &known);
        farm.insert(name, known);
        self.begin(farm);
        self.scene
            .backend
            .update(|change| change.add(added))
            .unwrap();
    }

    fn remove(&mut self, mut farm: Generation, name: &str) {
        farm.remove(name);
        self.begin(farm);
        drop(self.scene.backend.remove(name).unwrap());
    }

    fn begin(&self, farm: Generation) {
        self.scene.log.write().unwrap().push(farm);
    }
}

fn check(selector: impl Selector + 'static) {
    let called = format!("{selector:?}");
    let scene = scene(selector);
    let client = |seed| Client {
        scene: &scene,
        dice: Dice(seed),
        held: Vec::new(),
        waiting: Vec::new(),
    };
    let operator = Operator {
        scene: &scene,
        dice: Dice(99),
        payloads: 10,
        loads: Vec::new(),
    };
    let loads = thread::scope(|threads| {
        let clients = [1, 2].map(|seed| {
            let client = client(seed);
            threads.spawn(move || client.run())
        });
        let loads = operator.run();
        scene.is_over.store(true, SeqCst);
        for client in clients {
            client.join().unwrap();
        }
        loads
    });
    for load in loads {
        assert_eq!(
            (load.in_flight(), load.queued()),
            (0, 0),
            "{called}: {load:?}"
        );
    }
    assert_eq!(scene.backend.queued(), 0, "{called}");
    assert!(
        scene.everything_happened(),
        "{called}: {:?}",
        scene.outcomes
    );
}

#[test]
fn in_turn() {
    check(RoundRobin::new());
    check(StaticRoundRobin::new());
}

#[test]
fn by_load() {
    check(LeastConnections::new());
    check(FirstFree::new());
}

#[test]
fn by_hash() {
    check(ConsistentHash::new(HashInput::source()));
    check(ConsistentHash::new(HashInput::source()).balance_factor(150));
    check(MapHash::new(HashInput::source()));
}

#[test]
fn by_chance() {
    check(Random::seeded(7));
}

/// The condition is asked once the server was found to be up.
#[test]
fn a_server_that_stops_while_a_request_comes_to_its_queue_is_given_up() {
    static BACKEND: OnceLock<Backend> = OnceLock::new();
    let stop = |request: &dyn stickroute::Request| {
        let backend = BACKEND.get().unwrap();
        if request.target() == b"/stop" {
            let stopped = OperationalState::Stopped;
            backend.set_operational_state("s1", stopped).unwrap();
        }
        true
    };
    let server = |name| Server::new(name, "127.0.0.1:1").max_connections(1);
    let built = Backend::builder("be")
        .servers([server("s1"), server("s2")])
        .use_server("s1", Condition::when(stop))
        .build();
    let backend = BACKEND.get_or_init(|| built.unwrap());
    let _held = backend
        .select(&SimpleRequest::new("GET", "/"), Now::system())
        .unwrap();
    let request = SimpleRequest::new("GET", "/stop");
    let Ok(Admission::Served(selection)) = backend.admit(&request, Now::system()) else {
        panic!("the other server is free");
    };
    assert_eq!(selection.server().name(), "s2");
}
