//! `stats` lines of a proxy section: a page of statistics.

use std::fmt;
use std::time::Duration;

use super::args::{Args, argument, missing};
use super::finding::{Finding, FindingKind};
use super::keywords::Scope;
use super::location::{Located, Word};
use super::proxy::ProxyKind;
use super::rules::{self, ConditionWords, Rule, Ruleset};
use super::suggest::expected_one_of;

/// What a section says of its page of statistics. HAProxy: `stats`.
///
/// Any of the lines makes the page. A section with such lines of its own inherits none
/// from its defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatsPage {
    /// The first of the lines: what stands behind `stats`.
    pub place: Word,
    /// HAProxy: `stats uri PREFIX`, with which the targets of requests begin; default
    /// `/haproxy?stats`.
    pub uri: Option<Word>,
    /// HAProxy: `stats refresh T`, after which a browser asks again; default never, in
    /// seconds where no unit is given.
    pub refresh: Option<Located<Duration>>,
    /// HAProxy: `stats realm TEXT`, shown to who is asked for a password; default
    /// `HAProxy Statistics`.
    pub realm: Option<Word>,
    /// HAProxy: `stats auth USER:PASSWORD`, in order; without one and without `rules`
    /// everybody may see the page.
    pub accounts: Vec<StatsAccount>,
    /// HAProxy: `stats hide-version`.
    pub hide_version: bool,
    /// HAProxy: `stats show-legends`, details that not everybody should know.
    pub show_legends: bool,
    /// HAProxy: `stats show-modules`.
    pub show_modules: Option<Word>,
    /// HAProxy: `stats show-node [NAME]`; without a name it is that of the machine.
    pub show_node: Option<Located<Option<Word>>>,
    /// HAProxy: `stats show-desc TEXT...`, the words.
    pub show_desc: Option<Vec<Word>>,
    /// HAProxy: `stats scope NAME`, sections that are shown, `.` for this one; all if there
    /// are none.
    pub scope: Vec<Word>,
    /// HAProxy: `stats admin if|unless ...`, in order; who meets one of them may change the
    /// states of servers.
    pub admin: Vec<ConditionWords>,
    /// HAProxy: `stats http-request allow|auth|deny [if|unless ...]`, in order.
    pub rules: Vec<Rule>,
}

/// HAProxy: `stats auth USER:PASSWORD`.
#[derive(Clone)]
pub struct StatsAccount {
    word: Word,
    /// Where the colon is.
    colon: usize,
}

impl StatsAccount {
    /// The name of the user.
    pub fn user(&self) -> &[u8] {
        &self.word.bytes[..self.colon]
    }

    /// What a client sends in Basic authentication (RFC 7617), before it is encoded:
    /// `USER:PASSWORD`.
    pub fn credentials(&self) -> &[u8] {
        &self.word.bytes
    }
}

