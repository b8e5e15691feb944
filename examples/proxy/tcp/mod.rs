//! The life of one connection in mode tcp: bytes both ways. `inspect.rs` looks at the first
//! of them for the rules, `relay.rs` carries them.
//!
//! The library is asked for a server ([`Backend::admit`]), for what to do when it cannot be
//! reached ([`Backend::redispatch_or_wait`]), and told when it is ([`Backend::connected`]).
//!
//! [`Backend::admit`]: stickroute::Backend::admit
//! [`Backend::redispatch_or_wait`]: stickroute::Backend::redispatch_or_wait
//! [`Backend::connected`]: stickroute::Backend::connected

pub(crate) mod inspect;
pub(crate) mod relay;

use std::future::pending;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use stickroute::haproxy::{Cause, Phase, Verdict};
use stickroute::{Failure, Now, Request, Selection, SentBack, SimpleResponse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, WriteHalf, split};
use tokio::time;

use crate::client::stream::{Ends, MOST_AHEAD, Stream};
use crate::client::under_way::Departure;
use crate::http::body::Pulse;
use crate::log::Tally;
use crate::server::exchange::Exchange;
use crate::server::observe;
use crate::server::orders;
use crate::server::pool::{self, Pool};
use crate::server::queue::{self, Admitted};
use crate::service::site::{Farm, Front};
use crate::statistics::account::Blame;
use crate::tcp::inspect::Inspection;
use crate::tcp::relay::{Sides, pump};

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
        let Some(farm) = Farm::of(back) else {
            return Ok(());
        };
        self.exchange.story.from_client.add(self.payload.len());
        let tally = self.exchange.story.from_client.clone();
        let mut ahead = Vec::new();
        let connected = tokio::select! {
            biased;
            connected = self.reach(&farm) => Ok(connected?),
            left = read_ahead(&mut client, &mut ahead, &tally, farm.back.aborts) => Err(left),
        };
        let server = match connected {
            Ok(server) => server,
            Err(departure) => {
                self.leave(departure);
                return Ok(());
            }
        };
        self.payload.append(&mut ahead);
        self.relay(client, server, &farm).await
    }

    async fn reach(&mut self, farm: &Farm) -> io::Result<Box<dyn Stream>> {
        self.select(farm).await?;
        self.connect(farm).await
    }

    /// The client has left while it was waiting.
    fn leave(&mut self, departure: Departure) {
        let is_queued = self.exchange.story.timers.queue.is_none();
        self.exchange.give_up();
        let story = &mut self.exchange.story;
        let phase = match departure {
            Departure::Reset => Phase::Data,
            Departure::HalfClosed if is_queued => Phase::Queue,
            Departure::HalfClosed => Phase::Connect,
        };
        story.ending = Some((Cause::Client, phase));
        if is_queued {
            story.timers.queue = Some(story.lap());
        }
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
        let waited = rules.wait(client, &mut self.payload, |payload| {
            rules.rules.on_partial_request(&View { ends, payload })
        });
        let known = match self.front.client {
            Some(limit) => time::timeout(limit.max(rules.delay), waited).await??,
            None => waited.await?,
        };
        let verdict = known.unwrap_or_else(|| rules.rules.on_request(&self.view()));
        if verdict == Verdict::Reject {
            self.exchange.blame = Some(Blame::Denied);
            let story = &mut self.exchange.story;
            story.ending = Some((Cause::Proxy, Phase::Request));
            story.from_client.add(self.payload.len());
        }
        accepted(verdict)
    }

    /// Asks for a server, and waits for a slot there if all are taken.
    async fn select(&mut self, farm: &Farm) -> io::Result<()> {
        let admitted = farm.backend.admit(&self.view(), Now::system());
        let place = queue::place(&admitted, &farm.back, &farm.backend);
        self.exchange.story.place = place;
        let limit = farm.back.timeouts.queue;
        let readmit = |sent_back| self.readmit(farm, sent_back);
        let selected = queue::wait(admitted, limit, readmit).await;
        self.exchange.waited(place, &selected);
        Ok(self.exchange.settle(selected)?)
    }

    /// The server it waited for has left.
    fn readmit(&self, farm: &Farm, sent_back: SentBack) -> Admitted {
        let now = Now::system();
        farm.backend.readmit(sent_back, &self.view(), now)
    }

    /// Connects to the selected server or, while that fails, to the one the library
    /// names next.
    async fn connect(&mut self, farm: &Farm) -> io::Result<Box<dyn Stream>> {
        loop {
            let server = self.exchange.selected()?.server();
            let (address, family) = (server.address().clone(), farm.back.family(server.name()));
            match pool::connect(&address, family, farm.back.timeouts.connect).await {
                Ok((server, ends)) => {
                    self.exchange.story.connected(ends);
                    self.exchange.connected();
                    self.observe(farm, None);
                    return Ok(server);
                }
                Err(failure) => {
                    self.observe(farm, Some(failure));
                    self.redispatch(farm, failure).await?;
                }
            }
        }
    }

    /// Has the server judged by what was met there, `None` for a connection.
    fn observe(&self, farm: &Farm, met: Option<Failure>) {
        if let Some(selection) = self.exchange.selection() {
            observe::observe(&farm.back, &farm.backend, selection.server(), met);
        }
    }

    /// Asks what to do after a failure, and pauses as long as the answer says.
    async fn redispatch(&mut self, farm: &Farm, failure: Failure) -> io::Result<()> {
        let (failed, attempt) = self.exchange.fail(failure)?;
        let (view, now) = (self.view(), Now::system());
        let retry = farm.backend.redispatch_or_wait(failed, &view, failure, now);
        attempt.settle(&farm.back, &retry);
        let limit = farm.back.timeouts.queue;
        let next = queue::retry(retry, limit, |sent_back| self.readmit(farm, sent_back));
        let (selected, pause) = next.await;
        self.exchange.settle(selected)?;
        time::sleep(pause).await;
        Ok(())
    }

    /// Carries bytes both ways until both are at their end, or nothing moves for too long.
    async fn relay(
        &mut self,
        client: Box<dyn Stream>,
        server: Box<dyn Stream>,
        farm: &Farm,
    ) -> io::Result<()> {
        let (mut from_client, mut to_client) = split(client);
        let (mut from_server, mut to_server) = split(server);
        let sides = Sides::new(&self.front, &farm.back, &self.exchange.story);
        let pulse = Pulse::default();
        let payload = mem::take(&mut self.payload);
        let orders = self.exchange.orders();
        let selection = self.exchange.selected()?;
        let up = async {
            let written = to_server.write_all(&payload).await;
            written.map_err(|_| Some(Cause::Server))?;
            let pumped = pump(&mut from_client, &mut to_server, &sides.client, &pulse).await;
            pumped.map_err(|torn| Some(torn.by([Cause::Client, Cause::Server])))
        };
        let down = async {
            let seen = learn(selection, farm, &mut from_server, &mut to_client).await;
            sides.server.add(seen.map_err(|_| None)?);
            let pumped = pump(&mut from_server, &mut to_client, &sides.server, &pulse).await;
            pumped.map_err(|torn| Some(torn.by([Cause::Server, Cause::Client])))
        };
        let talk = sides.talk(up, down, &pulse);
        match orders::unless_ordered(orders, talk).await {
            Ok(Err(Some(cause))) => self.exchange.story.ending = Some((cause, Phase::Data)),
            Ok(_) => {}
            Err(order) => self.exchange.ordered(order),
        }
        Ok(())
    }
}

