//! What is before a line on its way: priorities, dates and names (RFC 3164, RFC 5424).

use std::time::Duration;

use super::date::Date;

/// How urgent a line is (RFC 5424 section 6.2.1); the most urgent is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// `emerg`, 0
    Emergency,
    /// `alert`, 1: a server went down.
    Alert,
    /// `crit`, 2
    Critical,
    /// `err`, 3: a request that failed, where these are told apart.
    Error,
    /// `warning`, 4
    Warning,
    /// `notice`, 5: a server came up.
    Notice,
    /// `info`, 6: requests and connections.
    Info,
    /// `debug`, 7
    Debug,
}

impl LogLevel {
    /// HAProxy's names, the most urgent first.
    pub(in crate::haproxy) const NAMES: [&'static str; 8] = [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
    ];

    pub(in crate::haproxy) const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];
}

/// Which kind of program a line is from, 0 to 23 (RFC 5424 section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facility(pub(in crate::haproxy) u8);

impl Facility {
    /// HAProxy's names, each at its number.
    pub(in crate::haproxy) const NAMES: [&'static str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
        "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
        "local5", "local6", "local7",
    ];

    /// The facility of a name, `local0` for example.
    pub fn of(name: &str) -> Option<Self> {
        let found = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self(found as u8))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[usize::from(self.0)]
    }
}

/// What is put before a line. HAProxy: `log TARGET format NAME`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Envelope {
    /// `local`: priority, date, program and process, as local syslog servers have it. The
    /// default.
    #[default]
    Local,
    /// `rfc3164`: the same with the name of the machine.
    Rfc3164,
    /// `rfc5424`: version 1, with structured data if there are some.
    Rfc5424,
    /// `priority`: the priority alone.
    Priority,
    /// `short`: the level alone, as service managers read it.
    Short,
    /// `timed`: the level and the date.
    Timed,
    /// `iso`: the date alone.
    Iso,
    /// `raw`: nothing.
    Raw,
}

/// Who sends a line.
#[derive(Clone, Copy, Debug)]
pub struct LogSender<'s> {
    /// The name of the program; HAProxy: `log-tag`.
    pub tag: &'s str,
    /// The name of the machine, if it is to be told; HAProxy: `log-send-hostname`.
    pub host_name: Option<&'s str>,
    /// The number of the process.
    pub process_id: u32,
    /// Which kind of program it is.
    pub facility: Facility,
}

impl Envelope {
    /// HAProxy's names.
    pub(in crate::haproxy) const NAMES: [&'static str; 8] = [
        "local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw",
    ];

    pub(in crate::haproxy) const ALL: [Self; 8] = [
        Self::Local,
        Self::Rfc3164,
        Self::Rfc5424,
        Self::Priority,
        Self::Short,
        Self::Timed,
        Self::Iso,
        Self::Raw,
    ];

    /// What is before a line that is sent at this wall time, counted from the UNIX epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stickroute::haproxy::{Envelope, Facility, LogLevel, LogSender};
    ///
    /// let sender = LogSender {
    ///     tag: "haproxy",
    ///     host_name: None,
    ///     process_id: 4195,
    ///     facility: Facility::of("local0").unwrap(),
    /// };
    /// let date = Duration::from_secs(1_795_270_700);
    /// let header = Envelope::Local.header(LogLevel::Info, &sender, date);
    /// assert_eq!(header, "<134>Nov 21 14:18:20 haproxy[4195]: ");
    /// ```
    pub fn header(self, level: LogLevel, sender: &LogSender<'_>, wall: Duration) -> String {
        let dash = if self == Self::Rfc5424 { "- " } else { "" };
        self.named(level, sender, wall) + dash
    }

    /// The same with structured data, `[id name="value"]` for example, where the format has
    /// a place for them (RFC 5424 section 6.3); no data are a dash. HAProxy: `log-format-sd`.
    ///
    /// Their form is not looked at: quotes, backslashes and brackets in values are to be
    /// escaped, which `%{+E}` does in formats.
    pub fn header_with_data(
        self,
        level: LogLevel,
        sender: &LogSender<'_>,
        wall: Duration,
        data: &[u8],
    ) -> Vec<u8> {
        let mut header = self.named(level, sender, wall).into_bytes();
        if self == Self::Rfc5424 {
            header.extend_from_slice(if data.is_empty() { b"-" } else { data });
            header.push(b' ');
        }
        header
    }

