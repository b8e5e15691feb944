//! Commands about stick tables.

use std::fmt::Write;

use twox_hash::XxHash64;

use super::filter::Filter;
use super::named_table::{self, NamedTable, shown_id};
use super::{DONE, Outcome, Refusal, Runtime, ServerData, key, number, refused, word};
use crate::{DataKind, DataType, Key, Now, Removal, StoreError, TableEntry};

/// Slots that one command may look at for expired entries: a fraction of a millisecond.
const UPKEEP: usize = 100_000;

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    pub(super) fn show_table(&self, words: &[&[u8]], now: Now) -> Outcome {
        if words.is_empty() {
            let mut text = String::new();
            for table in self.tables.iter().rev() {
                table.write_header(now, &mut text);
            }
            return Ok(text);
        }
        let (table, words) = self.find_table(words)?;
        match word(words, 0) {
            b"key" => table.show_key(words, now),
            b"" => Ok(table.show(&Filter::default(), now)),
            word if word.starts_with(b"data.") => {
                Ok(table.show(&Filter::parse(words, table)?, now))
            }
            _ => refused(
                "Optional argument only supports \"data.<store_data_type>\" <operator> <value> \
                 and key <key>",
            ),
        }
    }

    pub(super) fn clear_table(&self, words: &[&[u8]], now: Now) -> Outcome {
        const REQUIRED: &str = "Required arguments: <table> \"data.<store_data_type>\" <operator> \
            <value> or <table> key <key>";
        if words.is_empty() {
            return refused(REQUIRED);
        }
        let (table, words) = self.find_table(words)?;
        match word(words, 0) {
            b"key" => table.clear_key(words, now),
            b"" => Ok(table.clear(&Filter::default(), now)),
            word if word.starts_with(b"data.") => {
                Ok(table.clear(&Filter::parse(words, table)?, now))
            }
            _ => refused(REQUIRED),
        }
    }

    /// HAProxy empties the table when nothing follows its name: no more than a slip of
    /// the finger away from what somebody wanted. Here that is an error.
    pub(super) fn set_table(&self, words: &[&[u8]], now: Now) -> Outcome {
        const REQUIRED: &str =
            "Required arguments: <table> key <key> [data.<store_data_type> <value>]*";
        if words.is_empty() {
            return refused(REQUIRED);
        }
        let (table, words) = self.find_table(words)?;
        match word(words, 0) {
            b"key" => table.set(words, now),
            word if word.starts_with(b"data.") => refused(
                "content-based lookup is only supported with the \"show\" and \"clear\" actions",
            ),
            _ => refused(REQUIRED),
        }
    }

    /// The table of the first word, and the words behind it.
    fn find_table<'s, 'w>(
        &'s self,
        words: &'w [&'w [u8]],
    ) -> Result<(&'s NamedTable<'s>, &'w [&'w [u8]]), Refusal> {
        let mut tables = self.tables.iter();
        let found = tables.find(|table| table.name.as_bytes() == words[0]);
        found
            .map(|table| (table, &words[1..]))
            .ok_or("No such table".into())
    }
}

