//! From table lines to tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::NamedTable;
use crate::haproxy::ServerData;
use crate::haproxy::config::{
    Configuration, Finding, FindingKind, Located, StoredData, TableLine, Word,
};
use crate::{StickTable, StickTableBuilder, TableError};

/// The tables of a configuration, by name.
#[derive(Default)]
pub(super) struct Tables {
    places: HashMap<String, usize>,
    pub(super) all: Vec<NamedTable>,
}

impl Tables {
    /// Builds all tables, in the order of their lines.
    pub(super) fn build(
        configuration: &Configuration,
        hash_seed: u64,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let ruled = ruled(configuration);
        let mut lines: Vec<_> = configuration.located_tables().collect();
        lines.sort_by(|(_, a), (_, b)| a.location.cmp(&b.location));
        let mut tables = Self::default();
        for (name, line) in lines {
            let data = data(line.value, ruled.contains(name.as_str()));
            match table(&line, hash_seed) {
                Ok(table) => tables.add(name, Arc::new(table), data),
                Err(finding) => findings.push(finding),
            }
        }
        tables
    }

    fn add(&mut self, name: String, table: Arc<StickTable>, data: ServerData) {
        self.places.insert(name.clone(), self.all.len());
        self.all.push(NamedTable { name, table, data });
    }

    /// Finds tables for the expressions of the section `own`.
    pub(super) fn finder<'t>(
        &'t self,
        own: &'t str,
    ) -> impl Fn(Option<&str>) -> Option<Arc<StickTable>> + 't {
        move |name| self.find(name.unwrap_or(own)).cloned()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<StickTable>> {
        self.places.get(name).map(|&place| &self.all[place].table)
    }
}

/// Tables that stick rules name: their entries have the name of a server, too.
fn ruled(configuration: &Configuration) -> HashSet<&str> {
    let sections = configuration.backends();
    let rules = sections.flat_map(|proxy| {
        let rules = proxy.backend.stick_rules.iter();
        rules.map(|rule| rule.table_name(proxy))
    });
    rules.collect()
}

fn data(line: &TableLine, is_ruled: bool) -> ServerData {
    let stores = |name: &str| line.store.iter().any(|item| item.name == name);
    if is_ruled {
        ServerData::IdAndKey
    } else if stores("server_id") {
        ServerData::Id
    } else {
        ServerData::None
    }
}

fn table(line: &Located<&TableLine>, hash_seed: u64) -> Result<StickTable, Finding> {
    let TableLine {
        key_type,
        size,
        expire,
        nopurge,
        naming,
        ref store,
        ..
    } = *line.value;
    let builder = StickTable::builder(key_type)
        .size(u64::from(size))
        .expire(expire)
        .servers_named_by(naming)
        .hash_seed(hash_seed);
    let builder = if nopurge { builder.nopurge() } else { builder };
    let stored = store.iter().filter_map(StoredData::data_type);
    let builder = stored.fold(builder, StickTableBuilder::store);
    builder.build().map_err(|error| refused(line, &error))
}

fn refused(line: &Located<&TableLine>, error: &TableError) -> Finding {
    let word = Word {
        bytes: b"stick-table".to_vec(),
        location: line.location.clone(),
    };
    Finding::error(FindingKind::Argument, &word, error.to_string())
}
