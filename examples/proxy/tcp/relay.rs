//! One direction of a connection: bytes from here to there.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::body::Pulse;
use crate::log::Tally;

/// One of the two who talk: how long it may be silent.
#[derive(Debug)]
pub(crate) struct Side {
    limit: Option<Duration>,
    /// Once it has said all it has to say.
    limit_at_end: Option<Duration>,
    is_at_end: AtomicBool,
}

impl Side {
    pub(crate) fn new(limit: Option<Duration>, limit_at_end: Option<Duration>) -> Self {
        Self {
            limit,
            limit_at_end,
            is_at_end: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.is_at_end.load(Relaxed)
    }

    fn limit(&self) -> Option<Duration> {
        let at_end = self.limit_at_end.filter(|_| !self.is_open());
        at_end.or(self.limit)
    }

    /// Whether its limit is the one that ends a silence of both.
    pub(crate) fn is_shorter(&self, other: &Self) -> bool {
        self.limit()
            .is_some_and(|limit| other.limit().is_none_or(|other| limit <= other))
    }

    /// The shorter limit of two; none is the longest.
    pub(crate) fn shorter(one: &Self, other: &Self) -> Option<Duration> {
        one.limit().into_iter().chain(other.limit()).min()
    }
}

/// Copies until `from` is at its end, and then closes that direction of `to`.
pub(crate) async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    pulse: &Pulse,
    side: &Side,
    tally: &Tally,
) -> io::Result<()> {
    let mut buffer = vec![0; 16_384];
    loop {
        let count = from.read(&mut buffer).await?;
        pulse.beat();
        tally.add(count);
        if count == 0 {
            side.is_at_end.store(true, Relaxed);
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        pulse.beat();
    }
}
