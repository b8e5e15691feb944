//! `log`, `log-format`, `log-tag`, `capture` and `unique-id-format` lines.

use std::ops::RangeInclusive;

use super::address::{self, Endpoint};
use super::args::{Args, argument};
use super::finding::{Finding, FindingKind};
use super::keywords::{Scope, Side};
use super::location::{Located, Location, Word};
use super::suggest::expected_one_of;
use crate::haproxy::is_token;
use crate::haproxy::log::{Envelope, Facility, LogLevel};

/// HAProxy: `log TARGET [len N] [format NAME] FACILITY [MOST [LEAST]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// Where the line is.
    pub location: Location,
    /// Where lines go.
    pub target: LogTarget,
    /// What is put before each; default [`Envelope::Local`].
    pub envelope: Envelope,
    /// The most bytes of a line, what is before it included, 80 to 65,535; default 1,024.
    /// HAProxy: `len`.
    pub max_length: u16,
    /// Which kind of program the lines are from.
    pub facility: Facility,
    /// Lines less urgent than this are left out; default: none is.
    pub least: LogLevel,
    /// Lines more urgent than this are sent as if they were not; default: none is.
    pub most: LogLevel,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogTarget {
    /// `stdout`, or `fd@1`.
    Stdout,
    /// `stderr`, or `fd@2`.
    Stderr,
    /// `fd@N`: an open file descriptor.
    Descriptor(u32),
    /// A syslog server: a datagram for each line, port 514 if none is written; or the path
    /// of a Unix socket of datagrams.
    Server(Endpoint),
}

/// How the lines of a frontend are written; the last line of a section counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogStyle {
    /// `option httplog`
    Http,
    /// `option httplog clf`
    HttpCommon,
    /// `option tcplog`
    Tcp,
    /// `log-format TEXT`
    Format(Word),
}

/// HAProxy: `capture request|response header NAME len N`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderCapture {
    /// The name of the header.
    pub name: Word,
    /// So many bytes of its last value are kept.
    pub length: u32,
}

/// HAProxy: `capture cookie NAME len N`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CookieCapture {
    /// What the name begins with; `NAME=` is the whole of it.
    pub name: Word,
    /// So many bytes are kept, the name included.
    pub length: u32,
}

/// What a section says of its logs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LogSettings {
    /// HAProxy: `log TARGET ...`, in order.
    pub lines: Vec<LogLine>,
    /// HAProxy: `log global`: the lines of the global section count, too.
    pub uses_global: bool,
    /// HAProxy: `log-format`, `option httplog`, `option tcplog`; `None` tells of
    /// connections alone.
    pub style: Option<Located<LogStyle>>,
    /// How it is written of clients that ask for nothing that can be read; default as
    /// [`style`](Self::style) says. HAProxy: `error-log-format`.
    pub error_format: Option<Word>,
    /// The structured data of lines (RFC 5424 section 6.3); default none. HAProxy:
    /// `log-format-sd`.
    pub structured_data: Option<Word>,
    /// HAProxy: `log-tag`; default the name of the program.
    pub tag: Option<Word>,
    /// HAProxy: `capture request header`, in order.
    pub request_captures: Vec<HeaderCapture>,
    /// HAProxy: `capture response header`, in order.
    pub response_captures: Vec<HeaderCapture>,
    /// HAProxy: `capture cookie`.
    pub cookie_capture: Option<CookieCapture>,
    /// HAProxy: `unique-id-format`.
    pub unique_id_format: Option<Word>,
    /// HAProxy: `unique-id-header`.
    pub unique_id_header: Option<Word>,
}

type Done = Result<(), Finding>;

const LENGTHS: RangeInclusive<i64> = 80..=65_535;
const LENGTH: u16 = 1_024;

