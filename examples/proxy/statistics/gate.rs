//! Who may see the page of a section. HAProxy: `stats auth`, `stats http-request`.

use std::fmt;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use stickroute::haproxy::{AclCondition, Rule, StatsPage, Word};
use stickroute::{HttpRequest, Moment};

use super::page::plain;
use super::secret;
use crate::configuration::fault::Fault;
use crate::configuration::rule_words::condition_of;
use crate::configuration::words::{Read, Section};
use crate::http::answer::Made;

/// Asked one after the other, until one decides.
#[derive(Debug)]
pub(super) struct Gate(Vec<GateRule>);

/// A rule about who may see the page.
#[derive(Debug)]
enum GateRule {
    Allow(Option<AclCondition>),
    Deny(Option<AclCondition>),
    /// With the challenge.
    Ask(HeaderValue, Option<AclCondition>),
    /// With what the accounts send, encoded.
    Accounts(HeaderValue, Accounts),
}

struct Accounts(Vec<String>);

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accounts", self.0.len())
    }
}

const REALM: &[u8] = b"HAProxy Statistics";

impl Gate {
    /// What the lines of a section say.
    pub(super) fn of(lines: &StatsPage, section: Section<'_>) -> Read<Self> {
        if !lines.accounts.is_empty() {
            let realm = lines.realm.as_ref();
            let challenge = challenge(realm.map_or(REALM, |word| word.bytes()));
            let challenge = challenge.ok_or_else(|| unspeakable(realm.unwrap_or(&lines.place)))?;
            let accounts = lines.accounts.iter();
            let accounts = accounts.map(|account| secret::base64(account.credentials()));
            let accounts = Accounts(accounts.collect());
            return Ok(Self(vec![GateRule::Accounts(challenge, accounts)]));
        }
        let rules = lines.rules.iter();
        let rules = rules.map(|rule| gate_rule(rule, section));
        Ok(Self(rules.collect::<Read<_>>()?))
    }

    /// What who may not see the page is answered.
    pub(super) fn refusal(&self, parts: &Parts, view: &HttpRequest<'_>) -> Option<Made> {
        let holds = |condition: &Option<AclCondition>| {
            let condition = condition.as_ref();
            condition.is_none_or(|condition| condition.on_request(view))
        };
        for rule in &self.0 {
            match rule {
                GateRule::Allow(condition) if holds(condition) => return None,
                GateRule::Deny(condition) if holds(condition) => {
                    return Some(plain(
                        StatusCode::FORBIDDEN,
                        "this page is not for everybody\n",
                    ));
                }
                GateRule::Ask(challenge, condition) if holds(condition) => {
                    return Some(ask(challenge));
                }
                GateRule::Accounts(challenge, accounts) if !accounts.know(parts) => {
                    return Some(ask(challenge));
                }
                _ => {}
            }
        }
        None
    }
}

impl Accounts {
    /// Compares with all of them, whether one fits or not.
    fn know(&self, parts: &Parts) -> bool {
        let field = parts.headers.get(header::AUTHORIZATION);
        let (scheme, sent) = field
            .and_then(|field| field.to_str().ok()?.trim().split_once(' '))
            .unwrap_or_default();
        let sent = sent.trim().as_bytes();
        let fit = |account: &String| secret::is_equal(account.as_bytes(), sent);
        let known = self
            .0
            .iter()
            .fold(false, |known, account| known | fit(account));
        known && scheme.eq_ignore_ascii_case("basic")
    }
}

fn gate_rule(rule: &Rule, section: Section<'_>) -> Read<GateRule> {
    let condition = rule.condition.as_ref();
    let condition = condition.map(|words| condition_of(words, section, Moment::Request));
    let condition = condition.transpose()?;
    Ok(match rule.action.as_str() {
        Some("allow") => GateRule::Allow(condition),
        Some("auth") => {
            let realm = rule.arguments.get(1);
            let challenge = challenge(realm.map_or(REALM, |word| word.bytes()));
            let challenge = challenge.ok_or_else(|| unspeakable(realm.unwrap_or(&rule.action)))?;
            GateRule::Ask(challenge, condition)
        }
        _ => GateRule::Deny(condition),
    })
}

fn unspeakable(word: &Word) -> Fault {
    Fault::new(word, "expected a text without control characters")
}

/// A quoted string (RFC 9110 section 5.6.4).
fn challenge(realm: &[u8]) -> Option<HeaderValue> {
    let mut value = b"Basic realm=\"".to_vec();
    for byte in realm {
        if matches!(byte, b'"' | b'\\') {
            value.push(b'\\');
        }
        value.push(*byte);
    }
    value.push(b'"');
    HeaderValue::from_bytes(&value).ok()
}

fn ask(challenge: &HeaderValue) -> Made {
    let mut answer = plain(
        StatusCode::UNAUTHORIZED,
        "a name and a password are needed\n",
    );
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge.clone());
    answer
}
