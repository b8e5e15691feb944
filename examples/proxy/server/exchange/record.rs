//! What an exchange has to tell: to `log-format`, and in this program's own words.

use std::fmt;
use std::process;
use std::sync::LazyLock;

use stickroute::ResponseCookie;
use stickroute::haproxy::LogRecord;

use super::{Exchange, Outcome};
use crate::statistics::counters::{self, Count};

/// The number of this process, which the operating system need not be asked for again.
static PROCESS: LazyLock<u32> = LazyLock::new(process::id);

impl Exchange {
    /// What there is to say.
    pub(crate) fn record(&self) -> LogRecord<'_> {
        let story = &self.story;
        let mut record = LogRecord::default();
        if let Some(asked) = &story.asked {
            record.request = Some(&asked.request);
            record.version = &asked.version;
        }
        record.status = self.status.map(|status| status.as_u16());
        record.client = self.client.source;
        record.frontend_address = self.client.destination;
        record.frontend = &self.front.name;
        record.begun = story.begun.wall();
        record.timers = story.timers;
        record.bytes_read = story.from_server.bytes();
        record.bytes_uploaded = story.from_client.bytes();
        record.request_cookie = story.request.cookie.as_deref();
        record.response_cookie = story.response.cookie.as_deref();
        record.request_captures = &story.request.headers;
        record.response_captures = &story.response.headers;
        record.unique_id = &story.unique_id;
        record.request_counter = self.number;
        record.process_id = *PROCESS;
        record.frontend_connections = self.front.counters.get(Count::Current);
        record.connections = counters::clients();
        record.server = story.applet;
        self.add_backend(&mut record);
        self.add_ending(&mut record);
        record
    }

    fn add_backend<'r>(&'r self, record: &mut LogRecord<'r>) {
        let Some(back) = &self.back else { return };
        record.backend = Some(&back.name);
        let sessions = back.numbers.counters.get(Count::Current);
        record.backend_connections = sessions.saturating_sub(1);
        if let Some(selection) = self.selection() {
            let server = selection.server();
            record.server = Some(server.name());
            record.server_connections = server.in_flight().saturating_sub(1).into();
            record.retries = selection.retries();
            record.redispatched = selection.is_redispatched();
        } else if let Some(tried) = &self.story.tried {
            record.server = Some(&tried.server);
            record.retries = tried.retries;
            record.redispatched = tried.redispatched;
        }
        record.server_queue = self.story.place.of_server.into();
        record.backend_queue = self.story.place.of_backend.into();
        if let Some((source, server)) = self.story.server_ends {
            record.backend_source = Some(source);
            record.server_address = Some(server);
        }
    }

    fn add_ending(&self, record: &mut LogRecord<'_>) {
        let (cause, phase) = self.story.ending.unwrap_or_default();
        record.termination.cause = cause;
        record.termination.phase = phase;
        let has_cookie = self.back.as_ref().is_some_and(|back| back.has_cookie);
        record.termination.cookies = match &self.outcome {
            _ if !has_cookie => None,
            Outcome::Selected(selection) => {
                Some((selection.client_cookie(), selection.response_cookie()))
            }
            Outcome::NoServer(error) => Some((error.client_cookie(), ResponseCookie::None)),
            Outcome::Unrouted => None,
        };
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.client, self.request)?;
        if let Some(back) = self.back.as_ref().filter(|back| !back.name.is_empty()) {
            write!(f, "{}/", back.name)?;
        }
        write!(f, "{}, ", self.outcome)?;
        match self.status {
            Some(status) => write!(f, "status {}", status.as_u16())?,
            None => f.write_str(self.otherwise)?,
        }
        write!(f, ", {} ms", self.taken().as_millis())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unrouted => f.write_str("not routed"),
            Self::Selected(selection) => {
                write!(f, "{selection}, retries {}", selection.retries())?;
                let moved = selection.is_redispatched();
                f.write_str(if moved { ", redispatched" } else { "" })
            }
            Self::NoServer(error) => {
                write!(
                    f,
                    "no server ({}N), {error}",
                    error.client_cookie().letter()
                )
            }
        }
    }
}
