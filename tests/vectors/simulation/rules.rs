//! Rules on messages, which the library leaves to the proxy.

use std::net::Ipv4Addr;

use stickroute::haproxy::{
    AclCondition, ConditionWords, Format, Mode, Proxy, Routing, Rule, Ruleset, Word, expression,
};
use stickroute::{DataKind, Now, Request, SimpleRequest};

use super::Trouble;
use super::counters::{CONNECTION, ERROR, REQUEST, SESSION, Tracked};
use super::message::Reply;

/// What rules make of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Pass,
    /// The proxy answers with this status itself.
    Answer(u16),
    /// The connection is closed.
    Close,
}

/// The rules of one section, at one moment.
pub(super) struct Rules<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) routing: &'a Routing,
    pub(super) now: Now,
}

impl Rules<'_> {
    /// Rules on connections and bytes, then those on the request.
    pub(super) fn on_request(
        &self,
        request: &dyn Request,
        tracked: &mut Tracked,
    ) -> Result<Verdict, Trouble> {
        // Before the PROXY header is read, the client is the one that wrote it.
        let hop = SimpleRequest::default().source(Ipv4Addr::LOCALHOST.into());
        for ruleset in REQUEST_RULESETS {
            let seen = match ruleset {
                Ruleset::TcpRequestConnection => &hop,
                _ => request,
            };
            let verdict = self.on_request_of(ruleset, seen, tracked)?;
            if verdict != Verdict::Pass {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Pass)
    }

    fn on_request_of(
        &self,
        ruleset: Ruleset,
        request: &dyn Request,
        tracked: &mut Tracked,
    ) -> Result<Verdict, Trouble> {
        for rule in self.list(ruleset) {
            let condition = rule.condition.as_ref();
            if !condition.is_none_or(|words| self.condition(words).on_request(request)) {
                continue;
            }
            match name(rule) {
                "accept" | "allow" => return Ok(Verdict::Pass),
                "reject" => return Ok(Verdict::Close),
                "deny" => {
                    tracked.add(&ERROR, 1);
                    return Ok(Verdict::Answer(status(rule, "deny_status", 403)));
                }
                "return" => return Ok(Verdict::Answer(status(rule, "status", 200))),
                "track-sc0" => self.track(0, rule, request, tracked)?,
                "track-sc1" => self.track(1, rule, request, tracked)?,
                "track-sc2" => self.track(2, rule, request, tracked)?,
                _ => count(rule, tracked)?,
            }
        }
        Ok(Verdict::Pass)
    }

    /// Rules on the reply, which may change it.
    pub(super) fn on_reply(&self, reply: &mut Reply) -> Result<Verdict, Trouble> {
        for ruleset in REPLY_RULESETS {
            for rule in self.list(ruleset) {
                let condition = rule.condition.as_ref();
                if !condition.is_none_or(|words| self.condition(words).on_response(reply)) {
                    continue;
                }
                match name(rule) {
                    "accept" | "allow" => break,
                    "reject" | "close" => return Ok(Verdict::Close),
                    "deny" => return Ok(Verdict::Answer(status(rule, "deny_status", 502))),
                    "set-header" => set_header(rule, reply)?,
                    _ => return Err(unknown(rule)),
                }
            }
        }
        Ok(Verdict::Pass)
    }

    /// Whether something is decided by the first bytes of the server.
    pub(super) fn inspect_replies(&self) -> bool {
        let mut rules = self.proxy.rules.iter();
        rules.any(|rule| rule.ruleset == Ruleset::TcpResponseContent)
    }

    /// A condition that knows the tables of the configuration.
    fn condition(&self, words: &ConditionWords) -> AclCondition {
        self.routing.condition(&self.proxy.name.value, words)
    }

    fn list(&self, ruleset: Ruleset) -> impl Iterator<Item = &Rule> {
        let rules = self.proxy.rules.iter();
        rules.filter(move |rule| rule.ruleset == ruleset)
    }

    /// What counts as soon as an entry is tracked.
    fn count_start(&self, number: usize, ruleset: Ruleset, tracked: &Tracked) {
        tracked.add_one(number, &CONNECTION, 0);
        let is_early = matches!(
            ruleset,
            Ruleset::TcpRequestConnection | Ruleset::TcpRequestSession
        );
        if is_early {
            tracked.add_one(number, &SESSION, 0);
        }
        if self.proxy.mode == Mode::Http {
            tracked.add_one(number, &REQUEST, 0);
        }
    }

    /// `track-scN KEY [table T]`; the first one of a number counts.
    fn track(
        &self,
        number: usize,
        rule: &Rule,
        request: &dyn Request,
        tracked: &mut Tracked,
    ) -> Result<(), Trouble> {
        let words: Vec<_> = rule.arguments.iter().map(plain).collect();
        let (key, table) = match words.iter().position(|word| *word == "table") {
            Some(at) => (&words[..at], words.get(at + 1)),
            None => (&words[..], None),
        };
        let table = *table.unwrap_or(&self.proxy.name.value.as_str());
        let table = self.routing.table(table).ok_or("no such table")?;
        let key = expression(key.join(",")).map_err(|error| error.to_string())?;
        let sample = key.on_request(request);
        let key = sample.as_ref().and_then(|it| table.key_type().key(it));
        if let (false, Some(key)) = (tracked.has(number), key) {
            // A table that is full of entries in use: nothing is tracked then.
            if let Ok(held) = table.hold(&key, self.now) {
                tracked.start(number, held);
                self.count_start(number, rule.ruleset, tracked);
            }
        }
        Ok(())
    }
}

