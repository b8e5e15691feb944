//! Promise: a hit allocates nothing. Selecting by cookie, selecting by any algorithm,
//! looking at the selection, responding without a Set-Cookie, and giving the slot back.

use std::ops::ControlFlow;

use allocation_counter::measure;
use stickroute::{
    Backend, BackendBuilder, ConsistentHash, CookiePolicy, Fetch, FirstFree, HashInput,
    HeaderVisitor, KeyType, LeastConnections, MapHash, Now, Random, Reason, Request, Response,
    RoundRobin, Server, StaticRoundRobin, StickRule, StickTable,
};

/// A request whose bytes lie ready, so that only the library could allocate.
struct Ready<'r> {
    target: &'r [u8],
    cookie: Option<&'r [u8]>,
}

impl Request for Ready<'_> {
    fn source(&self) -> Option<std::net::IpAddr> {
        Some([192, 0, 2, 7].into())
    }

    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn target(&self) -> &[u8] {
        self.target
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        if let (true, Some(cookie)) = (name == "cookie", self.cookie) {
            let _ = visit(cookie);
        }
    }
}

/// A response with a cookie of the application's and nothing else.
struct Plain;

impl Response for Plain {
    fn status(&self) -> u16 {
        200
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        if name == "set-cookie" {
            let _: ControlFlow<()> = visit(b"app=1; path=/");
        }
    }
}

fn backend() -> BackendBuilder {
    let servers = (1..=10).map(|n| {
        Server::new(format!("s{n}"), format!("10.0.0.{n}:80"))
            .cookie(format!("c{n}"))
            .weight(n)
    });
    Backend::builder("be")
        .servers(servers)
        .cookie(CookiePolicy::insert("SRV"))
}

/// Allocations of 1,000 rounds, after one to warm up what is allocated once a thread.
fn allocations(mut round: impl FnMut()) -> u64 {
    round();
    measure(|| (0..1_000).for_each(|_| round())).count_total
}

#[test]
fn the_counter_counts() {
    let count = allocations(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(count, 1_000);
}

#[test]
fn a_cookie_hit_and_its_response_allocate_nothing() {
    let backend = backend().build().unwrap();
    let now = Now::system();
    let request = Ready {
        target: b"/",
        cookie: Some(b"lang=en; theme=\"dark; blue\"; SRV=c7; cart=17"),
    };
    let count = allocations(|| {
        let mut selection = backend.select(&request, now).unwrap();
        assert_eq!(selection.reason(), Reason::Cookie);
        assert_eq!(selection.server().name(), "s7");
        assert!(selection.request_edits(&request).is_empty());
        assert!(backend.respond(&mut selection, &Plain, now).is_empty());
    });
    assert_eq!(count, 0);
}

fn assert_balance_allocates_nothing(name: &str, builder: BackendBuilder) {
    let backend = builder.build().unwrap();
    let now = Now::system();
    let request = Ready {
        target: b"/shop/cart?user=7",
        cookie: None,
    };
    let count = allocations(|| {
        let selection = backend.select(&request, now).unwrap();
        assert_eq!(selection.reason(), Reason::Balance);
    });
    assert_eq!(count, 0, "{name}");
}

#[test]
fn a_hit_in_a_stick_table_and_its_store_allocate_nothing() {
    let table = StickTable::builder(KeyType::Ip)
        .size(1_000)
        .build()
        .unwrap();
    let backend = backend()
        .stick_table(table)
        .stick(StickRule::on(Fetch::src()))
        .build()
        .unwrap();
    let now = Now::system();
    let request = Ready {
        target: b"/",
        cookie: None,
    };
    let mut reason = Reason::Balance;
    let count = allocations(|| {
        let mut selection = backend.select(&request, now).unwrap();
        reason = selection.reason();
        let _ = backend.respond(&mut selection, &Plain, now);
    });
    assert_eq!((count, reason), (0, Reason::StickTable));
}

#[test]
fn no_algorithm_allocates() {
    let uri = HashInput::uri;
    assert_balance_allocates_nothing("round robin", backend().balance(RoundRobin::new()));
    assert_balance_allocates_nothing("static", backend().balance(StaticRoundRobin::new()));
    assert_balance_allocates_nothing("least", backend().balance(LeastConnections::new()));
    assert_balance_allocates_nothing("first", backend().balance(FirstFree::new()));
    let random = || Random::seeded(7).draws(3);
    assert_balance_allocates_nothing("random", backend().balance(random()));
    let bounded = random().balance_factor(150);
    assert_balance_allocates_nothing("random, bounded", backend().balance(bounded));
    assert_balance_allocates_nothing("map", backend().balance(MapHash::new(uri())));
    assert_balance_allocates_nothing("ring", backend().balance(ConsistentHash::new(uri())));
    let absent = || HashInput::header("x-absent");
    assert_balance_allocates_nothing("map, no key", backend().balance(MapHash::new(absent())));
    assert_balance_allocates_nothing(
        "ring, no key",
        backend().balance(ConsistentHash::new(absent())),
    );
}
