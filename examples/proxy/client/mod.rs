//! A client's connection in mode http: who it is, which of its bytes are a request, and how
//! long it may be silent.
//!
//! * `proxy_protocol.rs`: who the client is, if another proxy stands between;
//! * `stream.rs`: the connection as hyper sees it, with its timers;
//! * `wire.rs`: its bytes before hyper sees them, a state at a time; `head.rs`: the head of a
//!   request; `syntax.rs`: the pieces of a head;
//! * `under_way.rs`: what the connection and those who answer its requests tell each other.

pub(crate) mod head;
pub(crate) mod proxy_protocol;
pub(crate) mod stream;
pub(crate) mod syntax;
pub(crate) mod under_way;
pub(crate) mod wire;

use crate::client::stream::Ends;
use crate::client::under_way::{Departure, UnderWay};
use crate::server::pool::Pool;
use crate::service::graceful::Guest;

/// One connection of a client, shared by its requests.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) ends: Ends,
    pub(crate) under_way: UnderWay,
    /// Connections to servers that no other client may use.
    pub(crate) own: Pool,
    /// As long as it is held, a graceful stop waits.
    pub(crate) guest: Guest,
}

impl Client {
    /// What comes of a future, unless the client leaves before, if that `matters`.
    pub(crate) async fn unless_left<F: Future>(
        &self,
        matters: bool,
        future: F,
    ) -> Result<F::Output, Departure> {
        if !matters {
            return Ok(future.await);
        }
        tokio::select! {
            biased;
            output = future => Ok(output),
            departure = self.under_way.left() => Err(departure),
        }
    }
}
