//! The rules of one section, put together; what this program cannot follow is refused.

use stickroute::Moment;
use stickroute::haproxy::{HttpErrors, Proxy, Routing, Rule, Ruleset, Verdict};

use crate::configuration::fault::Fault;
use crate::configuration::rule_words::{self, condition_of};
use crate::configuration::words::Section;
use crate::http::filters::Filters;
use crate::http::pages::Pages;
use crate::server::pool::Pool;
use crate::statistics::page::Page;
use crate::tcp::inspect::Inspection;

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
        if let Some(delay) = rule.delay {
            list.delay = delay;
            return Ok(());
        }
        let moment = match rule.ruleset {
            Ruleset::TcpResponseContent => Moment::Response,
            _ => Moment::Request,
        };
        let words = rule.condition.as_ref();
        let condition = words.map(|words| condition_of(words, section, moment));
        list.rules.push(verdict(rule), condition.transpose()?);
        Ok(())
    }
}

fn verdict(rule: &Rule) -> Verdict {
    match rule.action.as_str() {
        Some("reject") => Verdict::Reject,
        _ => Verdict::Accept,
    }
}
