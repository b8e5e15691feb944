//! A client's connection in mode http, as those who answer its requests see it.

pub(crate) mod head;
pub(crate) mod proxy_protocol;
pub(crate) mod stream;
pub(crate) mod syntax;
pub(crate) mod under_way;
pub(crate) mod wire;

use crate::client::stream::Ends;
use crate::client::under_way::UnderWay;
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
