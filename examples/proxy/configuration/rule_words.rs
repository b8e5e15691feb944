//! From the words of rules to what they do; a rule this program cannot follow is refused.

use hyper::StatusCode;
use hyper::header::HeaderValue;
use stickroute::haproxy::{
    AclCondition, Cause, ConditionWords, Phase, Proxy, Replacement, Rule, Ruleset, Word,
};
use stickroute::{Moment, Origin};

use crate::configuration::fault::Fault;
use crate::configuration::network;
use crate::configuration::replies;
use crate::configuration::words::{Read, Section, Words, literal};
use crate::http::answer::LOCAL;
use crate::http::filters::{Action, Filters, HttpRule};
use crate::http::forwardfor::ForwardFor;
use crate::http::redirect::{Redirect, RedirectKind};
use crate::http::rewrite::{Rewrite, Rewritten};
use crate::http::target::TargetPart;
use crate::log::Ending;

/// The rules of a section on HTTP messages.
pub(crate) fn filters(proxy: &Proxy, section: Section<'_>, faults: &mut Vec<Fault>) -> Filters {
    let mut filters = Filters::default();
    for rule in &proxy.rules {
        let list = match rule.ruleset {
            Ruleset::HttpRequest => &mut filters.request,
            Ruleset::HttpResponse => &mut filters.response,
            Ruleset::HttpAfterResponse => &mut filters.after,
            Ruleset::Redirect => &mut filters.redirect,
            _ => continue,
        };
        match http_rule(rule, section) {
            Ok(rule) => list.push(rule),
            Err(fault) => faults.push(fault),
        }
    }
    match proxy
        .forwardfor
        .as_ref()
        .map(|words| forwardfor(&words.value, section))
    {
        Some(Ok(option)) => filters.forwardfor = Some(option),
        Some(Err(fault)) => faults.push(fault),
        None => {}
    }
    filters
}

fn http_rule(rule: &Rule, section: Section<'_>) -> Read<HttpRule> {
    let moment = match rule.ruleset {
        Ruleset::HttpRequest | Ruleset::Redirect => Moment::Request,
        _ => Moment::Response,
    };
    let mut words = Words {
        section,
        rest: rule.arguments.iter(),
        last: &rule.action,
        moment,
    };
    let action = if rule.ruleset == Ruleset::Redirect {
        redirect(&rule.action, true, &mut words)?
    } else {
        action(rule, &mut words)?
    };
    words.end()?;
    let condition = rule.condition.as_ref();
    Ok(HttpRule {
        action,
        condition: condition
            .map(|words| condition_of(words, section, moment))
            .transpose()?,
    })
}

/// A condition that can be asked at that moment. What it asks about the other message
/// never matches, as in HAProxy, and has been warned of.
pub(crate) fn condition_of(
    words: &ConditionWords,
    section: Section<'_>,
    moment: Moment,
) -> Read<AclCondition> {
    if moment == Moment::Response && words.condition().looks_at(Origin::Exchange) {
        let message = "not supported here: a condition on the connection or the method";
        return Err(Fault::new(&words.keyword, message));
    }
    Ok(section.condition(words))
}

fn action(rule: &Rule, words: &mut Words<'_>) -> Read<Action> {
    let is_after = rule.ruleset == Ruleset::HttpAfterResponse;
    let is_request = words.moment == Moment::Request;
    Ok(match rule.action.as_str().unwrap_or_default() {
        "allow" => Action::Allow,
        "add-header" => Action::AddHeader(words.header()?, words.format()?),
        "set-header" => Action::SetHeader(words.header()?, words.format()?),
        "del-header" => Action::DelHeader(words.names()?),
        "set-status" => set_status(words)?,
        "replace-header" => rewrite(Rewritten::Lines(words.header()?), words)?,
        "replace-value" => rewrite(Rewritten::Elements(words.header()?), words)?,
        "replace-path" if is_request => rewrite(Rewritten::Target(TargetPart::Path), words)?,
        "replace-pathq" if is_request => {
            rewrite(Rewritten::Target(TargetPart::PathAndQuery), words)?
        }
        "replace-uri" if is_request => rewrite(Rewritten::Target(TargetPart::Whole), words)?,
        "set-method" if is_request => Action::SetMethod(words.format()?),
        "set-path" if is_request => Action::SetTarget(TargetPart::Path, words.format()?),
        "set-pathq" if is_request => Action::SetTarget(TargetPart::PathAndQuery, words.format()?),
        "set-query" if is_request => Action::SetTarget(TargetPart::Query, words.format()?),
        "set-uri" if is_request => Action::SetTarget(TargetPart::Whole, words.format()?),
        "set-src" if is_request => Action::SetSource(words.expression()?),
        "deny" if !is_after => answer(rule, words, denied(words.moment))?,
        "return" if !is_after => answer(rule, words, LOCAL)?,
        "redirect" if !is_after => {
            let kind = words.next("location, prefix or scheme")?;
            redirect(kind, false, words)?
        }
        _ => {
            let message = "this action is not supported by this program; expected one of allow, \
                 add-header, set-header, del-header, replace-header, replace-value, replace-path, \
                 replace-pathq, replace-uri, set-status, set-method, set-path, set-pathq, set-query, set-uri, set-src, deny, return, redirect where HAProxy \
                 has it";
            return Err(Fault::new(&rule.action, message));
        }
    })
}