impl fmt::Debug for StatsAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsAccount")
            .field("user", &self.user().escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

impl StatsPage {
    fn new(place: &Word) -> Self {
        Self {
            place: place.clone(),
            uri: None,
            refresh: None,
            realm: None,
            accounts: Vec::new(),
            hide_version: false,
            show_legends: false,
            show_modules: None,
            show_node: None,
            show_desc: None,
            scope: Vec::new(),
            admin: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// What targets of requests for the page begin with.
    pub fn prefix(&self) -> &[u8] {
        let own = self.uri.as_ref().map(Word::bytes);
        own.unwrap_or(b"/haproxy?stats")
    }

    pub(super) fn conditions(&mut self) -> impl Iterator<Item = &mut ConditionWords> {
        let rules = self.rules.iter_mut();
        let rules = rules.filter_map(|rule| rule.condition.as_mut());
        self.admin.iter_mut().chain(rules)
    }

    /// Two ways to say who may see the page.
    pub(super) fn check(&self) -> Option<Finding> {
        let account = self.accounts.first().map(|account| &account.word);
        let place = account.or(self.realm.as_ref())?;
        let rule = self.rules.first()?;
        let message = format!(
            "expected either stats auth and stats realm or the stats http-request at {}",
            rule.action.location
        );
        // An account is no word to repeat in a log.
        let word = Word {
            bytes: b"stats".to_vec(),
            location: place.location.clone(),
        };
        Some(Finding::error(FindingKind::Conflict, &word, message))
    }
}

const NAMES: [&str; 13] = [
    "admin",
    "auth",
    "enable",
    "hide-version",
    "http-request",
    "realm",
    "refresh",
    "scope",
    "show-desc",
    "show-legends",
    "show-modules",
    "show-node",
    "uri",
];

/// Reads a line, and begins a page with the first one of a section.
pub(super) fn line(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    let (_, word) = args.one_of(&NAMES)?;
    let is_defaults = scope.proxy.kind == ProxyKind::Defaults;
    if is_defaults && (word.is("admin") || word.is("http-request")) {
        let message =
            "not allowed in a defaults section; expected in a frontend, backend or listen section";
        return Err(Finding::error(FindingKind::Misplaced, word, message));
    }
    if scope.proxy.stats_is_inherited {
        scope.proxy.stats = None;
        scope.proxy.stats_is_inherited = false;
    }
    let page = scope
        .proxy
        .stats
        .get_or_insert_with(|| StatsPage::new(word));
    if word.is("show-desc") && args.peek().is_none() {
        let message = "has no effect without a text";
        scope.warn(FindingKind::Doubtful, word, message);
        return Ok(());
    }
    set(page, word, args)?;
    args.end()
}

fn set(page: &mut StatsPage, word: &Word, args: &mut Args<'_>) -> Result<(), Finding> {
    match word.text() {
        "admin" => page.admin.push(rules::condition(args)?),
        "auth" => page.accounts.push(account(args)?),
        "hide-version" => page.hide_version = true,
        "http-request" => page.rules.push(rule(args)?),
        "realm" => page.realm = Some(args.required("a text")?.clone()),
        "refresh" => page.refresh = Some(word.located(args.seconds()?)),
        "scope" => page
            .scope
            .push(args.required("the name of a section")?.clone()),
        "show-desc" => page.show_desc = Some(args.rest().to_vec()),
        "show-legends" => page.show_legends = true,
        "show-modules" => page.show_modules = Some(word.clone()),
        "show-node" => page.show_node = Some(word.located(args.next().cloned())),
        "uri" => page.uri = Some(args.required("what the target begins with")?.clone()),
        // It has done what it is for.
        _ => {}
    }
    Ok(())
}

/// HAProxy takes one without a colon, for a user without a password.
fn account(args: &mut Args<'_>) -> Result<StatsAccount, Finding> {
    const EXPECTED: &str = "expected USER:PASSWORD";
    let word = args.required("USER:PASSWORD")?;
    let colon = word.bytes.iter().position(|&byte| byte == b':');
    match colon {
        Some(colon) => Ok(StatsAccount {
            word: word.clone(),
            colon,
        }),
        None => Err(argument(word, EXPECTED)),
    }
}

/// HAProxy takes all actions of `http-request` here.
fn rule(args: &mut Args<'_>) -> Result<Rule, Finding> {
    const ACTIONS: [&str; 3] = ["allow", "auth", "deny"];
    let expected = format!("one of {}", ACTIONS.join(", "));
    let action = args.required(&expected)?.clone();
    if !ACTIONS.iter().any(|name| action.is(name)) {
        let message = expected_one_of(action.text(), &ACTIONS);
        return Err(Finding::error(FindingKind::NotSupported, &action, message));
    }
    let (arguments, condition) = rules::split(args)?;
    let is_realm = action.is("auth") && arguments.first().is_some_and(|word| word.is("realm"));
    match arguments.get(if is_realm { 2 } else { 0 }) {
        Some(extra) => return Err(argument(extra, "expected if, unless or nothing more")),
        None if is_realm && arguments.len() < 2 => {
            return Err(missing(args.end_of_line(), "a text behind realm"));
        }
        None => {}
    }
    Ok(Rule {
        ruleset: Ruleset::StatsHttpRequest,
        action,
        arguments,
        reply: None,
        delay: None,
        condition,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::Configuration;

    fn read(lines: &str) -> Result<Option<StatsPage>, String> {
        let text =
            format!("defaults\n mode http\n timeout client 1s\nfrontend web\n bind :80\n{lines}\n");
        let read = Configuration::parse("x.cfg", text);
        let read = read.map_err(|error| error.errors().next().expect("one").to_string())?;
        Ok(read.proxies[0].stats.clone())
    }

    #[test]
    fn every_line_makes_the_page() {
        assert!(read("").unwrap().is_none());
        for line in [
            "enable",
            "hide-version",
            "refresh 5",
            "admin if TRUE",
            "show-node",
        ] {
            let page = read(&format!(" stats {line}")).unwrap().expect(line);
            assert_eq!(page.prefix(), b"/haproxy?stats", "{line}");
        }
    }

    #[test]
    fn the_lines_are_read() {
        let text = " stats uri /st\n stats refresh 5\n stats realm A\\ B\n stats auth u:p:q\n \
                    stats scope .\n stats scope app\n stats show-node n1\n \
                    stats show-desc one two\n stats admin unless { src 10.0.0.1 }";
        let page = read(text).unwrap().expect("it is there");
        assert_eq!(page.prefix(), b"/st");
        assert_eq!(page.refresh.unwrap().value, Duration::from_secs(5));
        assert_eq!(page.realm.unwrap().bytes(), b"A B");
        assert_eq!(page.accounts[0].user(), b"u");
        assert_eq!(page.accounts[0].credentials(), b"u:p:q");
        assert!(!format!("{:?}", page.accounts).contains("p:q"));
        assert_eq!(page.scope.len(), 2);
        assert_eq!(page.show_desc.unwrap().len(), 2);
        assert!(page.admin[0].is_negated());
        let rules = read(" stats http-request auth realm X if TRUE\n stats http-request allow");
        let rules = rules.unwrap().expect("it is there").rules;
        assert_eq!(rules[0].arguments[1].bytes(), b"X");
        assert!(rules[0].condition.is_some() && rules[1].condition.is_none());
    }

    #[test]
    fn lines_of_ones_own_take_the_place_of_inherited_ones() {
        let text = "defaults\n mode http\n stats uri /d\n stats auth a:b\n\
                    backend one\nbackend two\n stats refresh 3\n stats realm x\n";
        let read = Configuration::parse("x.cfg", text).unwrap();
        let page = |index: usize| read.proxies[index].stats.as_ref().expect("it is there");
        assert_eq!((page(0).prefix(), page(0).accounts.len()), (&b"/d"[..], 1));
        assert_eq!(page(1).prefix(), b"/haproxy?stats");
        assert!(page(1).accounts.is_empty() && page(1).realm.is_some());
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        for (line, expected) in [
            ("", "6:8: 'end of line': expected one of admin"),
            ("foo", "6:8: 'foo': expected one of admin"),
            ("enable x", "6:15: 'x': expected nothing more"),
            ("uri", "6:11: 'end of line': expected what the target"),
            ("refresh x", "6:16: 'x': expected a length of time"),
            ("auth user", "6:13: 'user': expected USER:PASSWORD"),
            ("scope a b", "6:16: 'b': expected nothing more"),
            ("admin TRUE", "6:14: 'TRUE': expected if or unless"),
            ("admin if nope", "6:17: 'nope': "),
            (
                "http-request redirect x",
                "6:21: 'redirect': expected one of",
            ),
            ("http-request deny x", "6:26: 'x': expected if, unless"),
            (
                "http-request auth realm",
                "6:31: 'end of line': expected a text",
            ),
            (
                "realm x\n stats http-request allow",
                "6:14: 'stats': expected either",
            ),
        ] {
            let error = read(&format!(" stats {line}")).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
