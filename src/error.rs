//! What can be wrong: in a configuration, in a change, in a choice.

use std::fmt;

use crate::cookie::{ClientCookie, CookieProblem};
use crate::fetch::Origin;
use crate::key::KeyType;
use crate::ring::RingError;
use crate::sample::SampleType;
use crate::selection::given_up;
use crate::server::{AddressError, ServerId, Weight};
use crate::stick::StickAction;
use crate::table::StoreError;

/// A backend that cannot be built, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    backend: Box<str>,
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn new(backend: &str, problems: Vec<Problem>) -> Self {
        Self {
            backend: backend.into(),
            problems,
        }
    }

    /// Name of the backend.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Everything that is wrong, never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend {:?} cannot be built", self.backend)?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong with a configuration: what was found, where, and what is
/// allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A backend without servers.
    NoServer,
    /// A server whose name is empty or holds blanks or control characters.
    ServerName {
        /// The name.
        found: String,
    },
    /// A name that two servers have.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// An id that two servers have.
    DuplicateId {
        /// The id.
        id: ServerId,
        /// The servers that have it.
        servers: [String; 2],
    },
    /// An id out of range.
    Id {
        /// The server.
        server: String,
        /// The id.
        found: u32,
    },
    /// A text that is no address.
    Address {
        /// The server.
        server: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// A weight out of range.
    Weight {
        /// The server.
        server: String,
        /// The weight.
        found: u32,
    },
    /// An identifier for the cookie that no cookie could carry.
    CookieIdentifier {
        /// The server.
        server: String,
        /// The identifier.
        found: Vec<u8>,
    },
    /// A cookie policy that cannot work.
    Cookie(CookieProblem),
    /// An empty key for dynamic cookies.
    DynamicCookieKey,
    /// A rule that names a server that does not exist.
    UnknownServer {
        /// The name.
        found: String,
    },
    /// A redispatch interval for which no retry can be computed: −(retries + 1).
    RedispatchInterval {
        /// The interval.
        interval: i32,
        /// The retries it was given with.
        retries: u32,
    },
    /// A stick rule without a table of its own in a backend that has none.
    NoStickTable {
        /// What the rule does.
        action: StickAction,
    },
    /// A stick rule whose key is not there yet, or no more, when the rule acts.
    StickKeyMoment {
        /// What the rule does.
        action: StickAction,
        /// Where its key is found.
        origin: Origin,
    },
    /// A stick rule whose key can never become a key of its table.
    StickKeyType {
        /// What the rule does.
        action: StickAction,
        /// The type of its key.
        found: SampleType,
        /// The type of the table.
        expected: KeyType,
    },
    /// A stick rule with a condition on the other message than the one it acts on.
    StickCondition {
        /// What the rule does.
        action: StickAction,
    },
    /// A table that takes no more servers.
    StickTable(StoreError),
    /// The selector refuses this farm.
    Selector(SelectorError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("no server; expected at least one"),
            Self::ServerName { found } => write!(
                f,
                "server name {found:?}; expected at least one character and neither blanks nor control characters"
            ),
            Self::DuplicateName { name } => {
                write!(f, "two servers are named {name:?}; expected unique names")
            }
            Self::DuplicateId {
                id,
                servers: [a, b],
            } => write!(
                f,
                "servers {a:?} and {b:?} both have id {id}; expected unique ids"
            ),
            Self::Id { server, found } => write!(
                f,
                "server {server:?} has id {found}; expected 1 to {}",
                ServerId::MAX
            ),
            Self::Address { server, error } => write!(f, "server {server:?}: {error}"),
            Self::Weight { server, found } => write!(
                f,
                "server {server:?} has weight {found}; expected 0 to {}",
                Weight::MAX
            ),
            Self::CookieIdentifier { server, found } => write!(
                f,
                "server {server:?} has cookie identifier \"{}\"; expected at least one byte, no control characters and no ';'",
                found.escape_ascii()
            ),
            Self::Cookie(problem) => problem.fmt(f),
            Self::DynamicCookieKey => {
                f.write_str("the dynamic cookie key is empty; expected at least one byte")
            }
            Self::UnknownServer { found } => write!(
                f,
                "a use-server rule names {found:?}; expected the name of a server of this backend"
            ),
            Self::RedispatchInterval { interval, retries } => write!(
                f,
                "redispatch interval {interval} with {retries} retries; expected any other interval than -(retries + 1)"
            ),
            Self::NoStickTable { action } => write!(
                f,
                "a stick {} rule names no table and the backend has none; expected one of both",
                action.as_str()
            ),
            Self::StickKeyMoment { action, origin } => write!(
                f,
                "the key of a stick {} rule is found in {origin:?}, which is not at hand when it acts",
                action.as_str()
            ),
            Self::StickKeyType {
                action,
                found,
                expected,
            } => write!(
                f,
                "the key of a stick {} rule is {found}; expected one that can become a key of type {expected:?}",
                action.as_str()
            ),
            Self::StickCondition { action } => write!(
                f,
                "a stick {} rule has a condition on the wrong message; expected `when` for rules on requests and `when_response` for store-response",
                action.as_str()
            ),
            Self::StickTable(error) => error.fmt(f),
            Self::Selector(error) => error.fmt(f),
        }
    }
}

