//! What does one change of a weight cost, by algorithm and by number of servers?
//!
//! ```sh
//! cargo bench --bench weights
//! cargo bench --bench weights -- --test   # each change once, for its answers
//! ```
//!
//! A change is whole: from the call to the moment the next request sees it, and all that is
//! freed for it. Servers weigh 96 to 104. Algorithms on HAProxy's dynamic scale give one of
//! them another weight and its own again, those on the static scale none and its own again,
//! since that is all they allow. Each change is checked, and before times are taken, that
//! requests follow it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stickroute::haproxy::{ProxyId, Runtime};
use stickroute::{
    Backend, ConsistentHash, HashInput, LeastConnections, MapHash, Now, Random, RoundRobin,
    Selector, Server, SimpleRequest, StaticRoundRobin, Weight, WeightScale,
};

const NOW: Now = Now::new(Duration::from_secs(1), Duration::from_secs(1_800_000_000));
/// The server whose weight changes.
const SERVER: &str = "s3";
const OWN: u32 = weight_of(3);
const ROUNDS: usize = 9;
/// How long one round should take.
const ROUND: Duration = Duration::from_millis(30);

fn main() {
    let once = std::env::args().any(|word| word == "--test");
    println!("| one change of a weight | of 10 servers | of 100 | of 1,000 |");
    println!("|---|---|---|---|");
    for (name, selector) in ALGORITHMS {
        let backends = [10, 100, 1_000].map(|servers| farm(servers, selector()));
        for backend in &backends {
            assert_requests_follow(name, backend);
        }
        for (way, change) in WAYS {
            let cells = backends.each_ref().map(|backend| {
                if once {
                    change_and_back(backend, change, another(backend));
                    return "holds".to_owned();
                }
                readable(race(backend, change))
            });
            println!("| {name}, {way} | {} |", cells.join(" | "));
        }
    }
}

type Algorithm = (&'static str, fn() -> Arc<dyn Selector>);

const ALGORITHMS: [Algorithm; 6] = [
    ("`roundrobin`", || Arc::new(RoundRobin::new())),
    ("`static-rr`", || Arc::new(StaticRoundRobin::new())),
    ("`uri`, map", || Arc::new(MapHash::new(HashInput::uri()))),
    ("`uri`, ring", || {
        Arc::new(ConsistentHash::new(HashInput::uri()))
    }),
    ("`leastconn`", || Arc::new(LeastConnections::new())),
    ("`random`", || Arc::new(Random::seeded(1))),
];

type Change = fn(&Backend, u32);

const WAYS: [(&str, Change); 2] = [
    ("`set_weight`", |backend, weight| {
        let weight = Weight::new(weight).expect("at most 256");
        let changed = backend.update(|change| change.set_weight(SERVER, weight));
        changed.expect("a weight that is allowed");
    }),
    ("runtime command", |backend, weight| {
        let runtime = Runtime::new(NOW).backend(ProxyId::Counted(2), backend);
        let line = format!("set weight be/{SERVER} {weight}");
        let answer = runtime.answer(line.as_bytes(), NOW);
        assert_eq!(answer.text(), "\n");
    }),
];

const fn weight_of(server: usize) -> u32 {
    96 + server as u32 * 5 % 9
}

fn farm(servers: usize, selector: Arc<dyn Selector>) -> Backend {
    let server = |n: usize| {
        let address = format!("10.0.{}.{}:80", n / 256, n % 256);
        let server = Server::new(format!("s{n}"), address);
        server.cookie(format!("s{n}")).weight(weight_of(n))
    };
    Backend::builder("be")
        .servers((0..servers).map(server))
        .balance_shared(selector)
        .build()
        .expect("a good configuration")
}

/// That the server gets requests, none without weight, and some again with its own.
fn assert_requests_follow(name: &str, backend: &Backend) {
    let requests = 30 * backend.farm().servers().len();
    let gets_any = || {
        (0..requests).any(|n| {
            let request = SimpleRequest::new("GET", format!("/{n}"));
            let selection = backend.select(&request, NOW).expect("a server");
            selection.server().name() == SERVER
        })
    };
    for (_, change) in WAYS {
        for (weight, expected) in [(OWN, true), (0, false), (OWN, true)] {
            change(backend, weight);
            assert_eq!(gets_any(), expected, "{name}, weight {weight}");
        }
    }
}

/// Two changes, each of them checked.
fn change_and_back(backend: &Backend, change: Change, another: u32) {
    for weight in [another, OWN] {
        change(backend, weight);
        let server = backend.server(SERVER).expect("known");
        assert_eq!(server.status().weight().get(), weight);
    }
}

/// A weight that the server does not have and the algorithm allows.
fn another(backend: &Backend) -> u32 {
    match backend.farm().scale() {
        WeightScale::Static => 0,
        WeightScale::Dynamic => OWN + 1,
    }
}

/// Nanoseconds a change takes in the best of all rounds.
#[allow(clippy::disallowed_methods, reason = "a stopwatch is what it is for")]
fn race(backend: &Backend, change: Change) -> f64 {
    let another = another(backend);
    let round = |pairs: u32| {
        let start = Instant::now();
        (0..pairs).for_each(|_| change_and_back(backend, change, another));
        start.elapsed()
    };
    let each = round(1).max(Duration::from_nanos(1));
    let pairs = (ROUND.as_nanos() / each.as_nanos()).clamp(1, 100_000) as u32;
    let times = (0..ROUNDS).map(|_| round(pairs));
    let best = times.min().expect("there are rounds");
    best.as_secs_f64() * 1e9 / f64::from(2 * pairs)
}

fn readable(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}
