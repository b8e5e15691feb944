//! What there is to say about one session.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::termination::Termination;
use crate::message::{Request, Response};

/// How long the parts of a session took; `None` is for what did not happen, −1 in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogTimers {
    /// From accepting the connection to the first byte of the protocol, PROXY header
    /// included; default 0. HAProxy: `%Th`.
    pub handshake: Duration,
    /// From there, or from the end of the request before, to the first byte of the
    /// request; default 0. HAProxy: `%Ti`.
    pub idle: Duration,
    /// From its first byte to the last of its head. HAProxy: `%TR`.
    pub request: Option<Duration>,
    /// Waiting in queues. HAProxy: `%Tw`.
    pub queue: Option<Duration>,
    /// Connecting to servers, retries included. HAProxy: `%Tc`.
    pub connect: Option<Duration>,
    /// From the connection to the head of the response. HAProxy: `%Tr`.
    pub response: Option<Duration>,
    /// From accepting the connection, or from the end of the request before, to the last
    /// byte; default 0. HAProxy: `%Tt`.
    pub total: Duration,
}

/// What a log line says about one request, or one connection in mode tcp.
///
/// Plain values, made by the proxy at the end of a session (or, for the texts of rules, at
/// any time before); what is not known is left at its default. Fill a default one field by
/// field.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct LogRecord<'r> {
    /// The request as received, `None` if it was not valid. HAProxy: `%HM`, `%HU`, `%r`.
    pub request: Option<&'r dyn Request>,
    /// The response, for samples.
    pub response: Option<&'r dyn Response>,
    /// The version of the request, `HTTP/1.1` for example. HAProxy: `%HV`.
    pub version: &'r str,
    /// What the client was answered with. HAProxy: `%ST`.
    pub status: Option<u16>,
    /// The client's address; `None` on a Unix socket. HAProxy: `%ci`, `%cp`.
    pub client: Option<SocketAddr>,
    /// Where the client came to. HAProxy: `%fi`, `%fp`.
    pub frontend_address: Option<SocketAddr>,
    /// Where the proxy connected from. HAProxy: `%bi`, `%bp`.
    pub backend_source: Option<SocketAddr>,
    /// Where the proxy connected to. HAProxy: `%si`, `%sp`.
    pub server_address: Option<SocketAddr>,
    /// HAProxy: `%f`.
    pub frontend: &'r str,
    /// `None` before there is one, and then the frontend's name is written. HAProxy: `%b`.
    pub backend: Option<&'r str>,
    /// `None` is written `<NOSRV>`. HAProxy: `%s`.
    pub server: Option<&'r str>,
    /// Wall time at which the connection was accepted or the request before it ended,
    /// counted from the UNIX epoch. HAProxy: `%t`, `%T`, `%Ts`.
    pub begun: Duration,
    /// How long everything took.
    pub timers: LogTimers,
    /// Bytes from the server to the client, heads included. HAProxy: `%B`.
    pub bytes_read: u64,
    /// Bytes from the client to the server, heads included. HAProxy: `%U`.
    pub bytes_uploaded: u64,
    /// `NAME=VALUE` of a captured cookie, cut to the length that was asked for. HAProxy:
    /// `%CC`.
    pub request_cookie: Option<&'r [u8]>,
    /// The same of the response. HAProxy: `%CS`.
    pub response_cookie: Option<&'r [u8]>,
    /// Values of captured headers in their order, cut to the length that was asked for,
    /// `None` where there was none. HAProxy: `%hr`.
    pub request_captures: &'r [Option<Vec<u8>>],
    /// The same of the response. HAProxy: `%hs`.
    pub response_captures: &'r [Option<Vec<u8>>],
    /// How it ended.
    pub termination: Termination,
    /// Whether lines are written before the end: a `+` is before `%B`, `%Ta`, `%Tt` and
    /// `%Tu`, which may still grow. HAProxy: `option logasap`.
    pub is_unfinished: bool,
    /// Connections of all clients. HAProxy: `%ac`.
    pub connections: u64,
    /// Connections of clients to the frontend. HAProxy: `%fc`.
    pub frontend_connections: u64,
    /// Sessions of the backend, beside this. HAProxy: `%bc`.
    pub backend_connections: u64,
    /// Sessions of the server, beside this. HAProxy: `%sc`.
    pub server_connections: u64,
    /// Further attempts to connect. HAProxy: `%rc`.
    pub retries: u32,
    /// Whether one of them was to another server: a `+` is before `%rc`.
    pub redispatched: bool,
    /// Sessions that were before this in the queue of the server. HAProxy: `%sq`.
    pub server_queue: u64,
    /// Sessions that were before this in the queue of the backend. HAProxy: `%bq`.
    pub backend_queue: u64,
    /// Lines the frontend has logged before. HAProxy: `%lc`.
    pub log_counter: u64,
    /// Requests of the process before this. HAProxy: `%rt`.
    pub request_counter: u64,
    /// HAProxy: `%pid`.
    pub process_id: u32,
    /// The name of the machine. HAProxy: `%H`.
    pub host_name: &'r str,
    /// What `unique-id-format` made. HAProxy: `%ID`.
    pub unique_id: &'r [u8],
    /// Whether the client's connection is encrypted: `~` is behind `%ft`.
    pub is_tls: bool,
    /// HAProxy: `%sslc`.
    pub tls_cipher: &'r str,
    /// HAProxy: `%sslv`.
    pub tls_version: &'r str,
}

impl fmt::Debug for LogRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRecord")
            .field("client", &self.client)
            .field("frontend", &self.frontend)
            .field("backend", &self.backend)
            .field("server", &self.server)
            .field("status", &self.status)
            .field("timers", &self.timers)
            .field("termination", &self.termination)
            .finish_non_exhaustive()
    }
}
