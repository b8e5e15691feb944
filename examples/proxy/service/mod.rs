//! Putting frontends and backends into service: sockets, the operator's port, upkeep, the
//! graceful end, and the hand-over to the next process.

pub(crate) mod control;
pub(crate) mod demo;
pub(crate) mod graceful;
pub(crate) mod handover;
pub(crate) mod listener;
pub(crate) mod plain;
pub(crate) mod serve;
pub(crate) mod site;
pub(crate) mod sockets;
pub(crate) mod upkeep;