/// Reads what the client says while it waits for a server; ends when it leaves, if saying
/// nothing more is leaving as well.
async fn read_ahead(
    client: &mut Box<dyn Stream>,
    ahead: &mut Vec<u8>,
    tally: &Tally,
    is_end: bool,
) -> Departure {
    while ahead.len() < MOST_AHEAD {
        match client.read_buf(ahead).await {
            Ok(0) if is_end => return Departure::HalfClosed,
            Ok(0) => break,
            Ok(count) => tally.add(count),
            Err(_) => return Departure::Reset,
        }
    }
    pending().await
}

/// Lets the stick rules store, once the first bytes of the server have been seen, if
/// rules want to see them; returns how many these are.
async fn learn(
    selection: &mut Selection<Pool>,
    farm: &Farm,
    from_server: &mut (impl AsyncRead + Unpin),
    to_client: &mut WriteHalf<Box<dyn Stream>>,
) -> io::Result<usize> {
    let (backend, rules) = (&farm.backend, &farm.back.rules.response);
    if rules.rules.is_empty() {
        backend.connected(selection, Now::system());
        return Ok(0);
    }
    let response = |payload: &[u8]| SimpleResponse::new(200).payload(payload);
    let mut seen = Vec::new();
    let known = |seen: &[u8]| rules.rules.on_partial_response(&response(seen));
    let known = rules.wait(from_server, &mut seen, known).await?;
    let verdict = known.unwrap_or_else(|| rules.rules.on_response(&response(&seen)));
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
