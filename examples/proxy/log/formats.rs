//! What the lines of a frontend look like, and when they are due.

use stickroute::haproxy::{FormatError, LogFormat, LogStyle, Mode, Proxy, Word};

use crate::configuration::fault::Fault;
use crate::configuration::words::Section;

/// The formats of one frontend.
#[derive(Debug)]
pub(super) struct Formats {
    pub(super) line: LogFormat,
    /// Of clients that ask for nothing that can be read; `None` is as of others. HAProxy:
    /// `error-log-format`.
    pub(super) error: Option<LogFormat>,
    /// How lines begin about clients that are turned away.
    pub(super) client: LogFormat,
    /// HAProxy: `log-format-sd`.
    pub(super) data: Option<LogFormat>,
    pub(super) due: Due,
}

/// When something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// As soon as a client has come.
    AtOnce,
    /// When the response begins, in mode tcp when there is a server; at the end if it never
    /// comes so far. HAProxy: `option logasap`.
    Early,
    AtEnd,
}

impl Formats {
    pub(super) fn of(proxy: &Proxy, section: Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let logs = &proxy.logs;
        let styled = logs.style.as_ref().map(|style| match &style.value {
            LogStyle::Http if proxy.mode == Mode::Http => Some(LogFormat::http()),
            LogStyle::HttpCommon if proxy.mode == Mode::Http => Some(LogFormat::common()),
            LogStyle::Format(word) => read(word, section, proxy.mode, faults),
            // HAProxy: in mode tcp all of them are tcplog.
            _ => Some(LogFormat::tcp()),
        });
        let mut read = |word: &Option<Word>| {
            let word = word.as_ref()?;
            read(word, section, proxy.mode, faults)
        };
        let due = match &styled {
            None => Due::AtOnce,
            Some(_) if proxy.is_on("logasap") => Due::Early,
            Some(_) => Due::AtEnd,
        };
        Self {
            error: read(&logs.error_format),
            data: read(&logs.structured_data),
            client: LogFormat::parse("%ci:%cp [%t] ", Mode::Tcp).expect("it is a format"),
            line: styled
                .flatten()
                .unwrap_or_else(|| LogFormat::connection(proxy.mode)),
            due,
        }
    }
}

fn read(
    word: &Word,
    section: Section<'_>,
    mode: Mode,
    faults: &mut Vec<Fault>,
) -> Option<LogFormat> {
    or_fault(section.log_format(word.bytes(), mode), word, faults)
}

pub(super) fn or_fault(
    read: Result<LogFormat, FormatError>,
    word: &Word,
    faults: &mut Vec<Fault>,
) -> Option<LogFormat> {
    read.map_err(|error| faults.push(Fault::new(word, error.to_string())))
        .ok()
}
