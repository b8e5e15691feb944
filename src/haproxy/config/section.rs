//! Where sections begin.

use super::args::Args;
use super::budget::Budget;
use super::finding::{Finding, FindingKind};
use super::location::{Located, Word};
use super::pages::HttpErrors;
use super::peers::Peers;
use super::proxy::{Proxy, ProxyKind};
use super::server::is_name;
use super::suggest::expected_one_of;

/// The section that lines belong to.
#[derive(Debug)]
pub(super) enum Section {
    /// None has begun.
    None,
    Global,
    /// The `defaults` section that was read last.
    LastDefaults,
    /// A proxy that begins.
    Proxy(Box<Proxy>),
    /// The proxy that was read last.
    LastProxy,
    /// A `peers` section that begins.
    Peers(Box<Peers>),
    /// The one that was read last.
    LastPeers,
    /// An `http-errors` section that begins.
    HttpErrors(Box<HttpErrors>),
    /// The one that was read last.
    LastHttpErrors,
    /// One whose head is wrong: its lines are not looked at.
    Skipped,
}

/// All `defaults` sections, each with the bytes of its lines.
#[derive(Debug, Default)]
pub(super) struct Defaults(Vec<(Proxy, usize)>);

/// Sections of one name are looked for one by one, so there is an end to their number.
const MOST_DEFAULTS: usize = 1_000;

impl Defaults {
    /// The one that was read last.
    pub(super) fn current(&mut self) -> Option<&mut Proxy> {
        self.0.last_mut().map(|(proxy, _)| proxy)
    }

    /// Counts the bytes of a line of the one that was read last.
    pub(super) fn count(&mut self, bytes: usize) {
        if let Some((_, total)) = self.0.last_mut() {
            *total += bytes;
        }
    }

    fn add(&mut self, proxy: Proxy) -> Result<Section, Finding> {
        if self.0.len() >= MOST_DEFAULTS {
            let message = format!("expected at most {MOST_DEFAULTS} defaults sections");
            return Err(Finding::error(FindingKind::Line, &proxy.place(), message));
        }
        self.0.push((proxy, 0));
        Ok(Section::LastDefaults)
    }

    /// The only one of a name.
    fn named(&self, name: &Word) -> Result<&(Proxy, usize), Finding> {
        let mut found = self
            .0
            .iter()
            .filter(|(proxy, _)| name.is(&proxy.name.value));
        match (found.next(), found.next()) {
            (Some(found), None) => Ok(found),
            (None, _) => {
                let message = "there is no defaults section of this name before it";
                Err(Finding::error(FindingKind::Target, name, message))
            }
            (Some((first, _)), Some((second, _))) => {
                let message = format!(
                    "two defaults sections have this name, at {} and {}; expected a unique one",
                    first.name.location, second.name.location
                );
                Err(Finding::error(FindingKind::Conflict, name, message))
            }
        }
    }
}

const SECTIONS: [&str; 7] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "http-errors",
];

const NOT_SUPPORTED: [&str; 10] = [
    "cache",
    "crt-list",
    "fcgi-app",
    "log-forward",
    "mailers",
    "program",
    "resolvers",
    "ring",
    "userlist",
    "namespace_list",
];

/// What is said of a line before the first section.
pub(super) fn expected(word: &str) -> String {
    format!(
        "outside of any section; {}",
        expected_one_of(word, &SECTIONS)
    )
}

/// The section a line begins, if it begins one.
pub(super) fn begin(
    args: &mut Args<'_>,
    defaults: &mut Defaults,
    budget: &mut Budget,
    findings: &mut Vec<Finding>,
) -> Option<Section> {
    let keyword = args.current();
    let result = match keyword.text() {
        "global" => args.end().map(|()| Section::Global),
        "defaults" => {
            proxy(args, ProxyKind::Defaults, defaults, budget).and_then(|proxy| defaults.add(proxy))
        }
        "frontend" => begin_proxy(args, ProxyKind::Frontend, defaults, budget),
        "backend" => begin_proxy(args, ProxyKind::Backend, defaults, budget),
        "listen" => begin_proxy(args, ProxyKind::Listen, defaults, budget),
        "http-errors" => name(args).and_then(|name| {
            args.end()?;
            Ok(Section::HttpErrors(Box::new(HttpErrors::new(name))))
        }),
        "peers" => name(args).map(|name| Section::Peers(Box::new(Peers::new(name)))),
        text if NOT_SUPPORTED.contains(&text) => {
            let message = match text {
                "resolvers" => "section not supported; names are looked up by the system".into(),
                _ => format!(
                    "section not supported; expected one of {}",
                    SECTIONS.join(", ")
                ),
            };
            Err(Finding::error(FindingKind::NotSupported, keyword, message))
        }
        _ => return None,
    };
    Some(result.unwrap_or_else(|finding| {
        findings.push(finding);
        Section::Skipped
    }))
}

fn begin_proxy(
    args: &mut Args<'_>,
    kind: ProxyKind,
    defaults: &Defaults,
    budget: &mut Budget,
) -> Result<Section, Finding> {
    proxy(args, kind, defaults, budget).map(|proxy| Section::Proxy(Box::new(proxy)))
}

fn proxy(
    args: &mut Args<'_>,
    kind: ProxyKind,
    defaults: &Defaults,
    budget: &mut Budget,
) -> Result<Proxy, Finding> {
    let keyword = args.current();
    let is_defaults = kind == ProxyKind::Defaults;
    let has_name = args.peek().is_some_and(|word| !word.is("from"));
    let name = if is_defaults && !has_name {
        keyword.located(String::new())
    } else {
        name(args)?
    };
    let parent = match args.next() {
        None if is_defaults => None,
        None => defaults.0.last(),
        Some(word) if word.is("from") => {
            let parent = args.required("the name of a defaults section")?;
            Some(defaults.named(parent)?)
        }
        Some(word) => {
            let message = "expected from NAME or nothing more; addresses belong to bind lines";
            return Err(Finding::error(FindingKind::Argument, word, message));
        }
    };
    args.end()?;
    budget.spend(parent.map_or(0, |(_, bytes)| *bytes), keyword)?;
    Ok(match parent {
        Some((parent, _)) => parent.inheriting(kind, name),
        None => Proxy::new(kind, name),
    })
}

fn name(args: &mut Args<'_>) -> Result<Located<String>, Finding> {
    let word = args.required("a name of letters, digits and any of -_.:")?;
    if !is_name(word) {
        let message = "expected a name of letters, digits and any of -_.:";
        return Err(Finding::error(FindingKind::Argument, word, message));
    }
    Ok(word.located(word.text().to_owned()))
}
