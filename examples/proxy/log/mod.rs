//! What is told about requests and connections, and to whom: lines as HAProxy writes them.
//!
//! * `story.rs`: what is noted while a request is under way, and `captures.rs` of its headers;
//! * `sink.rs`: where lines go.

mod captures;
mod sink;
mod story;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use stickroute::haproxy::{
    Configuration, Global, LogFormat, LogLevel, LogRecord, LogStyle, Mode, Proxy, Word,
};

use crate::configuration::fault::Fault;
use crate::configuration::words::Section;
pub(crate) use captures::Captured;
use captures::Captures;
use sink::{Sender, Sink};
pub(crate) use story::{Ending, Place, Story, Tally, Tried};

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
    format: LogFormat,
    /// Connections are told as soon as they are there, not at their end.
    is_at_once: bool,
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
    fn level(self, record: &LogRecord<'_>) -> Option<LogLevel> {
        let has_failed = has_failed(record);
        let is_empty = record.request.is_none() && record.bytes_uploaded == 0;
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

/// HAProxy: `log-tag`, where the configuration has none.
const TAG: &str = "proxy";

impl Lines {
    /// `section` is that of the proxy.
    pub(crate) fn of(
        configuration: &Configuration,
        proxy: &Proxy,
        section: Section<'_>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let (global, logs) = (&configuration.global, &proxy.logs);
        let everywhere = global.logs.iter().filter(|_| logs.uses_global);
        let opened = logs.lines.iter().chain(everywhere).map(Sink::open);
        let mut sinks = Vec::new();
        for sink in opened {
            match sink {
                Ok(sink) => sinks.push(sink),
                Err(fault) => faults.push(fault),
            }
        }
        let (format, is_at_once) = format(proxy, section, faults);
        let unique_id = logs.unique_id_format.as_ref();
        let unique_id = unique_id.map(|word| {
            let format = section.argument(word.bytes(), proxy.mode);
            or_fault(
                format.map_err(|error| Fault::new(word, error.to_string())),
                faults,
            )
        });
        let tag = logs.tag.as_ref().or(global.log_tag.as_ref());
        let tag = tag.and_then(|word| word.as_str()).unwrap_or(TAG);
        Self {
            sinks,
            format,
            is_at_once,
            captures: Captures::of(logs),
            tag: tag.to_owned(),
            host_name: host_name(global),
            machine: machine(),
            choice: Choice {
                omits_empty: proxy.is_on("dontlognull"),
                omits_normal: proxy.is_on("dontlog-normal"),
                separates_errors: proxy.is_on("log-separate-errors"),
            },
            unique_id: unique_id.flatten(),
            unique_id_header: logs.unique_id_header.clone(),
            told: AtomicU64::new(0),
        }
    }

    /// A connection or a request has come.
    pub(crate) fn begin(&self, record: &LogRecord<'_>) {
        if self.is_at_once {
            self.write(LogLevel::Info, record);
        }
    }

    /// It has ended.
    pub(crate) fn end(&self, record: &LogRecord<'_>) {
        if let Some(level) = self.choice.level(record).filter(|_| !self.is_at_once) {
            self.write(level, record);
        }
    }

    /// Says something that is about no request.
    pub(crate) fn say(&self, level: LogLevel, text: &str) {
        let sender = Sender {
            tag: &self.tag,
            host_name: self.host_name.as_deref(),
        };
        for sink in &self.sinks {
            sink.send(level, sender, text.as_bytes());
        }
    }

    fn write(&self, level: LogLevel, record: &LogRecord<'_>) {
        let told = self.told.fetch_add(1, Relaxed);
        if self.sinks.is_empty() {
            return;
        }
        let mut record = *record;
        record.log_counter = told;
        record.host_name = self.host_name.as_deref().unwrap_or(&self.machine);
        let text = self.format.line(&record);
        let sender = Sender {
            tag: &self.tag,
            host_name: self.host_name.as_deref(),
        };
        for sink in &self.sinks {
            sink.send(level, sender, &text);
        }
    }
}

/// Whether something is told of that should not be.
fn has_failed(record: &LogRecord<'_>) -> bool {
    use stickroute::haproxy::Cause;
    let is_ended = matches!(record.termination.cause, Cause::None | Cause::Local);
    let status = record.status.unwrap_or_default();
    !is_ended || record.retries > 0 || record.redispatched || (500..600).contains(&status)
}

fn format(proxy: &Proxy, section: Section<'_>, faults: &mut Vec<Fault>) -> (LogFormat, bool) {
    let plain = || (LogFormat::connection(proxy.mode), true);
    let Some(style) = &proxy.logs.style else {
        return plain();
    };
    match (&style.value, proxy.mode) {
        (LogStyle::Http, Mode::Http) => (LogFormat::http(), false),
        (LogStyle::HttpCommon, Mode::Http) => (LogFormat::common(), false),
        // HAProxy: in mode tcp all of them are tcplog.
        (LogStyle::Tcp | LogStyle::Http | LogStyle::HttpCommon, _) => (LogFormat::tcp(), false),
        (LogStyle::Format(word), mode) => {
            let format = section.log_format(word.bytes(), mode);
            let format = format.map_err(|error| Fault::new(word, error.to_string()));
            or_fault(format, faults).map_or_else(plain, |format| (format, false))
        }
        _ => plain(),
    }
}

fn or_fault<T>(result: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
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
