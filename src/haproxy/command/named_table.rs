//! A table as commands know it, and the names of what it stores.

use super::ServerData;
use crate::{DataKind, StickTable};

/// A table and how it is shown.
#[derive(Debug)]
pub(super) struct NamedTable<'a> {
    pub(super) name: &'a str,
    pub(super) table: &'a StickTable,
    pub(super) data: ServerData,
}

/// Something a table stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    ServerId,
    /// Not to be set, and like 0 to a condition.
    ServerKey,
    /// Of an array, the first element.
    Counter(DataKind),
}

impl NamedTable<'_> {
    /// The type of this name.
    ///
    /// # Errors
    /// A name that means nothing, or that this table does not store.
    pub(super) fn data_type(&self, name: &[u8]) -> Result<DataType, &'static str> {
        let stores = |kind| self.table.stored().iter().any(|data| data.kind() == kind);
        match name {
            b"server_id" if self.data != ServerData::None => Ok(DataType::ServerId),
            b"server_key" | b"server_name" if self.data == ServerData::IdAndKey => {
                Ok(DataType::ServerKey)
            }
            b"server_id" | b"server_key" | b"server_name" => Err(NOT_STORED),
            name => match DataKind::named(name) {
                Some(kind) if stores(kind) => Ok(DataType::Counter(kind)),
                Some(_) => Err(NOT_STORED),
                None => Err("Unknown data type"),
            },
        }
    }
}

const NOT_STORED: &str = "Data type not stored in this table";

/// An id as HAProxy has it: signed.
pub(super) const fn shown_id(id: u32) -> i32 {
    id as i32
}
