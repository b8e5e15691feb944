//! The rows themselves.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::super::words::{AtomicU64, Words};
use super::rate::Rate;
use super::{DataKind, DataType, Shape};

/// The data of all slots.
pub(in crate::table) struct Rows {
    types: Box<[DataType]>,
    /// Where each type begins in a row.
    offsets: Box<[usize]>,
    width: usize,
    words: Words,
    /// Rates are more than a word.
    rates: Box<[Mutex<()>]>,
}

/// One value of an entry: the slot, the type, and which element.
#[derive(Clone, Copy, Debug)]
pub(in crate::table) struct Place {
    pub(in crate::table) slot: usize,
    pub(in crate::table) kind: DataKind,
    pub(in crate::table) element: u32,
}

const LOCKS: usize = 64;

impl Rows {
    /// Rows for so many slots, sorted as HAProxy shows their types; `None` if there is
    /// not enough memory.
    pub(in crate::table) fn new(mut types: Vec<DataType>, slots: usize) -> Option<Self> {
        types.sort_by_key(|data| data.kind);
        let width = Self::width(&types);
        let offsets = (0..types.len()).map(|before| Self::width(&types[..before]));
        let offsets = offsets.collect();
        // Rows are found by a number of 32 bits.
        u32::try_from(slots).ok()?;
        Some(Self {
            types: types.into(),
            offsets,
            width,
            words: Words::zeroed(slots.checked_mul(width)?)?,
            rates: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        })
    }

    /// Words of a row.
    pub(in crate::table) fn width(types: &[DataType]) -> usize {
        types.iter().map(words).sum()
    }

    /// What is stored, in the order in which HAProxy shows it.
    pub(in crate::table) fn types(&self) -> &[DataType] {
        &self.types
    }

    /// All zeros, for a new entry.
    pub(in crate::table) fn clear(&self, slot: usize) {
        for word in self.row(slot) {
            word.store(0, Relaxed);
        }
    }

    fn row(&self, slot: usize) -> &[AtomicU64] {
        self.words.block(slot as u32, self.width as u32)
    }

    /// `None` if it is not stored, or not so many elements.
    pub(in crate::table) fn read(&self, place: Place, now: u64) -> Option<u64> {
        let cell = self.cell(place)?;
        Some(match cell.shape {
            Shape::Long => cell.words[0].load(Relaxed),
            Shape::Counter | Shape::Counters => cell.words[0].load(Relaxed) & COUNTER,
            Shape::Rate | Shape::Rates => {
                let _lock = self.lock(place.slot);
                cell.rate().read(now, cell.period).into()
            }
        })
    }

    /// Whether it is stored; counters and rates keep the lower 32 bits.
    pub(in crate::table) fn set(&self, place: Place, value: u64, now: u64) -> bool {
        let Some(cell) = self.cell(place) else {
            return false;
        };
        match cell.shape {
            Shape::Long | Shape::Counter | Shape::Counters => cell.words[0].store(value, Relaxed),
            Shape::Rate | Shape::Rates => {
                let _lock = self.lock(place.slot);
                cell.keep(Rate::set(now, value as u32));
            }
        }
        true
    }

    /// Whether it is stored. Counters wrap; a rate counts so many events.
    pub(in crate::table) fn add(&self, place: Place, change: i64, now: u64) -> bool {
        let Some(cell) = self.cell(place) else {
            return false;
        };
        match cell.shape {
            Shape::Long | Shape::Counter | Shape::Counters => {
                cell.words[0].fetch_add(change as u64, Relaxed);
            }
            Shape::Rate | Shape::Rates => {
                let _lock = self.lock(place.slot);
                let mut rate = cell.rate();
                rate.add(now, cell.period, change as u32);
                cell.keep(rate);
            }
        }
        true
    }

    fn lock(&self, slot: usize) -> parking_lot::MutexGuard<'_, ()> {
        self.rates[slot % LOCKS].lock()
    }

    fn cell(&self, place: Place) -> Option<Cell<'_>> {
        let index = self.types.iter().position(|data| data.kind == place.kind)?;
        let data = &self.types[index];
        let each = words_of_one(place.kind);
        let start = self.offsets[index] + place.element as usize * each;
        (place.element < data.len()).then(|| Cell {
            shape: place.kind.shape(),
            period: data.period_ms() as u32,
            words: &self.row(place.slot)[start..start + each],
        })
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.types).finish()
    }
}

