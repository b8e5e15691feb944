//! Promise: a number out of range is refused wherever it comes from, with what was found and
//! what is allowed; a farm too large for its algorithm is refused with the memory it would
//! take, before that is taken.

#![cfg(feature = "haproxy")]

use stickroute::haproxy::{Configuration, ProxyId, Runtime};
use stickroute::{
    Backend, BackendBuilder, ConfigError, ConsistentHash, HashInput, MapHash, Now, Problem, Random,
    Selector, SelectorError, Server, StaticRoundRobin, UpdateError, Weight, WeightChange,
};

const FARM: u32 = 100_000;

/// So many servers, of weights that go round these.
fn servers(count: u32, weights: &'static [u32]) -> impl Iterator<Item = Server> {
    (1..=count).zip(weights.iter().cycle()).map(|(n, &weight)| {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        Server::new(format!("s{n}"), address).weight(weight)
    })
}

fn builder(selector: impl Selector + 'static) -> BackendBuilder {
    Backend::builder("be").balance(selector)
}

fn ring() -> ConsistentHash {
    ConsistentHash::new(HashInput::source())
}

/// Of a ring: 8 to 10 bytes a point.
fn assert_too_many_points(error: &SelectorError, expected: u64, allowed: u64) {
    match *error {
        SelectorError::TooManyPoints {
            points,
            limit,
            bytes,
        } => {
            assert_eq!((points, limit), (expected, allowed));
            assert!((8 * points..=10 * points + 64).contains(&bytes), "{error}");
        }
        _ => panic!("{error}"),
    }
}

fn too_many_slots(slots: u64, limit: u64) -> SelectorError {
    SelectorError::TooManySlots {
        slots,
        limit,
        bytes: slots * 4,
    }
}

