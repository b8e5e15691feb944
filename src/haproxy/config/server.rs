//! `server` and `default-server` lines.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::{self, Endpoint};
use super::args::{Args, argument};
use super::finding::{Finding, FindingKind};
use super::location::{Located, Word};
use super::suggest::expected_one_of;
use crate::health::{ErrorObserver, HealthPolicy, Observed, OnErrors};

/// HAProxy: `server NAME ADDRESS [option...]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerLine {
    /// The name.
    pub name: Word,
    /// Where it is.
    pub address: Located<Endpoint>,
    /// Its own options over those of `default-server`.
    pub settings: ServerSettings,
}

/// The options of a server.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
// Each is a word of its own, and they are independent.
#[allow(clippy::struct_excessive_bools)]
pub struct ServerSettings {
    /// HAProxy: `id N`, 1 to 2³¹ − 1.
    pub id: Option<Located<u32>>,
    /// HAProxy: `weight N`, 0 to 256; default 1.
    pub weight: Option<u32>,
    /// HAProxy: `cookie VALUE`.
    pub cookie: Option<Word>,
    /// HAProxy: `backup`.
    pub backup: bool,
    /// HAProxy: `disabled`: starts in maintenance.
    pub disabled: bool,
    /// HAProxy: `maxconn N`; 0, the default, is no limit.
    pub maxconn: u32,
    /// HAProxy: `minconn N`; 0, the default, is `maxconn`.
    pub minconn: u32,
    /// HAProxy: `maxqueue N`; 0, the default, is no limit.
    pub maxqueue: u32,
    /// HAProxy: `slowstart T`; 0, the default, is none.
    pub slowstart: Duration,
    /// HAProxy: `check`.
    pub check: bool,
    /// HAProxy: `rise N`, at least 1; default 2.
    pub rise: Option<u32>,
    /// HAProxy: `fall N`, at least 1; default 3.
    pub fall: Option<u32>,
    /// HAProxy: `inter T`, at least a millisecond; default two seconds.
    pub inter: Option<Duration>,
    /// HAProxy: `fastinter T`; default `inter`.
    pub fastinter: Option<Duration>,
    /// HAProxy: `downinter T`; default `inter`.
    pub downinter: Option<Duration>,
    /// HAProxy: `port N`, where it is checked; 0, the default, is its own.
    pub check_port: Option<u16>,
    /// HAProxy: `addr ADDRESS`, where it is checked; default its own.
    pub check_addr: Option<Word>,
    /// HAProxy: `agent-check`.
    pub agent_check: bool,
    /// HAProxy: `non-stick`: never stored in a stick table.
    pub non_stick: bool,
    /// HAProxy: `on-marked-down shutdown-sessions`.
    pub ends_sessions_when_down: bool,
    /// HAProxy: `on-marked-up shutdown-backup-sessions`.
    pub ends_backup_sessions_when_up: bool,
    /// HAProxy: `track [PROXY/]SERVER`.
    pub track: Option<Word>,
    /// HAProxy 3.x: `guid TEXT`.
    pub guid: Option<Word>,
    /// HAProxy 3.x: `hash-key id|id32|guid|addr|addr-port`.
    pub hash_key: Option<Word>,
    /// Every other option that is written, with what follows it: `observe`, `send-proxy`.
    pub options: BTreeMap<&'static str, Option<Word>>,
}

impl ServerSettings {
    /// How its checks count, and how often they are made.
    pub fn health(&self) -> HealthPolicy {
        let mut policy = HealthPolicy::new();
        if let Some(checks) = self.rise {
            policy = policy.rise(checks);
        }
        if let Some(checks) = self.fall {
            policy = policy.fall(checks);
        }
        if let Some(time) = self.inter {
            policy = policy.interval(time);
        }
        if let Some(time) = self.fastinter {
            policy = policy.fast_interval(time);
        }
        if let Some(time) = self.downinter {
            policy = policy.down_interval(time);
        }
        policy
    }

