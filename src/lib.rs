//! Sticky-session routing for proxies and gateways.

pub mod cookie;
mod error;
#[cfg(feature = "haproxy")]
pub mod haproxy;
pub mod hash;
mod message;
pub mod ring;
mod selector;
mod server;
mod time;
mod timespan;
mod words;

pub use cookie::{ClientCookie, CookieMode, CookiePolicy, CookieProblem, ResponseCookie};
pub use error::SelectorError;
pub use message::{HeaderVisitor, Request, Response, SimpleRequest, SimpleResponse};
pub use ring::{ConsistentHashRing, RingChange, RingError, RingKey};
pub use selector::{
    Choice, HashInput, HeaderInput, MapHash, RoundRobin, Selector, StaticRoundRobin, UriInput,
    WeightChangeRule,
};
pub use server::{
    Address, AddressError, AdminState, Farm, FarmServer, Group, LoadWatcher, OperationalState,
    Server, ServerId, Serving, Status, Weight, WeightChange, WeightScale,
};
pub use time::Now;
