//! What does a routing decision cost, by kind of persistence and by algorithm? And what
//! does a change of the farm cost? Every answer is checked, so that no figure stands for
//! work that was not done.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stickroute::{
    AdminState, Backend, BackendBuilder, ConsistentHash, CookiePolicy, FarmServer, FirstFree,
    HashInput, HeaderVisitor, LeastConnections, MapHash, Now, Random, Reason, Request, Selector,
    Server, StaticRoundRobin,
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
        let algorithms: [(&str, Backend); 7] = [
            ("roundrobin", backend(servers).build().expect("good")),
            ("static-rr", built(servers, StaticRoundRobin::new())),
            ("leastconn", built(servers, LeastConnections::new())),
            ("first", built(servers, FirstFree::new())),
            ("random(2)", built(servers, Random::seeded(1))),
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

/// Least connections with sessions on all servers, a few of them full.
fn under_load(c: &mut Criterion) {
    let mut group = c.benchmark_group("select among busy servers");
    for servers in [10, 100, 1_000] {
        let limited = |n: usize| {
            let limit = if n.is_multiple_of(3) { 2 } else { 0 };
            Server::new(format!("s{n}"), "127.0.0.1:80").max_connections(limit)
        };
        let backend: Backend = Backend::builder("be")
            .servers((0..servers).map(limited))
            .balance(LeastConnections::new())
            .build()
            .expect("good");
        let request = Ready {
            cookie: None,
            target: b"/",
        };
        let select = || backend.select(black_box(&request), NOW).expect("a server");
        let mut open: Vec<_> = (0..servers * 5).map(|_| select()).collect();
        let mut oldest = 0;
        group.bench_function(BenchmarkId::new("leastconn", servers), |b| {
            b.iter(|| {
                open[oldest] = select();
                oldest = (oldest + 1) % open.len();
            });
        });
        let farm = backend.farm();
        let sessions = farm.servers().iter().map(FarmServer::in_flight);
        assert_eq!(sessions.sum::<u32>() as usize, servers * 5);
    }
    group.finish();
}

/// A server drained and made ready again: two snapshots.
fn changes(c: &mut Criterion) {
    let mut group = c.benchmark_group("drain and ready");
    for servers in [10, 100, 1_000] {
        let algorithms: [(&str, Backend); 4] = [
            ("roundrobin", backend(servers).build().expect("good")),
            ("leastconn", built(servers, LeastConnections::new())),
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

criterion_group!(benches, by_cookie, by_algorithm, under_load, changes);
criterion_main!(benches);
