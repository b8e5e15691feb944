//! How many instructions does an operation on a stick table take, and how many a whole
//! selection? P9.
//!
//! ```sh
//! CARGO_PROFILE_BENCH_LTO=fat CARGO_PROFILE_BENCH_CODEGEN_UNITS=1 \
//!     cargo bench --bench instructions
//! ```
//!
//! Counts do not depend on the machine or on what else it does, so unlike times they can
//! be bounds that must hold. It needs `valgrind`, which runs this program again for each
//! task, twice: the difference between many and twice as many is that of the task, with
//! the loop around it and the making of its key or request. A selection is counted with the
//! giving back of its slot: by cookie, by round robin, by consistent hash.

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Duration;

use stickroute::{
    Backend, BackendBuilder, ConsistentHash, CookiePolicy, HashInput, HeaderVisitor, Key, KeyType,
    Now, Reason, Request, Server, StickTable, TableServer,
};

/// What is counted, and the most it may take: for the first what the project set itself,
/// for the others a tenth more than what they took when this was written.
const TASKS: [(&str, u64); 8] = [
    ("hit ip", 85),
    ("hit ipv6", 245),
    ("hit string", 350),
    ("miss ip", 60),
    ("insert ip", 560),
    ("select cookie", 940),
    ("select turn", 525),
    ("select ring", 685),
];
const REPEATS: u64 = 100_000;
/// A constant, as in the race with other tables: to convert a time takes ten more.
const NOW: Now = Now::new(Duration::from_millis(1_500), Duration::ZERO);
const SIZE: u32 = 10_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, task, repeats] = &words[..]
        && let Ok(repeats) = repeats.parse()
    {
        perform(task, repeats);
        return ExitCode::SUCCESS;
    }
    let mut code = ExitCode::SUCCESS;
    for (task, limit) in TASKS {
        let tenths = (count(task, 2 * REPEATS) - count(task, REPEATS)) * 10 / REPEATS;
        let holds = tenths <= 10 * limit;
        let verdict = if holds { "PASS" } else { "MISS" };
        let (whole, tenth) = (tenths / 10, tenths % 10);
        println!("{task:<13} {whole:>5}.{tenth} instructions (<= {limit}) {verdict}");
        if !holds {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Instructions of a whole run of this program.
fn count(task: &str, repeats: u64) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([task, &repeats.to_string()])
        .output()
        .expect("valgrind is installed");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let count = report
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let count = count.and_then(|(_, count)| count.parse().ok());
    count.expect("callgrind reports a count")
}

fn perform(task: &str, repeats: u64) {
    let numbers = (0..SIZE / 10 * 8).map(|i| i.wrapping_mul(0x9e37_79b1));
    match task {
        "hit ip" => find(KeyType::Ip, &numbers.collect::<Vec<_>>(), repeats, |n| {
            Key::Ip((*n).into())
        }),
        "hit ipv6" => {
            let keys: Vec<u128> = numbers
                .map(|n| u128::from(n) << 64 | u128::from(!n))
                .collect();
            find(KeyType::Ipv6, &keys, repeats, |n| Key::Ipv6((*n).into()));
        }
        "hit string" => {
            let keys: Vec<String> = numbers
                .map(|n| format!("session-{n:08x}-{n:08x}"))
                .collect();
            find(KeyType::STRING, &keys, repeats, |text| {
                Key::string(text.as_bytes())
            });
        }
        "miss ip" => miss(repeats),
        "insert ip" => insert(repeats),
        "select cookie" => {
            let backend = farm().cookie(CookiePolicy::insert("SRVID"));
            select(backend, Some(HEADER), Reason::Cookie, repeats);
        }
        "select turn" => select(farm(), None, Reason::Balance, repeats),
        "select ring" => {
            let by_uri = ConsistentHash::new(HashInput::uri());
            select(farm().balance(by_uri), None, Reason::Balance, repeats);
        }
        _ => panic!("no task {task}"),
    }
}

fn table(key_type: KeyType) -> (StickTable, TableServer) {
    let table = StickTable::builder(key_type).size(SIZE.into());
    let table = table.expire(Duration::from_secs(3_600)).build();
    let table = table.expect("a good table");
    let server = table.server(1, None).expect("a small id");
    (table, server)
}

/// Finds keys in a table that is filled to 80 %.
#[inline(never)]
fn find<'k, K>(key_type: KeyType, keys: &'k [K], repeats: u64, key: impl Fn(&'k K) -> Key<'k>) {
    let (table, server) = table(key_type);
    for it in keys {
        let _ = table.set(&key(it), server, NOW).expect("room");
    }
    let (mut sum, mut left) = (0, repeats as usize);
    while left > 0 {
        let pass = left.min(keys.len());
        for it in &keys[..pass] {
            let entry = table.lookup(&key(it), NOW);
            sum += u64::from(entry.map_or(0, |entry| entry.server_id()));
        }
        left -= pass;
    }
    assert_eq!(sum, repeats);
}

/// Looks for keys that a full table does not have.
#[inline(never)]
fn miss(repeats: u64) {
    let (table, _) = full();
    for n in 0..repeats as u32 {
        let key = Key::Ip(black_box(n).wrapping_mul(0x9e37_79b1).into());
        assert!(table.lookup(&key, NOW).is_none());
    }
}

/// Stores keys that a full table does not have, which evicts as many.
#[inline(never)]
fn insert(repeats: u64) {
    let (table, server) = full();
    for n in 0..repeats as u32 {
        let key = Key::Ip(black_box(n).wrapping_mul(0x9e37_79b1).into());
        let stored = table.set(&key, server, NOW);
        assert!(stored.is_ok());
    }
    assert_eq!(table.len(), SIZE as usize);
}

fn full() -> (StickTable, TableServer) {
    let (table, server) = table(KeyType::Ip);
    for n in 0..SIZE {
        let key = Key::Ip((!n).wrapping_mul(0x9e37_79b1).into());
        let _ = table.set(&key, server, NOW).expect("room");
    }
    (table, server)
}

/// What a browser sends to a shop: eight cookies, ours the last.
const HEADER: &[u8] = b"_ga=GA1.1.1234567890.1700000000; _gcl_au=1.1.1893745.1700000001; \
    consent=analytics:1|ads:0; csrf=8b1a9953c4611296a827abf8c47804d7; theme=dark; \
    lang=en-GB; cart=3f9d2c71; SRVID=app7";

/// A request whose bytes lie ready.
struct Ready {
    cookie: Option<&'static [u8]>,
    target: [u8; 8],
}

impl Request for Ready {
    fn target(&self) -> &[u8] {
        &self.target
    }

    fn visit_headers<'a>(&'a self, name: &str, visit: HeaderVisitor<'_, 'a>) {
        if let (true, Some(cookie)) = (name == "cookie", self.cookie) {
            let _ = visit(cookie);
        }
    }
}

fn farm() -> BackendBuilder {
    let server = |n| Server::new(format!("app{n}"), "127.0.0.1:80").cookie(format!("app{n}"));
    Backend::builder("be").servers((0..10).map(server))
}

/// Selects a server and gives its slot back.
#[inline(never)]
fn select(backend: BackendBuilder, cookie: Option<&'static [u8]>, expected: Reason, repeats: u64) {
    let backend = backend.build().expect("a good configuration");
    for n in 0..repeats {
        let target = black_box(n).to_be_bytes();
        let request = Ready { cookie, target };
        let selection = backend.select(&request, NOW).expect("a server");
        assert_eq!(selection.reason(), expected);
        assert!(cookie.is_none() || selection.server().name() == "app7");
    }
}
