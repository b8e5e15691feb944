//! HAProxy's configuration text: sections `global`, `defaults`, `frontend`, `backend`,
//! `listen`, `peers` and `http-errors`, as plain typed values.
//!
//! [`Configuration::parse`] reads one text without an environment;
//! [`ConfigurationReader`] reads several files, with variables.

mod address;
mod args;
mod balance;
mod bind;
mod blocks;
mod budget;
mod check;
mod compile;
mod condition;
mod finding;
mod global;
mod keywords;
mod line;
mod lines;
mod location;
mod log;
mod options;
mod pages;
mod peers;
mod proxy;
mod reader;
mod reply;
mod rules;
mod section;
mod server;
mod stats;
mod stick;
mod store;
mod suggest;
mod table;
mod targets;
#[cfg(test)]
mod tests;
mod version;

pub use address::{Endpoint, Family, Host, Port};
pub use bind::Bind;
pub use finding::{ConfigurationError, Finding, FindingKind, Severity};
pub use global::Global;
pub use location::{Located, Location, Word};
pub use log::{CookieCapture, HeaderCapture, LogLine, LogSettings, LogStyle, LogTarget};
pub use pages::{ErrorFile, ErrorPage, HttpErrors};
pub use peers::{Peer, Peers, PeersTable};
pub use proxy::{
    Acl, BackendSettings, CheckLine, FrontendSettings, Mode, PersistLine, Proxy, ProxyKind,
    StickLine, Timeout,
};
pub use reader::ConfigurationReader;
pub use reply::{HttpReply, ReplyBody, ReplyContent};
pub use rules::{ConditionWords, ConditionalRule, Rule, Ruleset};
pub use server::{ServerLine, ServerSettings};
pub use stats::{StatsAccount, StatsPage};
pub use store::StoredData;
pub use table::TableLine;

pub(super) use balance::text;

/// What configuration files say, checked, with inheritance from `defaults` resolved.
///
/// ```
/// use stickroute::haproxy::Configuration;
///
/// let text = "
/// backend app
///     server s1 10.0.0.1:80 wieght 20
/// ";
/// let error = Configuration::parse("app.cfg", text).unwrap_err();
/// let finding = error.errors().next().expect("it is refused");
/// assert!(finding.to_string().starts_with("app.cfg:3:27: 'wieght': did you mean 'weight'?"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Configuration {
    /// All `global` sections together.
    pub global: Global,
    /// `frontend`, `backend` and `listen` sections, in order.
    pub proxies: Vec<Proxy>,
    /// `peers` sections, in order.
    pub peers: Vec<Peers>,
    /// `http-errors` sections, in order.
    pub http_errors: Vec<HttpErrors>,
    findings: Vec<Finding>,
}

impl Configuration {
    /// Reads one text in an empty environment.
    ///
    /// # Errors
    /// Everything that is wrong, sorted by place.
    pub fn parse(file: &str, text: impl Into<Vec<u8>>) -> Result<Self, ConfigurationError> {
        ConfigurationReader::new().file(file, text).read()
    }

    /// Warnings and notices, sorted by place.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Sections to which clients come: `frontend` and `listen`.
    pub fn frontends(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().filter(|proxy| proxy.kind.is_frontend())
    }

    /// Sections with servers: `backend` and `listen`.
    pub fn backends(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().filter(|proxy| proxy.kind.is_backend())
    }

    /// Stick tables by name, in the order of their sections. Those of `peers` sections
    /// are named `SECTION/TABLE`.
    pub fn tables(&self) -> impl Iterator<Item = (String, &TableLine)> {
        let tables = self.located_tables();
        tables.map(|(name, table)| (name, table.value))
    }

    pub(super) fn located_tables(&self) -> impl Iterator<Item = (String, Located<&TableLine>)> {
        targets::tables_of(&self.proxies, &self.peers)
    }
}