/// Something odd in a configuration that works all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigWarning {
    /// Two servers have the same computed identifier, so a cookie only ever names
    /// the first. It happens when address and port are equal.
    DynamicCookieCollision {
        /// The servers, in order of configuration.
        servers: [String; 2],
    },
    /// An identifier that never comes back as it was sent, so that the server is never
    /// found by it: one with a `|` (in mode `prefix` with a `~`) or a `,`, for example.
    CookieIdentifier {
        /// The server.
        server: String,
        /// The identifier.
        found: Vec<u8>,
    },
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DynamicCookieCollision { servers: [a, b] } => write!(
                f,
                "servers {a:?} and {b:?} have the same dynamic cookie; only {a:?} can be named by it"
            ),
            Self::CookieIdentifier { server, found } => write!(
                f,
                "server {server:?} has cookie identifier \"{}\", which is read back as another; expected neither '|' (in mode prefix '~') nor ',' nor blanks at its ends",
                found.escape_ascii()
            ),
        }
    }
}

/// A change of a running backend that was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is no server of this name or id.
    UnknownServer {
        /// The name or id.
        found: String,
    },
    /// The server to be added or changed would be wrong in itself or beside others.
    Invalid(Problem),
    /// With a static algorithm a weight can only become 0 or the configured one.
    StaticWeight {
        /// The server.
        server: String,
        /// The weight asked for.
        found: Weight,
        /// The configured weight.
        configured: Weight,
    },
    /// A `use-server` rule names the server to be removed.
    InUse {
        /// The server.
        server: String,
    },
    /// The selector refuses the changed farm.
    Selector(SelectorError),
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownServer { found } => write!(f, "no server {found:?} in this backend"),
            Self::Invalid(problem) => problem.fmt(f),
            Self::StaticWeight {
                server,
                found,
                configured,
            } => write!(
                f,
                "server {server:?} cannot get weight {found}: with a static algorithm only 0 and the configured weight {configured} are possible"
            ),
            Self::InUse { server } => {
                write!(f, "server {server:?} is named by a use-server rule")
            }
            Self::Selector(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UpdateError {}

impl From<Problem> for UpdateError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Selector(error) => Self::Selector(error),
            other => Self::Invalid(other),
        }
    }
}

/// No server for a request, and why.
///
/// A proxy answers 503 to the client, as HAProxy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectError {
    refusal: Refusal,
    client_cookie: ClientCookie,
}

impl SelectError {
    #[inline]
    pub(crate) fn new(refusal: Refusal, client_cookie: ClientCookie) -> Self {
        Self {
            refusal,
            client_cookie,
        }
    }

    /// The same for a request whose server had been given up before.
    pub(crate) fn with_server_given_up(mut self) -> Self {
        self.client_cookie = given_up(self.client_cookie);
        self
    }

    /// Why there is no server.
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// What the client's cookie said, for the log.
    pub fn client_cookie(&self) -> ClientCookie {
        self.client_cookie
    }
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl std::error::Error for SelectError {}

/// Why there is no server for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No server can take a new session: all are down, drained or of weight 0.
    NoServer,
    /// Every server that may serve the request has all its slots taken or waited for, and no
    /// room in its queue if the request could wait.
    Saturated,
    /// All retries are used up.
    RetriesUsedUp {
        /// How many there were.
        retries: u32,
    },
    /// The failure is none after which the [policy](crate::RetryPolicy::retry_on) has
    /// another attempt.
    NotRetried,
    /// The selector named a position that is not in the farm.
    Selector {
        /// The position.
        found: usize,
        /// How many servers there are.
        servers: usize,
    },
    /// The selector named a server that takes no new sessions: down, drained, or of weight 0.
    UnusableServer {
        /// The server.
        found: ServerId,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("no server is available"),
            Self::Saturated => f.write_str("every server that may serve the request is full"),
            Self::NotRetried => f.write_str("the failure is none that is retried"),
            Self::RetriesUsedUp { retries } => write!(f, "all {retries} retries are used up"),
            Self::Selector { found, servers } => write!(
                f,
                "the selector named server {found} of a farm of {servers}"
            ),
            Self::UnusableServer { found } => write!(
                f,
                "the selector named the server of id {found}, which takes no new sessions"
            ),
        }
    }
}

/// A selector that cannot serve a farm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorError {
    /// More ring points than allowed, and the memory they would take.
    TooManyPoints {
        /// Points asked for: 16 a unit of weight and server.
        points: u64,
        /// Points allowed.
        limit: u64,
        /// Memory those asked for would take.
        bytes: u64,
    },
    /// More slots of a map than allowed, and the memory they would take.
    TooManySlots {
        /// Slots asked for: the sum of all weights, divided by what they have in common.
        slots: u64,
        /// Slots allowed.
        limit: u64,
        /// Memory those asked for would take.
        bytes: u64,
    },
    /// A [balance factor](crate::ConsistentHash::balance_factor) that no server could
    /// keep to: it must be 0 for none, or above 100.
    BalanceFactor {
        /// The factor, in percent.
        found: u32,
    },
    /// Anything a selector of the caller's own has to say.
    Other(String),
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // One wording, wherever a limit is hit.
            &Self::TooManyPoints {
                points,
                limit,
                bytes,
            } => RingError::TooManyPoints {
                points,
                limit,
                bytes,
            }
            .fmt(f),
            Self::TooManySlots {
                slots,
                limit,
                bytes,
            } => write!(
                f,
                "the map would have {slots} slots in {bytes} bytes of memory; {limit} slots are allowed"
            ),
            Self::BalanceFactor { found } => write!(
                f,
                "balance factor {found}; expected 0 for none, or more than 100 percent"
            ),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for SelectorError {}

impl From<RingError> for SelectorError {
    fn from(error: RingError) -> Self {
        let RingError::TooManyPoints {
            points,
            limit,
            bytes,
        } = error;
        Self::TooManyPoints {
            points,
            limit,
            bytes,
        }
    }
}
