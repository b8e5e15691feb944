//! The life of one connection in mode tcp: bytes both ways.
//!
//! The library is asked for a server ([`Backend::select`]), for what to do when it cannot
//! be reached ([`Backend::redispatch`]), and told when it is ([`Backend::connected`]).

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use stickroute::{Backend, Now, Request, Selection, SimpleResponse};
use tokio::io::{AsyncRead, AsyncWriteExt, WriteHalf, split};
use tokio::time;

use crate::body::{Pulse, silence};
use crate::exchange::{Exchange, Outcome};
use crate::inspect::{Inspection, Verdict};
use crate::pool::{self, Pool};
use crate::queue;
use crate::relay::{Side, pump};
use crate::site::{Back, Front};
use crate::statistics::tally::{Attempt, Cause, Tally};
use crate::stream::{Ends, Stream};

/// What routing sees of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) ends: Ends,
    pub(crate) payload: &'a [u8],
}

impl Request for View<'_> {
    fn source(&self) -> Option<IpAddr> {
        self.ends.source.map(|source| source.ip())
    }

    fn source_port(&self) -> Option<u16> {
        self.ends.source.map(|source| source.port())
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.ends.destination
    }

    fn payload(&self) -> &[u8] {
        self.payload
    }
}

/// Serves one connection to its end. How it ends is in the log.
pub(crate) async fn handle(front: Arc<Front>, ends: Ends, client: Box<dyn Stream>) {
    let mut exchange = Exchange::tcp(ends, front.name.clone());
    exchange.tally = Tally::tcp(&front.counters);
    let mut session = Session {
        exchange,
        front,
        ends,
        payload: Vec::new(),
    };
    // A connection that breaks is as good as one that ends.
    let _ = session.run(client).await;
}

struct Session {
    front: Arc<Front>,
    ends: Ends,
    /// What the client has said before there was a server.
    payload: Vec<u8>,
    exchange: Exchange,
}

impl Session {
    async fn run(&mut self, mut client: Box<dyn Stream>) -> io::Result<()> {
        let front = Arc::clone(&self.front);
        self.inspect(&mut client, &front.rules.content).await?;
        let Some(back) = front.route(&self.view()) else {
            return Ok(());
        };
        self.exchange.backend.clone_from(&back.name);
        self.exchange.tally.reach(&back);
        if let Some(rules) = front.other_rules(&back) {
            self.inspect(&mut client, &rules.content).await?;
        }
        let Some(backend) = back.backend.clone() else {
            return Ok(());
        };
        let server = self.connect(&back, &backend).await?;
        self.relay(client, server, &back, &backend).await
    }

