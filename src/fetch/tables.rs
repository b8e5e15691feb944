//! What stick tables say about a key, as samples.

use std::fmt;
use std::sync::Arc;

use crate::sample::{Sample, SampleType};
use crate::table::{DataKind, StickTable, TableEntry};

/// A question to a stick table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRead {
    pub(crate) question: Question,
    pub(crate) table: TableRef,
}

/// What is asked about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    IsThere,
    ServerId,
    Trackers,
    Data(DataKind, u32),
    /// A number of bytes in units of 1,024.
    #[cfg_attr(
        not(any(feature = "haproxy", test)),
        expect(dead_code, reason = "texts ask so")
    )]
    Kilobytes(DataKind),
}

/// Which table is asked.
#[derive(Clone)]
pub(crate) enum TableRef {
    /// Not known yet, so that there is no answer: by its name, or the one of the section
    /// in which the expression stands.
    #[cfg_attr(
        not(feature = "haproxy"),
        expect(dead_code, reason = "texts have names")
    )]
    Named(Option<Arc<str>>),
    Table(Arc<StickTable>),
}

/// Finds tables by name, and the one of the section without.
#[cfg(feature = "haproxy")]
pub(crate) type FindTable<'f> = dyn Fn(Option<&str>) -> Option<Arc<StickTable>> + 'f;

impl TableRead {
    pub(crate) fn new(question: Question, table: Arc<StickTable>) -> Self {
        let table = TableRef::Table(table);
        Self { question, table }
    }