/// The library has read its words.
fn answer(rule: &Rule, words: &mut Words<'_>, ending: Ending) -> Read<Action> {
    words.rest = [].iter();
    replies::action(rule, words.section, words.moment, ending)
}

/// A regular expression, and what takes the place of a text that it matches.
fn rewrite(what: Rewritten, words: &mut Words<'_>) -> Read<Action> {
    let pattern = words.pattern()?;
    let replacement = words.format()?;
    let text = words.last.bytes();
    if let (Err(error), false) = (Replacement::parse(text), text.contains(&b'%')) {
        return Err(Fault::new(words.last, error.to_string()));
    }
    Ok(Action::Rewrite(Rewrite {
        what,
        pattern,
        replacement,
    }))
}

fn set_status(words: &mut Words<'_>) -> Read<Action> {
    let status = words.status(100..=999)?;
    if let Some(word) = words.rest.next() {
        // The reason is no part of HTTP/2, and hyper has its own in HTTP/1.
        let message = "a reason is not supported by this program; expected nothing more";
        return Err(Fault::new(word, message));
    }
    Ok(Action::SetStatus(status))
}

/// How an exchange ends that a rule denies.
fn denied(moment: Moment) -> Ending {
    let phase = match moment {
        Moment::Response => Phase::Headers,
        Moment::Request => Phase::Request,
    };
    (Cause::Proxy, phase)
}

/// Where `redirect` lines lead is a text as it is, and elsewhere a format.
fn redirect(kind: &Word, is_plain: bool, words: &mut Words<'_>) -> Read<Action> {
    let kind = match kind.as_str() {
        Some("location") => RedirectKind::Location,
        Some("prefix") if words.moment == Moment::Request => RedirectKind::Prefix,
        Some("scheme") if words.moment == Moment::Request => RedirectKind::Scheme,
        _ if words.moment == Moment::Response => {
            return Err(Fault::new(kind, "not supported here; expected location"));
        }
        _ => return Err(Fault::new(kind, "expected one of location, prefix, scheme")),
    };
    let target = if is_plain {
        literal(words.next("a text")?.bytes())
    } else {
        words.format()?
    };
    let mut redirect = Redirect::to(kind, target);
    while let Some(word) = words.rest.next() {
        words.last = word;
        match word.as_str() {
            Some("code") => redirect.status = redirect_code(words)?,
            Some("drop-query") => redirect.drops_query = true,
            Some("append-slash") => redirect.appends_slash = true,
            Some("ignore-empty") => redirect.ignores_empty = true,
            Some("set-cookie") => redirect.cookie = Some(cookie(words, "; path=/;")?),
            Some("clear-cookie") => {
                redirect.cookie = Some(cookie(words, "; path=/; Max-Age=0;")?);
            }
            _ => {
                let message = "expected one of code, drop-query, append-slash, ignore-empty, \
                     set-cookie, clear-cookie";
                return Err(Fault::new(word, message));
            }
        }
    }
    Ok(Action::Redirect(redirect))
}

fn redirect_code(words: &mut Words<'_>) -> Read<StatusCode> {
    let status = words.status(301..=308)?;
    if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(status);
    }
    let message = "expected one of 301, 302, 303, 307, 308";
    Err(Fault::new(words.last, message))
}

fn cookie(words: &mut Words<'_>, attributes: &str) -> Read<HeaderValue> {
    let word = words.next("a cookie")?;
    let value = [word.bytes(), attributes.as_bytes()].concat();
    let value = HeaderValue::from_bytes(&value);
    value.map_err(|_| Fault::new(word, "expected a text without control characters"))
}

fn forwardfor(words: &[Word], section: Section<'_>) -> Read<ForwardFor> {
    let mut option = ForwardFor {
        header: None,
        except: None,
        if_none: false,
    };
    let Some(first) = words.first() else {
        return Ok(option);
    };
    let mut words = Words {
        section,
        rest: words.iter(),
        last: first,
        moment: Moment::Request,
    };
    while let Some(word) = words.rest.next() {
        words.last = word;
        match word.as_str() {
            Some("header") => option.header = Some(words.header()?),
            Some("except") => {
                let word = words.next("a network")?;
                let network = word.as_str().and_then(network::parse);
                let refused = || Fault::new(word, "expected an address or a network");
                option.except = Some(network.ok_or_else(refused)?);
            }
            _ => option.if_none = true,
        }
    }
    Ok(option)
}
