//! What does a routing decision cost, by kind of persistence and by algorithm? And what
//! does a change of the farm cost? Every answer is checked, so that no figure stands for
//! work that was not done.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stickroute::{
    AdminState, Backend, BackendBuilder, ConsistentHash, CookiePolicy, HashInput, HeaderVisitor,
    MapHash, Now, Reason, Request, Selector, Server, StaticRoundRobin,
};

const NOW: Now = Now::new(
    std::time::Duration::from_secs(1),
    std::time::Duration::from_secs(1_800_000_000),
);

/// A request whose bytes lie ready, so that only the library is measured.
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

fn backend(servers: usize) -> BackendBuilder {
    let server = |n: usize| {
        let address = format!("10.0.{}.{}:80", n / 256, n % 256);
        Server::new(format!("s{n}"), address).cookie(format!("s{n}"))
    };
    Backend::builder("be")
        .servers((0..servers).map(server))
        .cookie(CookiePolicy::insert("SRVID"))
}

fn by_cookie(c: &mut Criterion) {
    let backend = backend(10).build().expect("good");
    let long = format!("{}; SRVID=s7", "tracker=0123456789abcdef".repeat(40));
    let headers = [
        ("alone", "SRVID=s7"),
        (
            "last of five",
            "a=1; theme=dark; csrf=8b1a9953c46112; lang=en; SRVID=s7",
        ),
        ("after 1 kB", long.as_str()),
        ("quoted neighbour", "theme=\"dark; blue\"; SRVID=s7"),
    ];
    let mut group = c.benchmark_group("select by cookie");
    for (name, header) in headers {
        let request = Ready {
            cookie: Some(header.as_bytes()),
            target: b"/",
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let selection = backend.select(black_box(&request), NOW).expect("a server");
                assert_eq!(selection.reason(), Reason::Cookie);
                assert_eq!(selection.server().name(), "s7");
            });
        });
    }
    group.finish();
}

fn by_algorithm(c: &mut Criterion) {
    let mut group = c.benchmark_group("select by algorithm");
    for servers in [10, 100, 1_000] {
        let algorithms: [(&str, Backend); 4] = [
            ("roundrobin", backend(servers).build().expect("good")),
            ("static-rr", built(servers, StaticRoundRobin::new())),
            ("uri map", built(servers, MapHash::new(HashInput::uri()))),
            (
                "uri ring",
                built(servers, ConsistentHash::new(HashInput::uri())),
            ),
        ];
        for (name, backend) in algorithms {
            let request = Ready {
                cookie: None,
                target: b"/shop/cart?item=17",
            };
            group.bench_function(BenchmarkId::new(name, servers), |b| {
                b.iter(|| {
                    let selection = backend.select(black_box(&request), NOW).expect("a server");
                    assert_eq!(selection.reason(), Reason::Balance);
                });
            });
        }
    }
    group.finish();
}

fn built(servers: usize, selector: impl Selector + 'static) -> Backend {
    backend(servers).balance(selector).build().expect("good")
}

/// A server drained and made ready again: two snapshots.
fn changes(c: &mut Criterion) {
    let mut group = c.benchmark_group("drain and ready");
    for servers in [10, 100, 1_000] {
        let algorithms: [(&str, Backend); 3] = [
            ("roundrobin", backend(servers).build().expect("good")),
            ("uri map", built(servers, MapHash::new(HashInput::uri()))),
            (
                "uri ring",
                built(servers, ConsistentHash::new(HashInput::uri())),
            ),
        ];
        for (name, backend) in algorithms {
            group.bench_function(BenchmarkId::new(name, servers), |b| {
                b.iter(|| {
                    for state in [AdminState::Drain, AdminState::Ready] {
                        backend.set_admin_state("s3", state).expect("a server");
                    }
                });
            });
            let farm = backend.farm();
            assert_eq!(farm.serving().count as usize, servers);
        }
    }
    group.finish();
}

criterion_group!(benches, by_cookie, by_algorithm, changes);
criterion_main!(benches);
