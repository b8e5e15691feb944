//! `option` lines.

use super::args::{Args, argument};
use super::finding::{Finding, FindingKind};
use super::keywords::{Scope, Side};
use super::location::{Located, Word};
use super::log;
use super::proxy::CheckLine;
use super::suggest::nearest;

/// What a line makes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    On,
    /// `no option`.
    Off,
    /// `default option`.
    Default,
}

use Side::{Any, Back, Front};

/// Options without arguments.
const SWITCHES: &[(&str, Side)] = &[
    ("abortonclose", Back),
    ("accept-invalid-http-request", Front),
    ("accept-invalid-http-response", Back),
    ("allbackups", Back),
    ("checkcache", Back),
    ("disable-h2-upgrade", Front),
    ("dontlog-normal", Front),
    ("dontlognull", Front),
    ("h1-case-adjust-bogus-client", Front),
    ("h1-case-adjust-bogus-server", Back),
    ("http-buffer-request", Any),
    ("http-ignore-probes", Front),
    ("http-keep-alive", Any),
    ("http-pretend-keepalive", Back),
    ("http-restrict-req-hdr-names", Any),
    ("http-server-close", Any),
    ("http-use-proxy-header", Front),
    ("httpclose", Any),
    ("idle-close-on-response", Front),
    ("log-separate-errors", Front),
    ("logasap", Front),
    ("persist", Back),
    ("prefer-last-server", Back),
];

/// How connections are kept: the last one that is on counts.
const CONNECTION_MODES: [&str; 3] = ["http-keep-alive", "http-server-close", "httpclose"];

/// Options about logs and sockets' details.
const NO_EFFECT: &[&str] = &[
    "clitcpka",
    "contstats",
    "http-no-delay",
    "independent-streams",
    "log-health-checks",
    "nolinger",
    "socket-stats",
    "splice-auto",
    "splice-request",
    "splice-response",
    "srvtcpka",
    "tcp-smart-accept",
    "tcp-smart-connect",
    "tcpka",
];

/// Which health check there is: each replaces the others.
const CHECKS: &[&str] = &[
    "httpchk",
    "ldap-check",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "smtpchk",
    "spop-check",
    "ssl-hello-chk",
    "tcp-check",
];

/// Options HAProxy knows and that would change what happens to requests.
const NOT_SUPPORTED: &[&str] = &["external-check", "originalto", "transparent"];

/// `option ...`.
pub(super) fn option(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    set(scope, args, State::On)
}

/// What is behind the word `option`.
pub(super) fn set(scope: &mut Scope<'_>, args: &mut Args<'_>, state: State) -> Result<(), Finding> {
    let word = args.required("the name of an option")?;
    if let Some(&(name, side)) = SWITCHES.iter().find(|(name, _)| word.is(name)) {
        scope.check_side(side, word);
        return switch(scope, args, name, state);
    }
    if NO_EFFECT.iter().any(|name| word.is(name)) {
        args.end()?;
        scope.no_effect.push(word.clone());
        return Ok(());
    }
    match word.text() {
        "redispatch" => redispatch(scope, args, state),
        "httplog" | "tcplog" => {
            only_on(word, state)?;
            log::style(scope, args)
        }
        "forwardfor" => forwardfor(scope, args, state),
        text if CHECKS.contains(&text) => check(scope, args, state),
        _ => Err(unknown(word)),
    }
}

fn switch(
    scope: &mut Scope<'_>,
    args: &mut Args<'_>,
    name: &'static str,
    state: State,
) -> Result<(), Finding> {
    let word = args.current();
    args.end()?;
    let switches = &mut scope.proxy.switches;
    if state == State::On && CONNECTION_MODES.contains(&name) {
        switches.retain(|other, _| !CONNECTION_MODES.contains(other));
    }
    match state {
        State::Default => switches.remove(name),
        _ => switches.insert(name, word.located(state == State::On)),
    };
    Ok(())
}

fn redispatch(scope: &mut Scope<'_>, args: &mut Args<'_>, state: State) -> Result<(), Finding> {
    let word = args.current();
    scope.check_side(Back, word);
    let interval = match args.peek() {
        None => -1,
        Some(_) => args.number(i32::MIN.into(), i32::MAX.into())? as i32,
    };
    args.end()?;
    scope.proxy.backend.redispatch = (state == State::On).then(|| word.located(interval));
    Ok(())
}

fn forwardfor(scope: &mut Scope<'_>, args: &mut Args<'_>, state: State) -> Result<(), Finding> {
    let word = args.current();
    only_on(word, state)?;
    let words = args.rest();
    let mut left = words.iter();
    while let Some(option) = left.next() {
        let needs_value = option.is("except") || option.is("header");
        if !needs_value && !option.is("if-none") {
            let message = "expected except NETWORK, header NAME, if-none or nothing";
            return Err(argument(option, message));
        }
        if needs_value && left.next().is_none() {
            return Err(argument(option, "expected a value behind it"));
        }
    }
    scope.proxy.forwardfor = Some(Located {
        value: words.to_vec(),
        location: word.location.clone(),
    });
    Ok(())
}

fn check(scope: &mut Scope<'_>, args: &mut Args<'_>, state: State) -> Result<(), Finding> {
    let word = args.current();
    only_on(word, state)?;
    scope.check_side(Back, word);
    let arguments = args.rest().to_vec();
    if let (true, Some(extra)) = (word.is("httpchk"), arguments.get(3)) {
        return Err(argument(extra, "expected nothing more on this line"));
    }
    scope.proxy.backend.check = Some(CheckLine {
        kind: word.clone(),
        arguments,
    });
    Ok(())
}

/// Options with arguments cannot be turned off.
fn only_on(word: &Word, state: State) -> Result<(), Finding> {
    if state == State::On {
        return Ok(());
    }
    let message = "cannot be turned off; expected an option without arguments, or redispatch";
    Err(Finding::error(FindingKind::Misplaced, word, message))
}

fn unknown(word: &Word) -> Finding {
    let names = SWITCHES.iter().map(|(name, _)| *name);
    let mut names: Vec<_> = names
        .chain(["redispatch", "forwardfor", "httplog", "tcplog"])
        .collect();
    names.extend(CHECKS);
    let list = names.join(", ");
    if NOT_SUPPORTED.iter().any(|name| word.is(name)) {
        let message = format!("not supported; expected one of {list}");
        return Finding::error(FindingKind::NotSupported, word, message);
    }
    if ["forceclose", "http-tunnel"]
        .iter()
        .any(|name| word.is(name))
    {
        let message = "HAProxy does not have it any more; expected option httpclose or none";
        return Finding::error(FindingKind::Unknown, word, message);
    }
    names.extend(NO_EFFECT);
    let hint = nearest(word.text(), &names)
        .map_or_else(String::new, |name| format!("did you mean '{name}'? "));
    let message = format!("{hint}unknown option; expected one of {list}");
    Finding::error(FindingKind::Unknown, word, message)
}