/// What is behind `log`, in any section; `None` is `global`.
pub(super) fn read(args: &mut Args<'_>) -> Result<Option<LogLine>, Finding> {
    const EXPECTED: &str =
        "stdout, stderr, fd@N, IP[:PORT], HOST[:PORT], the path of a socket, or global";
    let word = args.required(EXPECTED)?;
    if word.is("global") {
        return args.end().map(|()| None);
    }
    let target = target(word, EXPECTED)?;
    let mut line = LogLine {
        location: word.location().clone(),
        target,
        envelope: Envelope::default(),
        max_length: LENGTH,
        facility: Facility(0),
        least: LogLevel::Debug,
        most: LogLevel::Emergency,
    };
    line.facility = options(&mut line, args)?;
    if args.peek().is_some() {
        line.least = level(args)?;
    }
    if args.peek().is_some() {
        line.most = level(args)?;
    }
    args.end()?;
    Ok(Some(line))
}

fn target(word: &Word, expected: &str) -> Result<LogTarget, Finding> {
    match word.text() {
        "stdout" | "fd@1" => return Ok(LogTarget::Stdout),
        "stderr" | "fd@2" => return Ok(LogTarget::Stderr),
        _ => {}
    }
    if let Some(number) = word.text().strip_prefix("fd@") {
        let refused = || argument(word, "expected the number of an open file behind fd@");
        return number
            .parse()
            .map(LogTarget::Descriptor)
            .map_err(|_| refused());
    }
    if ["ring@", "tcp@", "tcp4@", "tcp6@"]
        .iter()
        .any(|kind| word.text().starts_with(kind))
    {
        let message = format!("not supported; expected {expected}");
        return Err(Finding::error(FindingKind::NotSupported, word, message));
    }
    let found = address::of_log(word);
    found.map_or_else(
        || Err(argument(word, format!("expected {expected}"))),
        |found| Ok(LogTarget::Server(found)),
    )
}

/// `len` and `format`, up to the facility.
fn options(line: &mut LogLine, args: &mut Args<'_>) -> Result<Facility, Finding> {
    loop {
        let word = args.required("len, format or a facility, local0 for example")?;
        match word.text() {
            "len" => line.max_length = args.number(*LENGTHS.start(), *LENGTHS.end())? as u16,
            "format" => line.envelope = Envelope::ALL[args.one_of(&Envelope::NAMES)?.0],
            "sample" => {
                let message = "not supported; expected len, format or a facility";
                return Err(Finding::error(FindingKind::NotSupported, word, message));
            }
            name => {
                return Facility::of(name)
                    .ok_or_else(|| argument(word, expected_one_of(name, &Facility::NAMES)));
            }
        }
    }
}

fn level(args: &mut Args<'_>) -> Result<LogLevel, Finding> {
    Ok(LogLevel::ALL[args.one_of(&LogLevel::NAMES)?.0])
}

/// `log` in a proxy section.
pub(super) fn log(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let logs = &mut scope.proxy.logs;
    match read(args)? {
        Some(line) => logs.lines.push(line),
        None => logs.uses_global = true,
    }
    Ok(())
}

/// `no log`
pub(super) fn none(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    scope.proxy.logs.lines.clear();
    scope.proxy.logs.uses_global = false;
    args.end()
}

pub(super) fn error_log_format(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    scope.proxy.logs.error_format = Some(format(args)?);
    Ok(())
}

pub(super) fn log_format_sd(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    scope.proxy.logs.structured_data = Some(format(args)?);
    Ok(())
}

fn format(args: &mut Args<'_>) -> Result<Word, Finding> {
    let text = args.required("a format")?;
    args.end()?;
    Ok(text.clone())
}

pub(super) fn log_format(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let text = format(args)?;
    let style = LogStyle::Format(text.clone());
    scope.proxy.logs.style = Some(text.located(style));
    Ok(())
}

/// `option httplog` and `option tcplog`, read up to their name.
pub(super) fn style(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let word = args.current();
    scope.check_side(Side::Front, word);
    let style = match args.peek() {
        Some(extra) if word.is("httplog") && extra.is("clf") => {
            args.next();
            LogStyle::HttpCommon
        }
        _ if word.is("httplog") => LogStyle::Http,
        _ => LogStyle::Tcp,
    };
    if let Some(extra) = args.next() {
        let message = "expected clf behind httplog, or nothing more";
        return Err(argument(extra, message));
    }
    scope.proxy.logs.style = Some(word.located(style));
    Ok(())
}

