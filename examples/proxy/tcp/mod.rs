//! The life of one connection in mode tcp: bytes both ways.
//!
//! The library is asked for a server ([`Backend::select`]), for what to do when it cannot
//! be reached ([`Backend::redispatch`]), and told when it is ([`Backend::connected`]).

pub(crate) mod inspect;
pub(crate) mod relay;

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use stickroute::haproxy::{Cause, Phase};
use stickroute::{Backend, Now, Request, Selection, SimpleResponse};
use tokio::io::{AsyncRead, AsyncWriteExt, WriteHalf, split};
use tokio::time;

use crate::client::stream::{Ends, Stream};
use crate::http::body::{Pulse, silence};
use crate::log::Place;
use crate::server::exchange::{Exchange, Outcome};
use crate::server::observe;
use crate::server::pool::{self, Pool};
use crate::server::queue;
use crate::service::site::{Back, Front};
use crate::statistics::account::{self, Blame};
use crate::tcp::inspect::{Inspection, Verdict};
use crate::tcp::relay::{Side, pump};

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
    let mut session = Session {
        exchange: Exchange::tcp(&front, ends),
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
        self.exchange.enter(&back);
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
            self.exchange.blame = Some(Blame::Denied);
            let story = &mut self.exchange.story;
            story.ending = Some((Cause::Proxy, Phase::Request));
            story.from_client.add(self.payload.len());
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
        let view = View {
            ends: self.ends,
            payload: &self.payload,
        };
        let readmit = |sent_back| backend.readmit(sent_back, &view, Now::system());
        let admitted = backend.admit(&view, Now::system());
        let mut place = Place::default();
        let waits = |waiting: &_| {
            place = Place::of(waiting, backend);
            account::note_queues(back);
        };
        let waited = queue::wait(admitted, back.timeouts.queue, &readmit, waits).await;
        let story = &mut self.exchange.story;
        story.place = place;
        story.timers.queue = story.waited(&waited);
        let mut selection = match waited {
            Ok(selection) => selection,
            Err(refused) => return Err(self.exchange.refuse(refused)),
        };
        loop {
            let address = selection.server().address().clone();
            let failure = match pool::connect(&address, back.timeouts.connect).await {
                Ok((server, ends)) => {
                    self.exchange.story.connected(ends);
                    observe::observe(back, backend, selection.server(), None);
                    self.exchange.outcome = Outcome::Selected(selection);
                    return Ok(server);
                }
                Err(failure) => failure,
            };
            observe::observe(back, backend, selection.server(), Some(failure));
            let attempt = self.exchange.has_failed(&selection, failure);
            let now = Now::system();
            let retry = backend.redispatch_or_wait(selection, &view, failure, now);
            self.exchange.retries(&attempt, &retry);
            match queue::retry(retry, back.timeouts.queue, &readmit).await {
                Ok((next, pause)) => {
                    selection = next;
                    time::sleep(pause).await;
                }
                Err(refused) => return Err(self.exchange.refuse(refused)),
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
        let client_side = Side::new(front.client, front.client_fin);
        let server_side = Side::new(back.timeouts.server, back.timeouts.server_fin);
        let story = &self.exchange.story;
        let (up_tally, down_tally) = (story.from_client.clone(), story.from_server.clone());
        up_tally.add(payload.len());
        let up = async {
            to_server.write_all(&payload).await?;
            pump(
                &mut from_client,
                &mut to_server,
                &pulse,
                &client_side,
                &up_tally,
            )
            .await
        };
        let down = async {
            let Outcome::Selected(selection) = &mut self.exchange.outcome else {
                return Ok(());
            };
            let seen = learn(selection, back, backend, &mut from_server, &mut to_client).await?;
            down_tally.add(seen);
            pump(
                &mut from_server,
                &mut to_client,
                &pulse,
                &server_side,
                &down_tally,
            )
            .await
        };
        let limit = || {
            let is_open = client_side.is_open() && server_side.is_open();
            let tunnel = back.timeouts.tunnel.filter(|_| is_open);
            tunnel.or_else(|| Side::shorter(&client_side, &server_side))
        };
        let ended = tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.map(drop),
            () = silence(limit, &pulse) => Err(io::ErrorKind::TimedOut.into()),
        };
        if matches!(&ended, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
            let is_client = client_side.is_shorter(&server_side);
            let cause = if is_client {
                Cause::ClientTimeout
            } else {
                Cause::ServerTimeout
            };
            self.exchange.story.ending = Some((cause, Phase::Data));
        }
        ended
    }
}

/// Lets the stick rules store, once the first bytes of the server have been seen, if
/// rules want to see them; returns how many these are.
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
