//! Stick rules: which keys a backend looks up in a table, and which it learns.
//!
//! A rule takes a key out of the request or the response, and finds or stores its server
//! in a [`StickTable`]. Rules are worked through in the order they were given:
//!
//! * when a server is selected, all request rules, even if a cookie or another rule has
//!   chosen already: what is found is refreshed, and keys to be stored are remembered;
//! * when the response arrives, or the connection of a TCP proxy is established, every
//!   remembered key is stored with the server that answered, whatever chose it.
//!
//! A request that holds a key to be stored also holds room for it in the table. Of several
//! rules that store in one table the first with a key decides, and those behind it are
//! passed over, lookup included.

mod pending;

use std::fmt;
use std::sync::Arc;

pub(crate) use pending::{Kept, Pending, Stores};

use crate::condition::Condition;
use crate::fetch::{Expression, Moment};
use crate::key::Key;
use crate::message::{Request, Response};
use crate::table::StickTable;

/// What to do with the key of a request or a response.
///
/// ```
/// use std::sync::Arc;
/// use stickroute::{Backend, Condition, Fetch, KeyType, Request, Server, StickRule, StickTable};
///
/// let sessions = Arc::new(StickTable::builder(KeyType::String(32)).size(10_000).build()?);
/// let backend: Backend = Backend::builder("mcp")
///     .server(Server::new("gpu1", "10.0.0.1:8080"))
///     .server(Server::new("gpu2", "10.0.0.2:8080"))
///     .stick_table(Arc::clone(&sessions))
///     .stick(StickRule::matching(Fetch::header("mcp-session-id")))
///     .stick(StickRule::store_response(Fetch::response_header("mcp-session-id")))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StickRule {
    action: StickAction,
    key: Expression,
    table: Option<Arc<StickTable>>,
    condition: Condition,
    response_condition: Option<Arc<ResponseQuestion>>,
    exchange_condition: Option<ExchangeCondition>,
}

/// A condition on the response that knows what was noted of the request.
#[derive(Clone)]
struct ExchangeCondition {
    note: Arc<Note>,
    holds: Arc<NotedQuestion>,
}

type Note = dyn Fn(&dyn Request) -> u64 + Send + Sync;
type NotedQuestion = dyn Fn(u64, &dyn Response) -> bool + Send + Sync;

type ResponseQuestion = dyn Fn(&dyn Response) -> bool + Send + Sync;

/// When a rule acts, and whether it looks up, stores, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StickAction {
    /// Look the key of the request up, and store it. HAProxy: `stick on`.
    On,
    /// Look the key of the request up. HAProxy: `stick match`.
    Match,
    /// Store the key of the request. HAProxy: `stick store-request`.
    StoreRequest,
    /// Store the key of the response. HAProxy: `stick store-response`.
    StoreResponse,
}

impl StickAction {
    /// HAProxy's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Match => "match",
            Self::StoreRequest => "store-request",
            Self::StoreResponse => "store-response",
        }
    }

    /// When the key is taken.
    pub const fn moment(self) -> Moment {
        match self {
            Self::StoreResponse => Moment::Response,
            Self::On | Self::Match | Self::StoreRequest => Moment::Request,
        }
    }

    pub(crate) const fn looks_up(self) -> bool {
        matches!(self, Self::On | Self::Match)
    }

    pub(crate) const fn stores(self) -> bool {
        !matches!(self, Self::Match)
    }
}

impl StickRule {
    /// Looks the key up in requests, and stores it with the server that answers.
    /// HAProxy: `stick on`.
    pub fn on(key: impl Into<Expression>) -> Self {
        Self::new(StickAction::On, key.into())
    }

    /// Looks the key up in requests and stores nothing. HAProxy: `stick match`.
    pub fn matching(key: impl Into<Expression>) -> Self {
        Self::new(StickAction::Match, key.into())
    }

    /// Stores the key of a request with the server that answers. HAProxy: `stick
    /// store-request`.
    pub fn store_request(key: impl Into<Expression>) -> Self {
        Self::new(StickAction::StoreRequest, key.into())
    }

    /// Stores a key that the server put into its response. HAProxy: `stick
    /// store-response`.
    pub fn store_response(key: impl Into<Expression>) -> Self {
        Self::new(StickAction::StoreResponse, key.into())
    }

