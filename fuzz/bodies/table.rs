//! A stick table beside a naive twin. The first four bytes are the type of the keys, the
//! size, the lifetime and whether old entries may be evicted; then follow steps of three
//! bytes: what, to which key, with which number.

use std::sync::Arc;
use std::time::Duration;

use stickroute::{Held, Key, KeyType, Now, Removal, Reservation, StickTable, StoreError, Stored};

pub(crate) fn check(data: &[u8]) {
    let Some(([key_type, size, expire, evicts], steps)) = data.split_first_chunk::<4>() else {
        return;
    };
    let key_type = [
        KeyType::Ip,
        KeyType::Integer,
        KeyType::Ipv6,
        KeyType::String(5),
        KeyType::String(20),
        KeyType::Binary(9),
    ][usize::from(*key_type) % 6];
    let mut builder = StickTable::builder(key_type)
        .size(u64::from(*size) % 12 + 1)
        .expire(Duration::from_millis(u64::from(*expire)))
        .hash_seed(u64::from(*size));
    if evicts % 2 == 1 {
        builder = builder.nopurge();
    }
    let mut pair = Pair {
        table: Arc::new(builder.build().expect("a good table")),
        twin: Twin {
            size: usize::from(*size) % 12 + 1,
            expire: u64::from(*expire),
            evicts: evicts % 2 == 0,
            entries: Vec::new(),
            reserved: 0,
        },
        held: Vec::new(),
        reserved: Vec::new(),
        now: 1,
    };
    for [what, key, number] in steps.as_chunks::<3>().0 {
        pair.step(*what, key % 16, *number);
        pair.compare();
    }
}

/// Keys that are all different, some of them by little: zero, all ones, beginnings of
/// each other.
fn key(key_type: KeyType, id: u8) -> Key<'static> {
    let text = b"aaaaaaaaaaaaaaaaaaaa";
    let number = [0, u32::MAX, 1, 1 << 31][usize::from(id) % 4] ^ u32::from(id / 4) << 8;
    match key_type {
        KeyType::Ip => Key::Ip(number.into()),
        KeyType::Integer => Key::Integer(number),
        KeyType::Ipv6 => Key::Ipv6((u128::from(number) << (32 * (id % 4))).into()),
        KeyType::String(20) => Key::string(&text[..usize::from(id)]),
        KeyType::String(_) => Key::string(&text[..usize::from(id) % 6]),
        KeyType::Binary(_) => {
            Key::binary(&[[0; 8], [255; 8]].as_flattened()[usize::from(id) % 9..][..8]).into_owned()
        }
    }
    .into_owned()
}

/// What a key is to the table: those with the same text, cut or filled up, are one.
fn name(key_type: KeyType, id: u8) -> String {
    let text = key(key_type, id).to_string();
    match key_type {
        KeyType::String(length) => text[..text.len().min(length)].into(),
        KeyType::Binary(length) => format!("{text:0<width$}", width = 2 * length),
        _ => text,
    }
}

/// Entries in the order of their last touches. Every question looks at all of them.
struct Twin {
    size: usize,
    expire: u64,
    evicts: bool,
    entries: Vec<TwinEntry>,
    reserved: usize,
}

struct TwinEntry {
    name: String,
    server: u32,
    touched: u64,
    holds: u32,
}

impl Twin {
    fn is_live(&self, entry: &TwinEntry, now: u64) -> bool {
        entry.holds > 0 || self.expire == 0 || now - entry.touched < self.expire
    }

    fn live(&self, name: &str, now: u64) -> Option<usize> {
        let is_it = |entry: &TwinEntry| entry.name == name && self.is_live(entry, now);
        self.entries.iter().position(is_it)
    }

    fn collect(&mut self, now: u64) -> usize {
        let before = self.entries.len();
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| self.is_live(entry, now));
        self.entries = entries;
        before - self.entries.len()
    }

    fn make_room(&mut self, now: u64) -> Result<(), StoreError> {
        if self.entries.len() + self.reserved < self.size {
            return Ok(());
        }
        if !self.evicts {
            let removed = self.collect(now);
            return if removed > 0 {
                Ok(())
            } else {
                Err(StoreError::Full)
            };
        }
        let idle = self.entries.iter().position(|entry| entry.holds == 0);
        self.entries.remove(idle.ok_or(StoreError::Full)?);
        Ok(())
    }

    fn store(&mut self, name: &str, server: Option<u32>, now: u64) -> Result<Stored, StoreError> {
        let live = self.live(name, now);
        let there = self.entries.iter().position(|entry| entry.name == name);
        if there.is_none() {
            self.make_room(now)?;
        }
        let old = there.map(|index| self.entries.remove(index));
        let old = old.filter(|_| live.is_some());
        self.entries.push(TwinEntry {
            name: name.into(),
            server: server.or(old.as_ref().map(|old| old.server)).unwrap_or(0),
            touched: now,
            holds: old.as_ref().map_or(0, |old| old.holds),
        });
        Ok(if old.is_some() {
            Stored::Updated
        } else {
            Stored::Created
        })
    }

    fn remove(&mut self, name: &str, now: u64) -> Removal {
        let live = self.live(name, now);
        let there = self.entries.iter().position(|entry| entry.name == name);
        if there.is_some_and(|index| self.entries[index].holds > 0) {
            return Removal::InUse;
        }
        there.map(|index| self.entries.remove(index));
        live.map_or(Removal::Absent, |_| Removal::Removed)
    }
}

