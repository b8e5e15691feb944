//! What does the ring cost beside pingora-ketama? Targets P13 to P15.
//!
//! Both sides have 1600 points a server and are given the four bytes of a client's
//! IPv4 address; each hashes them its own way: pingora-ketama with CRC-32, stickroute
//! with `full_hash`, as HAProxy does for `balance source`.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use pingora_ketama::{Bucket, Continuum, DEFAULT_POINT_MULTIPLE};
use stickroute::hash::full_hash;
use stickroute::{ConsistentHashRing, RingChange, RingKey};
use stickroute_rivals::{Race, Target, key};

const POINTS: u32 = 1600;
const SIZES: [u32; 3] = [10, 100, 1000];

fn main() {
    for servers in SIZES {
        let limit = if servers < 1000 { 0.45 } else { 0.35 };
        lookup(servers, limit);
        build(servers);
        out_and_in(servers);
    }
}

/// P13: the server of a key, both with keys that follow each other freely and with keys
/// that each wait for the answer before.
fn lookup(servers: u32, ratio: f64) {
    let (ring, continuum) = (ring_of(servers), Continuum::new(&buckets(1..=servers)));
    let ours = |key| ring.lookup(full_hash(key)).unwrap_or(0);
    let theirs = |key: u32| {
        let address = continuum.node(&key.to_be_bytes());
        address.map_or(0, |address| u32::from(address.port()))
    };
    let free = Race::new()
        .contender("stickroute", |n| ask::<false>(n, servers, ours))
        .contender("pingora-ketama", |n| ask::<false>(n, servers, theirs))
        .run();
    let waiting = Race::new()
        .contender("stickroute", |n| ask::<true>(n, servers, ours))
        .contender("pingora-ketama", |n| ask::<true>(n, servers, theirs))
        .run();
    let target = Target { id: "P13", ratio };
    for (mode, times) in [("throughput", free), ("dependent", waiting)] {
        let what = format!("lookup, {servers} servers, {mode}");
        target.judge(&what, times[0], times[1]);
    }
}

/// Looks up `n` keys and sums up their servers, each of which must exist.
fn ask<const DEPENDENT: bool>(n: u64, servers: u32, server: impl Fn(u32) -> u32) -> u64 {
    let (mut sum, mut all_valid) = (0u64, true);
    for i in 0..n {
        let waits_for = if DEPENDENT { sum } else { 0 };
        let server = server(key(i.wrapping_add(waits_for)));
        all_valid &= (1..=servers).contains(&server);
        sum += u64::from(server);
    }
    assert!(all_valid, "a server that does not exist");
    sum
}

/// P14: a ring of all servers from nothing.
fn build(servers: u32) {
    let (changes, buckets) = (changes(servers), buckets(1..=servers));
    let times = Race::new()
        .contender("stickroute", |n| {
            repeat(n, || {
                let ring = ConsistentHashRing::new().with_changes(black_box(&changes));
                let ring = black_box(ring.expect("within the limit"));
                assert_eq!(ring.point_count() as u32, servers * POINTS);
                ring.lookup(0).is_some()
            })
        })
        .contender("pingora-ketama", |n| {
            repeat(n, || {
                let continuum = black_box(Continuum::new(black_box(&buckets)));
                continuum.node(b"0").is_some()
            })
        })
        .run();
    let what = format!("build, {servers} servers");
    let target = Target {
        id: "P14",
        ratio: 1.0,
    };
    target.judge(&what, times[0], times[1]);
}

/// P15: one server out and back in.
fn out_and_in(servers: u32) {
    let ring = ring_of(servers);
    let leaving = servers / 2;
    let out = [RingChange::Remove { node: leaving }];
    let back = [change(leaving)];
    let all = buckets(1..=servers);
    let others = buckets((1..=servers).filter(|&server| server != leaving));
    let (mut ours, mut theirs) = (ring.clone(), Continuum::new(&all));
    let times = Race::new()
        .contender("stickroute", |n| {
            repeat(n, || {
                ours.apply(black_box(&out)).expect("fewer points");
                ours.apply(black_box(&back)).expect("within the limit");
                black_box(&ours).lookup(0).is_some()
            })
        })
        .contender("pingora-ketama", |n| {
            repeat(n, || {
                theirs = black_box(Continuum::new(black_box(&others)));
                theirs = black_box(Continuum::new(black_box(&all)));
                theirs.node(b"0").is_some()
            })
        })
        .run();
    let target = Target {
        id: "P15",
        ratio: 0.15,
    };
    let what = format!("one out and back in, {servers} servers");
    target.judge(&what, times[0], times[1]);
    count_needless_moves(&ring, leaving);
}

/// Keys that move although their server stays, or do not come back with it.
fn count_needless_moves(ring: &ConsistentHashRing, leaving: u32) {
    let without = ring.with_changes(&[RingChange::Remove { node: leaving }]);
    let without = without.expect("smaller");
    let with = without.with_changes(&[change(leaving)]).expect("as before");
    let needless = (0..1_000_000)
        .map(key)
        .filter(|&key| {
            let before = ring.lookup(key);
            let stayed = before == Some(leaving) || without.lookup(key) == before;
            !stayed || with.lookup(key) != before
        })
        .count();
    println!("P15  needless moves among 1000000 keys: {needless}");
    assert_eq!(needless, 0);
}

fn repeat(n: u64, mut task: impl FnMut() -> bool) -> u64 {
    (0..n).filter(|_| task()).count() as u64
}

fn change(server: u32) -> RingChange {
    RingChange::Set {
        node: server,
        key: RingKey::id(server),
        points: POINTS,
    }
}

fn changes(servers: u32) -> Vec<RingChange> {
    (1..=servers).map(change).collect()
}

fn ring_of(servers: u32) -> ConsistentHashRing {
    ConsistentHashRing::new()
        .with_changes(&changes(servers))
        .expect("within the limit")
}

/// The same servers for pingora-ketama, each known by its port.
fn buckets(servers: impl Iterator<Item = u32>) -> Vec<Bucket> {
    servers
        .map(|server| {
            let address = Ipv4Addr::new(10, 0, (server >> 8) as u8, server as u8);
            let address = SocketAddr::from((address, server as u16));
            Bucket::new(address, POINTS / DEFAULT_POINT_MULTIPLE)
        })
        .collect()
}
