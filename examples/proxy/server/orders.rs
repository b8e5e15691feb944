//! Orders to end the sessions of a server: they are told to all sessions there are at that
//! moment, and cost those that never hear of one next to nothing.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use stickroute::haproxy::{Cause, Sessions};
use stickroute::{Farm, FarmServer, OperationalState, SessionsToEnd, Status};
use tokio::sync::Notify;

use crate::service::site::{Back, Site};

/// Why sessions are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Their server is down.
    Down,
    /// They are on a backup server, and another is up.
    Up,
    /// An operator wants it.
    Killed,
}

impl Order {
    const ALL: [Self; 3] = [Self::Down, Self::Up, Self::Killed];

    /// What the log says.
    pub(crate) fn cause(self) -> Cause {
        match self {
            Self::Down => Cause::Down,
            Self::Up => Cause::Up,
            Self::Killed => Cause::Killed,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ordered to end")
    }
}

impl Error for Order {}

/// The orders to the sessions of one server.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// How many there were, and in the two lowest bits the last one.
    last: AtomicU64,
    told: Notify,
}

const ONE: u64 = 4;

impl Orders {
    /// Ends all sessions there are.
    pub(crate) fn give(&self, order: Order) {
        let next = |last: u64| Some((last / ONE + 1) * ONE + order as u64);
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        let _ = self.last.fetch_update(set, get, next);
        self.told.notify_waiters();
    }

    fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// What has been ordered since `seen`.
    fn since(&self, seen: u64) -> Option<Order> {
        let last = self.last();
        let order = Order::ALL.get((last % ONE) as usize);
        order.copied().filter(|_| last != seen)
    }
}

/// What one session listens to, from the moment it has its server.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    orders: Arc<Orders>,
    seen: u64,
}

impl Listening {
    pub(crate) fn to(orders: &Arc<Orders>) -> Self {
        Self {
            orders: Arc::clone(orders),
            seen: orders.last(),
        }
    }

    /// Ends when the session is ordered to.
    pub(crate) async fn ordered(self) -> Order {
        loop {
            // One that comes after this line wakes it.
            let told = self.orders.told.notified();
            if let Some(order) = self.orders.since(self.seen) {
                return order;
            }
            told.await;
        }
    }
}

/// What comes of a future, unless the session is ordered to end before.
///
/// # Errors
/// The order.
pub(crate) async fn unless_ordered<F: Future>(
    listening: Option<Listening>,
    future: F,
) -> Result<F::Output, Order> {
    let Some(listening) = listening else {
        return Ok(future.await);
    };
    tokio::select! {
        output = future => Ok(output),
        order = listening.ordered() => Err(order),
    }
}

/// The same, for those who poll.
pub(crate) struct Ear {
    listening: Listening,
    /// Made when there is something to be waited for.
    ordered: Option<Pin<Box<dyn Future<Output = Order> + Send>>>,
}

impl Ear {
    pub(crate) fn new(listening: Listening) -> Self {
        let ordered = None;
        Self { listening, ordered }
    }

    /// Whether the session is to end, for one that does not wait.
    pub(crate) fn heard(&self) -> Option<Order> {
        self.listening.orders.since(self.listening.seen)
    }

    /// Wakes the session when it is to end.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Order> {
        let listening = &self.listening;
        let ordered = self
            .ordered
            .get_or_insert_with(|| Box::pin(listening.clone().ordered()));
        ordered.as_mut().poll(context)
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listening.fmt(f)
    }
}

/// Ends the sessions that are to end because a server has become what it is.
pub(crate) fn after_change(back: &Back, farm: &Farm, server: &FarmServer, before: Status) {
    match server.sessions_to_end(before) {
        Some(SessionsToEnd::Own) => give(back, server, Order::Down),
        Some(SessionsToEnd::OfBackups) => {
            let backups = farm.servers().iter().filter(|server| server.is_backup());
            backups.for_each(|backup| give(back, backup, Order::Up));
        }
        _ => {}
    }
}

/// Ends the sessions that are to end because a slow start has come to its end. A server that
/// was in one and is down now has been told of.
pub(crate) fn after_slow_start(back: &Back, farm: &Farm, server: &FarmServer, before: Status) {
    if server.status().operational() == OperationalState::Running {
        after_change(back, farm, server, before);
    }
}

/// Ends the sessions of a server.
pub(crate) fn give(back: &Back, server: &FarmServer, order: Order) {
    if let Some(numbers) = back.numbers.servers.get(server.name()) {
        numbers.orders.give(order);
    }
}

impl Sessions for Site {
    fn end(&self, backend: &str, server: &FarmServer) {
        if let Some(back) = self.backs.get(backend) {
            give(back, server, Order::Killed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn an_order_ends_the_sessions_there_are_and_none_that_begins_later() {
        let orders = Arc::new(Orders::default());
        let before = Listening::to(&orders);
        orders.give(Order::Up);
        orders.give(Order::Down);
        let after = Listening::to(&orders);
        assert_eq!(before.ordered().await, Order::Down);
        assert_eq!(Ear::new(after.clone()).heard(), None);
        let mut ear = Ear::new(after);
        let mut context = Context::from_waker(Waker::noop());
        assert!(ear.poll(&mut context).is_pending());
        orders.give(Order::Killed);
        assert_eq!(ear.heard(), Some(Order::Killed));
        assert_eq!(ear.poll(&mut context), Poll::Ready(Order::Killed));
    }
}