    /// Up to the structured data, if there is a place for them.
    fn named(self, level: LogLevel, sender: &LogSender<'_>, wall: Duration) -> String {
        let date = Date::of(wall);
        let LogSender {
            tag, process_id, ..
        } = sender;
        let priority = u32::from(sender.facility.0) * 8 + level as u32;
        let level = level as u32;
        match self {
            Self::Local => format!("<{priority}>{} {tag}[{process_id}]: ", date.syslog()),
            Self::Rfc3164 => {
                let host = sender.host_name.unwrap_or("localhost");
                let date = date.syslog();
                format!("<{priority}>{date} {host} {tag}[{process_id}]: ")
            }
            Self::Rfc5424 => {
                let host = sender.host_name.unwrap_or("-");
                let date = date.iso();
                format!("<{priority}>1 {date} {host} {tag} {process_id} - ")
            }
            Self::Priority => format!("<{priority}>"),
            Self::Short => format!("<{level}>"),
            Self::Timed => format!("<{level}>{} ", date.iso()),
            Self::Iso => format!("{} ", date.iso()),
            Self::Raw => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed on HAProxy 2.6.12.
    #[test]
    fn every_envelope_is_as_haproxy_has_it() {
        let sender = LogSender {
            tag: "tg",
            host_name: None,
            process_id: 25_053,
            facility: Facility::of("local2").unwrap(),
        };
        let wall = Duration::new(1_795_271_478, 406_847_000);
        let named = LogSender {
            host_name: Some("vm"),
            ..sender
        };
        for (envelope, sender, expected) in [
            (Envelope::Local, named, "<150>Nov 21 14:31:18 tg[25053]: "),
            (
                Envelope::Rfc3164,
                sender,
                "<150>Nov 21 14:31:18 localhost tg[25053]: ",
            ),
            (
                Envelope::Rfc3164,
                named,
                "<150>Nov 21 14:31:18 vm tg[25053]: ",
            ),
            (
                Envelope::Rfc5424,
                sender,
                "<150>1 2026-11-21T14:31:18.406847+00:00 - tg 25053 - - ",
            ),
            (
                Envelope::Rfc5424,
                named,
                "<150>1 2026-11-21T14:31:18.406847+00:00 vm tg 25053 - - ",
            ),
            (Envelope::Priority, sender, "<150>"),
            (Envelope::Short, sender, "<6>"),
            (
                Envelope::Timed,
                sender,
                "<6>2026-11-21T14:31:18.406847+00:00 ",
            ),
            (Envelope::Iso, sender, "2026-11-21T14:31:18.406847+00:00 "),
            (Envelope::Raw, sender, ""),
        ] {
            let header = envelope.header(LogLevel::Info, &sender, wall);
            assert_eq!(header, expected, "{envelope:?}");
        }
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn only_rfc_5424_has_structured_data() {
        let sender = LogSender {
            tag: "tg",
            host_name: None,
            process_id: 7,
            facility: Facility::of("local2").unwrap(),
        };
        let header = |envelope: Envelope, data: &[u8]| {
            let header = envelope.header_with_data(LogLevel::Info, &sender, Duration::ZERO, data);
            String::from_utf8(header).unwrap()
        };
        let start = "<150>1 1970-01-01T00:00:00.000000+00:00 - tg 7 - ";
        let data = b"[a b=\"1\"]";
        let expected = format!("{start}[a b=\"1\"] ");
        assert_eq!(header(Envelope::Rfc5424, data), expected);
        assert_eq!(header(Envelope::Rfc5424, b""), format!("{start}- "));
        for envelope in Envelope::ALL {
            let plain = envelope.header(LogLevel::Info, &sender, Duration::ZERO);
            assert_eq!(header(envelope, b""), plain);
            assert!(envelope == Envelope::Rfc5424 || header(envelope, data) == plain);
        }
    }

    #[test]
    fn facilities_have_names() {
        for name in Facility::NAMES {
            assert_eq!(Facility::of(name).unwrap().name(), name);
        }
        assert_eq!(Facility::of("local9"), None);
    }
}
