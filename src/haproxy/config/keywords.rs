//! The keywords of a proxy section, and where each may stand.

use super::args::Args;
use super::budget::Budget;
use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::proxy::Proxy;
use super::rules::Ruleset;
use super::suggest::nearest;
use super::{lines, log, options, pages, stats, stick};

/// What a line may change.
pub(super) struct Scope<'s> {
    pub(super) proxy: &'s mut Proxy,
    pub(super) findings: &'s mut Vec<Finding>,
    /// Keywords that have no effect here.
    pub(super) no_effect: &'s mut Vec<Word>,
    pub(super) budget: &'s mut Budget,
}

impl Scope<'_> {
    pub(super) fn warn(&mut self, kind: FindingKind, word: &Word, message: impl Into<String>) {
        self.findings.push(Finding::warning(kind, word, message));
    }

    /// Warns about something that has no effect in a section of this kind.
    pub(super) fn check_side(&mut self, side: Side, word: &Word) {
        let kind = self.proxy.kind;
        let reason = match side {
            Side::Front if !kind.is_frontend() && kind.is_backend() => "no clients come to",
            Side::Back if !kind.is_backend() && kind.is_frontend() => "there are no servers in",
            _ => return,
        };
        let message = format!("has no effect: {reason} {}", self.proxy.title());
        self.warn(FindingKind::Misplaced, word, message);
    }
}

/// In which sections a keyword has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Where clients come.
    Front,
    /// Where servers are.
    Back,
    /// In both.
    Any,
}

/// Whether a keyword may stand in `defaults`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inherited {
    Yes,
    No,
}

type Handler = fn(&mut Scope<'_>, &mut Args<'_>) -> Result<(), Finding>;

use Inherited::{No, Yes};
use Side::{Any, Back, Front};

const KEYWORDS: &[(&str, Side, Inherited, Handler)] = &[
    ("acl", Any, No, lines::acl),
    ("balance", Back, Yes, lines::balance),
    ("bind", Front, No, lines::bind),
    ("capture", Front, Yes, log::capture),
    ("cookie", Back, Yes, lines::cookie),
    ("default-server", Back, Yes, |s, a| {
        lines::default_server(s, a);
        Ok(())
    }),
    ("default_backend", Front, Yes, lines::default_backend),
    ("disabled", Any, Yes, |s, a| lines::disabled(s, a, true)),
    ("dynamic-cookie-key", Back, Yes, lines::dynamic_cookie_key),
    ("enabled", Any, Yes, |s, a| lines::disabled(s, a, false)),
    ("error-log-format", Front, Yes, log::error_log_format),
    ("errorfile", Any, Yes, pages::line),
    ("errorfiles", Any, Yes, pages::line),
    ("errorloc", Any, Yes, pages::line),
    ("errorloc302", Any, Yes, pages::line),
    ("errorloc303", Any, Yes, pages::line),
    ("force-persist", Back, No, |s, a| {
        lines::persist_rule(s, a, true)
    }),
    ("fullconn", Back, Yes, lines::fullconn),
    ("hash-balance-factor", Any, Yes, lines::hash_balance_factor),
    (
        "hash-preserve-affinity",
        Any,
        Yes,
        lines::hash_preserve_affinity,
    ),
    ("hash-type", Back, Yes, lines::hash_type),
    ("http-after-response", Any, No, |s, a| {
        lines::rule(s, a, Ruleset::HttpAfterResponse)
    }),
    ("http-check", Back, Yes, lines::http_check),
    ("http-error", Any, Yes, pages::line),
    ("http-request", Any, No, |s, a| {
        lines::rule(s, a, Ruleset::HttpRequest)
    }),
    ("http-response", Any, No, |s, a| {
        lines::rule(s, a, Ruleset::HttpResponse)
    }),
    ("http-reuse", Back, Yes, lines::http_reuse),
    ("id", Any, No, lines::id),
    ("ignore-persist", Back, No, |s, a| {
        lines::persist_rule(s, a, false)
    }),
    (
        "load-server-state-from-file",
        Back,
        Yes,
        lines::load_server_state,
    ),
    ("log", Any, Yes, log::log),
    ("log-format", Front, Yes, log::log_format),
    ("log-format-sd", Front, Yes, log::log_format_sd),
    ("log-tag", Any, Yes, log::log_tag),
    ("maxconn", Front, Yes, lines::maxconn),
    ("mode", Any, Yes, lines::mode),
    ("monitor-uri", Front, Yes, lines::monitor_uri),
    ("option", Any, Yes, options::option),
    ("persist", Back, Yes, lines::persist_rdp_cookie),
    ("redirect", Any, No, |s, a| {
        lines::rule(s, a, Ruleset::Redirect)
    }),
    ("retries", Back, Yes, lines::retries),
    ("retry-on", Back, Yes, lines::retry_on),
    ("server", Back, No, lines::server),
    (
        "server-state-file-name",
        Back,
        Yes,
        lines::server_state_file_name,
    ),
    ("stats", Any, Yes, stats::line),
    ("stick", Back, No, stick::rule),
    ("stick-table", Any, No, stick::table),
    ("tcp-check", Back, Yes, lines::tcp_check),
    ("tcp-request", Any, No, lines::tcp_request),
    ("tcp-response", Back, No, lines::tcp_response),
    ("timeout", Any, Yes, lines::timeout),
    ("unique-id-format", Front, Yes, log::unique_id_format),
    ("unique-id-header", Front, Yes, log::unique_id_header),
    ("use-server", Back, No, lines::use_server),
    ("use_backend", Front, No, lines::use_backend),
];

