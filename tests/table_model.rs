//! Promise: a stick table finds what was stored and not touched for less than its
//! lifetime, never holds more than its size, and evicts the least recently touched.
//!
//! The table is run beside a naive twin that keeps its entries in a plain map.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stickroute::{
    Held, Key, KeyType, Now, Removal, Reservation, StickTable, StoreError, Stored, TableServer,
};

fn at(milliseconds: u64) -> Now {
    Now::new(Duration::from_millis(milliseconds), Duration::ZERO)
}

/// The naive twin. It looks at all of its entries for every question.
struct Twin {
    size: usize,
    expire: Option<u64>,
    nopurge: bool,
    entries: BTreeMap<u32, TwinEntry>,
    reserved: usize,
    touches: u64,
}

#[derive(Clone, Debug)]
struct TwinEntry {
    server: u32,
    /// When it was touched, and in which order of all touches.
    touched: (u64, u64),
    holds: u32,
}

impl Twin {
    fn is_live(&self, key: u32, now: u64) -> bool {
        let live = |entry: &TwinEntry| {
            let idle = now - entry.touched.0;
            entry.holds > 0 || self.expire.is_none_or(|expire| idle < expire)
        };
        self.entries.get(&key).is_some_and(live)
    }

    fn lookup(&mut self, key: u32, now: u64) -> Option<u32> {
        self.is_live(key, now).then(|| self.touch(key, now).server)
    }

    fn touch(&mut self, key: u32, now: u64) -> &mut TwinEntry {
        self.touches += 1;
        let entry = self.entries.get_mut(&key).expect("an entry");
        entry.touched = (now, self.touches);
        entry
    }

    fn set(&mut self, key: u32, server: Option<u32>, now: u64) -> Result<Stored, StoreError> {
        let live = self.is_live(key, now);
        if !self.entries.contains_key(&key) {
            self.make_room(now)?;
        }
        if !live {
            let touched = (now, 0);
            let new = TwinEntry {
                server: 0,
                touched,
                holds: 0,
            };
            self.entries.insert(key, new);
        }
        let entry = self.touch(key, now);
        entry.server = server.unwrap_or(entry.server);
        Ok(if live {
            Stored::Updated
        } else {
            Stored::Created
        })
    }

    fn make_room(&mut self, now: u64) -> Result<(), StoreError> {
        if self.entries.len() + self.reserved < self.size {
            return Ok(());
        }
        if self.nopurge {
            let before = self.entries.len();
            self.collect(now);
            return if self.entries.len() < before {
                Ok(())
            } else {
                Err(StoreError::Full)
            };
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.holds == 0);
        let oldest = idle
            .min_by_key(|(_, entry)| entry.touched.1)
            .map(|(key, _)| *key);
        self.entries.remove(&oldest.ok_or(StoreError::Full)?);
        Ok(())
    }

    fn remove(&mut self, key: u32, now: u64) -> Removal {
        let live = self.is_live(key, now);
        match self.entries.get(&key) {
            Some(entry) if entry.holds > 0 => return Removal::InUse,
            _ => self.entries.remove(&key),
        };
        if live {
            Removal::Removed
        } else {
            Removal::Absent
        }
    }

