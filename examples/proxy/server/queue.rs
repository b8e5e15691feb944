//! Slots on servers: held while a session lasts, and waited for when all are taken.

use std::io;
use std::time::Duration;

use stickroute::{Admission, Backend, Retry, SelectError, Selection, SentBack, Turn};
use tokio::time::{Instant, timeout_at};

use crate::log::Place;
use crate::server::pool::Pool;
use crate::service::site::Back;
use crate::statistics::account;

/// Why there is no server.
#[derive(Debug)]
pub(crate) struct NoTurn {
    pub(crate) error: SelectError,
    /// There may have been one later.
    pub(crate) is_late: bool,
}

/// A request for which there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoServer;

impl From<NoServer> for io::Error {
    fn from(NoServer: NoServer) -> Self {
        io::ErrorKind::NotConnected.into()
    }
}

impl From<SelectError> for NoTurn {
    fn from(error: SelectError) -> Self {
        let is_late = false;
        Self { error, is_late }
    }
}

/// What the library says about a request that may have to wait.
pub(crate) type Admitted = Result<Admission<Pool>, SelectError>;

/// The place of a request in a queue, if it has to wait.
pub(crate) fn place(admitted: &Admitted, back: &Back, backend: &Backend<Pool>) -> Place {
    let Ok(Admission::Waits(waiting)) = admitted else {
        return Place::default();
    };
    account::note_queues(back);
    Place::of(waiting, backend)
}

/// The server of a request, which waits for a slot no longer than `limit`; `None` is for
/// ever. HAProxy: `timeout queue`.
///
/// A request whose server leaves meanwhile is handed to `readmit`.
pub(crate) async fn wait(
    mut admitted: Admitted,
    limit: Option<Duration>,
    readmit: impl Fn(SentBack) -> Admitted,
) -> Result<Selection<Pool>, NoTurn> {
    let deadline = limit.map(|limit| Instant::now() + limit);
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
/// have to be waited for. An error is that nothing is tried any more.
pub(crate) async fn retry(
    retry: Retry<Pool, Admission<Pool>>,
    limit: Option<Duration>,
    readmit: impl Fn(SentBack) -> Admitted,
) -> (Result<Selection<Pool>, NoTurn>, Duration) {
    match retry {
        Retry::Same { selection, pause } => (Ok(selection), pause),
        Retry::Other { selection, pause } => (wait(Ok(selection), limit, readmit).await, pause),
        Retry::GiveUp(error) => (Err(error.into()), Duration::ZERO),
    }
}
