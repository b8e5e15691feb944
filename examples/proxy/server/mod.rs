//! The side of the servers: slots, connections, checks, and what one exchange leaves
//! behind.

pub(crate) mod checks;
pub(crate) mod exchange;
pub(crate) mod observe;
pub(crate) mod pool;
pub(crate) mod queue;