/// Keywords about sockets' details.
const NO_EFFECT: &[&str] = &[
    "backlog",
    "clitcpka-cnt",
    "clitcpka-idle",
    "clitcpka-intvl",
    "declare",
    "description",
    "email-alert",
    "max-keep-alive-queue",
    "srvtcpka-cnt",
    "srvtcpka-idle",
    "srvtcpka-intvl",
];

/// Keywords HAProxy knows and that would change what happens to requests, and what can be
/// done without them.
const NOT_SUPPORTED: &[(&str, &str)] = &[
    ("bind-process", "take it out"),
    ("compression", "have the servers compress"),
    ("dispatch", "expected server NAME ADDRESS"),
    (
        "external-check",
        "expected option httpchk or option tcp-check",
    ),
    ("filter", "there are none here"),
    ("http-send-name-header", "take it out"),
    ("monitor", "monitor-uri always answers 200 here"),
    (
        "monitor-net",
        "expected http-request return status 200 if { src NETWORK }, or monitor-uri",
    ),
    ("rate-limit", "maxconn limits connections at a time"),
    ("server-template", "expected a server line for each of them"),
    ("source", "the operating system chooses the address"),
    ("transparent", "expected server NAME ADDRESS"),
    ("use-fcgi-app", "only HTTP is spoken to servers"),
];

/// Keywords that HAProxy has had, and what it has instead.
const REMOVED: &[(&str, &str)] = &[
    (
        "appsession",
        "stick-table, stick store-response and stick match",
    ),
    ("block", "http-request deny"),
    ("clitimeout", "timeout client"),
    ("contimeout", "timeout connect"),
    ("redispatch", "option redispatch"),
    ("reqadd", "http-request add-header"),
    ("reqallow", "http-request allow"),
    ("reqdel", "http-request del-header"),
    ("reqdeny", "http-request deny"),
    ("reqiallow", "http-request allow"),
    ("reqidel", "http-request del-header"),
    ("reqideny", "http-request deny"),
    ("reqirep", "http-request replace-header or replace-path"),
    ("reqrep", "http-request replace-header or replace-path"),
    ("rspadd", "http-response add-header"),
    ("rspdel", "http-response del-header"),
    ("rspdeny", "http-response deny"),
    ("rspidel", "http-response del-header"),
    ("rspideny", "http-response deny"),
    ("rspirep", "http-response replace-header"),
    ("rsprep", "http-response replace-header"),
    ("srvtimeout", "timeout server"),
];

