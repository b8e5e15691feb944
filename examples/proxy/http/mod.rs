//! One request of mode http: rules, a server, the way there and back.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod filters;
pub(crate) mod forward;
pub(crate) mod forwardfor;
pub(crate) mod headers;
pub(crate) mod pages;
pub(crate) mod replay;
pub(crate) mod rewrite;
pub(crate) mod target;
pub(crate) mod tunnel;