struct Pair {
    table: Arc<StickTable>,
    twin: Twin,
    held: Vec<(String, Held)>,
    reserved: Vec<Reservation>,
    now: u64,
}

impl Pair {
    fn time(&self) -> Now {
        Now::new(Duration::from_millis(self.now), Duration::ZERO)
    }

    fn step(&mut self, what: u8, id: u8, number: u8) {
        let key_type = self.table.key_type();
        let (key, name) = (key(key_type, id), name(key_type, id));
        let (now, time, server) = (self.now, self.time(), u32::from(number) % 5);
        match what % 8 {
            0 => {
                let found = self.table.lookup(&key, time).map(|entry| entry.server_id());
                let live = self.twin.live(&name, now);
                assert_eq!(found, live.map(|index| self.twin.entries[index].server));
                let _ = live.map(|_| self.twin.store(&name, None, now));
            }
            1 => {
                let text = (server > 2).then_some("app");
                let handle = self.table.server(server, text).expect("few servers");
                let stored = self.table.set(&key, handle, time);
                assert_eq!(stored, self.twin.store(&name, Some(server), now));
            }
            2 => assert_eq!(
                self.table.insert(&key, time),
                self.twin.store(&name, None, now)
            ),
            3 => assert_eq!(self.table.remove(&key, time), self.twin.remove(&name, now)),
            4 => self.now += u64::from(number),
            5 => self.hold(&key, name, number),
            6 => self.reserve(&key, &name, number),
            _ => self.upkeep(number),
        }
    }

    fn hold(&mut self, key: &Key<'_>, name: String, number: u8) {
        if number.is_multiple_of(2) && !self.held.is_empty() {
            let (name, _held) = self.held.swap_remove(usize::from(number) % self.held.len());
            let held = self
                .twin
                .entries
                .iter_mut()
                .find(|entry| entry.name == name);
            held.expect("held entries stay").holds -= 1;
            return;
        }
        let held = self.table.hold(key, self.time());
        let stored = self.twin.store(&name, None, self.now);
        assert_eq!(held.as_ref().err(), stored.as_ref().err());
        if let Ok(held) = held {
            self.twin.entries.last_mut().expect("just stored").holds += 1;
            self.held.push((name, held));
        }
    }

    fn reserve(&mut self, key: &Key<'_>, name: &str, number: u8) {
        let reservation = if number.is_multiple_of(3) {
            None
        } else {
            self.reserved.pop()
        };
        let Some(reservation) = reservation else {
            let reserved = self.table.reserve(self.time());
            let room = self.twin.make_room(self.now);
            assert_eq!(reserved.as_ref().err(), room.as_ref().err());
            self.twin.reserved += usize::from(reserved.is_ok());
            self.reserved.extend(reserved);
            return;
        };
        self.twin.reserved -= 1;
        if number % 3 == 1 {
            let server = self.table.server(4, None).expect("a small id");
            let stored = reservation.set(key, server, self.time());
            assert_eq!(stored, self.twin.store(name, Some(4), self.now));
        }
    }

    fn upkeep(&mut self, number: u8) {
        if number.is_multiple_of(4) {
            self.table.clear();
            self.twin.entries.retain(|entry| entry.holds > 0);
        } else {
            let upkeep = self.table.maintain(self.time(), usize::MAX);
            assert!(upkeep.finished);
            assert_eq!(upkeep.removed, self.twin.collect(self.now));
        }
    }

    fn compare(&self) {
        assert_eq!(self.table.len(), self.twin.entries.len());
        assert_eq!(self.table.used(), self.table.len() + self.twin.reserved);
        assert!(self.table.used() <= self.table.size());
        let listed = self.table.entries(self.time());
        let mut listed: Vec<_> = listed
            .iter()
            .map(|listed| {
                (
                    listed.key.to_string(),
                    listed.entry.server_id(),
                    listed.uses,
                )
            })
            .collect();
        listed.sort();
        let live = self.twin.entries.iter();
        let live = live.filter(|entry| self.twin.is_live(entry, self.now));
        let mut expected: Vec<_> = live
            .map(|entry| (entry.name.clone(), entry.server, entry.holds))
            .collect();
        expected.sort();
        assert_eq!(listed, expected);
    }
}