pub(super) fn log_tag(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    scope.proxy.logs.tag = Some(tag(args)?);
    Ok(())
}

/// What is behind `log-tag`, in any section.
pub(super) fn tag(args: &mut Args<'_>) -> Result<Word, Finding> {
    let word = args.required("a name for the program")?;
    args.end()?;
    Ok(word.clone())
}

pub(super) fn capture(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let (what, word) = args.one_of(&["cookie", "request", "response"])?;
    if what == 0 {
        let (name, length) = (
            args.required("the name of a cookie")?.clone(),
            length(args)?,
        );
        scope.proxy.logs.cookie_capture = Some(CookieCapture { name, length });
        return Ok(());
    }
    if scope.proxy.kind == super::ProxyKind::Defaults {
        let message = "not allowed in a defaults section; expected capture cookie";
        return Err(Finding::error(FindingKind::Misplaced, word, message));
    }
    args.one_of(&["header"])?;
    let name = header(args)?;
    let length = length(args)?;
    let capture = HeaderCapture { name, length };
    let logs = &mut scope.proxy.logs;
    match what {
        1 => logs.request_captures.push(capture),
        _ => logs.response_captures.push(capture),
    }
    Ok(())
}

fn header(args: &mut Args<'_>) -> Result<Word, Finding> {
    let word = args.required("the name of a header")?;
    if !is_token(word.text()) {
        return Err(argument(word, "expected the name of a header"));
    }
    Ok(word.clone())
}

/// `len N`, the end of the line. More bytes than this are no use in a line.
fn length(args: &mut Args<'_>) -> Result<u32, Finding> {
    args.one_of(&["len"])?;
    let length = args.number(0, *LENGTHS.end())?;
    args.end()?;
    Ok(length as u32)
}

pub(super) fn unique_id_format(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    scope.proxy.logs.unique_id_format = Some(format(args)?);
    Ok(())
}

