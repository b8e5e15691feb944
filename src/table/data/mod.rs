//! What entries hold beside their server: counters, rates and tags.
//!
//! # How it works
//!
//! A table that stores data has one more array, with a row for each slot and in it one
//! word of 64 bits for a counter or a tag, two for a rate. A row belongs to the entry of
//! its slot; a new entry begins with zeros. Counters are read and added to without a lock;
//! rates, which are more than one word, take one of 64 locks, by slot. A table without
//! data does not have the array.

mod rate;
mod rows;

use std::fmt;
use std::time::Duration;

use super::error::TableError;
pub(super) use rows::{Place, Rows};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $shape:ident;)*) => {
        /// What a piece of stored data is about. In the order in which HAProxy shows them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DataKind {
            $($(#[$doc])* #[doc = concat!("HAProxy: `", $name, "`.")] $variant,)*
        }

        impl DataKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// HAProxy's name, `http_req_cnt` for example.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn shape(self) -> Shape {
                match self { $(Self::$variant => Shape::$shape,)* }
            }
        }
    };
}

kinds! {
    /// A general purpose tag.
    Tag0 = "gpt0", Counter;
    /// A general purpose counter.
    Counter0 = "gpc0", Counter;
    /// How fast the first general purpose counter grows.
    Counter0Rate = "gpc0_rate", Rate;
    /// Connections so far.
    ConnectionCount = "conn_cnt", Counter;
    /// Connections in a period.
    ConnectionRate = "conn_rate", Rate;
    /// Connections open now.
    ConnectionsOpen = "conn_cur", Counter;
    /// Sessions so far.
    SessionCount = "sess_cnt", Counter;
    /// Sessions in a period.
    SessionRate = "sess_rate", Rate;
    /// HTTP requests so far.
    RequestCount = "http_req_cnt", Counter;
    /// HTTP requests in a period.
    RequestRate = "http_req_rate", Rate;
    /// Requests that were answered with a client error so far.
    ErrorCount = "http_err_cnt", Counter;
    /// Requests that were answered with a client error in a period.
    ErrorRate = "http_err_rate", Rate;
    /// Bytes from clients so far, 64 bits.
    BytesInCount = "bytes_in_cnt", Long;
    /// Bytes from clients in a period.
    BytesInRate = "bytes_in_rate", Rate;
    /// Bytes to clients so far, 64 bits.
    BytesOutCount = "bytes_out_cnt", Long;
    /// Bytes to clients in a period.
    BytesOutRate = "bytes_out_rate", Rate;
    /// A second general purpose counter.
    Counter1 = "gpc1", Counter;
    /// How fast the second general purpose counter grows.
    Counter1Rate = "gpc1_rate", Rate;
    /// Requests that failed on the server so far.
    FailureCount = "http_fail_cnt", Counter;
    /// Requests that failed on the server in a period.
    FailureRate = "http_fail_rate", Rate;
    /// An array of tags.
    Tags = "gpt", Counters;
    /// An array of counters.
    Counters = "gpc", Counters;
    /// An array of rates.
    CounterRates = "gpc_rate", Rates;
}

impl DataKind {
    /// The kind that HAProxy calls so.
    pub fn named(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|kind| kind.as_str().as_bytes() == name)
    }

    /// Whether it is a rate, or an array of them.
    pub const fn is_rate(self) -> bool {
        matches!(self.shape(), Shape::Rate | Shape::Rates)
    }

    /// Whether it is an array.
    pub const fn is_array(self) -> bool {
        matches!(self.shape(), Shape::Counters | Shape::Rates)
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// 32 bits.
    Counter,
    /// 64 bits.
    Long,
    Rate,
    Counters,
    Rates,
}

/// One piece of data that a table stores: the kind, and the period or the number of
/// elements where it has them. HAProxy: an item of `store`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataType {
    kind: DataKind,
    period: Option<Duration>,
    elements: Option<u32>,
}

impl DataType {
    /// The most elements of an array, as in HAProxy.
    pub const MAX_ELEMENTS: u32 = 100;

    /// A counter or a tag.
    pub const fn count(kind: DataKind) -> Self {
        Self {
            kind,
            period: None,
            elements: None,
        }
    }

    /// A rate over a period of 1 ms to 2³¹ − 1 ms, rounded up to milliseconds.
    pub const fn rate(kind: DataKind, period: Duration) -> Self {
        let milliseconds = period.as_nanos().div_ceil(1_000_000);
        // Beyond that it is refused in any case.
        let longest = u64::MAX as u128;
        let kept = if milliseconds > longest {
            longest
        } else {
            milliseconds
        };
        Self {
            period: Some(Duration::from_millis(kept as u64)),
            ..Self::count(kind)
        }
    }

    /// The same as an array of so many elements, 1 to [`MAX_ELEMENTS`](Self::MAX_ELEMENTS).
    #[must_use]
    pub const fn elements(mut self, elements: u32) -> Self {
        self.elements = Some(elements);
        self
    }

    /// What it is about.
    pub const fn kind(&self) -> DataKind {
        self.kind
    }

    /// Over how long a rate is taken; `None` if it is none.
    pub const fn period(&self) -> Option<Duration> {
        self.period
    }

    /// How many values it holds: 1 if it is no array.
    pub const fn len(&self) -> u32 {
        match self.elements {
            Some(elements) => elements,
            None => 1,
        }
    }

    /// Never true: an array has at least one element.
    pub const fn is_empty(&self) -> bool {
        false
    }

    fn period_ms(&self) -> u128 {
        self.period.map_or(0, |period| period.as_millis())
    }

    fn problem(&self) -> Option<&'static str> {
        let fits_period = match (self.kind.is_rate(), self.period) {
            (true, Some(_)) => (1..=i32::MAX as u128).contains(&self.period_ms()),
            (true, None) | (false, Some(_)) => false,
            (false, None) => true,
        };
        let fits_elements = match (self.kind.is_array(), self.elements) {
            (true, Some(elements)) => (1..=Self::MAX_ELEMENTS).contains(&elements),
            (true, None) | (false, Some(_)) => false,
            (false, None) => true,
        };
        if !fits_period {
            Some("a period of 1 to 2147483647 ms for a rate, and none for anything else")
        } else if !fits_elements {
            Some("1 to 100 elements for an array, and none for anything else")
        } else {
            None
        }
    }
}

/// Arrays, and what each takes the place of.
const EXCLUSIVE: [(DataKind, DataKind); 5] = [
    (DataKind::Tags, DataKind::Tag0),
    (DataKind::Counters, DataKind::Counter0),
    (DataKind::Counters, DataKind::Counter1),
    (DataKind::CounterRates, DataKind::Counter0Rate),
    (DataKind::CounterRates, DataKind::Counter1Rate),
];

/// That the types can be stored together; each kind once.
pub(super) fn check(types: &[DataType]) -> Result<(), TableError> {
    let refuse = |found: &DataType, expected| TableError::Data {
        found: *found,
        expected,
    };
    for (place, data) in types.iter().enumerate() {
        if let Some(expected) = data.problem() {
            return Err(refuse(data, expected));
        }
        let has = |kind| types[..place].iter().any(|other| other.kind == kind);
        if has(data.kind) {
            return Err(refuse(data, "each kind once"));
        }
        let excludes = EXCLUSIVE.iter().any(|&(array, single)| {
            (data.kind == array && has(single)) || (data.kind == single && has(array))
        });
        if excludes {
            return Err(refuse(
                data,
                "an array, or the single ones it takes the place of",
            ));
        }
    }
    Ok(())
}