    /// What counts the errors of its sessions, and what is done about too many; `None` if
    /// none count. HAProxy: `observe`, `error-limit`, `on-error`.
    pub fn errors(&self) -> Option<(ErrorObserver, OnErrors)> {
        let word = |name: &str| self.options.get(name)?.as_ref();
        let observed = match word("observe").map(Word::text)? {
            "layer4" => Observed::Connections,
            "layer7" => Observed::Answers,
            _ => return None,
        };
        let reaction = match word("on-error").map_or("", Word::text) {
            "fastinter" => OnErrors::CheckSoon,
            "sudden-death" => OnErrors::SuddenDeath,
            "mark-down" => OnErrors::MarkDown,
            _ => OnErrors::FailCheck,
        };
        let limit = word("error-limit").and_then(|word| word.text().parse().ok());
        let observer = ErrorObserver::new(observed).limit(limit.unwrap_or(10));
        Some((observer, reaction)).filter(|_| self.check)
    }

    /// About how much memory a copy of the words takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [
            &self.cookie,
            &self.track,
            &self.guid,
            &self.hash_key,
            &self.check_addr,
        ];
        let kept = self.options.values().chain(texts);
        kept.flatten().map(|word| 64 + word.bytes.len()).sum()
    }
}

/// What an option does with the words behind it.
#[derive(Clone, Copy)]
enum Takes {
    /// Nothing follows; the setting becomes what is written.
    Flag(fn(&mut ServerSettings)),
    /// This word follows, and nothing else can.
    Word(&'static str, fn(&mut ServerSettings)),
    /// A number in a range.
    Number(u32, u32, fn(&mut ServerSettings, Located<u32>)),
    /// A word that is not empty.
    Text(fn(&mut ServerSettings, &Word)),
    /// Only checked and kept: nothing, a time, a number, a word, one of some.
    Kept,
    KeptTime(Duration),
    KeptNumber(i64, i64),
    /// The time between checks, which cannot be 0.
    Interval(fn(&mut ServerSettings, Duration)),
    KeptWord,
    KeptOneOf(&'static [&'static str]),
    SlowStart,
}

const MOST: u32 = i32::MAX as u32;
const PORT: Takes = Takes::KeptNumber(0, 65_535);
const COUNT: Takes = Takes::KeptNumber(1, MOST as i64);
const SHORTEST: Duration = Duration::from_millis(1);
const INTERVAL: Takes = Takes::KeptTime(SHORTEST);

const OPTIONS: &[(&str, Takes)] = &[
    (
        "addr",
        Takes::Text(|s, word| s.check_addr = Some(word.clone())),
    ),
    ("agent-addr", Takes::KeptWord),
    ("agent-check", Takes::Flag(|s| s.agent_check = true)),
    ("agent-inter", INTERVAL),
    ("agent-port", PORT),
    ("agent-send", Takes::KeptWord),
    ("backup", Takes::Flag(|s| s.backup = true)),
    ("check", Takes::Flag(|s| s.check = true)),
    (
        "check-proto",
        Takes::KeptOneOf(&["h1", "h2", "none", "fcgi"]),
    ),
    ("check-send-proxy", Takes::Kept),
    ("check-via-socks4", Takes::Kept),
    (
        "cookie",
        Takes::Text(|s, word| s.cookie = Some(word.clone())),
    ),
    ("disabled", Takes::Flag(|s| s.disabled = true)),
    (
        "downinter",
        Takes::Interval(|s, time| s.downinter = Some(time)),
    ),
    ("enabled", Takes::Flag(|s| s.disabled = false)),
    ("error-limit", COUNT),
    (
        "fall",
        Takes::Number(1, MOST, |s, n| s.fall = Some(n.value)),
    ),
    (
        "fastinter",
        Takes::Interval(|s, time| s.fastinter = Some(time)),
    ),
    ("guid", Takes::Text(|s, word| s.guid = Some(word.clone()))),
    (
        "hash-key",
        Takes::Text(|s, word| s.hash_key = Some(word.clone())),
    ),
    ("id", Takes::Number(1, MOST, |s, id| s.id = Some(id))),
    ("init-addr", Takes::KeptWord),
    ("inter", Takes::Interval(|s, time| s.inter = Some(time))),
    ("log-proto", Takes::KeptOneOf(&["legacy", "octet-count"])),
    ("max-reuse", Takes::KeptNumber(-1, MOST as i64)),
    (
        "maxconn",
        Takes::Number(0, MOST, |s, n| s.maxconn = n.value),
    ),
    (
        "maxqueue",
        Takes::Number(0, MOST, |s, n| s.maxqueue = n.value),
    ),
    (
        "minconn",
        Takes::Number(0, MOST, |s, n| s.minconn = n.value),
    ),
    ("no-agent-check", Takes::Flag(|s| s.agent_check = false)),
    ("no-backup", Takes::Flag(|s| s.backup = false)),
    ("no-check", Takes::Flag(|s| s.check = false)),
    ("no-check-send-proxy", Takes::Kept),
    ("no-send-proxy", Takes::Kept),
    ("no-send-proxy-v2", Takes::Kept),
    ("no-tfo", Takes::Kept),
    ("non-stick", Takes::Flag(|s| s.non_stick = true)),
    ("observe", Takes::KeptOneOf(&["none", "layer4", "layer7"])),
    (
        "on-error",
        Takes::KeptOneOf(&["fastinter", "fail-check", "sudden-death", "mark-down"]),
    ),
    (
        "on-marked-down",
        Takes::Word("shutdown-sessions", |s| s.ends_sessions_when_down = true),
    ),
    (
        "on-marked-up",
        Takes::Word("shutdown-backup-sessions", |s| {
            s.ends_backup_sessions_when_up = true;
        }),
    ),
    ("pool-low-conn", Takes::KeptNumber(0, MOST as i64)),
    ("pool-max-conn", Takes::KeptNumber(-1, MOST as i64)),
    ("pool-purge-delay", Takes::KeptTime(Duration::ZERO)),
    (
        "port",
        Takes::Number(0, 65_535, |s, n| s.check_port = Some(n.value as u16)),
    ),
    ("proto", Takes::KeptOneOf(&["h1", "h2", "none", "fcgi"])),
    ("redir", Takes::KeptWord),
    (
        "rise",
        Takes::Number(1, MOST, |s, n| s.rise = Some(n.value)),
    ),
    ("send-proxy", Takes::Kept),
    ("send-proxy-v2", Takes::Kept),
    ("slowstart", Takes::SlowStart),
    ("stick", Takes::Flag(|s| s.non_stick = false)),
    ("tcp-ut", Takes::KeptTime(Duration::ZERO)),
    ("tfo", Takes::Kept),
    ("track", Takes::Text(|s, word| s.track = Some(word.clone()))),
    (
        "weight",
        Takes::Number(0, 256, |s, n| s.weight = Some(n.value)),
    ),
];

