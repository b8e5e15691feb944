//! Promise: counters, rates and tags of an entry are its own, whatever becomes of others.

use std::sync::Arc;
use std::time::Duration;

use stickroute::{
    DataKind, DataType, Key, KeyType, Now, StickTable, StickTableBuilder, TableError,
};

fn at(milliseconds: u64) -> Now {
    let time = Duration::from_millis(1_000_000 + milliseconds);
    Now::new(time, time)
}

fn builder() -> StickTableBuilder {
    StickTable::builder(KeyType::Integer)
        .size(4)
        .expire(Duration::from_secs(10))
        .store(DataType::count(DataKind::Counter0))
        .store(DataType::count(DataKind::ConnectionsOpen))
        .store(DataType::rate(
            DataKind::RequestRate,
            Duration::from_secs(1),
        ))
}

fn counter(table: &StickTable, key: u32, now: Now) -> Option<u64> {
    let entry = table.entry(&Key::Integer(key), now)?;
    entry.data(DataKind::Counter0, 0)
}

fn count(table: &Arc<StickTable>, key: u32, now: Now) {
    let held = table.hold(&Key::Integer(key), now).unwrap();
    assert!(held.add_data(DataKind::Counter0, 0, 1, now));
    assert!(held.add_data(DataKind::RequestRate, 0, 1, now));
}

#[test]
fn entries_count_for_themselves() {
    let table = Arc::new(builder().build().unwrap());
    for key in [1, 2, 1, 3, 1] {
        count(&table, key, at(0));
    }
    let counters = [1, 2, 3, 4].map(|key| counter(&table, key, at(1)));
    assert_eq!(counters, [Some(3), Some(1), Some(1), None]);
    let rates: Vec<_> = table
        .entries(at(500))
        .iter()
        .map(|entry| entry.data(DataKind::RequestRate, 0).unwrap())
        .collect();
    assert_eq!(rates, [3, 1, 1]);
    let entry = table.entry(&Key::Integer(1), at(1_500)).unwrap();
    assert_eq!(entry.data(DataKind::RequestRate, 0), Some(1));
    assert_eq!(entry.data(DataKind::Counter1, 0), None);
}

#[test]
fn a_new_entry_begins_with_zeros() {
    let table = Arc::new(builder().build().unwrap());
    let fresh = |now| {
        count(&table, 7, now);
        counter(&table, 7, now)
    };
    assert_eq!(fresh(at(0)), Some(1));
    let _ = table.remove(&Key::Integer(7), at(0));
    assert_eq!(fresh(at(1)), Some(1), "removed");
    table.clear();
    assert_eq!(fresh(at(2)), Some(1), "cleared");
    assert_eq!(fresh(at(20_000)), Some(1), "expired");
    let _ = table.maintain(at(40_000), 1_000);
    assert_eq!(fresh(at(40_000)), Some(1), "collected");
    for key in 100..200 {
        count(&table, key, at(40_001));
        assert_eq!(counter(&table, key, at(40_001)), Some(1), "evicted");
    }
}

#[test]
fn what_is_stored_does_not_keep_an_entry_alive_but_a_change_does() {
    let table = Arc::new(builder().build().unwrap());
    count(&table, 1, at(0));
    count(&table, 2, at(0));
    assert!(table.set_data(&Key::Integer(1), DataKind::Counter0, 0, 5, at(6_000)));
    assert_eq!(counter(&table, 2, at(9_999)), Some(1));
    assert_eq!(counter(&table, 1, at(15_999)), Some(5));
    assert_eq!(counter(&table, 2, at(15_999)), None);
    assert!(!table.set_data(&Key::Integer(2), DataKind::Counter0, 0, 5, at(15_999)));
    assert!(!table.set_data(&Key::Integer(1), DataKind::Counter1, 0, 5, at(15_999)));
}

#[test]
fn open_connections_are_counted_up_and_down() {
    let table = Arc::new(builder().build().unwrap());
    let first = table.hold(&Key::Integer(1), at(0)).unwrap();
    let second = table.hold(&Key::Integer(1), at(0)).unwrap();
    for held in [&first, &second] {
        assert!(held.add_data(DataKind::ConnectionsOpen, 0, 1, at(0)));
    }
    assert!(second.add_data(DataKind::ConnectionsOpen, 0, -1, at(1)));
    drop(second);
    assert_eq!(first.data(DataKind::ConnectionsOpen, 0, at(1)), Some(1));
}

#[test]
fn what_cannot_be_stored_is_told() {
    let refused = |data: &[DataType]| {
        let builder = StickTable::builder(KeyType::Ip).size(1);
        let builder = data.iter().copied().fold(builder, StickTableBuilder::store);
        match builder.build() {
            Err(TableError::Data { found, .. }) => found.kind(),
            other => panic!("{data:?}: {other:?}"),
        }
    };
    let count = DataType::count;
    let second = Duration::from_secs(1);
    assert_eq!(refused(&[count(DataKind::ErrorRate)]), DataKind::ErrorRate);
    let rated = DataType::rate(DataKind::Tag0, second);
    assert_eq!(refused(&[rated]), DataKind::Tag0);
    let instant = DataType::rate(DataKind::ErrorRate, Duration::ZERO);
    assert_eq!(refused(&[instant]), DataKind::ErrorRate);
    let long = DataType::rate(DataKind::ErrorRate, Duration::MAX);
    assert_eq!(refused(&[long]), DataKind::ErrorRate);
    assert_eq!(refused(&[count(DataKind::Tags)]), DataKind::Tags);
    let many = count(DataKind::Tags).elements(101);
    assert_eq!(refused(&[many]), DataKind::Tags);
    let array = count(DataKind::Tag0).elements(2);
    assert_eq!(refused(&[array]), DataKind::Tag0);
    let twice = [count(DataKind::Tag0), count(DataKind::Tag0)];
    assert_eq!(refused(&twice), DataKind::Tag0);
    let both = [count(DataKind::Tags).elements(2), count(DataKind::Tag0)];
    assert_eq!(refused(&both), DataKind::Tag0);
}

#[test]
fn threads_lose_no_event() {
    let table = Arc::new(builder().size(64).build().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let table = &table;
            scope.spawn(move || {
                for event in 0..1_000 {
                    count(table, 1 + event % 2, at(0));
                    // Entries that come and go beside it.
                    count(table, 10_000 * (1 + thread) + event, at(0));
                }
            });
        }
    });
    let both = [1, 2].map(|key| counter(&table, key, at(0)));
    assert_eq!(both, [Some(2_000), Some(2_000)]);
}
