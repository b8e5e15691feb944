//! From the words of rules to what they do; a rule this program cannot follow is refused.

use hyper::StatusCode;
use stickroute::haproxy::{
    AclCondition, Cause, ConditionWords, Phase, Proxy, Replacement, Rule, Ruleset, Word,
};
use stickroute::{Moment, Origin};

use crate::configuration::fault::Fault;
use crate::configuration::network;
use crate::configuration::words::{Read, Section, Words, literal};
use crate::http::filters::{Action, Filters, HttpRule, Redirect, RedirectKind, Reply};
use crate::http::forwardfor::ForwardFor;
use crate::http::pages;
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
        redirect(&rule.action, &mut words)?
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
        "del-header" => Action::DelHeader(words.header()?),
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
        "deny" if is_request => denial(words, StatusCode::FORBIDDEN)?,
        "deny" if !is_after => denial(words, StatusCode::BAD_GATEWAY)?,
        "return" if !is_after => returned(words)?,
        "redirect" if is_request => {
            let kind = words.next("location, prefix or scheme")?;
            redirect(kind, words)?
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

/// With nothing but a status it is the page of that.
fn denial(words: &mut Words<'_>, status: StatusCode) -> Read<Action> {
    let keyword = words.last;
    let reply = reply(words, status)?;
    let phase = match words.moment {
        Moment::Response => Phase::Headers,
        Moment::Request => Phase::Request,
    };
    let ending = (Cause::Proxy, phase);
    if reply.is_bare() {
        pages::check(reply.status, keyword)?;
        return Ok(Action::Page(reply.status, ending));
    }
    Ok(Action::Answer(reply, ending))
}

/// How an exchange ends that the proxy answers by itself.
const LOCAL: Ending = (Cause::Local, Phase::Request);

fn returned(words: &mut Words<'_>) -> Read<Action> {
    let keyword = words.last;
    let asks = |word: &Word| word.as_str() == Some("default-errorfiles");
    let wants_page = words.rest.clone().any(asks);
    let reply = reply(words, StatusCode::OK)?;
    if wants_page {
        pages::check(reply.status, keyword)?;
        return Ok(Action::Page(reply.status, LOCAL));
    }
    Ok(Action::Answer(reply, LOCAL))
}

/// What is behind `deny`, `return` and `http-error`.
pub(crate) fn reply(words: &mut Words<'_>, status: StatusCode) -> Read<Reply> {
    let mut reply = Reply::empty(status);
    while let Some(word) = words.rest.next() {
        words.last = word;
        match word.as_str().unwrap_or_default() {
            "status" | "deny_status" => reply.status = words.status(200..=599)?,
            "content-type" => reply.content_type = Some(words.value()?),
            "string" => reply.text = Some(words.literal()?),
            "lf-string" => reply.text = Some(words.format()?),
            "file" => reply.text = Some(literal(&pages::content(words.next("a file")?)?)),
            "errorfile" => reply = pages::whole(words.next("a file")?)?,
            "default-errorfiles" => {}
            "hdr" => reply.headers.push((words.header()?, words.format()?)),
            _ => {
                let message = "not supported by this program; expected one of status, \
                     content-type, string, lf-string, file, errorfile, default-errorfiles, hdr";
                return Err(Fault::new(word, message));
            }
        }
    }
    Ok(reply)
}

fn redirect(kind: &Word, words: &mut Words<'_>) -> Read<Action> {
    let kind = match kind.as_str() {
        Some("location") => RedirectKind::Location,
        Some("prefix") => RedirectKind::Prefix,
        Some("scheme") => RedirectKind::Scheme,
        _ => return Err(Fault::new(kind, "expected one of location, prefix, scheme")),
    };
    let mut redirect = Redirect {
        kind,
        target: words.format()?,
        status: StatusCode::FOUND,
        drops_query: false,
    };
    while let Some(word) = words.rest.next() {
        words.last = word;
        match word.as_str() {
            Some("code") => redirect.status = words.status(301..=308)?,
            Some("drop-query") => redirect.drops_query = true,
            _ => {
                let message = "not supported by this program; expected code or drop-query";
                return Err(Fault::new(word, message));
            }
        }
    }
    Ok(Action::Redirect(redirect))
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
