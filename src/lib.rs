//! Sticky-session routing for proxies and gateways: HAProxy's session persistence and
//! balancing as pure logic.
//!
//! The library decides; the proxy around it moves bytes. It does no I/O, reads no clock
//! and starts no thread: bytes, time and random seeds come in, answers come out.
//!
//! # The life of one request
//!
//! ```
//! use stickroute::{
//!     Backend, CookiePolicy, Failure, Now, Redispatch, Retry, RetryPolicy, Server,
//!     SimpleRequest, SimpleResponse,
//! };
//!
//! // Once: describe the farm. Everything that is wrong is reported here.
//! let backend: Backend = Backend::builder("app")
//!     .server(Server::new("app1", "10.0.0.1:8080").cookie("a1"))
//!     .server(Server::new("app2", "10.0.0.2:8080").cookie("a2"))
//!     .cookie(CookiePolicy::insert("SRV").indirect().nocache())
//!     .retry(RetryPolicy::new(3).redispatch(Redispatch::LAST_RETRY))
//!     .build()?;
//!
//! // 1. Which server? The answer holds a slot on it and says why.
//! let request = SimpleRequest::new("GET", "/").header("Cookie", "lang=en; SRV=a1");
//! let mut selection = backend.select(&request, Now::system())?;
//! assert_eq!(selection.to_string(), "app1 by cookie (VN)");
//!
//! // 2. Connect to it. Each failure is told, until another server is named.
//! while selection.server().name() == "app1" {
//!     selection = match backend.redispatch(selection, &request, Failure::Refused, Now::system()) {
//!         Retry::Same { selection, pause } => selection, // after waiting `pause`
//!         Retry::Other { selection, .. } => selection,
//!         Retry::GiveUp(error) => return Err(error.into()), // answer 503
//!     };
//! }
//! assert_eq!(selection.to_string(), "app2 by redispatch (DN)");
//!
//! // 3. Forward the request, without our cookie.
//! let edits = selection.request_edits(&request);
//! assert_eq!(edits.cookie_fields(), [stickroute::FieldEdit::Replace(b"lang=en".to_vec())]);
//!
//! // 4. Pass the response on, with the cookie of the new server.
//! let response = SimpleResponse::new(200);
//! let edits = backend.respond(&mut selection, &response, Now::system());
//! assert_eq!(edits.set_cookie(), Some(&b"SRV=a2; path=/"[..]));
//!
//! // 5. When the response has ended, the slot goes back.
//! drop(selection);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map of the crate
//!
//! | to | see |
//! |---|---|
//! | describe a farm | [`Backend::builder`], [`Server`], [`CookiePolicy`], [`Condition`], [`RetryPolicy`], [`RetryOn`] |
//! | route | [`Backend::select`], [`Backend::redispatch`], [`Backend::respond`], [`Selection`] |
//! | let requests wait for a free slot | [`Backend::admit`], [`Waiting`], [`Priority`], [`Server::max_connections`], [`Server::max_queue`] |
//! | show it messages | [`Request`], [`Response`]; [`SimpleRequest`]; [`HttpRequest`] |
//! | check whether servers are well | [`health`], [`Backend::report_check`], [`Server::health`] |
//! | change servers while requests run | [`Backend::update`], [`AdminState`], [`OperationalState`] |
//! | take servers out without breaking sessions | [`AdminState::Drain`], [`Backend::drained`], [`Backend::remove`] |
//! | change servers while requests run | [`Backend::update`], [`AdminState`], [`OperationalState`]; [`Server::slow_start`], [`Backend::maintain`] |
//! | remember sessions in tables | [`StickTable`], [`StickRule`], [`Fetch`], [`BackendBuilder::lookup`] |
//! | spread sessions | [`RoundRobin`], [`StaticRoundRobin`], [`LeastConnections`], [`FirstFree`], [`Sticky`], [`Random`], [`MapHash`], [`ConsistentHash`], or your own [`Selector`] |
//! | take keys out of messages | [`Fetch`], [`Converter`], [`Expression`], [`Sample`] |
//! | hash onto a ring, without a farm | [`ConsistentHashRing`] |
//! | keep keys with their servers, without a farm | [`StickTable`], [`Key`], [`Sample`] |
//! | read and edit cookies, without a farm | [`cookie`] |
//! | put a HAProxy configuration into service | [`haproxy::Configuration`], [`haproxy::Routing`], [`haproxy::Runtime`] |
//! | use HAProxy's texts one by one | [`CookiePolicy::from_directive`], [`haproxy`] |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `http` | on | views and edits for the types of the `http` crate |
//! | `serde` | off | `Serialize` and `Deserialize` for states, ids, weights, reasons |
//! | `haproxy` | on | HAProxy's texts: configurations, `balance` lines, sample expressions, conditions, runtime commands |
//!
//! # Concurrency
//!
//! Everything is `Send + Sync` and takes `&self`. A request looks at one immutable snapshot
//! of servers, states and hashes, read without waiting; a change prepares the next snapshot
//! and publishes it in one step. Counters belong to a server's id and outlive every change.
//! A backend's queues have one lock, which nobody takes while nobody waits.

