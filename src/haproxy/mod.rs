//! HAProxy's texts: lines of its configuration, and commands at run time.
//!
//! The words mean what they mean to HAProxy: the same server for the same request.
//! A text HAProxy refuses is refused here too; a few that it accepts without looking,
//! like a number with letters after it or words after the last one it knows, are
//! refused as well, for they are mistakes.
//!
//! [`Configuration`] reads whole files and [`Routing`] puts them into service: frontends,
//! backends, stick tables. [`Runtime`] answers an operator's commands about them, and
//! [`ServerStates`] brings servers back into the states they were in. [`selector`],
//! [`expression`] and [`Acls`] read single lines, [`Pattern`] a regular expression.

mod acl;
mod balance;
mod command;
mod config;
mod error;
mod expression;
mod format;
mod inspection;
mod log;
mod routing;
mod states;

pub use crate::pattern::{InvalidReplacement, Pattern, PatternError, PatternProblem, Replacement};
pub use acl::{AclCondition, AclError, AclProblem, Acls};
pub use balance::{selector, selector_seeded};
pub use command::{
    Answer, Level, MAX_LINE, ProcessInfo, ProxyId, Runtime, ServerData, Sessions, StatBackend,
    StatCheck, StatCounts, StatRow, StatServer, StatSubject, Statistics, Wish, statistics_csv,
};
pub use config::{
    Acl, BackendSettings, Bind, CheckLine, ConditionWords, ConditionalRule, Configuration,
    ConfigurationError, ConfigurationReader, CookieCapture, Endpoint, ErrorFile, ErrorPage, Family,
    Finding, FindingKind, FrontendSettings, Global, HeaderCapture, Host, HttpErrors, HttpReply,
    Located, Location, LogLine, LogSettings, LogStyle, LogTarget, Mode, Peer, Peers, PeersTable,
    PersistLine, Port, Proxy, ProxyKind, ReplyBody, ReplyContent, Rule, Ruleset, ServerLine,
    ServerSettings, Severity, StatsAccount, StatsPage, StickLine, StoredData, TableLine, Timeout,
    Word,
};
pub use error::DirectiveError;
pub use expression::{ExpressionError, ExpressionProblem, expression};
pub use format::{Format, FormatError};
pub use inspection::{Inspection, Verdict};
pub use log::{
    Cause, Envelope, Facility, LogFormat, LogLevel, LogRecord, LogSender, LogTimers, Phase,
    Termination,
};
pub use routing::{BackendCheck, Frontend, Routing, RoutingBuilder};
pub use states::{ServerStates, ServerStatesError, ServerStatesProblem};

/// Whether it can name a header field (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}