impl NamedTable<'_> {
    fn show(&self, filter: &Filter, now: Now) -> String {
        let mut text = String::new();
        self.write_header(now, &mut text);
        for shown in self.table.entries_where(now, |entry| filter.accepts(entry)) {
            self.write_entry(&shown, &mut text);
        }
        text
    }

    fn show_key(&self, words: &[&[u8]], now: Now) -> Outcome {
        let key = self.key(words, "Showing keys from")?;
        let mut text = String::new();
        if let Some(entry) = self.table.entry(&key, now) {
            self.write_header(now, &mut text);
            self.write_entry(&entry, &mut text);
        }
        Ok(text)
    }

    fn clear(&self, filter: &Filter, now: Now) -> String {
        if filter.is_empty() {
            self.table.clear();
        } else {
            self.table.clear_where(now, |entry| filter.accepts(entry));
        }
        String::new()
    }

    fn clear_key(&self, words: &[&[u8]], now: Now) -> Outcome {
        let key = self.key(words, "Removing keys from")?;
        match self.table.remove(&key, now) {
            Removal::InUse => refused("Entry currently in use, cannot remove"),
            _ => DONE,
        }
    }

    /// Creates or refreshes the entry, then sets one datum after the other: a wrong one
    /// leaves those before it set.
    fn set(&self, words: &[&[u8]], now: Now) -> Outcome {
        let key = self.key(words, "Inserting keys into")?;
        let stored = self.table.insert(&key, now);
        stored.map(drop).map_err(|error| store_refusal(&error))?;
        for pair in words[2..].chunks(2) {
            let Some(name) = pair[0].strip_prefix(b"data.") else {
                return refused("\"data.<type>\" followed by a value expected");
            };
            let data = self.data_type(name)?;
            let Some(value) = number::strict(word(pair, 1)) else {
                return refused("Require a valid integer value to store");
            };
            match data {
                named_table::DataType::ServerId => self.set_server_id(&key, value as u32, now)?,
                named_table::DataType::ServerKey => {}
                named_table::DataType::Counter(kind) => {
                    self.table.set_data(&key, kind, 0, value as u64, now);
                }
            }
        }
        DONE
    }

    /// Sets the id and leaves the text by which the server is found first.
    fn set_server_id(&self, key: &Key<'_>, id: u32, now: Now) -> Result<(), Refusal> {
        let text = self
            .table
            .peek(key, now)
            .and_then(|entry| entry.server_key());
        let server = self.table.server(id, text);
        let stored = server.and_then(|server| self.table.set(key, server, now));
        stored.map(drop).map_err(|error| store_refusal(&error))
    }

    /// The key behind the word `key`.
    fn key<'w>(&self, words: &[&'w [u8]], doing: &str) -> Result<Key<'w>, Refusal> {
        match word(words, 1) {
            b"" => refused("Key value expected"),
            word => key::parse(self.table.key_type(), word, doing),
        }
    }

    /// HAProxy removes entries when they expire, so they do not count here either.
    fn write_header(&self, now: Now, text: &mut String) {
        let _ = self.table.maintain(now, UPKEEP);
        // Writing to a string cannot fail. HAProxy's sizes are signed.
        let _ = writeln!(
            text,
            "# table: {}, type: {}, size:{}, used:{}",
            self.name,
            self.table.key_type(),
            self.table.size() as i32,
            self.table.used() as i32,
        );
    }

    fn write_entry(&self, shown: &TableEntry<'_>, text: &mut String) {
        let key = shown.key.to_string();
        let entry = &shown.entry;
        // An entry has no address to tell, but scripts know it by one.
        let pointer = XxHash64::oneshot(0, key.as_bytes());
        let left = entry.expires_in().unwrap_or_default().as_millis();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{pointer:#x}: key={key} use={} exp={left}",
            shown.uses
        );
        if self.data != ServerData::None {
            let _ = write!(text, " server_id={}", shown_id(entry.server_id()));
        }
        // HAProxy has the key of the server among the other data.
        let is_first = |data: &&DataType| data.kind() < DataKind::FailureCount;
        let stored = self.table.stored();
        for data in stored.iter().filter(is_first) {
            write_data(data, shown, text);
        }
        if self.data == ServerData::IdAndKey {
            let _ = write!(text, " server_key={}", entry.server_key().unwrap_or("-"));
        }
        for data in stored.iter().filter(|data| !is_first(data)) {
            write_data(data, shown, text);
        }
        text.push('\n');
    }
}

/// An array is shown as one value after the other, numbered before `_rate`.
fn write_data(data: &DataType, shown: &TableEntry<'_>, text: &mut String) {
    let kind = data.kind();
    for element in 0..data.len() {
        let value = shown.data(kind, element).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = match kind {
            DataKind::CounterRates => write!(text, " gpc{element}_rate"),
            _ if kind.is_array() => write!(text, " {kind}{element}"),
            _ => write!(text, " {kind}"),
        };
        if let Some(period) = data.period() {
            let _ = write!(text, "({})", period.as_millis());
        }
        let _ = write!(text, "={value}");
    }
}

fn store_refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::Full => "Unable to allocate a new entry".into(),
        error => error.to_string().into(),
    }
}
