//! One request in mode http: rules, a server, the way there and back.
//!
//! * `reception.rs`: where it comes in: the rules of its sections, and what the client gets;
//! * **`forward.rs`**: the life of a request between the two, and what the library is asked;
//! * `filters.rs`: rules on messages, with `target.rs` for those that give another target,
//!   `rewrite.rs` for those with regular expressions, `redirect.rs` for those that send clients
//!   elsewhere, `names.rs` for those about fields of many names, and `forwardfor.rs` for
//!   `option forwardfor`;
//! * `headers.rs`: what the proxy itself takes off messages and puts on them;
//! * `body.rs`: bodies that are not waited for without end; `replay.rs`: a request's body to
//!   be sent again; `streamed.rs`: a response's, whose end is that of the exchange;
//! * `interim.rs`: responses before the response; `tunnel.rs`: what is no HTTP any more;
//! * `answer.rs`: answers the proxy makes itself; `pages.rs`: those the configuration has.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod filters;
pub(crate) mod forward;
pub(crate) mod forwardfor;
pub(crate) mod headers;
pub(crate) mod interim;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod reception;
pub(crate) mod redirect;
pub(crate) mod replay;
pub(crate) mod rewrite;
pub(crate) mod streamed;
pub(crate) mod target;
pub(crate) mod tunnel;