/// Options HAProxy knows and that need what is not there: TLS, resolvers, sockets' details.
const NOT_SUPPORTED: &[&str] = &[
    "allow-0rtt",
    "alpn",
    "ca-file",
    "check-alpn",
    "check-sni",
    "check-ssl",
    "ciphers",
    "ciphersuites",
    "crl-file",
    "crt",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "namespace",
    "no-check-ssl",
    "no-send-proxy-v2-ssl",
    "no-send-proxy-v2-ssl-cn",
    "no-ssl",
    "no-ssl-reuse",
    "no-sslv3",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "npn",
    "proxy-v2-options",
    "resolve-net",
    "resolve-opts",
    "resolve-prefer",
    "resolvers",
    "send-proxy-v2-ssl",
    "send-proxy-v2-ssl-cn",
    "sni",
    "socks4",
    "source",
    "ssl",
    "ssl-max-ver",
    "ssl-min-ver",
    "ssl-reuse",
    "tls-tickets",
    "usesrc",
    "verify",
    "verifyhost",
    "ws",
];

/// Options that only a server of its own can have.
const NOT_IN_DEFAULT: &[&str] = &["id", "guid"];

/// What a name may be made of.
pub(super) fn is_name(word: &Word) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    !word.bytes.is_empty() && word.bytes.iter().all(allowed)
}

/// Reads a `server` line; all options are looked at, whatever is wrong with others.
pub(super) fn read(
    args: &mut Args<'_>,
    default: &ServerSettings,
    findings: &mut Vec<Finding>,
) -> Result<ServerLine, Finding> {
    let name = args.required("a name and an address")?;
    if !is_name(name) {
        let message = "expected a name of letters, digits and any of -_.:";
        return Err(argument(name, message));
    }
    let word = args.required("an address")?;
    let address = word.located(address::of_server(word)?);
    let mut settings = default.clone();
    options(&mut settings, args, &[], findings);
    Ok(ServerLine {
        name: name.clone(),
        address,
        settings,
    })
}