/// `sc-inc-gpc0(NUMBER)`, `sc-set-gpt(ELEMENT,NUMBER) VALUE` and the like.
fn count(rule: &Rule, tracked: &Tracked) -> Result<(), Trouble> {
    let inside = name(rule).strip_suffix(')');
    let (action, numbers) = inside
        .and_then(|text| text.split_once('('))
        .ok_or_else(|| unknown(rule))?;
    let (element, number) = numbers.split_once(',').unwrap_or(("0", numbers));
    let element = element.parse().map_err(|_| unknown(rule))?;
    let number = number.parse().map_err(|_| unknown(rule))?;
    let value = || plain(&rule.arguments[0]).parse().map_err(|_| unknown(rule));
    match action {
        "sc-inc-gpc0" => tracked.add_one(number, &[DataKind::Counter0, DataKind::Counter0Rate], 0),
        "sc-inc-gpc1" => tracked.add_one(number, &[DataKind::Counter1, DataKind::Counter1Rate], 0),
        "sc-inc-gpc" => {
            tracked.add_one(
                number,
                &[DataKind::Counters, DataKind::CounterRates],
                element,
            );
        }
        "sc-set-gpt0" => tracked.set_one(number, DataKind::Tag0, 0, value()?),
        "sc-set-gpt" => tracked.set_one(number, DataKind::Tags, element, value()?),
        _ => return Err(unknown(rule)),
    }
    Ok(())
}

const REQUEST_RULESETS: [Ruleset; 4] = [
    Ruleset::TcpRequestConnection,
    Ruleset::TcpRequestSession,
    Ruleset::TcpRequestContent,
    Ruleset::HttpRequest,
];

const REPLY_RULESETS: [Ruleset; 2] = [Ruleset::TcpResponseContent, Ruleset::HttpResponse];

fn set_header(rule: &Rule, reply: &mut Reply) -> Result<(), Trouble> {
    let [name, format] = &rule.arguments[..] else {
        return Err(unknown(rule));
    };
    let format = Format::parse(format.bytes()).map_err(|error| error.to_string())?;
    let value = format.on_response(reply);
    reply.set_header(plain(name), value);
    Ok(())
}

/// The number behind a word among the arguments.
fn status(rule: &Rule, word: &str, default: u16) -> u16 {
    let mut words = rule.arguments.iter().map(plain);
    words.find(|found| *found == word);
    words
        .next()
        .map_or(default, |n| n.parse().expect("a status"))
}

fn name(rule: &Rule) -> &str {
    plain(&rule.action)
}

fn plain(word: &Word) -> &str {
    word.as_str().expect("text")
}

fn unknown(rule: &Rule) -> Trouble {
    format!(
        "the simulated proxy knows no {:?} {}",
        rule.ruleset,
        name(rule)
    )
}
