//! `data.TYPE` words: what may be stored in tables, and conditions about it.

use super::table::NamedTable;
use super::{Refusal, ServerData, number, refused, shown};
use crate::{DataKind, TableEntry};

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

/// One condition: `data.TYPE OPERATOR VALUE`.
#[derive(Clone, Copy, Debug)]
struct Condition {
    data: DataType,
    operator: fn(&i64, &i64) -> bool,
    value: i64,
}

/// Conditions that an entry has to meet, all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(Vec<Condition>);

/// The most conditions there may be.
const LIMIT: usize = 4;

impl Filter {
    /// Reads the words behind a table's name, which is the third word of the command.
    pub(super) fn parse(words: &[&[u8]], table: &NamedTable<'_>) -> Result<Self, Refusal> {
        let mut conditions = Vec::new();
        for (index, group) in words.chunks(3).enumerate() {
            if index == LIMIT {
                return refused(too_many(words[3 * LIMIT - 1]));
            }
            let condition = Condition::parse(group, table);
            conditions
                .push(condition.map_err(|why| format!("Filter entry #{}: {why}", index + 1))?);
        }
        Ok(Self(conditions))
    }

    /// Whether an entry meets all conditions.
    pub(super) fn accepts(&self, entry: &TableEntry<'_>) -> bool {
        self.0.iter().all(|condition| condition.holds(entry))
    }

    /// Whether there are no conditions.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Condition {
    fn parse(words: &[&[u8]], table: &NamedTable<'_>) -> Result<Self, &'static str> {
        let name = words[0].strip_prefix(b"data.").ok_or("Unknown data type")?;
        let data = table.data_type(name)?;
        let operator = words.get(1).and_then(|word| operator(word));
        let operator =
            operator.ok_or(r#"Require and operator among "eq", "ne", "le", "ge", "lt", "gt""#)?;
        let value = words.get(2).and_then(|word| number::strict(word));
        let value = value.ok_or("Require a valid integer value to compare against")?;
        Ok(Self {
            data,
            operator,
            value,
        })
    }

    fn holds(&self, entry: &TableEntry<'_>) -> bool {
        let has = match self.data {
            DataType::ServerId => i64::from(shown_id(entry.entry.server_id())),
            DataType::ServerKey => 0,
            // Counters of bytes are the only ones that could be beyond.
            DataType::Counter(kind) => entry.data(kind, 0).unwrap_or_default() as i64,
        };
        (self.operator)(&has, &self.value)
    }
}

fn operator(word: &[u8]) -> Option<fn(&i64, &i64) -> bool> {
    Some(match word {
        b"eq" => i64::eq,
        b"ne" => i64::ne,
        b"le" => i64::le,
        b"ge" => i64::ge,
        b"lt" => i64::lt,
        b"gt" => i64::gt,
        _ => return None,
    })
}

fn too_many(last: &[u8]) -> String {
    // Three words name the table, and each condition has three.
    let place = 3 + 3 * LIMIT + 1;
    format!(
        "Detected extra data in filter, {place}th word of input, after '{}'",
        shown(last)
    )
}

/// An id as HAProxy has it: signed.
pub(super) const fn shown_id(id: u32) -> i32 {
    id as i32
}