/// Counters are those of HAProxy, of 32 bits.
const COUNTER: u64 = u32::MAX as u64;

fn words(data: &DataType) -> usize {
    words_of_one(data.kind) * data.len() as usize
}

fn words_of_one(kind: DataKind) -> usize {
    if kind.is_rate() { 2 } else { 1 }
}

/// The words of one value.
struct Cell<'r> {
    shape: Shape,
    /// In milliseconds; 0 if it is no rate.
    period: u32,
    words: &'r [AtomicU64],
}

impl Cell<'_> {
    /// The lock of the slot must be held.
    fn rate(&self) -> Rate {
        let counts = self.words[1].load(Relaxed);
        Rate {
            start: self.words[0].load(Relaxed),
            current: counts as u32,
            previous: (counts >> 32) as u32,
        }
    }

    fn keep(&self, rate: Rate) {
        self.words[0].store(rate.start, Relaxed);
        let counts = u64::from(rate.previous) << 32 | u64::from(rate.current);
        self.words[1].store(counts, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rows() -> Rows {
        let types = vec![
            DataType::rate(DataKind::RequestRate, SECOND),
            DataType::count(DataKind::Counters).elements(3),
            DataType::count(DataKind::BytesInCount),
            DataType::count(DataKind::Tag0),
        ];
        Rows::new(types, 4).unwrap()
    }

    fn place(slot: usize, kind: DataKind, element: u32) -> Place {
        Place {
            slot,
            kind,
            element,
        }
    }

    #[test]
    fn every_value_has_a_place_of_its_own() {
        let rows = rows();
        let kinds = [
            (DataKind::Tag0, 1),
            (DataKind::RequestRate, 1),
            (DataKind::BytesInCount, 1),
            (DataKind::Counters, 3),
        ];
        let places = || {
            (0..4).flat_map(|slot| {
                let all = kinds.into_iter();
                all.flat_map(move |(kind, n)| (0..n).map(move |element| place(slot, kind, element)))
            })
        };
        for (value, place) in places().enumerate() {
            assert!(rows.set(place, value as u64 + 1, 5_000));
        }
        for (value, place) in places().enumerate() {
            assert_eq!(rows.read(place, 5_000), Some(value as u64 + 1));
        }
        rows.clear(2);
        for (value, place) in places().enumerate() {
            let expected = if place.slot == 2 { 0 } else { value as u64 + 1 };
            assert_eq!(rows.read(place, 5_000), Some(expected));
        }
        let shown: Vec<_> = rows.types().iter().map(DataType::kind).collect();
        assert_eq!(shown, kinds.map(|(kind, _)| kind));
    }

    #[test]
    fn what_is_not_stored_is_told() {
        let rows = rows();
        for absent in [
            place(0, DataKind::Counter0, 0),
            place(0, DataKind::Counters, 3),
            place(0, DataKind::Tag0, 1),
        ] {
            assert_eq!(rows.read(absent, 0), None);
            assert!(!rows.set(absent, 1, 0) && !rows.add(absent, 1, 0));
        }
    }

    #[test]
    fn counters_wrap_as_those_of_haproxy_do() {
        let rows = rows();
        let (tag, bytes) = (
            place(0, DataKind::Tag0, 0),
            place(0, DataKind::BytesInCount, 0),
        );
        rows.set(tag, u64::MAX, 0);
        rows.set(bytes, u64::MAX, 0);
        assert_eq!(rows.read(tag, 0), Some(u32::MAX.into()));
        assert_eq!(rows.read(bytes, 0), Some(u64::MAX));
        rows.add(tag, 2, 0);
        assert_eq!(rows.read(tag, 0), Some(1));
        rows.add(tag, -2, 0);
        assert_eq!(rows.read(tag, 0), Some(u32::MAX.into()));
    }
}