    fn collect(&mut self, now: u64) {
        let live: Vec<u32> = self.entries.keys().copied().collect();
        for key in live {
            if !self.is_live(key, now) {
                self.entries.remove(&key);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Lookup(u32),
    Peek(u32),
    Set(u32, u32),
    Insert(u32),
    Remove(u32),
    Hold(u32),
    Release(usize),
    Reserve,
    UseReservation(u32, u32),
    GiveBack,
    Wait(u64),
    Maintain,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..24u32;
    let step = prop_oneof![
        8 => key.clone().prop_map(Step::Lookup),
        2 => key.clone().prop_map(Step::Peek),
        8 => (key.clone(), 1..5u32).prop_map(|(key, server)| Step::Set(key, server)),
        1 => key.clone().prop_map(Step::Insert),
        1 => key.clone().prop_map(Step::Remove),
        1 => key.clone().prop_map(Step::Hold),
        2 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Reserve),
        1 => (key, 1..5u32).prop_map(|(key, server)| Step::UseReservation(key, server)),
        1 => Just(Step::GiveBack),
        4 => (0..40u64).prop_map(Step::Wait),
        1 => Just(Step::Maintain),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec(step, 1..400)
}

/// A table, its twin, and what is held and reserved in both.
struct Pair<'k> {
    table: Arc<StickTable>,
    twin: Twin,
    key: &'k dyn Fn(u32) -> Key<'static>,
    servers: Vec<TableServer>,
    held: Vec<(u32, Held)>,
    reserved: Vec<Reservation>,
    now: u64,
}

impl Pair<'_> {
    fn step(&mut self, step: &Step) {
        let (now, time) = (self.now, at(self.now));
        match *step {
            Step::Lookup(key) => {
                let found = self.table.lookup(&(self.key)(key), time);
                let found = found.map(|entry| entry.server_id());
                assert_eq!(found, self.twin.lookup(key, now));
            }
            Step::Peek(key) => {
                let found = self.table.peek(&(self.key)(key), time);
                assert_eq!(found.is_some(), self.twin.is_live(key, now));
            }
            Step::Set(key, server) => {
                let handle = self.servers[server as usize];
                let stored = self.table.set(&(self.key)(key), handle, time);
                assert_eq!(stored, self.twin.set(key, Some(server), now));
            }
            Step::Insert(key) => {
                let stored = self.table.insert(&(self.key)(key), time);
                assert_eq!(stored, self.twin.set(key, None, now));
            }
            Step::Remove(key) => {
                let removal = self.table.remove(&(self.key)(key), time);
                assert_eq!(removal, self.twin.remove(key, now));
            }
            Step::Wait(milliseconds) => self.now += milliseconds,
            Step::Maintain => {
                assert!(self.table.maintain(time, usize::MAX).finished);
                self.twin.collect(now);
            }
            Step::Clear => {
                self.table.clear();
                self.twin.entries.retain(|_, entry| entry.holds > 0);
            }
            _ => self.hold_or_reserve(step),
        }
    }

    fn hold_or_reserve(&mut self, step: &Step) {
        let (now, time) = (self.now, at(self.now));
        match *step {
            Step::Hold(key) => {
                let held = self.table.hold(&(self.key)(key), time);
                let stored = self.twin.set(key, None, now);
                assert_eq!(held.is_ok(), stored.is_ok());
                if let Ok(held) = held {
                    self.twin.entries.get_mut(&key).expect("held").holds += 1;
                    self.held.push((key, held));
                }
            }
            Step::Release(which) if !self.held.is_empty() => {
                let (key, _held) = self.held.swap_remove(which % self.held.len());
                self.twin.entries.get_mut(&key).expect("held").holds -= 1;
            }
            Step::Reserve => {
                let reserved = self.table.reserve(time);
                let room = self.twin.make_room(now);
                assert_eq!(reserved.is_ok(), room.is_ok());
                self.twin.reserved += usize::from(reserved.is_ok());
                self.reserved.extend(reserved);
            }
            Step::UseReservation(key, server) => {
                if let Some(reservation) = self.reserved.pop() {
                    self.twin.reserved -= 1;
                    let handle = self.servers[server as usize];
                    let stored = reservation.set(&(self.key)(key), handle, time);
                    assert_eq!(stored, self.twin.set(key, Some(server), now));
                }
            }
            Step::GiveBack if self.reserved.pop().is_some() => self.twin.reserved -= 1,
            _ => {}
        }
    }

    fn check(&self) {
        assert_eq!(self.table.len(), self.twin.entries.len());
        assert_eq!(
            self.table.used(),
            self.twin.entries.len() + self.twin.reserved
        );
        assert!(self.table.used() <= self.table.size());
        let listed = self.table.entries(at(self.now));
        assert!(listed.is_sorted_by(|a, b| a.key < b.key));
        let live = self.twin.entries.iter();
        let live = live.filter(|(key, _)| self.twin.is_live(**key, self.now));
        let mut expected: Vec<_> = live
            .map(|(key, entry)| {
                let idle = self.now - entry.touched.0;
                let left = self.twin.expire.map(|expire| expire.saturating_sub(idle));
                ((self.key)(*key), entry.server, left, entry.holds)
            })
            .collect();
        expected.sort();
        let listed: Vec<_> = listed
            .into_iter()
            .map(|listed| {
                let left = listed
                    .entry
                    .expires_in()
                    .map(|left| left.as_millis() as u64);
                (listed.key, listed.entry.server_id(), left, listed.uses)
            })
            .collect();
        assert_eq!(listed, expected);
    }
}

fn compare(
    key_type: KeyType,
    key: &dyn Fn(u32) -> Key<'static>,
    (size, expire, nopurge): (usize, u64, bool),
    steps: &[Step],
) {
    let mut builder = StickTable::builder(key_type)
        .size(size as u64)
        .expire(Duration::from_millis(expire))
        .hash_seed(size as u64);
    if nopurge {
        builder = builder.nopurge();
    }
    let table = Arc::new(builder.build().expect("a good table"));
    let servers = (0..5).map(|id| table.server(id, (id % 2 == 0).then_some("a")));
    let mut pair = Pair {
        servers: servers.map(|server| server.expect("few servers")).collect(),
        table,
        twin: Twin {
            size,
            expire: (expire > 0).then_some(expire),
            nopurge,
            entries: BTreeMap::new(),
            reserved: 0,
            touches: 0,
        },
        key,
        held: Vec::new(),
        reserved: Vec::new(),
        now: 5,
    };
    for step in steps {
        pair.step(step);
        pair.check();
    }
    drop((pair.held.drain(..), pair.reserved.drain(..)));
    pair.table.clear();
    assert_eq!(pair.table.used(), 0, "nothing is left behind");
}

fn shapes() -> impl Strategy<Value = (usize, u64, bool)> {
    (1..20usize, prop_oneof![Just(0), 1..100u64], any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_table_of_addresses_does_what_its_twin_does(shape in shapes(), steps in steps()) {
        compare(KeyType::Ip, &|key| Key::Ip(key.into()), shape, &steps);
    }

    #[test]
    fn a_table_of_ipv6_addresses_does_what_its_twin_does(shape in shapes(), steps in steps()) {
        let key = |key| Key::Ipv6(((u128::from(key) << 125) + u128::from(key)).into());
        compare(KeyType::Ipv6, &key, shape, &steps);
    }

    #[test]
    fn a_table_of_strings_does_what_its_twin_does(shape in shapes(), steps in steps()) {
        let key = |key: u32| Key::string("session-17-".repeat(key as usize % 3).as_bytes()
            .iter().copied().chain(key.to_string().into_bytes()).collect::<Vec<_>>().as_slice())
            .into_owned();
        compare(KeyType::STRING, &key, shape, &steps);
    }
}

#[test]
fn keys_that_differ_behind_the_length_or_in_zeros_at_the_end_are_one() {
    let one_entry = |key_type, keys: [&Key; 2]| {
        let table = StickTable::builder(key_type).size(10).build().unwrap();
        let server = table.server(7, None).unwrap();
        assert_eq!(table.set(keys[0], server, at(0)), Ok(Stored::Created));
        assert_eq!(table.set(keys[1], server, at(0)), Ok(Stored::Updated));
        table.entries(at(0))[0].key.to_string()
    };
    let long = [&Key::string(b"12345678"), &Key::string(b"12345678-other")];
    assert_eq!(one_entry(KeyType::String(8), long), "12345678");
    let padded = [&Key::binary(b"ab"), &Key::binary(b"ab\0\0")];
    assert_eq!(one_entry(KeyType::Binary(6), padded), "616200000000");
    let long = [&Key::binary(b"ab\0cdef"), &Key::binary(b"ab\0c")];
    assert_eq!(one_entry(KeyType::Binary(4), long), "61620063");
    let empty = [&Key::string(b""), &Key::string(b"\0x")];
    assert_eq!(one_entry(KeyType::STRING, empty), "");
}

#[test]
fn a_key_of_another_type_is_refused_and_never_found() {
    let table = Arc::new(StickTable::builder(KeyType::Ip).size(10).build().unwrap());
    let key = Key::from(7u32);
    let refused = StoreError::KeyType {
        found: "integer",
        expected: KeyType::Ip,
    };
    assert_eq!(table.insert(&key, at(0)), Err(refused.clone()));
    assert!(table.lookup(&key, at(0)).is_none());
    assert_eq!(table.remove(&key, at(0)), Removal::Absent);
    let reservation = table.reserve(at(0)).unwrap();
    let server = TableServer::default();
    assert_eq!(reservation.set(&key, server, at(0)), Err(refused));
    assert_eq!(table.used(), 0);
}

#[test]
fn an_entry_that_somebody_holds_outlives_its_time_until_it_is_let_go() {
    let expire = Duration::from_millis(700);
    let table = StickTable::builder(KeyType::Ip).size(10).expire(expire);
    let table = Arc::new(table.build().unwrap());
    let key = Key::Ip([192, 0, 2, 1].into());
    let held = table.hold(&key, at(0)).unwrap();
    assert_eq!(table.maintain(at(900), 100).removed, 0);
    let listed = table.entries(at(900));
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].uses, listed[0].entry.expires_in()),
        (1, Some(Duration::ZERO))
    );
    assert_eq!(table.remove(&key, at(900)), Removal::InUse);
    assert_eq!(held.entry(at(900)).server_id(), 0);
    drop((listed, held));
    assert!(table.entries(at(900)).is_empty());
    assert!(table.lookup(&key, at(900)).is_none());
    assert_eq!(table.maintain(at(900), 100).removed, 1);
}
