//! The page of a section: what it is asked, and what it shows. HAProxy: `stats`.

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use stickroute::haproxy::{AclCondition, Cause, Phase, Proxy, StatsPage, statistics_csv};
use stickroute::{HttpRequest, Moment, Now};

use super::gate::Gate;
use super::ledger::{self, Section};
use super::{form, report, view as html_view};
use crate::client::stream::Ends;
use crate::configuration::fault::Fault;
use crate::configuration::rule_words::condition_of;
use crate::configuration::words;
use crate::http::answer::{Answer, Made};
use crate::http::forward::view;
use crate::service::site::Site;

/// A page of statistics.
#[derive(Debug)]
pub(crate) struct Page {
    /// What targets of requests for it begin with.
    pub(super) prefix: String,
    /// In seconds.
    pub(super) refresh: Option<u64>,
    gate: Gate,
    /// Who meets one of them may change the states of servers.
    admin: Vec<AclCondition>,
    /// Names of sections; empty is all of them.
    scope: Vec<String>,
    pub(super) shows: Shows,
}

/// What the page tells beside numbers.
#[derive(Debug)]
pub(super) struct Shows {
    pub(super) version: bool,
    pub(super) legends: bool,
    pub(super) node: Option<String>,
    pub(super) description: Option<String>,
}

impl Page {
    /// That of a section, if it has one. What cannot be followed goes to `faults`.
    pub(crate) fn of(
        proxy: &Proxy,
        section: words::Section<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let lines = proxy.stats.as_ref()?;
        let read = Self::read(lines, &proxy.name.value, section);
        read.map_err(|fault| faults.push(fault)).ok()
    }

    fn read(lines: &StatsPage, own: &str, section: words::Section<'_>) -> words::Read<Self> {
        if let Some(word) = &lines.show_modules {
            return Err(Fault::new(
                word,
                "not supported by this program; there are no modules",
            ));
        }
        let prefix = str::from_utf8(lines.prefix());
        let refuse = |_| Fault::new(&lines.place, "expected a uri in UTF-8");
        let conditions = lines.admin.iter();
        let admin = conditions.map(|words| condition_of(words, section, Moment::Request));
        let scope = lines.scope.iter().map(|word| match word.as_str() {
            Some(".") => own.to_owned(),
            name => name.unwrap_or_default().to_owned(),
        });
        let refresh = lines.refresh.as_ref().map(|time| time.value.as_secs());
        Ok(Self {
            prefix: prefix.map_err(refuse)?.to_owned(),
            refresh: refresh.filter(|seconds| *seconds > 0),
            gate: Gate::of(lines, section)?,
            admin: admin.collect::<words::Read<_>>()?,
            scope: scope.collect(),
            shows: Shows::of(lines),
        })
    }

    /// The answer to a request, if it is for this page.
    pub(crate) async fn answer(
        &self,
        site: &Site,
        parts: &Parts,
        ends: Ends,
        body: &mut Incoming,
    ) -> Option<Answer> {
        let target = parts.uri.path_and_query()?.as_str();
        let is_known = [Method::GET, Method::HEAD, Method::POST].contains(&parts.method);
        let options = target.strip_prefix(&self.prefix).filter(|_| is_known)?;
        let view = view(parts, ends);
        let (refusal, is_admin) = (self.gate.refusal(parts, &view), self.admits(&view));
        // It cannot be taken across an await.
        drop(view);
        let mut answer = match refusal {
            Some(refusal) => refusal,
            None if parts.method == Method::POST => {
                let done = form::carry_out(self, site, parts, is_admin, body).await;
                done.unwrap_or_else(|refusal| refusal)
            }
            None => self.show(site, options, is_admin),
        };
        let headers = answer.headers_mut();
        for (name, value) in FIELDS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Some(if answer.status() == StatusCode::FORBIDDEN {
            let denial = Answer::Made(answer, (Cause::Proxy, Phase::Request));
            Answer::Denied(Box::new(denial))
        } else {
            Answer::Made(answer, (Cause::Local, Phase::Request))
        })
    }

    fn show(&self, site: &Site, options: &str, is_admin: bool) -> Made {
        let has = |name: &str| options.split(';').any(|option| option == name);
        let now = Now::system();
        if has("css") {
            return answer(
                StatusCode::OK,
                "text/css; charset=utf-8",
                html_view::STYLE.to_owned(),
            );
        }
        let refresh = self.refresh.filter(|_| !has("norefresh"));
        let mut shown = if has("csv") {
            let sections = self.sections(site);
            let rows = sections.flat_map(|section| report::rows_of(site, section, now));
            plain(StatusCode::OK, &statistics_csv(&rows.collect::<Vec<_>>()))
        } else {
            let mut options = options.split(';');
            let asked = html_view::Asked {
                is_admin,
                outcome: options.find_map(|option| option.strip_prefix("st=")),
                refreshes: refresh.is_some(),
            };
            let text = html_view::page(self, site, &asked, now);
            answer(StatusCode::OK, "text/html; charset=utf-8", text)
        };
        if let Some(seconds) = refresh {
            shown.headers_mut().insert(header::REFRESH, seconds.into());
        }
        shown
    }

    /// Whether the states of servers may be changed.
    fn admits(&self, view: &HttpRequest<'_>) -> bool {
        let mut conditions = self.admin.iter();
        conditions.any(|condition| condition.on_request(view))
    }

    /// What is shown.
    pub(super) fn sections<'s>(&'s self, site: &'s Site) -> impl Iterator<Item = &'s Section> {
        let sections = site.ledger.sections.iter();
        sections.filter(|section| self.scope.is_empty() || self.scope.contains(&section.name))
    }

    /// Whether the table of that name is one of the sections shown.
    pub(super) fn covers(&self, table: &str) -> bool {
        self.scope.is_empty() || self.scope.iter().any(|name| name == table)
    }
}

impl Shows {
    fn of(lines: &StatsPage) -> Self {
        let node = lines.show_node.as_ref().map(|node| match &node.value {
            Some(word) => word.to_string(),
            None => ledger::node(),
        });
        let words = lines.show_desc.as_ref().map(|words| {
            let words = words
                .iter()
                .map(|word| String::from_utf8_lossy(word.bytes()));
            words.collect::<Vec<_>>().join(" ")
        });
        Self {
            version: !lines.hide_version,
            legends: lines.show_legends,
            node,
            description: words,
        }
    }
}

/// Nobody's script, nobody's frame, and nothing that is kept.
const FIELDS: [(&str, &str); 5] = [
    ("cache-control", "no-cache"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

pub(super) fn plain(status: StatusCode, text: &str) -> Made {
    answer(status, "text/plain", text.to_owned())
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Made {
    let mut answer = Response::new(Bytes::from(text).into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Box::new(answer)
}
