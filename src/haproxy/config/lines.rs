//! The lines of a proxy section, one function for each keyword.

use super::args::{Args, argument, missing};
use super::finding::{Finding, FindingKind};
use super::keywords::{Scope, Side};
use super::location::Word;
use super::proxy::{Acl, Mode, PersistLine, Timeout};
use super::rules::{self, ConditionalRule, Ruleset};
use super::suggest::expected_one_of;
use super::{balance as balance_line, bind as bind_line, server as server_line};
use crate::RetryOn;
use crate::cookie::CookiePolicy;
use crate::words;

type Done = Result<(), Finding>;

pub(super) fn mode(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let (index, _) = args.one_of(&["http", "tcp"])?;
    scope.proxy.mode = [Mode::Http, Mode::Tcp][index];
    args.end()
}

pub(super) fn disabled(scope: &mut Scope<'_>, args: &mut Args<'_>, disabled: bool) -> Done {
    scope.proxy.disabled = disabled;
    args.end()
}

pub(super) fn id(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let id = args.count(1)?;
    scope.proxy.id = Some(args.current().located(id));
    args.end()
}

pub(super) fn timeout(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    const NAMES: [(&str, Timeout, Side); 11] = [
        ("check", Timeout::Check, Side::Back),
        ("client", Timeout::Client, Side::Front),
        ("client-fin", Timeout::ClientFin, Side::Front),
        ("connect", Timeout::Connect, Side::Back),
        ("http-keep-alive", Timeout::HttpKeepAlive, Side::Any),
        ("http-request", Timeout::HttpRequest, Side::Any),
        ("queue", Timeout::Queue, Side::Back),
        ("server", Timeout::Server, Side::Back),
        ("server-fin", Timeout::ServerFin, Side::Back),
        ("tarpit", Timeout::Tarpit, Side::Any),
        ("tunnel", Timeout::Tunnel, Side::Back),
    ];
    let (index, word) = args.one_of(&NAMES.map(|(name, ..)| name))?;
    let (_, timeout, side) = NAMES[index];
    scope.check_side(side, word);
    let time = args.time()?;
    args.end()?;
    scope.proxy.timeouts.insert(timeout, word.located(time));
    Ok(())
}

pub(super) fn bind(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    scope.proxy.frontend.binds.push(bind_line::read(args)?);
    Ok(())
}

pub(super) fn maxconn(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let count = args.count(0)?;
    scope.proxy.frontend.maxconn = Some(args.current().located(count));
    args.end()
}

pub(super) fn monitor_uri(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let target = args.required("a target, /healthz for example")?;
    args.end()?;
    scope.proxy.frontend.monitor_uri = Some(target.clone());
    Ok(())
}

pub(super) fn fullconn(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let count = args.count(0)?;
    scope.proxy.backend.fullconn = Some(args.current().located(count));
    args.end()
}

pub(super) fn default_backend(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let name = args.required("the name of a backend")?;
    args.end()?;
    scope.proxy.frontend.default_backend = Some(name.clone());
    Ok(())
}

pub(super) fn use_backend(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let target = args.required("the name of a backend")?.clone();
    let condition = rules::optional_condition(args)?;
    let rule = ConditionalRule { target, condition };
    scope.proxy.frontend.use_backend.push(rule);
    Ok(())
}

pub(super) fn use_server(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let target = args.required("the name of a server")?.clone();
    let condition = Some(rules::condition(args)?);
    let rule = ConditionalRule { target, condition };
    scope.proxy.backend.use_server.push(rule);
    Ok(())
}

pub(super) fn persist_rule(scope: &mut Scope<'_>, args: &mut Args<'_>, force: bool) -> Done {
    let condition = rules::condition(args)?;
    let line = PersistLine { force, condition };
    scope.proxy.backend.persist_rules.push(line);
    Ok(())
}

pub(super) fn acl(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let name = args.required("a name and an expression")?;
    let is_reserved = ["or", "if", "unless"].iter().any(|word| name.is(word));
    if !server_line::is_name(name) || is_reserved {
        let message = "expected a name of letters, digits and any of -_.: other than or";
        return Err(argument(name, message));
    }
    let expression = args.rest().to_vec();
    if expression.is_empty() {
        return Err(missing(args.end_of_line(), "an expression"));
    }
    let name = name.clone();
    scope.proxy.acls.push(Acl { name, expression });
    Ok(())
}