    /// The answer about a key; `None` if the sample cannot be one, or if the entry is there
    /// and does not store what is asked for.
    pub(super) fn about(&self, sample: &Sample<'_>) -> Option<Sample<'static>> {
        let TableRef::Table(table) = &self.table else {
            return None;
        };
        let now = table.latest();
        let key = table.key_type().key(sample)?;
        let number = match self.question {
            Question::IsThere => return Some(Sample::Bool(table.peek(&key, now).is_some())),
            Question::ServerId => {
                let entry = table.peek(&key, now);
                entry.map_or(0, |entry| entry.server_id().into())
            }
            // HAProxy 2.6 counts the one who asks.
            Question::Trackers => {
                let entry = table.entry(&key, now);
                entry.map_or(0, |entry| u64::from(entry.uses) + 1)
            }
            Question::Data(kind, element) => match table.entry(&key, now) {
                Some(entry) => stored(&entry, kind, element)?,
                None => 0,
            },
            Question::Kilobytes(kind) => match table.entry(&key, now) {
                Some(entry) => stored(&entry, kind, 0)? >> 10,
                None => 0,
            },
        };
        Some(Sample::Integer(number as i64))
    }

    pub(super) fn output(&self) -> SampleType {
        match self.question {
            Question::IsThere => SampleType::Bool,
            _ => SampleType::Integer,
        }
    }

    /// Puts the table in the place of its name.
    #[cfg(feature = "haproxy")]
    pub(super) fn bind(&mut self, find: &FindTable<'_>) {
        let TableRef::Named(name) = &self.table else {
            return;
        };
        if let Some(table) = find(name.as_deref()) {
            self.table = TableRef::Table(table);
        }
    }
}

#[cfg(feature = "haproxy")]
impl Question {
    /// What a table may store to answer, the second in the place of the first; nothing if
    /// it always can.
    pub(crate) fn stored(self) -> impl Iterator<Item = (DataKind, u32)> {
        let place = match self {
            Self::Data(kind, element) => Some((kind, element)),
            Self::Kilobytes(kind) => Some((kind, 0)),
            Self::IsThere | Self::ServerId | Self::Trackers => None,
        };
        let instead = place.and_then(|(kind, _)| in_array(kind));
        place.into_iter().chain(instead)
    }
}

/// A value of an entry; the elements 0 and 1 of an array stand for the single ones.
fn stored(entry: &TableEntry<'_>, kind: DataKind, element: u32) -> Option<u64> {
    let stored = entry.data(kind, element);
    stored.or_else(|| {
        let (array, element) = in_array(kind)?;
        entry.data(array, element)
    })
}

/// The element of an array that takes the place of a single counter, rate or tag.
fn in_array(kind: DataKind) -> Option<(DataKind, u32)> {
    Some(match kind {
        DataKind::Tag0 => (DataKind::Tags, 0),
        DataKind::Counter0 => (DataKind::Counters, 0),
        DataKind::Counter1 => (DataKind::Counters, 1),
        DataKind::Counter0Rate => (DataKind::CounterRates, 0),
        DataKind::Counter1Rate => (DataKind::CounterRates, 1),
        _ => return None,
    })
}

/// The same table is the same one, not one with the same entries.
impl PartialEq for TableRef {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(a), Self::Named(b)) => a == b,
            (Self::Table(a), Self::Table(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for TableRef {}

impl fmt::Debug for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.debug_tuple("Named").field(name).finish(),
            Self::Table(table) => write!(f, "Table of type {}", table.key_type()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::*;
    use crate::{Converter, DataType, Expression, Fetch, Key, KeyType, Now, SimpleRequest};

    const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const TEN_SECONDS: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Now {
        let time = Duration::from_secs(1_000 + seconds);
        Now::new(time, time)
    }

    fn table(stored: &[DataType]) -> Arc<StickTable> {
        let builder = StickTable::builder(KeyType::Ip)
            .size(10)
            .expire(TEN_SECONDS);
        let builder = stored
            .iter()
            .fold(builder, |builder, data| builder.store(*data));
        Arc::new(builder.build().unwrap())
    }

    fn ask(converter: &Converter, sample: impl Into<Sample<'static>>) -> Option<Sample<'static>> {
        converter.apply(sample.into())
    }

    const fn number(number: i64) -> Sample<'static> {
        Sample::Integer(number)
    }

    fn data(table: &Arc<StickTable>, kind: DataKind, element: u32) -> Option<Sample<'static>> {
        let table = Arc::clone(table);
        ask(
            &Converter::table_data(table, kind, element),
            IpAddr::V4(CLIENT),
        )
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn without_an_entry_there_is_zero_whatever_is_stored() {
        let table = table(&[DataType::count(DataKind::Counter0)]);
        assert_eq!(data(&table, DataKind::Counter0, 0), Some(number(0)));
        assert_eq!(data(&table, DataKind::ConnectionCount, 0), Some(number(0)));
        assert_eq!(data(&table, DataKind::Counters, 7), Some(number(0)));
        let _ = table.insert(&CLIENT.into(), at(0)).unwrap();
        assert_eq!(data(&table, DataKind::Counter0, 0), Some(number(0)));
        assert_eq!(data(&table, DataKind::ConnectionCount, 0), None);
        assert_eq!(data(&table, DataKind::Counters, 0), None);
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn a_sample_that_is_no_key_has_no_answer() {
        let table = table(&[]);
        let is_there = || Converter::in_table(Arc::clone(&table));
        let _ = table.insert(&CLIENT.into(), at(0)).unwrap();
        let (yes, no) = (Some(Sample::Bool(true)), Some(Sample::Bool(false)));
        assert_eq!(ask(&is_there(), IpAddr::V4(CLIENT)), yes);
        assert_eq!(ask(&is_there(), "192.0.2.1"), yes);
        assert_eq!(ask(&is_there(), Sample::Integer(0xc000_0201)), yes);
        assert_eq!(ask(&is_there(), IpAddr::V6(CLIENT.to_ipv6_mapped())), yes);
        assert_eq!(ask(&is_there(), IpAddr::V4(OTHER)), no);
        for sample in [Sample::from("abc"), Sample::Bool(true)] {
            assert_eq!(ask(&is_there(), sample), None);
        }
        assert_eq!(
            ask(&is_there(), "2001:db8::1".parse::<IpAddr>().unwrap()),
            None
        );
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn an_array_answers_for_the_single_ones_and_not_the_reverse() {
        let rate = DataType::rate(DataKind::CounterRates, TEN_SECONDS).elements(2);
        let table = table(&[
            DataType::count(DataKind::Counters).elements(3),
            DataType::count(DataKind::Tags).elements(2),
            rate,
        ]);
        let held = table.hold(&CLIENT.into(), at(0)).unwrap();
        for (kind, element, value) in [
            (DataKind::Counters, 0, 5),
            (DataKind::Counters, 1, 6),
            (DataKind::Tags, 0, 7),
            (DataKind::CounterRates, 1, 8),
        ] {
            assert!(held.set_data(kind, element, value, at(1)));
        }
        assert_eq!(data(&table, DataKind::Counter0, 0), Some(number(5)));
        assert_eq!(data(&table, DataKind::Counter1, 0), Some(number(6)));
        assert_eq!(data(&table, DataKind::Counters, 1), Some(number(6)));
        assert_eq!(data(&table, DataKind::Tag0, 0), Some(number(7)));
        assert_eq!(data(&table, DataKind::Counter0Rate, 0), Some(number(0)));
        assert_eq!(data(&table, DataKind::Counter1Rate, 0), Some(number(8)));
        assert_eq!(data(&table, DataKind::Counters, 3), None);
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn who_asks_is_counted_among_those_who_track() {
        let table = table(&[]);
        let trackers = || Converter::table_trackers(Arc::clone(&table));
        assert_eq!(ask(&trackers(), IpAddr::V4(CLIENT)), Some(number(0)));
        let held = table.hold(&CLIENT.into(), at(0)).unwrap();
        assert_eq!(ask(&trackers(), IpAddr::V4(CLIENT)), Some(number(2)));
        drop(held);
        assert_eq!(ask(&trackers(), IpAddr::V4(CLIENT)), Some(number(1)));
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn bytes_are_told_in_whole_kilobytes() {
        let table = table(&[DataType::count(DataKind::BytesInCount)]);
        let key = Key::from(CLIENT);
        let _ = table.insert(&key, at(0)).unwrap();
        assert!(table.set_data(&key, DataKind::BytesInCount, 0, 5_000, at(0)));
        let kilobytes = Question::Kilobytes(DataKind::BytesInCount);
        let read = TableRead::new(kilobytes, Arc::clone(&table));
        assert_eq!(read.about(&IpAddr::V4(CLIENT).into()), Some(number(4)));
        assert_eq!(data(&table, DataKind::BytesInCount, 0), Some(number(5_000)));
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn the_source_is_asked_about_and_the_server_told() {
        let table = table(&[DataType::count(DataKind::Counter0)]);
        let server = table.server(7, Some("s7")).unwrap();
        let _ = table.set(&CLIENT.into(), server, at(0)).unwrap();
        assert!(table.set_data(&CLIENT.into(), DataKind::Counter0, 0, 3, at(0)));
        let counter = Fetch::source_data(Arc::clone(&table), DataKind::Counter0, 0);
        let of = |source: &str| {
            let request = SimpleRequest::default().source(source.parse().unwrap());
            counter.on_request(&request).map(Sample::into_owned)
        };
        assert_eq!(of("192.0.2.1"), Some(number(3)));
        assert_eq!(of("192.0.2.2"), Some(number(0)));
        assert_eq!(of("2001:db8::1"), None);
        assert_eq!(counter.on_request(&SimpleRequest::default()), None);
        let id = Converter::table_server_id(table);
        let id = Expression::from(Fetch::src()).then(id).unwrap();
        let request = SimpleRequest::default().source(CLIENT.into());
        assert_eq!(id.on_request(&request), Some(number(7)));
    }

    #[test]
    fn entries_are_read_as_of_the_time_the_table_knows_and_not_refreshed() {
        let requests = DataType::rate(DataKind::RequestRate, Duration::from_secs(2));
        let table = table(&[requests]);
        let rate = || data(&table, DataKind::RequestRate, 0);
        let is_there = || ask(&Converter::in_table(Arc::clone(&table)), IpAddr::V4(CLIENT));
        let held = table.hold(&CLIENT.into(), at(0)).unwrap();
        assert!(held.add_data(DataKind::RequestRate, 0, 4, at(5)));
        assert_eq!(rate(), Some(number(4)));
        drop(held);
        let _ = table.maintain(at(8), 0);
        assert_eq!(rate(), Some(number(2)), "half of the period before counts");
        let _ = table.maintain(at(14), 0);
        assert_eq!(is_there(), Some(Sample::Bool(true)));
        let _ = table.entries(at(15));
        assert_eq!(is_there(), Some(Sample::Bool(false)));
        let _ = table.insert(&OTHER.into(), at(12)).unwrap();
        assert_eq!(
            is_there(),
            Some(Sample::Bool(false)),
            "time does not go back"
        );
    }

    #[test]
    fn equal_converters_ask_the_same_table() {
        let (one, two) = (table(&[]), table(&[]));
        let is_there = |table: &Arc<StickTable>| Converter::in_table(Arc::clone(table));
        assert_eq!(is_there(&one), is_there(&one));
        assert_ne!(is_there(&one), is_there(&two));
        assert_ne!(is_there(&one), Converter::table_trackers(one));
    }
}
