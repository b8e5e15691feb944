//! One exchange: from the client to a server and back.

use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::{Mode, Proxy, Timeout};
use stickroute::{
    Admission, Backend, Failure, FieldEdit, Now, ResponseEdits, Retry, SelectError, Selection,
    Turn, Waiting,
};

use super::counters::{BYTES_IN, BYTES_OUT, FAILURE, Tracked};
use super::message::{Message, Reply};
use super::origin::{Served, serve};
use super::rules::{Rules, Verdict};
use super::{Simulation, Trouble};

/// What the client gets.
pub(super) struct Answered {
    pub(super) status: u16,
    /// The server that answered; `None` if the proxy did.
    pub(super) server: Option<String>,
    pub(super) set_cookie: Vec<String>,
}

impl Answered {
    /// By the proxy itself.
    pub(super) const fn with(status: u16) -> Self {
        Self {
            status,
            server: None,
            set_cookie: Vec::new(),
        }
    }
}

/// A request that rules let pass to a backend.
pub(super) struct Arrival {
    message: Message,
    tracked: Tracked,
    mode: Mode,
    frontend: String,
    backend: Arc<Backend>,
    /// In TCP mode, unless a rule has to look at the reply first.
    stores_when_connected: bool,
}

/// A request that a server has.
pub(super) struct Exchange {
    arrival: Arrival,
    selection: Selection,
    server: String,
}

impl Exchange {
    /// Counts a reply, and lets the library learn from it and edit it.
    fn learn(&mut self, reply: &mut Reply, now: Now) {
        let (backend, tracked) = (&self.arrival.backend, &self.arrival.tracked);
        let edits = match self.arrival.mode {
            Mode::Http => {
                tracked.count_status(reply.status);
                tracked.add(&BYTES_OUT, reply.size());
                backend.respond(&mut self.selection, reply, now)
            }
            Mode::Tcp => backend.respond(&mut self.selection, &bytes_of(reply), now),
        };
        edit(reply, &edits);
    }
}

/// A request on its way to a server that refused it.
pub(super) struct Attempt {
    arrival: Arrival,
    selection: Selection,
}

/// Where a request has come to.
pub(super) enum Placed {
    Answered(Answered),
    Connected(Exchange),
    /// All slots are taken; until then it waits for one.
    Waits(Arrival, Waiting, Duration),
    /// It tries again then.
    Pausing(Attempt, Duration),
}

impl Placed {
    /// When something happens to it by itself.
    pub(super) fn due(&self) -> Option<Duration> {
        match self {
            Self::Waits(_, _, due) | Self::Pausing(_, due) => Some(*due),
            Self::Answered(_) | Self::Connected(_) => None,
        }
    }
}

/// No server can have it.
const UNAVAILABLE: Placed = Placed::Answered(Answered::with(503));

impl Simulation {
    /// A whole exchange.
    pub(super) fn exchange(&mut self, message: Message) -> Result<Answered, Trouble> {
        let placed = self.begin(message)?;
        self.complete(placed)
    }

    /// Waits until a server has the request, and lets it answer.
    pub(super) fn complete(&mut self, mut placed: Placed) -> Result<Answered, Trouble> {
        let answered = loop {
            if let Some(due) = placed.due() {
                self.pass(due.saturating_sub(self.clock.mono()));
            }
            match placed {
                Placed::Answered(answered) => break answered,
                Placed::Connected(exchange) => break self.finish(exchange)?,
                waiting => placed = self.go_on(waiting),
            }
        };
        self.let_in();
        Ok(answered)
    }

    /// What becomes of a request when its time has come.
    pub(super) fn go_on(&self, placed: Placed) -> Placed {
        match placed {
            Placed::Waits(..) => UNAVAILABLE,
            Placed::Pausing(attempt, _) => self.connect(attempt),
            done => done,
        }
    }

    /// From the client to a server.
    pub(super) fn begin(&mut self, message: Message) -> Result<Placed, Trouble> {
        let mut tracked = Tracked::new(&self.clock);
        let mode = self.entrance().mode;
        let frontend = self.entrance().name.value.clone();
        let request = message.seen(mode);
        let verdict = self.rules(&frontend)?.on_request(request, &mut tracked)?;
        if let Some(answered) = refused(verdict) {
            return Ok(Placed::Answered(answered));
        }
        let routed = self.running.routing.frontends()[0].route(request);
        let Some(name) = routed.map(str::to_owned) else {
            return Ok(UNAVAILABLE);
        };
        if name != frontend {
            let verdict = self.rules(&name)?.on_request(request, &mut tracked)?;
            if let Some(answered) = refused(verdict) {
                return Ok(Placed::Answered(answered));
            }
        }
        let Some(backend) = self.running.routing.backend(&name).map(Arc::clone) else {
            return Ok(UNAVAILABLE);
        };
        let inspects =
            self.rules(&frontend)?.inspect_replies() || self.rules(&name)?.inspect_replies();
        Ok(self.place(Arrival {
            message,
            tracked,
            mode,
            frontend,
            backend,
            stores_when_connected: mode == Mode::Tcp && !inspects,
        }))
    }

    /// Selects a server and connects to it.
    pub(super) fn place(&self, arrival: Arrival) -> Placed {
        let request = arrival.message.seen(arrival.mode);
        let admitted = arrival.backend.admit(request, self.clock.now());
        self.admitted(arrival, admitted)
    }