    fn view(&self) -> View<'_> {
        View {
            ends: self.ends,
            payload: &self.payload,
        }
    }

    /// Reads what the rules want to see.
    async fn inspect(
        &mut self,
        client: &mut Box<dyn Stream>,
        rules: &Inspection,
    ) -> io::Result<()> {
        let ends = self.ends;
        let decided = rules.decide(client, &mut self.payload, |condition, payload| {
            condition.on_request(&View { ends, payload })
        });
        let limit = self.front.client.filter(|_| !rules.rules.is_empty());
        let verdict = match limit {
            Some(limit) => time::timeout(limit.max(rules.delay), decided).await??,
            None => decided.await?,
        };
        if verdict == Verdict::Reject {
            self.exchange.tally.cause = Some(Cause::Denied);
        }
        accepted(verdict)
    }

    /// Selects a server and connects to it or, while that fails, to the one the library
    /// names next.
    async fn connect(
        &mut self,
        back: &Arc<Back>,
        backend: &Backend<Pool>,
    ) -> io::Result<Box<dyn Stream>> {
        let readmit = |sent_back| backend.readmit(sent_back, &self.view(), Now::system());
        let admitted = backend.admit(&self.view(), Now::system());
        self.exchange.tally.wait(&admitted);
        let mut selection = match queue::wait(admitted, back.timeouts.queue, &readmit).await {
            Ok(selection) => selection,
            Err(error) => {
                self.exchange.outcome = Outcome::NoServer(error);
                return Err(io::ErrorKind::NotConnected.into());
            }
        };
        loop {
            let address = selection.server().address().clone();
            let failure = match pool::connect(&address, back.timeouts.connect).await {
                Ok(server) => {
                    self.exchange.outcome = Outcome::Selected(selection);
                    return Ok(server);
                }
                Err(failure) => failure,
            };
            let now = Now::system();
            let attempt = Attempt::of(&selection);
            let retry = backend.redispatch_or_wait(selection, &self.view(), failure, now);
            self.exchange.tally.failed(&attempt, &retry);
            match queue::retry(retry, back.timeouts.queue, &readmit).await {
                Ok((next, pause)) => {
                    selection = next;
                    time::sleep(pause).await;
                }
                Err(error) => {
                    self.exchange.outcome = Outcome::NoServer(error);
                    return Err(io::ErrorKind::NotConnected.into());
                }
            }
        }
    }

    /// Carries bytes both ways until both are at their end, or nothing moves for too long.
    async fn relay(
        &mut self,
        client: Box<dyn Stream>,
        server: Box<dyn Stream>,
        back: &Back,
        backend: &Backend<Pool>,
    ) -> io::Result<()> {
        let (mut from_client, mut to_client) = split(client);
        let (mut from_server, mut to_server) = split(server);
        let pulse = Pulse::default();
        let (front, payload) = (Arc::clone(&self.front), mem::take(&mut self.payload));
        let (said, told) = (
            self.exchange.tally.up.clone(),
            self.exchange.tally.down.clone(),
        );
        said.moved(payload.len());
        let client_side = Side::new(front.client, front.client_fin, said);
        let limits = back.timeouts;
        let server_side = Side::new(limits.server, limits.server_fin, told.clone());
        let up = async {
            to_server.write_all(&payload).await?;
            pump(&mut from_client, &mut to_server, &pulse, &client_side).await
        };
        let down = async {
            let Outcome::Selected(selection) = &mut self.exchange.outcome else {
                return Ok(());
            };
            let seen = learn(selection, back, backend, &mut from_server, &mut to_client).await?;
            told.moved(seen);
            pump(&mut from_server, &mut to_client, &pulse, &server_side).await
        };
        let limit = || {
            let is_open = client_side.is_open() && server_side.is_open();
            let tunnel = back.timeouts.tunnel.filter(|_| is_open);
            tunnel.or_else(|| Side::shorter(&client_side, &server_side))
        };
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.map(drop),
            () = silence(limit, &pulse) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Lets the stick rules store, once the first bytes of the server have been seen, if
/// rules want to see them. Gives back how many were passed on.
async fn learn(
    selection: &mut Selection<Pool>,
    back: &Back,
    backend: &Backend<Pool>,
    from_server: &mut (impl AsyncRead + Unpin),
    to_client: &mut WriteHalf<Box<dyn Stream>>,
) -> io::Result<usize> {
    let rules = &back.rules.response;
    if rules.rules.is_empty() {
        backend.connected(selection, Now::system());
        return Ok(0);
    }
    let response = |payload: &[u8]| SimpleResponse::new(200).payload(payload);
    let mut seen = Vec::new();
    let holds = |condition: &_, seen: &[u8]| {
        let condition: &stickroute::haproxy::AclCondition = condition;
        condition.on_response(&response(seen))
    };
    let verdict = rules.decide(from_server, &mut seen, holds).await?;
    // There are no headers that could be edited.
    let _ = backend.respond(selection, &response(&seen), Now::system());
    accepted(verdict)?;
    to_client.write_all(&seen).await?;
    Ok(seen.len())
}

fn accepted(verdict: Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Accept => Ok(()),
        Verdict::Reject => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}
