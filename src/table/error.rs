//! What can be wrong with a table, or with what is stored in it.

use std::fmt;
use std::time::Duration;

use super::data::DataType;
use crate::key::{Key, KeyType};

/// A table that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// A size of 0, which is also that of a table whose size was left out, or beyond 32
    /// bits.
    Size {
        /// The size, in entries.
        found: u64,
    },
    /// A lifetime beyond 2³¹ − 1 milliseconds.
    Expire {
        /// The lifetime.
        found: Duration,
    },
    /// Keys of length 0, or longer than [`KeyType::MAX_LENGTH`].
    KeyLength {
        /// The length, in bytes.
        found: usize,
    },
    /// More memory than the operating system would give.
    Memory {
        /// The size, in entries.
        size: u64,
        /// What they would take, in bytes.
        bytes: u64,
    },
    /// Stored data of a form it cannot have, or that excludes each other.
    Data {
        /// The one that cannot be stored.
        found: DataType,
        /// What may be.
        expected: &'static str,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { found } => {
                write!(f, "table of {found} entries; expected 1 to {}", u32::MAX)
            }
            Self::Expire { found } => write!(
                f,
                "entries that expire after {found:?}; expected at most {} ms",
                i32::MAX
            ),
            Self::KeyLength { found } => write!(
                f,
                "keys of {found} bytes; expected 1 to {}",
                KeyType::MAX_LENGTH
            ),
            Self::Memory { size, bytes } => write!(
                f,
                "table of {size} entries in {bytes} bytes of memory; there is not as much"
            ),
            Self::Data { found, expected } => {
                write!(
                    f,
                    "{} cannot be stored so; expected {expected}",
                    found.kind()
                )
            }
        }
    }
}

impl std::error::Error for TableError {}

/// Something that could not be stored. The table is as it was, but that expired entries
/// may have been removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The table is full, and may not evict (`nopurge`) or cannot, because every entry is
    /// held by somebody.
    Full,
    /// A key of another type than the table's.
    KeyType {
        /// The type of the key, as HAProxy names it.
        found: &'static str,
        /// The type of the table.
        expected: KeyType,
    },
    /// A server that was named to another table.
    UnknownServer,
    /// A table knows at most this many names of servers, and never forgets one.
    TooManyServers {
        /// The limit.
        limit: u32,
    },
}

impl StoreError {
    pub(super) fn key_type(found: &Key<'_>, expected: KeyType) -> Self {
        Self::KeyType {
            found: found.type_name(),
            expected,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the table is full and no entry may go"),
            Self::KeyType { found, expected } => {
                write!(f, "key of type {found}; expected type {expected}")
            }
            Self::UnknownServer => {
                f.write_str("the server is unknown; expected one named to this table")
            }
            Self::TooManyServers { limit } => {
                write!(
                    f,
                    "the table knows {limit} servers already and can take no more"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}
