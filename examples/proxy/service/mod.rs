//! What is served, from the first socket that is opened to the last client that leaves.
//!
//! * `site.rs`: frontends and backends, as everything else sees them;
//! * `serve.rs`: puts a configuration into service; `plain.rs`: one backend of the command
//!   line, with the servers of `demo.rs` if it names none;
//! * `sockets.rs`: where clients may come in, `owner.rs`: whose a Unix socket is;
//!   `listener.rs`: lets them in;
//! * `graceful.rs`: how the program ends without losing anybody; `handover.rs`: how another
//!   one takes its place;
//! * `control.rs`: the operator's port; `upkeep.rs`: what is done now and then.

pub(crate) mod control;
pub(crate) mod demo;
pub(crate) mod graceful;
pub(crate) mod handover;
pub(crate) mod listener;
pub(crate) mod owner;
pub(crate) mod plain;
pub(crate) mod serve;
pub(crate) mod site;
pub(crate) mod sockets;
pub(crate) mod upkeep;
