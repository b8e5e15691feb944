//! Lines of runtime commands, as an operator or a browser that was lured sends them.

use std::time::Duration;

use stickroute::haproxy::{MAX_LINE, ProxyId, Runtime, ServerData, Wish};
use stickroute::{Backend, KeyType, Now, Server, StickTable};

/// Few, so that they are full soon.
const ENTRIES: u64 = 3;

pub(crate) fn check(data: &[u8]) {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "127.0.1.1:80"))
        .server(Server::new("s2", "/s2").weight(10))
        .build()
        .unwrap();
    let tables = [
        ("ip", KeyType::Ip),
        ("v6", KeyType::Ipv6),
        ("i", KeyType::Integer),
        ("s", KeyType::String(4)),
        ("b", KeyType::Binary(4)),
    ]
    .map(|(name, key_type)| (name, table(key_type)));
    let start = Now::new(Duration::ZERO, Duration::ZERO);
    let mut runtime = Runtime::new(start)
        .backend(ProxyId::Counted(2), &backend)
        .empty_backend(ProxyId::Given(9), "none");
    for (name, table) in &tables {
        runtime = runtime.table(name, table, ServerData::IdAndKey);
    }
    for (number, line) in data.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let time = Duration::from_secs(number as u64);
        check_line(&runtime, line, Now::new(time, time));
    }
    assert_eq!(backend.farm().servers().len(), 2);
    for (_, table) in &tables {
        assert!(table.used() as u64 <= ENTRIES);
    }
}

fn table(key_type: KeyType) -> StickTable {
    let table = StickTable::builder(key_type).size(ENTRIES);
    table.expire(Duration::from_secs(5)).build().unwrap()
}

/// Each answer ends with an empty line, says something, and asks nothing of the table
/// that the next line would not find.
fn check_line(runtime: &Runtime<'_>, line: &[u8], now: Now) {
    let answer = runtime.answer(line, now);
    if answer.wish() != Some(Wish::Quit) {
        assert!(answer.text() == "\n" || answer.text().ends_with("\n\n"));
    }
    if line.contains(&0) || line.len() > MAX_LINE + 2 {
        assert!(answer.text().contains("nothing was done"));
    }
}
