//! The rules of one section, put together; what this program cannot follow is refused.

use std::time::Duration;

use stickroute::haproxy::{HttpErrors, Proxy, Routing, Rule, Ruleset, Word};
use stickroute::{Moment, Origin};

use crate::configuration::fault::Fault;
use crate::configuration::rule_words::{self, condition_of};
use crate::configuration::words::Section;
use crate::http::filters::Filters;
use crate::http::pages::Pages;
use crate::server::pool::Pool;
use crate::statistics::page::Page;
use crate::tcp::inspect::{self, ContentRule, Inspection, Verdict};

/// Rules of a `frontend`, `backend` or `listen` section.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) filters: Filters,
    pub(crate) pages: Pages,
    /// HAProxy: `stats`.
    pub(crate) page: Option<Page>,
    /// Asked before a PROXY header is read. HAProxy: `tcp-request connection`.
    pub(crate) connection: Inspection,
    /// Asked behind it. HAProxy: `tcp-request session`.
    pub(crate) session: Inspection,
    /// HAProxy: `tcp-request content`.
    pub(crate) content: Inspection,
    /// HAProxy: `tcp-response content`.
    pub(crate) response: Inspection,
}

impl Rules {
    /// `routing` is what was built of the configuration, if it could be.
    pub(crate) fn of(
        (proxy, errors): (&Proxy, &[HttpErrors]),
        routing: Option<&Routing<Pool>>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let section = Section {
            name: &proxy.name.value,
            routing,
            errors,
        };
        let mut rules = Self {
            filters: rule_words::filters(proxy, section, faults),
            pages: Pages::of(proxy, section, faults),
            page: Page::of(proxy, section, faults),
            ..Self::default()
        };
        for rule in &proxy.rules {
            if let Err(fault) = rules.add(rule, section) {
                faults.push(fault);
            }
        }
        rules
    }

    fn add(&mut self, rule: &Rule, section: Section<'_>) -> Result<(), Fault> {
        let list = match rule.ruleset {
            Ruleset::TcpRequestConnection => &mut self.connection,
            Ruleset::TcpRequestSession => &mut self.session,
            Ruleset::TcpRequestContent | Ruleset::TcpRequestInspectDelay => &mut self.content,
            Ruleset::TcpResponseContent | Ruleset::TcpResponseInspectDelay => &mut self.response,
            _ => return Ok(()),
        };
        match rule.ruleset {
            Ruleset::TcpRequestInspectDelay | Ruleset::TcpResponseInspectDelay => {
                list.delay = delay(&rule.arguments).unwrap_or_default();
            }
            _ => list.rules.push(content_rule(rule, section)?),
        }
        Ok(())
    }
}

/// The library has checked it, and hands it over as it is written; without a unit it is
/// in milliseconds.
fn delay(words: &[Word]) -> Option<Duration> {
    let text = words.first()?.as_str()?;
    let unit = text.find(|char: char| !char.is_ascii_digit());
    let (digits, unit) = text.split_at(unit.unwrap_or(text.len()));
    let number: u64 = digits.parse().ok()?;
    let seconds = |seconds: u64| Duration::from_secs(number.saturating_mul(seconds));
    Some(match unit {
        "us" => Duration::from_micros(number),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3_600),
        "d" => seconds(86_400),
        _ => Duration::from_millis(number),
    })
}

fn content_rule(rule: &Rule, section: Section<'_>) -> Result<ContentRule, Fault> {
    let moment = match rule.ruleset {
        Ruleset::TcpResponseContent => Moment::Response,
        _ => Moment::Request,
    };
    let words = rule.condition.as_ref();
    let condition = words.map(|words| condition_of(words, section, moment));
    let condition = condition.transpose()?;
    let is_about_bytes = condition.as_ref().is_some_and(|condition| {
        let origins = [Origin::Request, Origin::Response, Origin::Message];
        origins.iter().any(|origin| condition.looks_at(*origin))
    });
    let text = |word: &Word| word.as_str().unwrap_or_default().to_owned();
    let words: Vec<_> = words
        .iter()
        .flat_map(|words| [&words.keyword].into_iter().chain(&words.words).map(text))
        .collect();
    let waits = words.iter().any(|word| word.ends_with("WAIT_END"));
    let denies = words
        .iter()
        .any(|word| word.starts_with('!') || word == "unless");
    Ok(ContentRule {
        verdict: match rule.action.as_str() {
            Some("reject") => Verdict::Reject,
            _ => Verdict::Accept,
        },
        condition,
        moment: match (waits, is_about_bytes, denies) {
            (true, ..) | (_, true, true) => inspect::Moment::Late,
            (_, true, false) => inspect::Moment::Early,
            (_, false, _) => inspect::Moment::Now,
        },
    })
}
