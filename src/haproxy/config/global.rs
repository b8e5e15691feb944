//! The `global` section.

use std::time::Duration;

use super::args::Args;
use super::bind::{self, Bind};
use super::finding::{Finding, FindingKind};
use super::location::{Located, Word};
use super::log::{self, LogLine};
use super::suggest::nearest;

/// What the `global` section says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Global {
    /// HAProxy: `maxconn`.
    pub maxconn: Option<Located<u32>>,
    /// How many threads serve, 1 to 64; without it, as many as there are processors.
    /// HAProxy: `nbthread`.
    pub threads: Option<Located<u32>>,
    /// HAProxy: `stats socket`, in order.
    pub stats_sockets: Vec<Bind>,
    /// HAProxy: `stats timeout`.
    pub stats_timeout: Option<Located<Duration>>,
    /// HAProxy: `stats maxconn`.
    pub stats_maxconn: Option<Located<u32>>,
    /// HAProxy: `log`, in order.
    pub logs: Vec<LogLine>,
    /// HAProxy: `log-tag`; default the name of the program.
    pub log_tag: Option<Word>,
    /// HAProxy: `log-send-hostname [NAME]`; an empty one is that of the machine.
    pub log_host_name: Option<Word>,
    /// HAProxy: `localpeer`.
    pub local_peer: Option<Word>,
    /// HAProxy: `server-state-file`.
    pub server_state_file: Option<Word>,
    /// HAProxy: `server-state-base`.
    pub server_state_base: Option<Word>,
    /// How long connections may go on after the order to stop gently; without it, for
    /// ever. HAProxy: `hard-stop-after`.
    pub hard_stop_after: Option<Located<Duration>>,
    /// Whether no other program may listen where this one does. HAProxy: `noreuseport`.
    pub no_reuse_port: bool,
}

const KEYWORDS: [&str; 15] = [
    "hard-stop-after",
    "localpeer",
    "log",
    "log-send-hostname",
    "log-tag",
    "maxconn",
    "nbthread",
    "noreuseport",
    "presetenv",
    "resetenv",
    "server-state-base",
    "server-state-file",
    "setenv",
    "stats",
    "unsetenv",
];

/// Keywords about the process, its limits and TLS.
const NO_EFFECT: &[&str] = &[
    "busy-polling",
    "ca-base",
    "chroot",
    "close-spread-time",
    "cpu-map",
    "crt-base",
    "daemon",
    "description",
    "expose-experimental-directives",
    "external-check",
    "fd-hard-limit",
    "gid",
    "grace",
    "group",
    "h1-case-adjust",
    "h1-case-adjust-file",
    "insecure-fork-wanted",
    "insecure-setuid-wanted",
    "issuers-chain-path",
    "master-worker",
    "max-spread-checks",
    "maxcompcpuusage",
    "maxcomprate",
    "maxconnrate",
    "maxpipes",
    "maxsessrate",
    "maxsslconn",
    "maxsslrate",
    "maxzlibmem",
    "mworker-max-reloads",
    "no-memory-trimming",
    "node",
    "noepoll",
    "noevports",
    "nogetaddrinfo",
    "nokqueue",
    "nopoll",
    "nosplice",
    "numa-cpu-mapping",
    "pidfile",
    "pp2-never-send-local",
    "prealloc-fd",
    "profiling.tasks",
    "quiet",
    "set-dumpable",
    "spread-checks",
    "ssl-default-bind-ciphers",
    "ssl-default-bind-ciphersuites",
    "ssl-default-bind-curves",
    "ssl-default-bind-options",
    "ssl-default-server-ciphers",
    "ssl-default-server-ciphersuites",
    "ssl-default-server-options",
    "ssl-dh-param-file",
    "ssl-engine",
    "ssl-load-extra-del-ext",
    "ssl-load-extra-files",
    "ssl-mode-async",
    "ssl-server-verify",
    "ssl-skip-self-issued-ca",
    "strict-limits",
    "thread-group",
    "thread-groups",
    "uid",
    "ulimit-n",
    "user",
    "zero-warning",
];

/// Keywords HAProxy knows and that would change what happens to requests.
const NOT_SUPPORTED: &[&str] = &[
    "51degrees-data-file",
    "default-path",
    "h1-accept-payload-with-any-method",
    "httpclient.resolvers.id",
    "lua-load",
    "lua-load-per-thread",
    "lua-prepend-path",
    "program",
    "set-var",
    "set-var-fmt",
    "wurfl-data-file",
];

/// What happens to the variables of the environment.
pub(super) enum Change {
    Set(String, String),
    /// Only if it is not set.
    Preset(String, String),
    Unset(Vec<String>),
    /// Unset all but these.
    Keep(Vec<String>),
}

/// What a line leads to beside a setting.
pub(super) enum Effect {
    None,
    /// The keyword is one of those without effect.
    Nothing(Word),
    Environment(Change),
}

