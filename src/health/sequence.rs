//! What a check does, step by step.

use std::net::IpAddr;

use super::{Expect, HttpCheck};
use crate::server::Address;

/// The steps of a check: connect, send, expect. HAProxy: `http-check` and `tcp-check` lines.
///
/// [`start`](Self::start) plays it against one server.
///
/// ```
/// use stickroute::health::{CheckSequence, Expect, HttpCheck};
///
/// let redis = CheckSequence::tcp().send("PING\r\n").expect(Expect::text("+PONG"));
/// let web = CheckSequence::http().request(HttpCheck::new().uri("/health")?);
/// # let _ = (redis, web);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSequence {
    pub(super) kind: Kind,
    pub(super) steps: Vec<Step>,
}

/// How steps are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all: there is nothing but a connection.
    Plain,
    /// HAProxy: `option tcp-check`.
    Tcp,
    /// HAProxy: `option httpchk`.
    Http,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect(CheckConnect),
    Send(Vec<u8>),
    Expect(Expect),
    Request(HttpCheck),
    /// A step that is counted, and no more.
    Comment(String),
}

/// Where a check connects to, and how. HAProxy: `http-check connect`, `tcp-check connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckConnect {
    pub(super) port: Option<u16>,
    ip: Option<IpAddr>,
    sends_proxy: bool,
    lingers: bool,
    pub(super) comment: Option<String>,
}

impl CheckConnect {
    /// To where the server is checked.
    pub const fn new() -> Self {
        Self {
            port: None,
            ip: None,
            sends_proxy: false,
            lingers: false,
            comment: None,
        }
    }

    /// To another port. HAProxy: `port`.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// To another host. HAProxy: `addr`.
    #[must_use]
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.ip = Some(ip);
        self
    }

    /// Sends a PROXY header first, of version 1. HAProxy: `send-proxy`.
    #[must_use]
    pub fn send_proxy(mut self) -> Self {
        self.sends_proxy = true;
        self
    }

    /// Ends the connection in order, where others may be reset. HAProxy: `linger`.
    #[must_use]
    pub fn linger(mut self) -> Self {
        self.lingers = true;
        self
    }

    /// Stands behind what is told of a check that fails here. HAProxy: `comment`.
    #[must_use]
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.comment = Some(text.into());
        self
    }

    /// The address, for a server that is checked at `own`; see
    /// [`FarmServer::check_address`](crate::FarmServer::check_address).
    pub fn address(&self, own: &Address) -> Address {
        let port = self.port.or(own.port()).unwrap_or(0);
        match (self.ip, own) {
            (Some(ip), _) => Address::Ip((ip, port).into()),
            (None, Address::Ip(own)) => Address::Ip((own.ip(), port).into()),
            (None, Address::Host(name, _)) => Address::Host(name.clone(), port),
            (None, other) => other.clone(),
        }
    }

    /// Whether a PROXY header is to be sent first.
    pub fn sends_proxy(&self) -> bool {
        self.sends_proxy
    }

    /// Whether the connection is to end in order.
    pub fn lingers(&self) -> bool {
        self.lingers
    }
}

impl CheckSequence {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            steps: Vec::new(),
        }
    }

    /// Nothing but a connection. HAProxy: `check` without any option.
    pub fn connection() -> Self {
        Self::of(Kind::Plain)
    }

    /// Steps of one's own; without any it is a connection, too. HAProxy: `option tcp-check`.
    pub fn tcp() -> Self {
        Self::of(Kind::Tcp)
    }

    /// Requests of HTTP. HAProxy: `option httpchk`.
    pub fn http() -> Self {
        Self::of(Kind::Http)
    }

    /// Another connection; the first one is made without this. HAProxy: `connect`.
    #[must_use]
    pub fn connect(self, connect: CheckConnect) -> Self {
        self.step(Step::Connect(connect))
    }

    /// Bytes to send. HAProxy: `tcp-check send`, `send-binary`.
    #[must_use]
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// What must have come, as far back as something was sent last. HAProxy:
    /// `tcp-check expect`.
    #[must_use]
    pub fn expect(self, expect: Expect) -> Self {
        self.step(Step::Expect(expect))
    }

    /// A request, and what is expected of its answer, with which the connection ends.
    /// HAProxy: `http-check send`, `http-check expect`.
    #[must_use]
    pub fn request(self, request: HttpCheck) -> Self {
        self.step(Step::Request(request))
    }

    /// Names the step that follows. HAProxy: `comment`.
    #[must_use]
    pub fn comment(self, text: impl Into<String>) -> Self {
        self.step(Step::Comment(text.into()))
    }

    /// A comment before a step is one of the step that has none.
    fn step(mut self, mut step: Step) -> Self {
        let own = match &mut step {
            Step::Connect(connect) => Some(&mut connect.comment),
            Step::Expect(expect) => Some(&mut expect.comment),
            _ => None,
        };
        if let (Some(own), Some(Step::Comment(before))) = (own, self.steps.last()) {
            own.get_or_insert_with(|| before.clone());
        }
        self.steps.push(step);
        self
    }
}
