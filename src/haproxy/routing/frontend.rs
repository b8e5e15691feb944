//! Which backend a request goes to.

use std::collections::HashMap;
use std::sync::Arc;

use super::tables::Tables;
use crate::fetch::FindTable;
use crate::haproxy::AclCondition;
use crate::haproxy::Format;
use crate::haproxy::Mode;
use crate::haproxy::config::{ConditionalRule, Finding, FindingKind, Proxy};
use crate::message::Request;

/// A `frontend` or `listen` section: where clients come in.
#[derive(Debug)]
pub struct Frontend {
    name: String,
    rules: Vec<Rule>,
    /// HAProxy: `default_backend`; for a `listen` section, itself.
    default: Option<String>,
    mode: Mode,
    backends: Arc<Backends>,
}

/// All there are, by name.
type Backends = HashMap<String, Mode>;

/// HAProxy: `use_backend`.
#[derive(Debug)]
struct Rule {
    target: Target,
    condition: Option<AclCondition>,
}

#[derive(Debug)]
enum Target {
    Fixed(String),
    /// Made for each request.
    Dynamic(Format),
}

impl Frontend {
    pub(super) fn new(
        proxy: &Proxy,
        tables: &Tables,
        backends: &Arc<Backends>,
    ) -> Result<Self, Finding> {
        let front = &proxy.frontend;
        let find = tables.finder(&proxy.name.value);
        let rules = front.use_backend.iter().map(|rule| Rule::new(rule, &find));
        let rules: Result<_, _> = rules.collect();
        let own = proxy.kind.is_backend().then(|| proxy.name.value.clone());
        let default = front.default_backend.as_ref();
        Ok(Self {
            name: proxy.name.value.clone(),
            rules: rules?,
            default: default.map(|word| word.text().to_owned()).or(own),
            mode: proxy.mode,
            backends: Arc::clone(backends),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the backend a request goes to; `None` if none is named: answer 503.
    ///
    /// The first `use_backend` rule that holds decides, otherwise `default_backend`; a
    /// `listen` section without either is its own backend. A rule whose name is made for
    /// the request, and is that of no backend, leaves it to `default_backend`, too; that of
    /// one in mode tcp is none for a section in mode http.
    pub fn route(&self, request: &dyn Request) -> Option<&str> {
        let mut rules = self.rules.iter();
        let found = rules.find(|rule| rule.holds(request));
        let target = found.and_then(|rule| rule.target(request, &self.backends));
        let name = target.or(self.default.as_deref())?;
        let is_http = self.mode == Mode::Http;
        let is_served = !is_http || self.backends.get(name) == Some(&Mode::Http);
        is_served.then_some(name)
    }
}

impl Rule {
    fn new(rule: &ConditionalRule, find: &FindTable<'_>) -> Result<Self, Finding> {
        let condition = rule.condition.as_ref();
        let target = if rule.is_dynamic() {
            let format = Format::with_tables(rule.target.bytes(), find).map_err(|error| {
                Finding::error(FindingKind::NotSupported, &rule.target, error.to_string())
            })?;
            Target::Dynamic(format)
        } else {
            Target::Fixed(rule.target.text().to_owned())
        };
        Ok(Self {
            target,
            condition: condition.map(|words| words.with_tables(find)),
        })
    }

    fn holds(&self, request: &dyn Request) -> bool {
        let condition = self.condition.as_ref();
        condition.is_none_or(|condition| condition.on_request(request))
    }

    fn target<'r>(&'r self, request: &dyn Request, backends: &'r Backends) -> Option<&'r str> {
        match &self.target {
            Target::Fixed(name) => Some(name),
            Target::Dynamic(format) => {
                let name = String::from_utf8(format.on_request(request)).ok()?;
                Some(backends.get_key_value(&name)?.0)
            }
        }
    }
}
