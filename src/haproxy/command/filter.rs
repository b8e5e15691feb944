//! Conditions about what entries of tables hold: `data.TYPE OPERATOR VALUE`.

use super::named_table::{DataType, NamedTable, shown_id};
use super::{Refusal, number, refused, shown};
use crate::TableEntry;

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