pub(super) fn rule(scope: &mut Scope<'_>, args: &mut Args<'_>, ruleset: Ruleset) -> Done {
    let (rule, findings) = rules::rule(ruleset, args)?;
    scope.findings.extend(findings);
    scope.proxy.rules.push(rule);
    Ok(())
}

pub(super) fn tcp_request(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    const NAMES: [&str; 4] = ["connection", "content", "inspect-delay", "session"];
    let (index, word) = args.one_of(&NAMES)?;
    let is_frontend = scope.proxy.kind.is_frontend();
    if matches!(index, 0 | 3) && !is_frontend {
        let message = "not allowed in a backend section; expected content or inspect-delay";
        return Err(Finding::error(FindingKind::Misplaced, word, message));
    }
    match index {
        0 => rule(scope, args, Ruleset::TcpRequestConnection),
        1 => rule(scope, args, Ruleset::TcpRequestContent),
        2 => inspect_delay(scope, args, Ruleset::TcpRequestInspectDelay),
        _ => rule(scope, args, Ruleset::TcpRequestSession),
    }
}

pub(super) fn tcp_response(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    match args.one_of(&["content", "inspect-delay"])? {
        (0, _) => rule(scope, args, Ruleset::TcpResponseContent),
        _ => inspect_delay(scope, args, Ruleset::TcpResponseInspectDelay),
    }
}

/// The delay is also kept as it is written, as the only argument.
fn inspect_delay(scope: &mut Scope<'_>, args: &mut Args<'_>, ruleset: Ruleset) -> Done {
    let action = args.current().clone();
    let delay = Some(args.time()?);
    let arguments = vec![args.current().clone()];
    args.end()?;
    scope.proxy.rules.push(rules::Rule {
        ruleset,
        action,
        arguments,
        reply: None,
        delay,
        condition: None,
    });
    Ok(())
}

pub(super) fn server(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let backend = &mut scope.proxy.backend;
    let inherited = backend.default_server.bytes();
    scope.budget.spend(inherited, args.current())?;
    let server = server_line::read(args, &backend.default_server, scope.findings)?;
    backend.servers.push(server);
    Ok(())
}

pub(super) fn default_server(scope: &mut Scope<'_>, args: &mut Args<'_>) {
    let settings = &mut scope.proxy.backend.default_server;
    server_line::read_default(settings, args, scope.findings);
}

pub(super) fn balance(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let keyword = args.current();
    let words = args.rest();
    balance_line::check_balance(keyword, words, args.end_of_line())?;
    scope.proxy.backend.balance = Some(keyword.located(words.to_vec()));
    Ok(())
}

pub(super) fn hash_type(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let keyword = args.current();
    let words = args.rest();
    balance_line::check_hash_type(words, args.end_of_line())?;
    scope.proxy.backend.hash_type = Some(keyword.located(words.to_vec()));
    Ok(())
}

pub(super) fn hash_balance_factor(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let factor = args.count(0)?;
    let word = args.current();
    if (1..=100).contains(&factor) {
        return Err(argument(word, "expected 0 for none, or a number above 100"));
    }
    scope.proxy.backend.hash_balance_factor = Some(word.located(factor));
    args.end()
}

pub(super) fn hash_preserve_affinity(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let (_, word) = args.one_of(&["always", "maxconn", "maxqueue"])?;
    scope.proxy.backend.hash_preserve_affinity = Some(word.clone());
    args.end()
}

pub(super) fn cookie(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let keyword = args.current();
    let plain: Vec<_> = args.rest().iter().map(plain).collect();
    let end = args.end_of_line().location.column as usize - 1;
    let at = |position: usize| keyword.location.at(position);
    match CookiePolicy::from_words(&plain, end) {
        Ok(directive) => {
            for found in directive.warnings {
                let word = found.word().as_bytes().to_vec();
                let location = at(found.position());
                let word = Word {
                    bytes: word,
                    location,
                };
                scope.warn(FindingKind::Doubtful, &word, found.reason().text());
            }
            let policy = overriding(scope, keyword, directive.policy)?;
            scope.proxy.backend.cookie = Some(keyword.located(policy));
        }
        Err(error) => {
            for found in error.findings() {
                let bytes = found.word().as_bytes().to_vec();
                let location = at(found.position());
                let word = Word { bytes, location };
                let finding = Finding::error(FindingKind::Argument, &word, found.reason().text());
                scope.findings.push(finding);
            }
        }
    }
    Ok(())
}