fn refused(built: Result<Backend, ConfigError>) -> SelectorError {
    match built.unwrap_err().problems() {
        [Problem::Selector(error)] => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_farm_too_large_for_its_algorithm_is_refused_with_the_memory_it_would_take() {
    const POINTS: u64 = FARM as u64 * 256 * 16;
    let large = || servers(FARM, &[256]);
    let error = refused(builder(ring()).servers(large()).build());
    assert_too_many_points(&error, POINTS, 1 << 24);
    let told = "the ring would have 409600000 points in 3813670988 bytes of memory; 16777216 points are allowed";
    assert_eq!(error.to_string(), told);
    let random = builder(Random::seeded(1)).servers(large()).build();
    assert_eq!(refused(random), error);
    // Raised, but not by enough: the limit is the caller's.
    let raised = ring().max_points(409_599_999);
    let raised = builder(raised).servers(large()).build();
    assert_too_many_points(&refused(raised), POINTS, 409_599_999);

    // Equal weights have all of it in common: a slot each.
    assert!(
        builder(MapHash::new(HashInput::source()))
            .servers(large())
            .build()
            .is_ok()
    );
    let uneven = || servers(FARM, &[255, 256]);
    let default = too_many_slots(25_550_000, 1 << 24);
    assert_eq!(
        default.to_string(),
        "the map would have 25550000 slots in 102200000 bytes of memory; 16777216 slots are allowed"
    );
    let map = builder(MapHash::new(HashInput::source()));
    assert_eq!(refused(map.servers(uneven()).build()), default);
    let turns = builder(StaticRoundRobin::new());
    assert_eq!(refused(turns.servers(uneven()).build()), default);
}

/// What a change is refused with; the backend is as it was.
fn change_refused(
    backend: &Backend,
    change: impl FnOnce(&mut stickroute::Update<'_>) -> Result<(), UpdateError>,
) -> SelectorError {
    let before = format!("{:?}", backend.farm());
    let error = match backend.update(change) {
        Err(UpdateError::Selector(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(format!("{:?}", backend.farm()), before);
    error
}

#[test]
fn a_change_that_makes_it_too_large_is_refused_and_one_that_does_not_is_made() {
    // Room for 4 units of weight.
    let backend = builder(ring().max_points(64)).servers(servers(2, &[2]));
    let backend = backend.build().unwrap();
    let weight = |n| WeightChange::To(Weight::new(n).unwrap());
    let error = change_refused(&backend, |it| {
        it.add(Server::new("s3", "[::1]:1")).map(drop)
    });
    assert_too_many_points(&error, 80, 64);
    let error = change_refused(&backend, |it| it.set_weight("s1", weight(256)));
    assert_too_many_points(&error, 258 * 16, 64);
    let mut large = servers(FARM, &[256]).skip(2);
    let error = change_refused(&backend, |it| {
        large.try_for_each(|one| it.add(one).map(drop))
    });
    assert_too_many_points(&error, (99_998 * 256 + 4) * 16, 64);

    let runtime = Runtime::new(Now::system()).backend(ProxyId::Given(2), &backend);
    let order = |line: &str| runtime.answer(line.as_bytes(), Now::system()).into_text();
    let answer = order("set weight be/s1 3");
    assert!(answer.contains("80 points in"), "{answer:?}");
    assert_eq!(backend.server("s1").unwrap().status().weight().get(), 2);
    assert_eq!(order("set weight be/s2 1").trim(), "");
    assert_eq!(order("set weight be/s1 3").trim(), "");

    let backend = builder(MapHash::new(HashInput::source()).max_slots(2));
    let backend = backend.servers(servers(2, &[5])).build().unwrap();
    let odd = Server::new("s3", "[::1]:1").weight(1);
    let error = change_refused(&backend, |it| it.add(odd).map(drop));
    assert_eq!(error, too_many_slots(11, 2));
}

#[test]
fn the_limits_hold_for_configurations_too() {
    let text = |balance: &str, count: u32| {
        let servers = (1..=count).map(|n| {
            let weight = 256 - n % 2;
            format!(" server s{n} 127.0.0.1:80 weight {weight}\n")
        });
        let servers: String = servers.collect();
        format!("backend be\n mode http\n balance {balance}\n{servers}")
    };
    let read = |text: String| Configuration::parse("a.cfg", text).unwrap();
    let error = |configuration: &Configuration| configuration.build().unwrap_err().to_string();
    let large = read(text("source\n hash-type consistent", FARM));
    let error_of_large = error(&large);
    assert!(error_of_large.contains("a.cfg:1"), "{error_of_large}");
    assert!(
        error_of_large.contains("408800000 points in 3807270988 bytes"),
        "{error_of_large}"
    );
    let large = read(text("static-rr", FARM));
    assert!(error(&large).contains("25550000 slots in 102200000 bytes"));

    for (balance, points, slots) in [
        ("source\n hash-type consistent", 511 * 16, 0),
        ("random", 511 * 16, 0),
        ("source", 0, 511),
        ("static-rr", 0, 511),
    ] {
        let small = read(text(balance, 2));
        let with = |points, slots| small.routing().max_points(points).max_slots(slots).build();
        assert!(with(points, slots).is_ok(), "{balance}");
        let tight = with(points.saturating_sub(1), slots.saturating_sub(1));
        let error = tight.unwrap_err().to_string();
        assert!(error.contains("are allowed"), "{balance}: {error}");
    }
}

#[test]
fn weights_ids_and_factors_are_refused_by_the_builder() {
    let text = |server: Server| {
        let built = Backend::builder("be").server(server).build();
        built.unwrap_err().to_string()
    };
    let server = || Server::new("s1", "127.0.0.1:1");
    for weight in [257, u32::MAX] {
        let found = text(server().weight(weight));
        assert!(
            found.ends_with(&format!("weight {weight}; expected 0 to 256")),
            "{found}"
        );
    }
    for id in [0, 1 << 31, u32::MAX] {
        let found = text(server().id(id));
        assert!(
            found.ends_with(&format!("id {id}; expected 1 to 2147483647")),
            "{found}"
        );
    }
    for factor in [1, 99, 100] {
        let refusal = SelectorError::BalanceFactor { found: factor };
        let hash = builder(ring().balance_factor(factor)).server(server());
        assert_eq!(refused(hash.build()), refusal);
        let random = Random::seeded(1).balance_factor(factor);
        assert_eq!(refused(builder(random).server(server()).build()), refusal);
    }
    for factor in [0, 101, u32::MAX] {
        let hash = builder(ring().balance_factor(factor)).server(server());
        assert!(hash.build().is_ok());
    }
}

#[test]
fn weights_and_ids_are_refused_by_an_update() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "127.0.0.1:1"))
        .build()
        .unwrap();
    let before = format!("{:?}", backend.farm());
    let server = || Server::new("s2", "127.0.0.1:1");
    for (server, expected) in [
        (server().weight(257), "weight 257; expected 0 to 256"),
        (server().id(0), "id 0; expected 1 to 2147483647"),
        (
            server().id(1 << 31),
            "id 2147483648; expected 1 to 2147483647",
        ),
        (server().id(1), "\"s1\" and \"s2\" both have id 1"),
        (
            Server::new("s1", "127.0.0.1:2"),
            "two servers are named \"s1\"",
        ),
        (Server::new("s2", "127.0.0.1:99999"), "99999"),
    ] {
        let error = backend.update(|change| change.add(server)).unwrap_err();
        assert!(matches!(error, UpdateError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(format!("{:?}", backend.farm()), before);
    // The change takes nothing but weights, so a number fails before it.
    let weight = Weight::try_from(257).unwrap_err();
    assert_eq!(weight.to_string(), "257 is out of range; expected 0 to 256");
}

#[test]
fn weights_ids_and_factors_are_refused_in_configurations_with_their_place() {
    for (line, place, expected) in [
        ("server s1 127.0.0.1:1 weight 257", "a.cfg:3:31", "256"),
        ("server s1 127.0.0.1:1 weight -1", "a.cfg:3:31", "256"),
        (
            "server s1 127.0.0.1:1 id 0",
            "a.cfg:3:27",
            "1 to 2147483647",
        ),
        (
            "server s1 127.0.0.1:1 id 2147483648",
            "a.cfg:3:27",
            "1 to 2147483647",
        ),
        ("hash-balance-factor 1", "a.cfg:3:22", "100"),
        ("hash-balance-factor 100", "a.cfg:3:22", "100"),
        ("hash-balance-factor -1", "a.cfg:3:22", "0 to"),
    ] {
        let text = format!("backend be\n mode http\n {line}\n server s9 127.0.0.1:9\n");
        let error = Configuration::parse("a.cfg", text).unwrap_err().to_string();
        assert!(error.contains(place), "{line}: {error}");
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn weights_are_refused_by_runtime_commands() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "127.0.0.1:1").weight(2))
        .build()
        .unwrap();
    let runtime = Runtime::new(Now::system()).backend(ProxyId::Given(2), &backend);
    for (weight, expected) in [
        (
            "257",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        (
            "-1",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        (
            "4294967297",
            "Absolute weight can only be between 0 and 256 inclusive.",
        ),
        ("-5%", "Relative weight must be positive."),
        ("x", "Empty weight string empty or preceded by garbage"),
        ("1x", "Trailing garbage in weight string"),
        ("", "Require <weight> or <weight%>."),
    ] {
        for command in ["set weight be/s1", "set server be/s1 weight"] {
            let line = format!("{command} {weight}");
            let answer = runtime.answer(line.as_bytes(), Now::system()).into_text();
            assert_eq!(answer.trim(), expected, "{line}");
            assert_eq!(backend.server("s1").unwrap().status().weight().get(), 2);
        }
    }
}
