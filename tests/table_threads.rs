//! Promise: many threads may use a stick table at once. It never holds more than its
//! size, loses no entry that nobody removed, and never gives a key another's server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use stickroute::{Key, KeyType, Now, StickTable, TableServer};

const THREADS: u32 = 4;

fn at(milliseconds: u64) -> Now {
    Now::new(Duration::from_millis(milliseconds), Duration::ZERO)
}

/// Keys whose halves and words all differ, so that a mixture of two shows.
fn key(key_type: KeyType, n: u32) -> Key<'static> {
    let n = n.wrapping_mul(0x9e37_79b1);
    match key_type {
        KeyType::Ip => Key::Ip(n.into()),
        KeyType::Ipv6 => Key::Ipv6((u128::from(n) * 0x1_0000_0001_0000_0001_0000_0001).into()),
        _ => Key::string(format!("{n:08x}").repeat(3).as_bytes()).into_owned(),
    }
}

/// The one server that each key may have.
fn server_of(n: u32) -> u32 {
    n % 1_000 + 1
}

fn table(key_type: KeyType, size: u64) -> (Arc<StickTable>, Vec<TableServer>) {
    let expire = Duration::from_millis(20);
    let table = StickTable::builder(key_type).size(size).expire(expire);
    let table = table.build().unwrap();
    let servers = (0..=1_000).map(|id| table.server(id, None).unwrap());
    let servers = servers.collect();
    (Arc::new(table), servers)
}

#[test]
fn a_key_never_has_the_server_of_another_and_the_bound_holds() {
    for (key_type, size) in [
        (KeyType::Ip, 3),
        (KeyType::Ip, 5_000),
        (KeyType::Ipv6, 3),
        (KeyType::STRING, 60),
    ] {
        let (table, servers) = table(key_type, size);
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (table, servers) = (&table, &servers);
                scope.spawn(move || churn(table, key_type, servers, seed));
            }
        });
        assert!(table.len() <= size as usize);
        for entry in table.entries(at(0)) {
            let again = table.peek(&entry.key, at(0)).unwrap();
            assert_eq!(again.server_id(), entry.entry.server_id());
        }
    }
}

/// Looks up, stores and removes keys of a range somewhat larger than the table.
fn churn(table: &Arc<StickTable>, key_type: KeyType, servers: &[TableServer], seed: u32) {
    let mut random = seed + 1;
    let range = table.size() as u32 * 3 / 2 + 2;
    for step in 0..30_000u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let n = (random >> 8) % range;
        let (key, now) = (key(key_type, n), at(u64::from(step) / 300));
        match random >> 4 & 15 {
            0 => drop(table.remove(&key, now)),
            1 => drop(table.hold(&key, now)),
            2 => drop(table.maintain(now, 64)),
            3..=7 => drop(table.set(&key, servers[server_of(n) as usize], now)),
            _ => {
                let id = table.lookup(&key, now).map_or(0, |entry| entry.server_id());
                // 0 when `hold` has made the entry.
                assert!(id == 0 || id == server_of(n), "{n} has server {id}");
            }
        }
        assert!(table.len() <= table.size());
    }
}

#[test]
fn no_entry_is_lost_while_there_is_room() {
    for key_type in [KeyType::Ip, KeyType::STRING] {
        let (table, servers) = table(key_type, 8_000);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let (table, servers, done) = (&table, &servers, &done);
            scope.spawn(move || {
                // Removes and restores keys of its own, to disturb the others.
                for n in (7_000..8_000u32).cycle() {
                    let key = key(key_type, n);
                    let _ = table.set(&key, servers[1], at(0)).unwrap();
                    table.remove(&key, at(0));
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
            let writers: Vec<_> = (0..THREADS - 1)
                .map(|part| scope.spawn(move || fill(table, key_type, servers, part)))
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Relaxed);
        });
        assert_eq!(table.len(), 6_000);
    }
}

/// Stores keys of its own and finds all of them ever after.
fn fill(table: &StickTable, key_type: KeyType, servers: &[TableServer], part: u32) {
    let keys = part * 2_000..(part + 1) * 2_000;
    for n in keys.clone() {
        let server = servers[server_of(n) as usize];
        let _ = table.set(&key(key_type, n), server, at(0)).unwrap();
        for known in [keys.start, keys.start.midpoint(n), n] {
            let entry = table.lookup(&key(key_type, known), at(0));
            assert_eq!(entry.map(|entry| entry.server_id()), Some(server_of(known)));
        }
    }
}