/// Reads a `default-server` line.
pub(super) fn read_default(
    settings: &mut ServerSettings,
    args: &mut Args<'_>,
    findings: &mut Vec<Finding>,
) {
    options(settings, args, NOT_IN_DEFAULT, findings);
}

fn options(
    settings: &mut ServerSettings,
    args: &mut Args<'_>,
    refused: &[&str],
    findings: &mut Vec<Finding>,
) {
    while let Some(word) = args.next() {
        if refused.iter().any(|name| word.is(name)) {
            let message = "not allowed in default-server; expected in the server's own line";
            findings.push(Finding::error(FindingKind::Misplaced, word, message));
        }
        if let Err(finding) = option(settings, word, args) {
            let is_unknown = matches!(
                finding.kind,
                FindingKind::Unknown | FindingKind::NotSupported
            );
            findings.push(finding);
            // What follows may be arguments of the unknown word.
            while is_unknown && args.peek().is_some_and(|word| !is_option(word)) {
                args.next();
            }
        }
    }
}

fn is_option(word: &Word) -> bool {
    OPTIONS.iter().any(|(name, _)| word.is(name))
}

fn option(s: &mut ServerSettings, word: &Word, args: &mut Args<'_>) -> Result<(), Finding> {
    let Some((name, takes)) = OPTIONS.iter().find(|(name, _)| word.is(name)) else {
        return Err(unknown(word));
    };
    match *takes {
        Takes::Flag(set) => set(s),
        Takes::Word(expected, set) => {
            args.one_of(&[expected])?;
            set(s);
        }
        Takes::Number(min, max, set) => {
            let number = args.number(min.into(), max.into())? as u32;
            set(s, args.current().located(number));
        }
        Takes::Text(set) => {
            let text = args.required(&expected(name))?;
            check_text(name, text)?;
            set(s, text);
        }
        Takes::SlowStart => s.slowstart = args.time()?,
        Takes::Interval(set) => {
            let time = args.time()?;
            at_least(SHORTEST, time, args.current())?;
            set(s, time);
        }
        takes => {
            let kept = kept(name, takes, args)?.cloned();
            s.options.insert(name, kept);
        }
    }
    Ok(())
}

/// What follows an option that is only checked and kept.
fn kept<'l>(name: &str, takes: Takes, args: &mut Args<'l>) -> Result<Option<&'l Word>, Finding> {
    match takes {
        Takes::KeptTime(least) => time_from(least, args).map(Some),
        Takes::KeptNumber(min, max) => args.number(min, max).map(|_| Some(args.current())),
        Takes::KeptWord => args.required(&expected(name)).map(Some),
        Takes::KeptOneOf(names) => args.one_of(names).map(|(_, word)| Some(word)),
        _ => Ok(None),
    }
}

fn expected(name: &str) -> String {
    format!("a value for {name}")
}

fn time_from<'l>(least: Duration, args: &mut Args<'l>) -> Result<&'l Word, Finding> {
    let time = args.time()?;
    at_least(least, time, args.current())
}

fn at_least(least: Duration, time: Duration, word: &Word) -> Result<&Word, Finding> {
    if time < least {
        return Err(argument(word, "expected a length of time of at least 1 ms"));
    }
    Ok(word)
}

fn check_text(name: &str, text: &Word) -> Result<(), Finding> {
    const KEYS: [&str; 5] = ["id", "id32", "guid", "addr", "addr-port"];
    if name == "hash-key" && !KEYS.iter().any(|key| text.is(key)) {
        return Err(argument(text, expected_one_of(text.text(), &KEYS)));
    }
    Ok(())
}

fn unknown(word: &Word) -> Finding {
    let names: Vec<_> = OPTIONS.iter().map(|(name, _)| *name).collect();
    let advice = match word.text() {
        "ssl" => Some("servers of TLS need a program before them that ends it"),
        "resolvers" => Some("names are looked up by the system"),
        _ => None,
    };
    if let Some(advice) = advice {
        let message = format!("not supported; {advice}");
        return Finding::error(FindingKind::NotSupported, word, message);
    }
    if NOT_SUPPORTED.iter().any(|name| word.is(name)) {
        let message = format!("not supported; expected one of {}", names.join(", "));
        return Finding::error(FindingKind::NotSupported, word, message);
    }
    Finding::error(
        FindingKind::Unknown,
        word,
        expected_one_of(word.text(), &names),
    )
}