    /// Connects, or waits for a slot.
    fn admitted(&self, arrival: Arrival, admitted: Result<Admission, SelectError>) -> Placed {
        match admitted {
            Ok(Admission::Served(selection)) => self.connect(Attempt { arrival, selection }),
            Ok(Admission::Waits(waiting)) => {
                let until = self.clock.mono().saturating_add(self.patience(&arrival));
                Placed::Waits(arrival, waiting, until)
            }
            Err(_) => UNAVAILABLE,
        }
    }

    /// Asks whether it is the turn of a request that waits until then.
    pub(super) fn ask_again(&self, arrival: Arrival, waiting: Waiting, until: Duration) -> Placed {
        match waiting.try_take() {
            Ok(Turn::Served(selection)) => self.connect(Attempt { arrival, selection }),
            Ok(Turn::SentBack(sent_back)) => {
                let (request, now) = (arrival.message.seen(arrival.mode), self.clock.now());
                let admitted = arrival.backend.readmit(sent_back, request, now);
                self.admitted(arrival, admitted)
            }
            Err(waiting) => Placed::Waits(arrival, waiting, until),
        }
    }

    /// Connects, or asks when and where to try again.
    fn connect(&self, attempt: Attempt) -> Placed {
        let Attempt { arrival, selection } = attempt;
        if let Some(server) = self.origins.at(selection.server().address()) {
            return self.connected(arrival, selection, server);
        }
        let (request, now) = (arrival.message.seen(arrival.mode), self.clock.now());
        let backend = &arrival.backend;
        let retry = backend.redispatch_or_wait(selection, request, Failure::Refused, now);
        let (selection, pause) = match retry {
            Retry::Same { selection, pause }
            | Retry::Other {
                selection: Admission::Served(selection),
                pause,
            } => (selection, pause),
            Retry::Other { selection, .. } => return self.admitted(arrival, Ok(selection)),
            Retry::GiveUp(_) => return UNAVAILABLE,
        };
        let attempt = Attempt { arrival, selection };
        Placed::Pausing(attempt, self.clock.mono() + pause)
    }

    fn connected(&self, arrival: Arrival, mut selection: Selection, server: String) -> Placed {
        if arrival.stores_when_connected {
            let now = self.clock.now();
            arrival.backend.connected(&mut selection, now);
        }
        if arrival.mode == Mode::Http {
            arrival.tracked.add(&BYTES_IN, arrival.message.size);
        }
        Placed::Connected(Exchange {
            arrival,
            selection,
            server,
        })
    }

    /// From the server to the client.
    fn finish(&mut self, mut exchange: Exchange) -> Result<Answered, Trouble> {
        let (mut reply, delay) = match serve(&exchange.server, &exchange.arrival.message) {
            Served::Reply(reply, delay) => (reply, delay),
            Served::Closed => {
                if !self.is_tcp() {
                    exchange.arrival.tracked.add(&FAILURE, 1);
                }
                return Ok(Answered::with(502));
            }
        };
        self.pass(delay);
        exchange.learn(&mut reply, self.clock.now());
        let arrival = &exchange.arrival;
        for section in [arrival.backend.name(), &arrival.frontend] {
            let verdict = self.rules(section)?.on_reply(&mut reply)?;
            if let Some(answered) = refused(verdict) {
                return Ok(answered);
            }
        }
        Ok(Answered {
            status: reply.status,
            server: Some(exchange.server),
            set_cookie: reply.header("set-cookie"),
        })
    }

    /// How long a request waits for a slot.
    fn patience(&self, arrival: &Arrival) -> Duration {
        let proxy = self.section(arrival.backend.name());
        let timeout = |which| proxy.and_then(|proxy| proxy.timeout(which));
        let patience = timeout(Timeout::Queue).or(timeout(Timeout::Connect));
        patience.unwrap_or(Duration::MAX)
    }

    fn rules(&self, section: &str) -> Result<Rules<'_>, Trouble> {
        let proxy = self.section(section).ok_or("no such section")?;
        Ok(Rules {
            proxy,
            routing: &self.running.routing,
            now: self.clock.now(),
        })
    }

    fn section(&self, name: &str) -> Option<&Proxy> {
        let mut proxies = self.running.configuration.proxies.iter();
        proxies.find(|proxy| proxy.name.value == name)
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.entrance().mode == Mode::Tcp
    }

    /// Recordings have one section for clients.
    fn entrance(&self) -> &Proxy {
        let mut entrances = self.running.configuration.frontends();
        entrances.next().expect("a frontend")
    }
}

fn refused(verdict: Verdict) -> Option<Answered> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Answer(status) => Some(Answered::with(status)),
        // As of a request that cannot be read.
        Verdict::Close => Some(Answered::with(400)),
    }
}

/// What a proxy that does not know HTTP sees of a reply.
fn bytes_of(reply: &Reply) -> Reply {
    Reply {
        status: 200,
        headers: Vec::new(),
        body: reply.body,
        payload: reply.payload.clone(),
    }
}

fn edit(reply: &mut Reply, edits: &ResponseEdits) {
    let mut own = 0;
    let mut kept = Vec::new();
    for (name, value) in std::mem::take(&mut reply.headers) {
        let mut value = Some(value);
        if name.eq_ignore_ascii_case("set-cookie") {
            let mut changes = edits.set_cookie_fields().iter();
            match changes.find(|(at, _)| *at == own) {
                Some((_, FieldEdit::Replace(other))) => value = Some(other.clone()),
                Some((_, FieldEdit::Remove)) => value = None,
                _ => {}
            }
            own += 1;
        }
        kept.extend(value.map(|value| (name, value)));
    }
    let cookie = edits.set_cookie().map(<[u8]>::to_vec);
    kept.extend(cookie.map(|value| ("Set-Cookie".to_owned(), value)));
    reply.headers = kept;
}