pub(super) fn unique_id_header(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let name = header(args)?;
    args.end()?;
    scope.proxy.logs.unique_id_header = Some(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::Configuration;

    fn frontend(lines: &str) -> Result<LogSettings, String> {
        let text = format!("frontend web\n mode http\n bind :80\n timeout client 1s\n {lines}\n");
        let read = Configuration::parse("t", text).map_err(|error| error.to_string())?;
        assert_eq!(read.findings(), [], "{lines}");
        Ok(read.proxies[0].logs.clone())
    }

    fn log_line(words: &str) -> Result<LogLine, String> {
        Ok(frontend(&format!("log {words}"))?.lines[0].clone())
    }

    #[test]
    fn log_lines_say_where_how_and_what() {
        let line = log_line("stdout format raw local0").unwrap();
        assert_eq!(line.target, LogTarget::Stdout);
        assert_eq!(line.envelope, Envelope::Raw);
        assert_eq!(line.max_length, 1_024);
        assert_eq!(
            (line.least, line.most),
            (LogLevel::Debug, LogLevel::Emergency)
        );
        let line = log_line("127.0.0.1:9 len 80 format rfc5424 daemon info err").unwrap();
        let LogTarget::Server(server) = line.target else {
            panic!("{line:?}");
        };
        assert_eq!(server.to_string(), "127.0.0.1:9");
        assert_eq!((line.max_length, line.facility.name()), (80, "daemon"));
        assert_eq!((line.least, line.most), (LogLevel::Info, LogLevel::Error));
    }

    #[test]
    fn servers_have_port_514_or_a_path() {
        for (words, shown) in [
            ("127.0.0.1", "127.0.0.1:514"),
            ("[::1]:9", "[::1]:9"),
            ("localhost", "localhost:514"),
            ("udp@127.0.0.1:9", "127.0.0.1:9"),
            ("ipv4@127.0.0.1:9", "127.0.0.1:9"),
            ("udp6@localhost", "ipv6@localhost:514"),
            ("/dev/log", "unix@/dev/log"),
            ("unix@/x", "unix@/x"),
        ] {
            let line = log_line(&format!("{words} local0")).unwrap();
            let LogTarget::Server(server) = line.target else {
                panic!("{words}");
            };
            assert_eq!(server.to_string(), shown);
        }
        let line = log_line("fd@5 user").unwrap();
        assert_eq!(line.target, LogTarget::Descriptor(5));
    }

    // Observed on HAProxy 2.6.12, but for the last four, which it accepts.
    #[test]
    fn what_is_wrong_is_told() {
        for (line, expected) in [
            ("log global x", "t:5:13: 'x': expected nothing more"),
            ("log stdout", "expected len, format or a facility"),
            ("log stdout local9", "'local9'"),
            ("log stdout local0 foo", "'foo'"),
            ("log stdout local0 debug info x", "'x'"),
            ("log stdout len 79 local0", "from 80 to 65535"),
            ("log stdout len 65536 local0", "from 80 to 65535"),
            ("log stdout format foo local0", "'foo'"),
            ("log 127.0.0.1:9-10 local0", "'127.0.0.1:9-10'"),
            ("log x_y local0 info debug emerg", "'emerg'"),
            ("log 127.0.0.1:+9 local0", "'127.0.0.1:+9'"),
            ("log-format", "expected a format"),
            ("log-format a b", "'b'"),
            ("error-log-format", "expected a format"),
            ("log-format-sd a b", "'b'"),
            ("log-tag", "expected a name"),
            ("option httplog foo", "'foo'"),
            ("capture request header X", "expected one of len"),
            ("capture request header X len 5 x", "'x'"),
            ("capture foo", "'foo'"),
            ("log tcp@127.0.0.1:9 local0", "not supported"),
            ("log ring@x local0", "not supported"),
            ("log stdout sample 1:2 local0", "not supported"),
            ("log-tag a b", "'b'"),
        ] {
            let error = frontend(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn the_last_style_counts_and_captures_add_up() {
        let lines = "option httplog clf\n option tcplog\n option httplog\n log global\n \
            capture request header Host len 10\n capture request header X-A len 5\n \
            capture response header Server len 8\n capture cookie S= len 6\n log-tag tag\n \
            error-log-format x%ci\n log-format-sd [x]";
        let logs = frontend(lines).unwrap();
        assert_eq!(logs.style.unwrap().value, LogStyle::Http);
        assert!(logs.uses_global && logs.lines.is_empty());
        let names = logs.request_captures.iter();
        let names: Vec<_> = names.map(|capture| capture.name.text()).collect();
        assert_eq!(names, ["Host", "X-A"]);
        assert_eq!(logs.response_captures[0].length, 8);
        assert_eq!(logs.cookie_capture.unwrap().name.text(), "S=");
        assert_eq!(logs.tag.unwrap().text(), "tag");
        assert_eq!(logs.error_format.unwrap().text(), "x%ci");
        assert_eq!(logs.structured_data.unwrap().text(), "[x]");
    }

    #[test]
    fn defaults_are_inherited_and_can_be_left() {
        let text = "global\n log stderr format raw user\n log-tag gw\n log-send-hostname h\n\
            defaults\n mode http\n log global\n option httplog\n\
            frontend a\n bind :80\n\
            frontend b\n bind :81\n no log\n log-format %ci\n";
        let read = Configuration::parse("t", text).unwrap();
        assert!(read.proxies[0].logs.uses_global && !read.proxies[1].logs.uses_global);
        assert_eq!(read.global.logs[0].target, LogTarget::Stderr);
        assert_eq!(read.global.log_tag.as_ref().unwrap().text(), "gw");
        let style = &read.proxies[1].logs.style.as_ref().unwrap().value;
        assert!(matches!(style, LogStyle::Format(word) if word.text() == "%ci"));
    }
}
