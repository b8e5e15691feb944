//! How the program ends: who orders it, and what becomes of those who are being served.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use rustix::process;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long whoever is being served may take after an order to hurry, and a client to send
/// its first request after one to leave.
const GRACE: Duration = Duration::from_secs(10);

/// How long a client may take to send its first request after an order to hurry.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Nobody is let in; requests and connections take the time they need. HAProxy: the
    /// soft stop.
    Leaving,
    /// The same, but not for long.
    Hurrying,
}

/// The orders to stop: SIGUSR1 gently, SIGTERM and SIGINT soon.
#[derive(Debug)]
pub(crate) struct Orders {
    leave: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// By these HAProxy asks an old process for a pause, and to go on. Nobody has to make
    /// room here, and their usual effect would be a pause without end.
    _ignored: [Signal; 2],
}

impl Orders {
    /// From here on these signals do nothing but what [`next`](Self::next) makes of them.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            leave: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _ignored: [
                ignored(process::Signal::TTOU)?,
                ignored(process::Signal::TTIN)?,
            ],
        })
    }

    pub(crate) async fn next(&mut self) -> Phase {
        tokio::select! {
            _ = self.leave.recv() => Phase::Leaving,
            _ = self.terminate.recv() => Phase::Hurrying,
            _ = self.interrupt.recv() => Phase::Hurrying,
        }
    }
}

fn ignored(name: process::Signal) -> io::Result<Signal> {
    signal(SignalKind::from_raw(name.as_raw()))
}

/// All who are being served.
#[derive(Debug)]
pub(crate) struct Guests(watch::Sender<Phase>);

/// One who is being served, or who lets others in: the program waits until it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Guest(watch::Receiver<Phase>);

impl Guests {
    pub(crate) fn new() -> (Self, Guest) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (Self(sender), Guest(receiver))
    }

    /// Serves until an order to stop, and then until everybody has gone or the time is
    /// over: `limit` after the first order, [`GRACE`] after one to hurry, at once after
    /// another such.
    pub(crate) async fn see_out(&self, orders: &mut Orders, limit: Option<Duration>) {
        let mut phase = orders.next().await;
        let mut deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            if phase == Phase::Hurrying {
                let soon = Instant::now() + GRACE;
                deadline = Some(deadline.map_or(soon, |deadline| deadline.min(soon)));
            }
            self.0.send_replace(phase);
            let is_over = tokio::select! {
                () = self.0.closed() => true,
                () = reached(deadline) => true,
                next = hurried(orders) => phase == next,
            };
            if is_over {
                return;
            }
            phase = Phase::Hurrying;
        }
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Who is told to leave twice is still leaving.
async fn hurried(orders: &mut Orders) -> Phase {
    loop {
        let phase = orders.next().await;
        if phase == Phase::Hurrying {
            return phase;
        }
    }
}

impl Guest {
    /// Waits until the end has come so far.
    pub(crate) async fn told(&mut self, phase: Phase) {
        // Without a sender there is no program any more.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }

    /// Waits until whoever has asked for nothing yet is not waited for any longer.
    pub(crate) async fn sent_away(&mut self) {
        self.told(Phase::Leaving).await;
        let hurried = async {
            self.told(Phase::Hurrying).await;
            sleep(LAST_CHANCE).await;
        };
        // Which of the two comes first is all the same.
        let _ = timeout(GRACE, hurried).await;
    }

    /// Serves an HTTP client, and tells it to leave when the time has come: at once if it
    /// is between two requests.
    ///
    /// A client whose first request has not `begun` may have sent it already. It would be
    /// lost if the connection was closed, although nobody has refused it.
    pub(crate) async fn serve<C>(mut self, connection: C, begun: &Notify) -> Result<(), C::Error>
    where
        C: GracefulConnection,
    {
        let mut connection = pin!(connection);
        let mut silent = self.clone();
        let leaves = async {
            self.told(Phase::Leaving).await;
            tokio::select! {
                () = begun.notified() => {}
                () = silent.sent_away() => {}
            }
        };
        tokio::select! {
            // An answer that comes together with the order tells the client, too.
            biased;
            () = leaves => {}
            ended = connection.as_mut() => return ended,
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}
