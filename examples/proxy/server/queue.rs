//! Slots on servers: held while a session lasts, and waited for when all are taken.

use std::time::Duration;

use stickroute::{Admission, Retry, SelectError, Selection, SentBack, Turn, Waiting};
use tokio::time::{Instant, timeout_at};

use crate::server::pool::Pool;

/// Why there is no server.
#[derive(Debug)]
pub(crate) struct NoTurn {
    pub(crate) error: SelectError,
    /// There may have been one later.
    pub(crate) is_late: bool,
}

impl From<SelectError> for NoTurn {
    fn from(error: SelectError) -> Self {
        let is_late = false;
        Self { error, is_late }
    }
}

/// What the library says about a request that may have to wait.
pub(crate) type Admitted = Result<Admission<Pool>, SelectError>;

/// The server of a request, which waits for a slot no longer than `limit`; `None` is for
/// ever. HAProxy: `timeout queue`.
///
/// A request whose server leaves meanwhile is handed to `readmit`; `waits` is told when there
/// is no slot at once.
pub(crate) async fn wait(
    mut admitted: Admitted,
    limit: Option<Duration>,
    readmit: impl Fn(SentBack) -> Admitted,
    waits: impl FnOnce(&Waiting<Pool>),
) -> Result<Selection<Pool>, NoTurn> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    if let Ok(Admission::Waits(waiting)) = &admitted {
        waits(waiting);
    }
    loop {
        let mut waiting = match admitted? {
            Admission::Served(selection) => return Ok(selection),
            Admission::Waits(waiting) => waiting,
        };
        let turn = match deadline {
            None => (&mut waiting).await,
            Some(deadline) => {
                let Ok(turn) = timeout_at(deadline, &mut waiting).await else {
                    let error = waiting.give_up();
                    let is_late = true;
                    return Err(NoTurn { error, is_late });
                };
                turn
            }
        };
        admitted = match turn {
            Turn::Served(selection) => return Ok(selection),
            Turn::SentBack(sent_back) => readmit(sent_back),
        };
    }
}

/// What is tried next after a failure, and how long to pause before; another server may
/// have to be waited for.
///
/// # Errors
/// Nothing is tried any more.
pub(crate) async fn retry(
    retry: Retry<Pool, Admission<Pool>>,
    limit: Option<Duration>,
    readmit: impl Fn(SentBack) -> Admitted,
) -> Result<(Selection<Pool>, Duration), NoTurn> {
    match retry {
        Retry::Same { selection, pause } => Ok((selection, pause)),
        Retry::Other { selection, pause } => {
            let selection = wait(Ok(selection), limit, readmit, |_| {}).await?;
            Ok((selection, pause))
        }
        Retry::GiveUp(error) => Err(error.into()),
    }
}
