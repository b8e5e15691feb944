//! The side of the servers: a session holds a slot there from its selection to its end.
//!
//! * `queue.rs`: waits for a slot where all are taken;
//! * `pool.rs`: connects, and keeps connections for further requests;
//! * `exchange.rs`: holds the slot, and tells log and statistics what became of it, in the
//!   words of `exchange/record.rs`;
//! * `checks/`: asks servers how they are, and tells the library; `observe.rs`: tells it what
//!   sessions meet there;
//! * `orders.rs`: ends sessions of servers that go down, or because an operator wants it;
//! * `changes.rs`: tells people of servers that come and go.

pub(crate) mod changes;
pub(crate) mod checks;
pub(crate) mod exchange;
pub(crate) mod observe;
pub(crate) mod orders;
pub(crate) mod pool;
pub(crate) mod queue;