mod backend;
mod condition;
pub mod cookie;
mod error;
mod fetch;
mod handle;
#[cfg(feature = "haproxy")]
pub mod haproxy;
pub mod hash;
pub mod health;
#[cfg(feature = "http")]
mod http;
mod key;
mod message;
#[cfg(feature = "haproxy")]
mod pattern;
mod queue;
pub mod ring;
mod rng;
mod sample;
mod selection;
mod selector;
mod server;
mod short;
mod snapshot;
mod stick;
pub mod table;
mod text;
mod time;
mod timespan;
mod words;

#[cfg(feature = "http")]
pub use self::http::{HttpRequest, HttpResponse};
pub use backend::{
    Backend, BackendBuilder, Failure, Redispatch, Retry, RetryOn, RetryOnError, RetryPolicy,
    ServerKey, Update,
};
pub use condition::Condition;
pub use cookie::{
    ClientCookie, CookieMode, CookiePolicy, CookieProblem, FieldEdit, ResponseCookie,
};
pub use error::{
    ConfigError, ConfigWarning, Problem, Refusal, SelectError, SelectorError, UpdateError,
};
pub use fetch::{
    Arithmetic, Converter, Expression, Fetch, HeaderFetch, Moment, Origin, TypeMismatch,
};
pub use handle::ServerHandle;
pub use key::{Key, KeyBytes, KeyType};
pub use message::{HeaderVisitor, Request, Response, SimpleRequest, SimpleResponse};
pub use queue::{Admission, DrainEnd, Drained, Priority, SentBack, Turn, Waiting};
pub use ring::{ConsistentHashRing, RingChange, RingError, RingKey, RingPlacement};
pub use sample::{Sample, SampleType};
pub use selection::{Reason, RequestEdits, ResponseEdits, Selection};
pub use selector::{
    Choice, ConsistentHash, FirstFree, HashInput, HeaderInput, LeastConnections, MapHash,
    PreserveAffinity, Random, RoundRobin, Selector, StaticRoundRobin, Sticky, UriInput,
    WeightChangeRule,
};
pub use server::{
    Address, AddressError, AdminState, Farm, FarmServer, Group, LoadWatcher, OperationalState,
    OutOfRange, Server, ServerId, ServerLoad, Serving, SessionsToEnd, Status, Weight, WeightChange,
    WeightScale,
};
pub use stick::{StickAction, StickRule};
pub use table::{
    DataKind, DataType, Entry, Held, Removal, Reservation, ServerNaming, StickTable,
    StickTableBuilder, StoreError, Stored, TableEntry, TableError, TableServer, Upkeep,
};
pub use time::Now;

/// Keeps the example of the README working.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
