//! `bind` lines, and the sockets of `stats socket`.

use std::collections::BTreeMap;

use super::address::{self, Endpoint};
use super::args::Args;
use super::finding::{Finding, FindingKind};
use super::location::{Located, Word};
use super::suggest::expected_one_of;

/// HAProxy: `bind ADDRESS[,ADDRESS...] [option...]`, also a `stats socket`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bind {
    /// Where to listen, at least one address.
    pub addresses: Located<Vec<Endpoint>>,
    /// HAProxy: `accept-proxy`: clients begin with a PROXY header.
    pub accept_proxy: bool,
    /// HAProxy: `name`.
    pub name: Option<Word>,
    /// HAProxy: `maxconn`; `None` is no limit of its own.
    pub maxconn: Option<u32>,
    /// HAProxy: `level`: `user`, `operator` or `admin`.
    pub level: Option<Word>,
    /// HAProxy: `mode`, the permissions of a Unix socket.
    pub mode: Option<u32>,
    /// Every option that is written with what follows it, those above included.
    pub options: BTreeMap<&'static str, Option<Word>>,
}

/// What follows an option.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    AWord,
    ANumber(i64, i64),
    Permissions,
    OneOf(&'static [&'static str]),
}

const MOST: i64 = i32::MAX as i64;

const OPTIONS: &[(&str, Takes)] = &[
    ("accept-proxy", Takes::Nothing),
    ("backlog", Takes::ANumber(0, MOST)),
    ("defer-accept", Takes::Nothing),
    ("expose-fd", Takes::OneOf(&["listeners"])),
    ("gid", Takes::ANumber(0, MOST)),
    ("group", Takes::AWord),
    ("id", Takes::ANumber(1, MOST)),
    ("interface", Takes::AWord),
    ("level", Takes::OneOf(&["user", "operator", "admin"])),
    ("maxconn", Takes::ANumber(0, MOST)),
    ("mode", Takes::Permissions),
    ("mss", Takes::ANumber(-65_535, 65_535)),
    ("name", Takes::AWord),
    ("nice", Takes::ANumber(-1024, 1024)),
    ("proto", Takes::OneOf(&["h1", "h2", "none"])),
    (
        "severity-output",
        Takes::OneOf(&["none", "number", "string"]),
    ),
    ("shards", Takes::AWord),
    ("tcp-ut", Takes::AWord),
    ("tfo", Takes::Nothing),
    ("thread", Takes::AWord),
    ("transparent", Takes::Nothing),
    ("uid", Takes::ANumber(0, MOST)),
    ("user", Takes::AWord),
    ("v4v6", Takes::Nothing),
    ("v6only", Takes::Nothing),
];

/// Options HAProxy knows and that need what is not there: TLS, name spaces, QUIC.
const NOT_SUPPORTED: &[&str] = &[
    "accept-netscaler-cip",
    "allow-0rtt",
    "alpn",
    "ca-file",
    "ca-ignore-err",
    "ca-sign-file",
    "ca-sign-pass",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "crl-file",
    "crt",
    "crt-ignore-err",
    "crt-list",
    "curves",
    "ecdhe",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "generate-certificates",
    "namespace",
    "no-ca-names",
    "no-sslv3",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "npn",
    "prefer-client-ciphers",
    "process",
    "ssl",
    "ssl-max-ver",
    "ssl-min-ver",
    "strict-sni",
    "tls-ticket-keys",
    "verify",
];

/// Reads what is behind `bind` or `stats socket`.
pub(super) fn read(args: &mut Args<'_>) -> Result<Bind, Finding> {
    let word = args.required("an address to listen on")?;
    let mut bind = Bind {
        addresses: word.located(address::of_listener(word)?),
        accept_proxy: false,
        name: None,
        maxconn: None,
        level: None,
        mode: None,
        options: BTreeMap::new(),
    };
    while let Some(word) = args.next() {
        option(&mut bind, word, args)?;
    }
    Ok(bind)
}

fn option(bind: &mut Bind, word: &Word, args: &mut Args<'_>) -> Result<(), Finding> {
    let Some((name, takes)) = OPTIONS.iter().find(|(name, _)| word.is(name)) else {
        return Err(unknown(word));
    };
    let argument = match *takes {
        Takes::Nothing => None,
        Takes::AWord => Some(args.required("a value")?),
        Takes::ANumber(min, max) => {
            args.number(min, max)?;
            Some(args.current())
        }
        Takes::Permissions => {
            bind.mode = Some(permissions(args)?);
            Some(args.current())
        }
        Takes::OneOf(names) => Some(args.one_of(names)?.1),
    };
    match *name {
        "accept-proxy" => bind.accept_proxy = true,
        "name" => bind.name = argument.cloned(),
        "level" => bind.level = argument.cloned(),
        "maxconn" => bind.maxconn = argument.and_then(|word| word.text().parse().ok()),
        _ => {}
    }
    bind.options.insert(name, argument.cloned());
    Ok(())
}

fn permissions(args: &mut Args<'_>) -> Result<u32, Finding> {
    const EXPECTED: &str = "permissions in octal digits, 600 for example";
    let word = args.required(EXPECTED)?;
    let mode = u32::from_str_radix(word.text(), 8).ok();
    let mode = mode.filter(|mode| *mode <= 0o7777 && !word.text().starts_with('+'));
    mode.ok_or_else(|| super::args::argument(word, format!("expected {EXPECTED}")))
}

fn unknown(word: &Word) -> Finding {
    let names: Vec<_> = OPTIONS.iter().map(|(name, _)| *name).collect();
    if word.is("ssl") {
        let message = "not supported; clients of TLS need a program before this one that ends it";
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
