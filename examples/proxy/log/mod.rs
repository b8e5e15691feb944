//! What is told about requests and connections, and to whom: lines as HAProxy writes them.
//!
//! * `story.rs`: what is noted while a request is under way, and `captures.rs` of its headers;
//! * `sink.rs`: where lines go, and `standard.rs` to the standard streams.

mod captures;
mod formats;
mod sink;
pub(crate) mod standard;
mod story;

use std::env;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use stickroute::haproxy::{
    Configuration, Global, LogFormat, LogLevel, LogRecord, LogSettings, Proxy, Word,
};

use crate::configuration::fault::Fault;
use crate::configuration::words::Section;
pub(crate) use captures::Captured;
use captures::Captures;
use formats::{Due, Formats};
use sink::{Sender, Sink};
pub(crate) use story::{Asked, Ending, Place, Story, Tally, Tried, size_of_trailers};

/// How a frontend tells of its requests.
#[derive(Clone, Debug)]
pub(crate) enum Log {
    /// One line for each in this program's own words, on the standard error.
    Plain,
    /// As a configuration says.
    Lines(Arc<Lines>),
}

/// What a configuration says about the log of a frontend.
#[derive(Debug)]
pub(crate) struct Lines {
    sinks: Vec<Sink>,
    formats: Formats,
    pub(crate) captures: Captures,
    tag: String,
    host_name: Option<String>,
    machine: String,
    choice: Choice,
    /// Makes the number of a request. HAProxy: `unique-id-format`.
    pub(crate) unique_id: Option<LogFormat>,
    /// Tells servers of it. HAProxy: `unique-id-header`.
    pub(crate) unique_id_header: Option<Word>,
    told: AtomicU64,
}

/// Which requests are told of, and how urgently.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// HAProxy: `option dontlognull`.
    omits_empty: bool,
    /// HAProxy: `option dontlog-normal`.
    omits_normal: bool,
    /// HAProxy: `option log-separate-errors`.
    separates_errors: bool,
}

impl Choice {
    /// `None` is not at all.
    fn level(self, record: &LogRecord<'_>, is_empty: bool) -> Option<LogLevel> {
        let has_failed = has_failed(record);
        if self.omits_normal && !has_failed || self.omits_empty && is_empty {
            return None;
        }
        Some(if has_failed && self.separates_errors {
            LogLevel::Error
        } else {
            LogLevel::Info
        })
    }
}

/// What this program was started as. HAProxy: `log-tag`, where the configuration has none.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let name = env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
});

impl Lines {
    /// `section` is that of the proxy.
    pub(crate) fn of(
        configuration: &Configuration,
        proxy: &Proxy,
        section: Section<'_>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let (global, logs) = (&configuration.global, &proxy.logs);
        let unique_id = logs.unique_id_format.as_ref().and_then(|word| {
            let format = section.argument(word.bytes(), proxy.mode);
            formats::or_fault(format, word, faults)
        });
        let tag = logs.tag.as_ref().or(global.log_tag.as_ref());
        let tag = tag.and_then(|word| word.as_str()).unwrap_or(&TAG);
        Self {
            sinks: sinks(global, logs, faults),
            formats: Formats::of(proxy, section, faults),
            captures: Captures::of(logs),
            tag: tag.to_owned(),
            host_name: host_name(global),
            machine: machine(),
            choice: Choice {
                omits_empty: proxy.is_on("dontlognull"),
                omits_normal: proxy.is_on("dontlog-normal"),
                separates_errors: proxy.is_on("log-separate-errors"),
            },
            unique_id,
            unique_id_header: logs.unique_id_header.clone(),
            told: AtomicU64::new(0),
        }
    }

