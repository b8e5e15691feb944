//! The sockets of a check.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use stickroute::FarmServer;
use stickroute::haproxy::{BackendCheck, Family};
use stickroute::health::{CheckConnect, CheckReport, CheckRun, CheckWish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::client::stream::Stream;
use crate::server::pool;

/// What one check finds.
pub(super) async fn ask(check: &BackendCheck, server: &FarmServer, family: Family) -> CheckReport {
    let limit = check.connect_within(server.health().policy());
    let mut asking = Asking {
        run: check.sequence().start(server.health().state()),
        server,
        family,
        stream: None,
        limit,
        answer: check.answer_within(),
        deadline: Instant::now() + limit,
    };
    loop {
        let done = match asking.run.next() {
            CheckWish::Connect(to) => asking.connect(to).await,
            CheckWish::Send(bytes) => asking.send(&bytes).await,
            CheckWish::Read => asking.read().await,
            CheckWish::Done(report) => return report,
        };
        if let Err(report) = done {
            return report;
        }
    }
}

/// A check under way.
struct Asking<'c> {
    run: CheckRun<'c>,
    server: &'c FarmServer,
    family: Family,
    stream: Option<Box<dyn Stream>>,
    /// How long a connection may take.
    limit: Duration,
    /// How long all behind it may take, if that is not what is left.
    answer: Option<Duration>,
    deadline: Instant,
}

impl Asking<'_> {
    async fn connect(&mut self, to: &CheckConnect) -> Result<(), CheckReport> {
        self.stream = None;
        if self.answer.is_some() {
            self.deadline = Instant::now() + self.limit;
        }
        let address = to.address(&self.server.check_address());
        let connected = timeout_at(self.deadline, pool::stream(&address, self.family)).await;
        let connected = connected.map_err(|_| self.run.timed_out(true))?;
        let connected = connected.map_err(|error| self.run.not_connected(&reason(&error)));
        let (mut stream, ends) = connected?;
        if let (true, Some(ends)) = (to.sends_proxy(), ends) {
            // A server that closes at once is told by the steps behind this.
            let _ = stream.write_all(proxy_header(ends).as_bytes()).await;
        }
        self.stream = Some(stream);
        if let Some(answer) = self.answer {
            self.deadline = Instant::now() + answer;
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), CheckReport> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        match timeout_at(self.deadline, stream.write_all(bytes)).await {
            // What it has sent before it closed may still be read.
            Ok(_) => Ok(()),
            Err(_) => Err(self.run.timed_out(false)),
        }
    }

    async fn read(&mut self) -> Result<(), CheckReport> {
        let Some(stream) = &mut self.stream else {
            self.run.ended();
            return Ok(());
        };
        let mut bytes = [0; 4096];
        match timeout_at(self.deadline, stream.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => self.run.ended(),
            Ok(Ok(count)) => self.run.received(&bytes[..count]),
            Err(_) => return Err(self.run.timed_out(false)),
        }
        Ok(())
    }
}

/// The words of the system, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Version 1 of the PROXY protocol, about the connection of the check itself.
fn proxy_header((local, peer): (SocketAddr, SocketAddr)) -> String {
    let family = if local.is_ipv4() { "TCP4" } else { "TCP6" };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        local.ip(),
        peer.ip(),
        local.port(),
        peer.port()
    )
}