/// Follows a line of the section.
pub(super) fn follow(global: &mut Global, args: &mut Args<'_>) -> Result<Effect, Finding> {
    let keyword = args.current();
    match keyword.text() {
        "maxconn" => global.maxconn = Some(count(args)?),
        "nbthread" => global.threads = Some(threads(args)?),
        "stats" => stats(global, args)?,
        "log" => logs(global, args)?,
        "log-tag" => global.log_tag = Some(log::tag(args)?),
        "log-send-hostname" => global.log_host_name = Some(host_name(args)?),
        "localpeer" => global.local_peer = Some(text(args)?),
        "server-state-file" => global.server_state_file = Some(text(args)?),
        "server-state-base" => global.server_state_base = Some(text(args)?),
        "hard-stop-after" => global.hard_stop_after = Some(time(args)?),
        "noreuseport" => {
            args.end()?;
            global.no_reuse_port = true;
        }
        "setenv" => return variable(args, Change::Set),
        "presetenv" => return variable(args, Change::Preset),
        "unsetenv" => return Ok(Effect::Environment(Change::Unset(names(args)))),
        "resetenv" => return Ok(Effect::Environment(Change::Keep(names(args)))),
        "no" => return negated(args),
        _ => return other(keyword),
    }
    Ok(Effect::None)
}

fn count(args: &mut Args<'_>) -> Result<Located<u32>, Finding> {
    let count = args.count(0)?;
    let word = args.current();
    args.end()?;
    Ok(word.located(count))
}

/// HAProxy's limit on machines of 64 bits.
const MOST_THREADS: i64 = 64;

fn threads(args: &mut Args<'_>) -> Result<Located<u32>, Finding> {
    let count = args.number(1, MOST_THREADS)?;
    let word = args.current();
    args.end()?;
    Ok(word.located(count as u32))
}

fn time(args: &mut Args<'_>) -> Result<Located<Duration>, Finding> {
    let time = args.time()?;
    let word = args.current();
    args.end()?;
    Ok(word.located(time))
}

fn text(args: &mut Args<'_>) -> Result<Word, Finding> {
    let word = args.required("a value")?.clone();
    args.end()?;
    Ok(word)
}

fn logs(global: &mut Global, args: &mut Args<'_>) -> Result<(), Finding> {
    let word = args.current();
    let line = log::read(args)?.ok_or_else(|| {
        let message = "log global is for other sections; expected a target";
        Finding::error(FindingKind::Misplaced, word, message)
    })?;
    global.logs.push(line);
    Ok(())
}

/// Without a name it is that of the machine.
fn host_name(args: &mut Args<'_>) -> Result<Word, Finding> {
    let mut name = Word {
        bytes: Vec::new(),
        location: args.current().location.clone(),
    };
    if let Some(word) = args.next() {
        name = word.clone();
    }
    args.end()?;
    Ok(name)
}

fn stats(global: &mut Global, args: &mut Args<'_>) -> Result<(), Finding> {
    match args.one_of(&["socket", "timeout", "maxconn"])? {
        (0, _) => global.stats_sockets.push(bind::read(args)?),
        (1, _) => global.stats_timeout = Some(time(args)?),
        _ => global.stats_maxconn = Some(count(args)?),
    }
    Ok(())
}

fn variable(args: &mut Args<'_>, change: fn(String, String) -> Change) -> Result<Effect, Finding> {
    let name = args.required("the name of a variable and its value")?;
    let Some(value) = args.next() else {
        let end = args.end_of_line();
        return Err(super::args::missing(end, "the value of the variable"));
    };
    args.end()?;
    let (name, value) = (name.text().to_owned(), value.text().to_owned());
    Ok(Effect::Environment(change(name, value)))
}

fn names(args: &mut Args<'_>) -> Vec<String> {
    args.rest()
        .iter()
        .map(|word| word.text().to_owned())
        .collect()
}

/// `no busy-polling` and the like.
fn negated(args: &mut Args<'_>) -> Result<Effect, Finding> {
    let names = [
        "busy-polling",
        "insecure-fork-wanted",
        "numa-cpu-mapping",
        "set-dumpable",
        "strict-limits",
    ];
    let (_, word) = args.one_of(&names)?;
    Ok(Effect::Nothing(word.clone()))
}

fn other(keyword: &Word) -> Result<Effect, Finding> {
    if keyword.text().starts_with("tune.") || NO_EFFECT.iter().any(|name| keyword.is(name)) {
        return Ok(Effect::Nothing(keyword.clone()));
    }
    if keyword.is("unix-bind") {
        let message = "not supported; expected mode, user and group in each bind line, \
                       and whole paths";
        return Err(Finding::error(FindingKind::NotSupported, keyword, message));
    }
    if keyword.is("nbproc") {
        let message = "HAProxy does not have it any more; expected nbthread";
        return Err(Finding::error(FindingKind::Unknown, keyword, message));
    }
    let list = KEYWORDS.join(", ");
    if NOT_SUPPORTED.iter().any(|name| keyword.is(name)) {
        let message = format!("not supported; expected one of {list}");
        return Err(Finding::error(FindingKind::NotSupported, keyword, message));
    }
    let all: Vec<_> = KEYWORDS.iter().chain(NO_EFFECT).copied().collect();
    let hint = nearest(keyword.text(), &all)
        .map_or_else(String::new, |name| format!("did you mean '{name}'? "));
    let message = format!("{hint}unknown in a global section; expected one of {list}");
    Err(Finding::error(FindingKind::Unknown, keyword, message))
}
