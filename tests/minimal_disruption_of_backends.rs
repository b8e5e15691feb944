//! Promise: whatever is hashed and however servers are placed on the ring, exactly the keys
//! move that must, when servers of a backend come, go, or get another weight.

use std::net::{Ipv4Addr, Ipv6Addr};

use stickroute::{
    AdminState, Backend, ConsistentHash, Fetch, HashInput, Now, OperationalState, RingPlacement,
    Server, SimpleRequest, Weight, hash,
};

const KEYS: u32 = 600;

/// What is hashed, and a request that has it.
type Input = (&'static str, fn() -> HashInput, fn(u32) -> SimpleRequest);

const INPUTS: &[Input] = &[
    ("source, IPv4", HashInput::source, |key| {
        let address = Ipv4Addr::from(key.wrapping_mul(0x9e37_79b1));
        get("/").source(address.into())
    }),
    ("source, IPv6", HashInput::source, |key| {
        let low = u128::from(key.wrapping_mul(0x9e37_79b1));
        get("/").source(Ipv6Addr::from(0x2001 << 112 | low).into())
    }),
    (
        "uri",
        || HashInput::uri().into(),
        |key| get(&format!("/page/{key}?q")),
    ),
    (
        "url_param",
        || HashInput::url_param("u"),
        |key| get(&format!("/?x=1&u=user{key}")),
    ),
    (
        "hdr",
        || HashInput::header("x-key").into(),
        |key| get("/").header("X-Key", format!("key-{key}")),
    ),
    (
        "rdp-cookie",
        || HashInput::rdp_cookie("mstshash"),
        |key| {
            let cookie = format!("Cookie: mstshash=user{key}\r\n");
            let head = [3, 0, 0, 60, 55, 0xe0, 0, 0, 0, 0, 0];
            SimpleRequest::default().payload([&head, cookie.as_bytes()].concat())
        },
    ),
    (
        "hash",
        || HashInput::expression(Fetch::header("x-key")),
        |key| get("/").header("X-Key", key.to_string()),
    ),
];

const PLACEMENTS: [RingPlacement; 5] = [
    RingPlacement::Id,
    RingPlacement::Id32,
    RingPlacement::Guid,
    RingPlacement::Address,
    RingPlacement::AddressPort,
];

fn get(target: &str) -> SimpleRequest {
    SimpleRequest::new("GET", target)
}

fn server(number: u32, weight: u32) -> Server {
    let address = match number % 2 {
        0 => format!("192.0.2.{number}:80"),
        _ => format!("[2001:db8::{number}]:80"),
    };
    Server::new(format!("s{number}"), address)
        .id(number * 7)
        .guid(format!("guid-of-{number}"))
        .weight(weight)
}

/// A backend and the requests whose servers are looked at.
struct Case {
    backend: Backend,
    requests: Vec<SimpleRequest>,
    name: String,
}

impl Case {
    /// All kinds of input, each with all placements.
    fn each(check: impl Fn(&Case)) {
        for (input, hashed, request) in INPUTS {
            for placement in PLACEMENTS {
                let hash = ConsistentHash::new(hashed())
                    .function(hash::HashFunction::Djb2)
                    .avalanche(true)
                    .key(placement);
                let weights = (1..).zip([1, 3, 2, 5, 1, 4]);
                let servers = weights.map(|(number, weight)| server(number, weight));
                let builder = Backend::builder("b").servers(servers).balance(hash);
                check(&Case {
                    backend: builder.build().unwrap(),
                    requests: (0..KEYS).map(request).collect(),
                    name: format!("{input} by {placement:?}"),
                });
            }
        }
    }

    /// The server of each key.
    fn servers(&self) -> Vec<String> {
        let now = Now::system();
        let server = |request: &SimpleRequest| {
            let selection = self.backend.select(request, now).unwrap();
            selection.server().name().to_owned()
        };
        self.requests.iter().map(server).collect()
    }

    /// What has moved after a change: from where, and to where. It is something.
    fn moved(&self, change: impl FnOnce(&Backend)) -> Vec<(String, String)> {
        let before = self.servers();
        change(&self.backend);
        let pairs = before.into_iter().zip(self.servers());
        let moved: Vec<_> = pairs.filter(|(old, new)| old != new).collect();
        assert!(!moved.is_empty(), "{}", self.name);
        moved
    }

    fn keys_of(&self, server: &str) -> usize {
        let servers = self.servers();
        servers.iter().filter(|name| *name == server).count()
    }
}

#[test]
fn all_keys_of_a_server_that_leaves_move_and_come_back_with_it_and_no_other_does() {
    Case::each(|case| {
        let at_first = case.servers();
        for state in [AdminState::Drain, AdminState::Maintenance] {
            let keys = case.keys_of("s4");
            let moved = case.moved(|it| it.set_admin_state("s4", state).unwrap());
            assert!(moved.iter().all(|(old, _)| old == "s4"), "{}", case.name);
            assert_eq!(
                (moved.len(), case.keys_of("s4")),
                (keys, 0),
                "{}",
                case.name
            );
            let back = case.moved(|it| it.set_admin_state("s4", AdminState::Ready).unwrap());
            assert!(back.iter().all(|(_, new)| new == "s4"), "{}", case.name);
            assert_eq!(case.servers(), at_first, "{}", case.name);
        }
        let down = OperationalState::Stopped;
        let moved = case.moved(|it| it.set_operational_state("s2", down).unwrap());
        assert!(moved.iter().all(|(old, _)| old == "s2"), "{}", case.name);
    });
}

#[test]
fn a_server_that_is_added_takes_its_keys_from_the_others_and_gives_them_back() {
    Case::each(|case| {
        let at_first = case.servers();
        let moved = case.moved(|it| {
            it.update(|change| change.add(server(9, 6))).unwrap();
        });
        assert!(moved.iter().all(|(_, new)| new == "s9"), "{}", case.name);
        assert_eq!(moved.len(), case.keys_of("s9"), "{}", case.name);
        let back = case.moved(|it| it.update(|change| change.remove("s9")).unwrap());
        assert!(back.iter().all(|(old, _)| old == "s9"), "{}", case.name);
        assert_eq!(case.servers(), at_first, "{}", case.name);
    });
}

#[test]
fn keys_join_a_server_that_gets_heavier_and_leave_one_that_gets_lighter() {
    Case::each(|case| {
        let set = |weight| {
            let weight = Weight::new(weight).unwrap();
            move |it: &Backend| it.set_weight("s3", weight).unwrap()
        };
        let at_first = case.servers();
        let heavier = case.moved(set(12));
        assert!(heavier.iter().all(|(_, new)| new == "s3"), "{}", case.name);
        let lighter = case.moved(set(2));
        assert!(lighter.iter().all(|(old, _)| old == "s3"), "{}", case.name);
        assert_eq!(case.servers(), at_first, "{}", case.name);
        let gone = case.moved(set(0));
        assert!(gone.iter().all(|(old, _)| old == "s3"), "{}", case.name);
        assert_eq!(case.keys_of("s3"), 0, "{}", case.name);
    });
}

#[test]
fn the_order_in_which_servers_are_declared_moves_nothing() {
    let keys = |servers: Vec<Server>| {
        let hash = ConsistentHash::new(HashInput::header("x-key"));
        let builder = Backend::builder("b").servers(servers).balance(hash);
        let case = Case {
            backend: builder.build().unwrap(),
            requests: (0..KEYS).map(INPUTS[4].2).collect(),
            name: String::new(),
        };
        case.servers()
    };
    let servers = || (1..9).map(|number| server(number, number));
    assert_eq!(keys(servers().collect()), keys(servers().rev().collect()));
}