    fn new(action: StickAction, key: Expression) -> Self {
        Self {
            action,
            key,
            table: None,
            condition: Condition::always(),
            response_condition: None,
            exchange_condition: None,
        }
    }

    /// Uses another table than the backend's own, one that several backends share for
    /// example. HAProxy: `table`.
    #[must_use]
    pub fn table(mut self, table: Arc<StickTable>) -> Self {
        self.table = Some(table);
        self
    }

    /// Applies a rule on requests only to those that meet the condition. On a
    /// [`store_response`](Self::store_response) rule `build()` refuses it: the request is
    /// gone when that acts. HAProxy: `if`.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Applies a [`store_response`](Self::store_response) rule only to responses for which
    /// `question` answers true. On other rules `build()` refuses it: they act before there
    /// is a response.
    #[must_use]
    pub fn when_response(
        mut self,
        question: impl Fn(&dyn Response) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.response_condition = Some(Arc::new(question));
        self
    }

    /// Applies a [`store_response`](Self::store_response) rule depending on both messages:
    /// `note` keeps something about the request in a number of the caller's own, and
    /// `holds` decides with it when the response is there. On other rules `build()` refuses
    /// it; it takes the place of [`when_response`](Self::when_response).
    ///
    /// ```
    /// use stickroute::{Fetch, Request, Response, StickRule};
    ///
    /// // Sessions begin with a POST that the server has accepted.
    /// let rule = StickRule::store_response(Fetch::response_header("mcp-session-id"))
    ///     .when_exchange(
    ///         |request| u64::from(request.method() == b"POST"),
    ///         |is_post, response| is_post == 1 && response.status() == 200,
    ///     );
    /// ```
    #[must_use]
    pub fn when_exchange(
        mut self,
        note: impl Fn(&dyn Request) -> u64 + Send + Sync + 'static,
        holds: impl Fn(u64, &dyn Response) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (note, holds) = (Arc::new(note), Arc::new(holds));
        self.exchange_condition = Some(ExchangeCondition { note, holds });
        self
    }

    /// What the rule does.
    pub fn action(&self) -> StickAction {
        self.action
    }

    pub(crate) fn own_table(&self) -> Option<&Arc<StickTable>> {
        self.table.as_ref()
    }

    pub(crate) fn key(&self) -> &Expression {
        &self.key
    }

    /// Whether it asks a question about a response that is not there yet.
    pub(crate) fn asks_too_early(&self) -> bool {
        let is_asked = self.response_condition.is_some() || self.exchange_condition.is_some();
        is_asked && self.action.moment() == Moment::Request
    }

    /// Whether it asks a question about a request that is gone.
    pub(crate) fn asks_too_late(&self) -> bool {
        !self.condition.is_always() && self.action.moment() == Moment::Response
    }

    pub(crate) fn applies_to_request(&self, request: &dyn Request) -> bool {
        self.condition.holds(request)
    }

    /// What the condition on both messages keeps of the request, if there is one.
    pub(crate) fn note(&self, request: &dyn Request) -> Option<u64> {
        let condition = self.exchange_condition.as_ref()?;
        Some((condition.note)(request))
    }

    /// `note` is what [`note`](Self::note) gave for the request.
    pub(crate) fn applies_to_response(&self, note: u64, response: &dyn Response) -> bool {
        if let Some(condition) = &self.exchange_condition {
            return (condition.holds)(note, response);
        }
        let question = self.response_condition.as_ref();
        question.is_none_or(|question| question(response))
    }

    pub(crate) fn key_of_request<R>(
        &self,
        table: &StickTable,
        request: &dyn Request,
        use_key: impl FnOnce(&Key<'_>) -> R,
    ) -> Option<R> {
        let sample = self.key.on_request(request)?;
        Some(use_key(&table.key_type().key(&sample)?))
    }

    pub(crate) fn key_of_response(
        &self,
        table: &StickTable,
        response: &dyn Response,
    ) -> Option<Key<'static>> {
        let sample = self.key.on_response(response)?;
        Some(table.key_type().key(&sample)?.into_owned())
    }
}

impl fmt::Debug for StickRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickRule")
            .field("action", &self.action)
            .field("key", &self.key)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}