/// The attributes of earlier lines stay, those of `defaults` too.
fn overriding(
    scope: &mut Scope<'_>,
    keyword: &Word,
    policy: CookiePolicy,
) -> Result<CookiePolicy, Finding> {
    const MOST_ATTRIBUTES: usize = 1_000;
    let Some(earlier) = &scope.proxy.backend.cookie else {
        return Ok(policy);
    };
    if earlier.value.attrs().count() > MOST_ATTRIBUTES {
        let message = "the attributes of earlier cookie lines stay, and are more than 1000";
        return Err(argument(keyword, message));
    }
    Ok(policy.overriding(&earlier.value))
}

fn plain(word: &Word) -> words::Word {
    words::Word {
        bytes: word.bytes.clone(),
        position: word.location.column as usize - 1,
    }
}

pub(super) fn dynamic_cookie_key(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let key = args.required("a secret key")?;
    args.end()?;
    scope.proxy.backend.dynamic_cookie_key = Some(key.clone());
    Ok(())
}

pub(super) fn retries(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let count = args.count(0)?;
    scope.proxy.backend.retries = Some(args.current().located(count));
    args.end()
}

pub(super) fn retry_on(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let keyword = args.current();
    let expected = RetryOn::expected();
    args.required(&expected)?;
    let mut all = RetryOn::NONE;
    let mut word = args.current();
    let is_alone = args.peek().is_none();
    loop {
        match RetryOn::of_word(word.text()) {
            Some(RetryOn::NONE) if !is_alone => {
                return Err(argument(word, "expected none on a line of its own"));
            }
            Some(one) => all = all | one,
            None => return Err(argument(word, format!("expected {expected}"))),
        }
        let Some(next) = args.next() else {
            break;
        };
        word = next;
    }
    scope.proxy.backend.retry_on = Some(keyword.located(all));
    Ok(())
}

pub(super) fn persist_rdp_cookie(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    const EXPECTED: &str = "rdp-cookie or rdp-cookie(NAME)";
    const DEFAULT: &str = "msts";
    let word = args.required(EXPECTED)?;
    let name = match word.text().strip_prefix("rdp-cookie") {
        Some("") => Some(DEFAULT),
        Some(name) => name.strip_prefix('(').and_then(|it| it.strip_suffix(')')),
        None => None,
    };
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(argument(word, format!("expected {EXPECTED}")));
    };
    scope.proxy.backend.persist_rdp_cookie = Some(word.located(name.to_owned()));
    args.end()
}

pub(super) fn http_reuse(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let (_, word) = args.one_of(&["never", "safe", "aggressive", "always"])?;
    scope.proxy.backend.http_reuse = Some(word.clone());
    args.end()
}

pub(super) fn load_server_state(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let (_, word) = args.one_of(&["global", "local", "none"])?;
    scope.proxy.backend.load_server_state = Some(word.clone());
    args.end()
}

/// Without a name it is that of the backend.
pub(super) fn server_state_file_name(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    let word = args.next().cloned();
    args.end()?;
    let word = word.filter(|word| !word.is("use-backend-name"));
    scope.proxy.backend.server_state_file_name = word;
    Ok(())
}

pub(super) fn http_check(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    check_rule(
        scope,
        args,
        &[
            "comment",
            "connect",
            "disable-on-404",
            "expect",
            "send",
            "send-state",
            "set-var",
            "set-var-fmt",
            "unset-var",
        ],
    )
}

pub(super) fn tcp_check(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Done {
    check_rule(
        scope,
        args,
        &[
            "comment",
            "connect",
            "expect",
            "send",
            "send-binary",
            "send-binary-lf",
            "send-lf",
            "set-var",
            "set-var-fmt",
            "unset-var",
        ],
    )
}

fn check_rule(scope: &mut Scope<'_>, args: &mut Args<'_>, names: &[&str]) -> Done {
    let mut words = vec![args.current().clone()];
    let word = args.required(&format!("one of {}", names.join(", ")))?;
    let name = word.text().split('(').next().unwrap_or_default();
    if !names.contains(&name) {
        let message = expected_one_of(name, names);
        return Err(Finding::error(FindingKind::Unknown, word, message));
    }
    words.push(word.clone());
    words.extend_from_slice(args.rest());
    scope.proxy.backend.check_rules.push(words);
    Ok(())
}