    /// Whether nobody wants to know anything.
    pub(crate) fn is_unheard(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Whether what is told may still grow. HAProxy: `option logasap`.
    pub(crate) fn is_early(&self) -> bool {
        self.formats.due == Due::Early
    }

    /// A connection or a request has come; says whether that was told.
    pub(crate) fn begin(&self, record: &LogRecord<'_>) -> bool {
        let is_due = self.formats.due == Due::AtOnce;
        if is_due {
            // HAProxy: without structured data.
            self.write(LogLevel::Info, record, (&self.formats.line, None));
        }
        is_due
    }

    /// There is a response, or a server in mode tcp; says whether that was told.
    pub(crate) fn answer(&self, record: &LogRecord<'_>) -> bool {
        let level = self.choice.level(record, false);
        let level = level.filter(|_| self.is_early());
        let data = self.formats.data.as_ref();
        if let Some(level) = level {
            self.write(level, record, (&self.formats.line, data));
        }
        level.is_some()
    }

    /// It has ended, and nothing was told of it, perhaps because nothing could be read, or
    /// has come at all; says whether that was told.
    pub(crate) fn end(&self, record: &LogRecord<'_>, is_unread: bool, is_empty: bool) -> bool {
        let Formats {
            error,
            line,
            data,
            due,
            ..
        } = &self.formats;
        let format = match error {
            Some(error) if is_unread => error,
            // HAProxy: who has not asked for anything has not come.
            None if is_unread && *due == Due::AtOnce => return false,
            _ => line,
        };
        let level = self.choice.level(record, is_empty);
        if let Some(level) = level {
            self.write(level, record, (format, data.as_ref()));
        }
        level.is_some()
    }

    /// A client was turned away at a door before it could ask for anything, perhaps one
    /// that has sent nothing.
    pub(crate) fn turn_away(
        &self,
        record: &LogRecord<'_>,
        door: &str,
        reason: &str,
        is_empty: bool,
    ) {
        let Some(level) = self.choice.level(record, is_empty) else {
            return;
        };
        let Formats {
            error,
            client,
            data,
            ..
        } = &self.formats;
        if let Some(error) = error {
            return self.write(level, record, (error, data.as_ref()));
        }
        let mut text = client.line(record);
        text.extend_from_slice(format!("{}/{door}: {reason}", record.frontend).as_bytes());
        self.send(level, &text, b"");
    }

    /// Says something that is about no request.
    pub(crate) fn say(&self, level: LogLevel, text: &str) {
        self.send(level, text.as_bytes(), b"");
    }

    /// Writes a line and its structured data.
    fn write(
        &self,
        level: LogLevel,
        record: &LogRecord<'_>,
        (format, data): (&LogFormat, Option<&LogFormat>),
    ) {
        let told = self.told.fetch_add(1, Relaxed);
        if self.sinks.is_empty() {
            return;
        }
        let mut record = *record;
        record.log_counter = told;
        record.host_name = self.host_name.as_deref().unwrap_or(&self.machine);
        let data = data.map(|data| data.line(&record)).unwrap_or_default();
        self.send(level, &format.line(&record), &data);
    }

    fn send(&self, level: LogLevel, text: &[u8], data: &[u8]) {
        let sender = Sender {
            tag: &self.tag,
            host_name: self.host_name.as_deref(),
        };
        for sink in &self.sinks {
            sink.send(level, sender, text, data);
        }
    }
}

fn sinks(global: &Global, logs: &LogSettings, faults: &mut Vec<Fault>) -> Vec<Sink> {
    let everywhere = global.logs.iter().filter(|_| logs.uses_global);
    let opened = logs.lines.iter().chain(everywhere).map(Sink::open);
    opened
        .filter_map(|sink| sink.map_err(|fault| faults.push(fault)).ok())
        .collect()
}

/// Whether something is told of that should not be.
fn has_failed(record: &LogRecord<'_>) -> bool {
    use stickroute::haproxy::Cause;
    let is_ended = matches!(record.termination.cause, Cause::None | Cause::Local);
    let status = record.status.unwrap_or_default();
    !is_ended || record.retries > 0 || record.redispatched || (500..600).contains(&status)
}

/// What `log-send-hostname` has lines say.
fn host_name(global: &Global) -> Option<String> {
    let word = global.log_host_name.as_ref()?.as_str()?;
    Some(match word {
        "" => machine(),
        name => name.to_owned(),
    })
}

/// The name of this machine.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "localhost".into(), |name| name.trim().to_owned())
}
