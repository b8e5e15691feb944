//! Health checks: asks every server that is to be checked how it is. What the answers
//! mean, and when to ask again, the library knows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::{BackendCheck, CheckKind};
use stickroute::health::{CheckStatus, HttpCheck};
use stickroute::{Backend, Failure, FarmServer, Now, OperationalState, ServerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::client::stream::Stream;
use crate::server::changes::Before;
use crate::server::pool::{self, Pool};
use crate::service::site::{Back, Site};

/// How often it is looked whether a server is to be checked again that is not for now.
const IDLE: Duration = Duration::from_millis(200);

/// The most bytes of an answer that are looked at.
const LONGEST: usize = 16 * 1024;

/// Starts a watch over every server of every backend whose servers are checked.
pub(crate) fn start(site: &Arc<Site>) {
    for back in site.backs.values() {
        let check = site.routing.check(&back.name);
        let (Some(backend), Some(check)) = (&back.backend, check) else {
            continue;
        };
        let farm = backend.farm();
        let count = farm.servers().len() as u32;
        for (index, server) in farm.servers().iter().enumerate() {
            let watch = Watch {
                back: Arc::clone(back),
                backend: Arc::clone(backend),
                check: check.clone(),
                server: server.id(),
            };
            // Not all at once: the first round is spread over one interval.
            let pause = server.next_check().unwrap_or_default() * index as u32 / count;
            tokio::spawn(watch.run(pause));
        }
    }
}

/// One server that is looked after.
struct Watch {
    back: Arc<Back>,
    backend: Arc<Backend<Pool>>,
    check: BackendCheck,
    server: ServerId,
}

impl Watch {
    async fn run(self, pause: Duration) {
        sleep(pause).await;
        // A server that has left is not looked after any more.
        while let Some(server) = self.backend.server(self.server) {
            if server.next_check().is_none() {
                sleep(IDLE).await;
                continue;
            }
            let begun = Instant::now();
            let status = self.ask(&server).await;
            self.report(status, begun.elapsed());
            let server = self.backend.server(self.server);
            let pause = server.and_then(|server| server.next_check());
            sleep_until(begun + pause.unwrap_or(IDLE)).await;
        }
    }

    /// What one check finds.
    async fn ask(&self, server: &FarmServer) -> CheckStatus {
        let limit = self.check.connect_within(server.health().policy());
        let deadline = Instant::now() + limit;
        let address = server.check_address();
        let family = self.back.family(server.name());
        let mut stream = match pool::connect(&address, family, Some(limit)).await {
            Ok((stream, _)) => stream,
            Err(Failure::TimedOut) => return CheckStatus::ConnectTimeout,
            Err(_) => return CheckStatus::ConnectError,
        };
        let CheckKind::Http(http) = self.check.kind() else {
            return CheckStatus::Connected;
        };
        let answer = self.check.answer_within();
        let deadline = answer.map_or(deadline, |limit| Instant::now() + limit);
        let state = server.health().state();
        let answered = timeout_at(deadline, converse(&mut stream, http, state));
        match answered.await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) => CheckStatus::InvalidAnswer,
            Err(_) => CheckStatus::AnswerTimeout,
        }
    }

    fn report(&self, status: CheckStatus, taken: Duration) {
        let before = self.backend.server(self.server);
        let before = before.as_ref().map(Before::of);
        let change = self
            .backend
            .report_check(self.server, status, Now::system());
        if let (Ok(Some(_)), Some(before)) = (change, before) {
            let (reason, taken) = (reason(status), taken.as_millis());
            let why = format!(", reason: {reason}, check duration: {taken}ms");
            before.tell(&self.back, &self.backend.farm(), &why);
        }
    }
}

/// Sends the request, and reads until it is known what the answer means.
async fn converse(
    stream: &mut Box<dyn Stream>,
    http: &HttpCheck,
    state: OperationalState,
) -> io::Result<CheckStatus> {
    stream.write_all(&http.request()).await?;
    let mut answer = Vec::new();
    loop {
        let room = (LONGEST - answer.len()) as u64;
        let count = stream.take(room).read_buf(&mut answer).await?;
        if let Some(status) = http.judge(&answer, count == 0, state) {
            return Ok(status);
        }
        if count == 0 {
            return Ok(CheckStatus::InvalidAnswer);
        }
    }
}

/// What is told of a check.
fn reason(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Connected => "Layer4 check passed",
        CheckStatus::ConnectTimeout => "Layer4 timeout",
        CheckStatus::ConnectError => "Layer4 connection problem",
        CheckStatus::Answered => "Layer7 check passed",
        CheckStatus::Leaving => "Layer7 check conditionally passed",
        CheckStatus::AnswerTimeout => "Layer7 timeout",
        CheckStatus::InvalidAnswer => "Layer7 invalid response",
        CheckStatus::WrongStatus => "Layer7 wrong status",
        _ => "no check yet",
    }
}
