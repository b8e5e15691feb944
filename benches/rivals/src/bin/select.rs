//! What does a whole routing decision cost? P18: a sticky hit, from the `Cookie` header
//! to a live server and back, against what a proxy author writes by hand and against the
//! `cookie` crate with pingora's health flag. P19: a pick without persistence against
//! pingora's `select`.
//!
//! stickroute's time is that of `select()` and of dropping the selection: it includes the
//! snapshot, the slot taken and given back, and a selection that owns its server. The
//! rivals hand out no more than a reference or a copy of the server's address.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pingora_load_balancing::LoadBalancer;
use pingora_load_balancing::selection::{BackendIter, BackendSelection, Consistent, RoundRobin};
use stickroute::{
    Backend, ConsistentHash, CookiePolicy, HashInput, HeaderVisitor, Now, Request, Server,
};
use stickroute_rivals::{Race, Target, key};

const SERVERS: usize = 10;
/// What a browser sends to a shop: eight cookies, ours the last.
const HEADER: &str = "_ga=GA1.1.1234567890.1700000000; _gcl_au=1.1.1893745.1700000001; \
    consent=analytics:1|ads:0; csrf=8b1a9953c4611296a827abf8c47804d7; theme=dark; \
    lang=en-GB; cart=3f9d2c71; SRVID=app7";
const NOW: Now = Now::new(Duration::from_secs(1), Duration::from_secs(1_800_000_000));

/// A request whose bytes lie ready.
struct Ready<'r> {
    cookie: Option<&'r [u8]>,
    target: &'r [u8],
}

impl Request for Ready<'_> {
    fn target(&self) -> &[u8] {
        self.target
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        if let (true, Some(cookie)) = (name == "cookie", self.cookie) {
            let _ = visit(cookie);
        }
    }
}

fn addresses() -> Vec<String> {
    (0..SERVERS).map(|n| format!("10.0.0.{n}:80")).collect()
}

fn servers() -> impl Iterator<Item = Server> {
    let named = |(n, address)| Server::new(format!("app{n}"), address).cookie(format!("app{n}"));
    addresses().into_iter().enumerate().map(named)
}

fn sticky() {
    let backend: Backend = Backend::builder("be")
        .servers(servers())
        .cookie(CookiePolicy::insert("SRVID"))
        .build()
        .expect("a good configuration");
    let by_hand: HashMap<String, (String, AtomicBool)> = addresses()
        .into_iter()
        .enumerate()
        .map(|(n, address)| (format!("app{n}"), (address, AtomicBool::new(true))))
        .collect();
    let pingora = pingora::<RoundRobin>();
    let all = pingora.backends().get_backend();
    let by_crate: HashMap<String, _> = (0..SERVERS)
        .map(|n| format!("app{n}"))
        .zip(all.iter().cloned())
        .collect();
    let times = Race::new()
        .contender("stickroute", |repeats| {
            let hits = (0..repeats).map(|_| {
                let request = Ready {
                    cookie: Some(black_box(HEADER.as_bytes())),
                    target: b"/",
                };
                let selection = backend.select(&request, NOW).expect("a server");
                selection.server().name().len() as u64
            });
            hits.sum()
        })
        .contender("split + HashMap + flag", |repeats| {
            let hits = (0..repeats).map(|_| {
                let value = black_box(HEADER).split(';').find_map(|item| {
                    let (name, value) = item.trim_start().split_once('=')?;
                    (name == "SRVID").then_some(value)
                });
                let (address, up) = &by_hand[value.expect("the cookie")];
                assert!(up.load(Ordering::Acquire));
                address.len() as u64
            });
            hits.sum()
        })
        .contender("cookie crate + pingora ready", |repeats| {
            let hits = (0..repeats).map(|_| {
                let cookie = cookie::Cookie::split_parse(black_box(HEADER))
                    .filter_map(Result::ok)
                    .find(|cookie| cookie.name() == "SRVID")
                    .expect("the cookie");
                let server = &by_crate[cookie.value()];
                assert!(pingora.backends().ready(server));
                1
            });
            hits.sum()
        })
        .run();
    let target = |ratio| Target { id: "P18", ratio };
    target(0.3).judge("sticky hit / split + HashMap + flag", times[0], times[1]);
    target(0.1).judge("sticky hit / cookie crate + pingora", times[0], times[2]);
}

fn pingora<S>() -> LoadBalancer<S>
where
    S: BackendSelection + 'static,
    S::Iter: BackendIter,
{
    LoadBalancer::try_from_iter(addresses()).expect("good addresses")
}

fn picks() {
    let round_robin: Backend = Backend::builder("be")
        .servers(servers())
        .build()
        .expect("good");
    let ring: Backend = Backend::builder("be")
        .servers(servers())
        .balance(ConsistentHash::new(HashInput::uri()))
        .build()
        .expect("good");
    let (their_rr, their_ring) = (pingora::<RoundRobin>(), pingora::<Consistent>());
    let ours = |backend: &Backend, repeats: u64| {
        let picked = (0..repeats).map(|i| {
            let target = key(i).to_be_bytes();
            let request = Ready {
                cookie: None,
                target: &target,
            };
            let selection = backend.select(&request, NOW).expect("a server");
            selection.server().name().len() as u64
        });
        picked.sum()
    };
    let target = Target {
        id: "P19",
        ratio: 0.3,
    };
    let times = Race::new()
        .contender("stickroute", |repeats| ours(&round_robin, repeats))
        .contender("pingora", |repeats| {
            let picked = (0..repeats).map(|_| their_rr.select(b"", 256).map_or(0, |_| 1));
            picked.sum()
        })
        .run();
    target.judge("round robin / pingora select", times[0], times[1]);
    let times = Race::new()
        .contender("stickroute", |repeats| ours(&ring, repeats))
        .contender("pingora", |repeats| {
            let picked = (0..repeats).map(|i| {
                let key = key(i).to_be_bytes();
                their_ring.select(&key, 256).map_or(0, |_| 1)
            });
            picked.sum()
        })
        .run();
    target.judge("consistent hash / pingora select", times[0], times[1]);
}

fn main() {
    sticky();
    picks();
}
