//! Slots on servers: held while a session lasts, and waited for when all are taken.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use stickroute::{Refusal, Retry, SelectError, Selection};
use tokio::time::{Instant, timeout_at};

use crate::pool::Pool;
use crate::site::Back;

/// A selection; whoever waits for its slot is told when it ends.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) selection: Selection<Pool>,
    /// Behind the selection, so that it rings when the slot has been given back.
    bell: Bell,
}

#[derive(Debug)]
struct Bell(Arc<Back>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.freed.notify_waiters();
    }
}

impl Held {
    fn new(selection: Selection<Pool>, back: &Arc<Back>) -> Self {
        let bell = Bell(Arc::clone(back));
        Self { selection, bell }
    }

    /// Gives the selection up to `retry`. Returns what is tried next, and how long to
    /// wait before.
    ///
    /// # Errors
    /// Nothing is tried any more.
    pub(crate) fn redispatch(
        self,
        retry: impl FnOnce(Selection<Pool>) -> Retry<Pool>,
    ) -> Result<(Self, Duration), SelectError> {
        let Self { selection, bell } = self;
        match retry(selection) {
            Retry::Same { selection, pause } | Retry::Other { selection, pause } => {
                Ok((Self::new(selection, &bell.0), pause))
            }
            Retry::GiveUp(error) => Err(error),
        }
    }
}

/// Selects, again each time a slot has become free, as long as all that would do are
/// taken, and no longer than `limit`; `None` is for ever. HAProxy: `timeout queue`.
///
/// Whoever waits is woken by every slot and takes it if it is one he can use: one who
/// insists on a server does not keep others from theirs. Those who wait are woken in
/// their order, but one who comes at that very moment may be faster. A request that is
/// redispatched to servers that are all full does not wait: it is answered 503.
pub(crate) async fn select(
    back: &Arc<Back>,
    limit: Option<Duration>,
    attempt: impl Fn() -> Result<Selection<Pool>, SelectError>,
) -> Result<Held, SelectError> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        // Before the attempt, so that nothing that becomes free meanwhile is missed.
        let mut freed = pin!(back.freed.notified());
        freed.as_mut().enable();
        let refused = match attempt() {
            Ok(selection) => return Ok(Held::new(selection, back)),
            Err(error) if *error.refusal() == Refusal::Saturated => error,
            Err(error) => return Err(error),
        };
        match deadline {
            None => freed.await,
            Some(deadline) if timeout_at(deadline, freed).await.is_ok() => {}
            Some(_) => return Err(refused),
        }
    }
}
