//! The operator's control port: lines in, answers out, as on HAProxy's `stats socket`.
//!
//! It is closed after one line, unless that was `prompt`. So a browser that was lured here
//! and sends HTTP, with commands in the body perhaps, gets no further than its first line.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::{Level, ProxyId, Runtime, Wish};
use stickroute::{Backend, Now};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, split};
use tokio::sync::Semaphore;
use tokio::time;

use crate::client::stream::Stream;
use crate::server::changes::Standing;
use crate::server::pool::Pool;
use crate::service::graceful::{Guest, Phase};
use crate::service::site::Site;
use crate::service::sockets::Listener;

/// More than any session of an operator needs.
const MOST_BYTES: u64 = 1 << 20;

/// What HAProxy would call this backend: it counts itself and the frontend first.
const PROXY: ProxyId = ProxyId::Counted(3);

/// What commands are about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Backend(Arc<Backend<Pool>>),
    Site(Arc<Site>),
}

/// How a control port is served.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) subject: Subject,
    pub(crate) started: Now,
    pub(crate) level: Level,
    /// Silence of the operator; `None` is for ever. HAProxy: `stats timeout`.
    pub(crate) timeout: Option<Duration>,
    /// Connections at a time. HAProxy: `stats maxconn`.
    pub(crate) room: Arc<Semaphore>,
}

impl Control {
    /// About one backend, for whoever reaches it and takes his time.
    pub(crate) fn plain(backend: Arc<Backend<Pool>>) -> Self {
        Self {
            subject: Subject::Backend(backend),
            started: Now::system(),
            level: Level::Admin,
            timeout: None,
            room: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// Carries out a line, and sends what each command has to say before the next one is
    /// looked at: a line can ask for a large table a thousand times.
    async fn answer(
        &self,
        line: &[u8],
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<Option<Wish>> {
        let runtime = match &self.subject {
            Subject::Backend(backend) => Runtime::new(self.started).backend(PROXY, backend),
            Subject::Site(site) => {
                let runtime = site.routing.runtime(self.started);
                runtime.statistics(&**site).sessions(&**site)
            }
        };
        let mut standing = match &self.subject {
            Subject::Backend(_) => None,
            Subject::Site(site) => Some(Standing::of(site)),
        };
        let mut wish = None;
        for answer in runtime.level(self.level).answers(line, Now::system()) {
            if let Some(standing) = &mut standing {
                standing.tell();
            }
            send(writer, answer.text().as_bytes(), self.timeout).await?;
            wish = answer.wish().or(wish);
        }
        Ok(wish)
    }
}

/// Takes commands until an order to stop.
pub(crate) async fn serve(listener: Arc<Listener>, control: Control, guest: Guest) {
    let mut told = guest.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told.told(Phase::Leaving) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: some will come back.
            time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (control, guest) = (control.clone(), guest.clone());
        let room = Arc::clone(&control.room).acquire_owned().await;
        tokio::spawn(async move {
            let _room = room;
            converse(stream, &control, guest).await
        });
    }
}

/// An operator at a prompt does not keep the program from its end.
async fn converse(stream: Box<dyn Stream>, control: &Control, guest: Guest) -> io::Result<()> {
    let (mut told, mut silent) = (guest.clone(), guest);
    let (reader, mut writer) = split(stream);
    let mut reader = BufReader::new(reader.take(MOST_BYTES));
    let mut line = Vec::new();
    let mut has_prompt = false;
    loop {
        let read = reader.read_until(b'\n', &mut line);
        let read = async {
            match control.timeout {
                Some(limit) => time::timeout(limit, read).await?,
                None => read.await,
            }
        };
        let count = tokio::select! {
            count = read => count?,
            () = told.told(Phase::Leaving), if has_prompt => break,
            () = silent.sent_away(), if !has_prompt => break,
        };
        if count == 0 {
            break;
        }
        let wish = control.answer(&line, &mut writer).await?;
        has_prompt ^= wish == Some(Wish::Prompt);
        if !has_prompt || wish == Some(Wish::Quit) {
            break;
        }
        send(&mut writer, b"> ", control.timeout).await?;
        line.clear();
    }
    writer.shutdown().await
}

/// Writes all of it to an operator who may stop reading for so long, and no longer: who
/// reads nothing would keep others out.
async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    limit: Option<Duration>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = writer.write(bytes);
        let count = match limit {
            Some(limit) => time::timeout(limit, written).await??,
            None => written.await?,
        };
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
    }
    Ok(())
}
