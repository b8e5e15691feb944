//! Bytes both ways, until there are no more or nothing moves for too long.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use stickroute::haproxy::Cause;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::body::{Pulse, silence};
use crate::log::{Story, Tally};
use crate::service::site::{Back, Front};

/// The two who talk.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) client: Side,
    pub(crate) server: Side,
    /// How long both may be silent, as long as neither is at its end. HAProxy: `timeout
    /// tunnel`.
    limit: Option<Duration>,
}

/// One of them: how long it may be silent, and what it says.
#[derive(Debug)]
pub(crate) struct Side {
    limit: Option<Duration>,
    /// Once it has said all it has to say.
    limit_at_end: Option<Duration>,
    is_at_end: AtomicBool,
    tally: Tally,
}

impl Sides {
    pub(crate) fn new(front: &Front, back: &Back, story: &Story) -> Self {
        let timeouts = back.timeouts;
        let side = |limit, limit_at_end, tally: &Tally| Side {
            limit,
            limit_at_end,
            is_at_end: AtomicBool::new(false),
            tally: tally.clone(),
        };
        Self {
            client: side(front.client, front.client_fin, &story.from_client),
            server: side(timeouts.server, timeouts.server_fin, &story.from_server),
            limit: timeouts.tunnel,
        }
    }

    /// Lets both directions run to their ends, or until nothing moves for too long.
    ///
    /// # Errors
    /// Whose limit it was in the latter case; otherwise those of a direction, which end both.
    pub(crate) async fn talk<E: From<Cause>>(
        &self,
        up: impl Future<Output = Result<(), E>>,
        down: impl Future<Output = Result<(), E>>,
        pulse: &Pulse,
    ) -> Result<(), E> {
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.map(drop),
            () = silence(|| self.limit(), pulse) => Err(self.cause_of_silence().into()),
        }
    }

    fn limit(&self) -> Option<Duration> {
        let is_open = self.client.is_open() && self.server.is_open();
        let tunnel = self.limit.filter(|_| is_open);
        let limits = self.client.limit().into_iter().chain(self.server.limit());
        tunnel.or_else(|| limits.min())
    }

    /// Whose limit is the one that ends a silence of both.
    fn cause_of_silence(&self) -> Cause {
        let (client, server) = (self.client.limit(), self.server.limit());
        if client.is_some_and(|client| server.is_none_or(|server| client <= server)) {
            Cause::ClientTimeout
        } else {
            Cause::ServerTimeout
        }
    }
}

impl Side {
    fn is_open(&self) -> bool {
        !self.is_at_end.load(Relaxed)
    }

    fn limit(&self) -> Option<Duration> {
        let at_end = self.limit_at_end.filter(|_| !self.is_open());
        at_end.or(self.limit)
    }

    /// It has said so many bytes.
    pub(crate) fn add(&self, bytes: usize) {
        self.tally.add(bytes);
    }
}

/// Who has broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Torn {
    Sender,
    Receiver,
}

impl Torn {
    /// Whose fault that is.
    pub(crate) fn by(self, [sender, receiver]: [Cause; 2]) -> Cause {
        match self {
            Self::Sender => sender,
            Self::Receiver => receiver,
        }
    }
}

/// One direction: copies what `side` says until it is at its end, and then closes that
/// direction of `to`.
pub(crate) async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    side: &Side,
    pulse: &Pulse,
) -> Result<(), Torn> {
    let mut buffer = vec![0; 16_384];
    loop {
        let read = from.read(&mut buffer).await;
        let count = read.map_err(|_| Torn::Sender)?;
        pulse.beat();
        side.add(count);
        if count == 0 {
            side.is_at_end.store(true, Relaxed);
            // Who has closed both directions does not mind.
            let _ = to.shutdown().await;
            return Ok(());
        }
        let written = to.write_all(&buffer[..count]).await;
        written.map_err(|_| Torn::Receiver)?;
        pulse.beat();
    }
}
