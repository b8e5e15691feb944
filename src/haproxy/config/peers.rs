//! `peers` sections.

use super::address::{self, Endpoint};
use super::args::{Args, argument};
use super::bind::{self, Bind};
use super::finding::{Finding, FindingKind};
use super::location::{Located, Word};
use super::server;
use super::suggest::expected_one_of;
use super::table::{self, TableLine};

/// HAProxy: `peers NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peers {
    /// Its name.
    pub name: Located<String>,
    /// HAProxy: `disabled`.
    pub disabled: bool,
    /// HAProxy: `peer` and `server`, in order.
    pub peers: Vec<Peer>,
    /// HAProxy: `bind`, where the local peer listens.
    pub bind: Option<Bind>,
    /// HAProxy: `table NAME ...`, in order.
    pub tables: Vec<PeersTable>,
}

/// One member of a `peers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: Word,
    /// Where it listens; only the local peer of a section with `bind` has none.
    pub address: Option<Located<Endpoint>>,
}

/// A table of a `peers` section; stick rules name it `SECTION/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeersTable {
    /// Its name in the section.
    pub name: Word,
    /// What it is.
    pub table: TableLine,
}

const KEYWORDS: [&str; 9] = [
    "bind",
    "default-bind",
    "default-server",
    "disabled",
    "enabled",
    "log",
    "peer",
    "server",
    "table",
];

impl Peers {
    pub(super) fn new(name: Located<String>) -> Self {
        Self {
            name,
            disabled: false,
            peers: Vec::new(),
            bind: None,
            tables: Vec::new(),
        }
    }

    /// Follows a line of the section; gives the keyword back if it has no effect.
    pub(super) fn follow(
        &mut self,
        args: &mut Args<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Word>, Finding> {
        let keyword = args.current();
        match keyword.text() {
            "bind" => self.bind = Some(bind::read(args)?),
            "disabled" | "enabled" => {
                self.disabled = keyword.is("disabled");
                args.end()?;
            }
            "log" => return Ok(Some(keyword.clone())),
            "peer" | "server" => self.peer(args)?,
            "table" => self.table(args, findings)?,
            "default-bind" | "default-server" => {
                let message = "not supported; expected the options in each line of its own";
                return Err(Finding::error(FindingKind::NotSupported, keyword, message));
            }
            text => {
                let message = expected_one_of(text, &KEYWORDS);
                return Err(Finding::error(FindingKind::Unknown, keyword, message));
            }
        }
        Ok(None)
    }

    fn peer(&mut self, args: &mut Args<'_>) -> Result<(), Finding> {
        let name = args.required("the name of a peer and its address")?;
        let address = match args.next() {
            Some(word) => Some(word.located(address::of_peer(word)?)),
            None => None,
        };
        args.end()?;
        let name = name.clone();
        self.peers.push(Peer { name, address });
        Ok(())
    }

    fn table(&mut self, args: &mut Args<'_>, findings: &mut Vec<Finding>) -> Result<(), Finding> {
        let name = args.required("the name of a table")?;
        if !server::is_name(name) {
            return Err(argument(
                name,
                "expected a name of letters, digits and any of -_.:",
            ));
        }
        let table = table::read(args, findings)?;
        let name = name.clone();
        self.tables.push(PeersTable { name, table });
        Ok(())
    }
}