/// Sections that end a line as an error, because one of them misses its servers.
const REFUSED_IN_FRONTEND: [&str; 2] = ["server", "default-server"];

/// Follows a line of a proxy section.
pub(super) fn follow(scope: &mut Scope<'_>, args: &mut Args<'_>) {
    let keyword = args.current();
    if matches!(keyword.text(), "no" | "default") {
        return negated(scope, args);
    }
    if let Err(finding) = dispatch(scope, args) {
        scope.findings.push(finding);
    }
}

fn dispatch(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    let keyword = args.current();
    let found = KEYWORDS.iter().find(|(name, ..)| keyword.is(name));
    let Some(&(name, side, inherited, handler)) = found else {
        return other(scope, keyword);
    };
    if inherited == No && !scope.proxy.kind.is_frontend() && !scope.proxy.kind.is_backend() {
        let message =
            "not allowed in a defaults section; expected in a frontend, backend or listen section";
        return Err(Finding::error(FindingKind::Misplaced, keyword, message));
    }
    if REFUSED_IN_FRONTEND.contains(&name) && side_is_missing(scope.proxy) {
        let message = "not allowed in a frontend section; expected in a backend or listen section";
        return Err(Finding::error(FindingKind::Misplaced, keyword, message));
    }
    scope.check_side(side, keyword);
    handler(scope, args)
}

fn side_is_missing(proxy: &Proxy) -> bool {
    proxy.kind.is_frontend() && !proxy.kind.is_backend()
}

/// A keyword without a handler.
fn other(scope: &mut Scope<'_>, keyword: &Word) -> Result<(), Finding> {
    if NO_EFFECT.iter().any(|name| keyword.is(name)) {
        scope.no_effect.push(keyword.clone());
        return Ok(());
    }
    let advice_in = |list: &[(&str, &'static str)]| {
        let found = list.iter().find(|(name, _)| keyword.is(name));
        found.map(|(_, advice)| *advice)
    };
    if let Some(advice) = advice_in(NOT_SUPPORTED) {
        let message = format!("not supported; {advice}");
        return Err(Finding::error(FindingKind::NotSupported, keyword, message));
    }
    if let Some(instead) = advice_in(REMOVED) {
        let message = format!("HAProxy does not have it any more; expected {instead}");
        return Err(Finding::error(FindingKind::Unknown, keyword, message));
    }
    Err(unknown(scope, keyword))
}

fn unknown(scope: &Scope<'_>, keyword: &Word) -> Finding {
    let names: Vec<_> = KEYWORDS.iter().map(|(name, ..)| *name).collect();
    let all: Vec<_> = names.iter().chain(NO_EFFECT).copied().collect();
    let hint = nearest(keyword.text(), &all)
        .map_or_else(String::new, |name| format!("did you mean '{name}'? "));
    let message = format!(
        "{hint}unknown in a {} section; expected one of {}",
        scope.proxy.kind.keyword(),
        names.join(", ")
    );
    Finding::error(FindingKind::Unknown, keyword, message)
}

/// `no ...` and `default ...`.
fn negated(scope: &mut Scope<'_>, args: &mut Args<'_>) {
    let how = if args.current().is("no") {
        options::State::Off
    } else {
        options::State::Default
    };
    let result = match args.required("option and a name") {
        Ok(word) if word.is("option") => options::set(scope, args, how),
        Ok(word) if word.is("log") => log::none(scope, args),
        Ok(word) => Err(Finding::error(
            FindingKind::Misplaced,
            word,
            "expected option NAME behind no and default",
        )),
        Err(finding) => Err(finding),
    };
    scope.findings.extend(result.err());
}
