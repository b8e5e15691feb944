//! Rules: an action or a target, and a condition.

use std::time::Duration;

use super::args::{Args, argument, missing};
use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::reply::{self, HttpReply};
use super::suggest::expected_one_of;
use crate::fetch::FindTable;
use crate::haproxy::AclCondition;

/// `if ...` or `unless ...`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConditionWords {
    /// `if` or `unless`.
    pub keyword: Word,
    /// The words behind it: names of ACLs, `!`, `||`, `or`, `{ ... }`.
    pub words: Vec<Word>,
    /// Set once all ACLs of the section are known.
    pub(super) condition: AclCondition,
}

impl ConditionWords {
    /// What the words mean, with the ACLs of the section.
    ///
    /// It knows no stick tables: what reads one (`src_get_gpc0`, `in_table` ...) has no
    /// value. [`Routing::condition`](crate::haproxy::Routing::condition) gives one that does.
    pub fn condition(&self) -> &AclCondition {
        &self.condition
    }

    /// The condition with the tables that `find` knows.
    pub(in crate::haproxy) fn with_tables(&self, find: &FindTable<'_>) -> AclCondition {
        let mut condition = self.condition.clone();
        condition.bind(find);
        condition
    }

    /// Whether the keyword is `unless`.
    pub fn is_negated(&self) -> bool {
        self.keyword.is("unless")
    }
}

/// A name, and when it is used: `use_backend`, `use-server`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConditionalRule {
    /// The name; one with `%[` in it is a format.
    pub target: Word,
    /// When it is used; `None` is always.
    pub condition: Option<ConditionWords>,
}

impl ConditionalRule {
    /// Whether the name is made for each request.
    pub fn is_dynamic(&self) -> bool {
        self.target.bytes.contains(&b'%')
    }
}

/// Names of targets that are fixed.
pub(super) fn fixed(rules: &[ConditionalRule]) -> impl Iterator<Item = &Word> {
    let fixed = rules.iter().filter(|rule| !rule.is_dynamic());
    fixed.map(|rule| &rule.target)
}

/// Which list a [`Rule`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ruleset {
    /// `http-request`.
    HttpRequest,
    /// `http-response`.
    HttpResponse,
    /// `http-after-response`.
    HttpAfterResponse,
    /// `tcp-request connection`.
    TcpRequestConnection,
    /// `tcp-request session`.
    TcpRequestSession,
    /// `tcp-request content`.
    TcpRequestContent,
    /// `tcp-request inspect-delay`.
    TcpRequestInspectDelay,
    /// `tcp-response content`.
    TcpResponseContent,
    /// `tcp-response inspect-delay`.
    TcpResponseInspectDelay,
    /// `redirect`.
    Redirect,
    /// `stats http-request`.
    StatsHttpRequest,
}

impl Ruleset {
    pub(super) const fn is_http(self) -> bool {
        matches!(
            self,
            Self::HttpRequest | Self::HttpResponse | Self::HttpAfterResponse | Self::Redirect
        )
    }
}

/// One rule: what is done, and when.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// The list it belongs to.
    pub ruleset: Ruleset,
    /// The action, `set-header` for example; arguments in parentheses belong to it.
    pub action: Word,
    /// The words behind the action.
    pub arguments: Vec<Word>,
    /// What is answered, where the action is `deny` or `return`.
    pub reply: Option<HttpReply>,
    /// How long bytes are waited for, where the list is
    /// [`TcpRequestInspectDelay`](Ruleset::TcpRequestInspectDelay) or
    /// [`TcpResponseInspectDelay`](Ruleset::TcpResponseInspectDelay); `None` elsewhere.
    pub delay: Option<Duration>,
    /// When it applies; `None` is always.
    pub condition: Option<ConditionWords>,
}

/// Actions of rules on HTTP requests.
const HTTP_REQUEST: &[&str] = &[
    "add-acl",
    "add-header",
    "allow",
    "auth",
    "cache-use",
    "capture",
    "del-acl",
    "del-header",
    "del-map",
    "deny",
    "disable-l7-retry",
    "do-resolve",
    "early-hint",
    "normalize-uri",
    "redirect",
    "reject",
    "replace-header",
    "replace-path",
    "replace-pathq",
    "replace-uri",
    "replace-value",
    "return",
    "sc-inc-gpc",
    "sc-inc-gpc0",
    "sc-inc-gpc1",
    "sc-set-gpt",
    "sc-set-gpt0",
    "send-spoe-group",
    "set-dst",
    "set-dst-port",
    "set-header",
    "set-log-level",
    "set-map",
    "set-mark",
    "set-method",
    "set-nice",
    "set-path",
    "set-pathq",
    "set-priority-class",
    "set-priority-offset",
    "set-query",
    "set-src",
    "set-src-port",
    "set-timeout",
    "set-tos",
    "set-uri",
    "set-var",
    "set-var-fmt",
    "silent-drop",
    "strict-mode",
    "tarpit",
    "track-sc0",
    "track-sc1",
    "track-sc2",
    "unset-var",
    "use-service",
    "wait-for-body",
    "wait-for-handshake",
];

/// Actions of rules on HTTP responses.
const HTTP_RESPONSE: &[&str] = &[
    "add-acl",
    "add-header",
    "allow",
    "cache-store",
    "capture",
    "del-acl",
    "del-header",
    "del-map",
    "deny",
    "redirect",
    "replace-header",
    "replace-value",
    "return",
    "sc-inc-gpc",
    "sc-inc-gpc0",
    "sc-inc-gpc1",
    "sc-set-gpt",
    "sc-set-gpt0",
    "send-spoe-group",
    "set-header",
    "set-log-level",
    "set-map",
    "set-mark",
    "set-nice",
    "set-status",
    "set-tos",
    "set-var",
    "set-var-fmt",
    "silent-drop",
    "strict-mode",
    "track-sc0",
    "track-sc1",
    "track-sc2",
    "unset-var",
    "wait-for-body",
];

/// Actions of rules on every HTTP response, also those HAProxy makes.
const HTTP_AFTER_RESPONSE: &[&str] = &[
    "add-header",
    "allow",
    "capture",
    "del-header",
    "replace-header",
    "replace-value",
    "set-header",
    "set-status",
    "set-var",
    "set-var-fmt",
    "strict-mode",
    "unset-var",
];

/// Actions of rules on connections and sessions.
const TCP_CONNECTION: &[&str] = &[
    "accept",
    "expect-netscaler-cip",
    "expect-proxy",
    "reject",
    "sc-inc-gpc",
    "sc-inc-gpc0",
    "sc-inc-gpc1",
    "sc-set-gpt",
    "sc-set-gpt0",
    "set-dst",
    "set-dst-port",
    "set-mark",
    "set-src",
    "set-src-port",
    "set-tos",
    "set-var",
    "set-var-fmt",
    "silent-drop",
    "track-sc0",
    "track-sc1",
    "track-sc2",
    "unset-var",
];

/// Actions of rules on the bytes of a request.
const TCP_REQUEST: &[&str] = &[
    "accept",
    "capture",
    "do-resolve",
    "reject",
    "sc-inc-gpc",
    "sc-inc-gpc0",
    "sc-inc-gpc1",
    "sc-set-gpt",
    "sc-set-gpt0",
    "send-spoe-group",
    "set-dst",
    "set-dst-port",
    "set-log-level",
    "set-mark",
    "set-nice",
    "set-priority-class",
    "set-priority-offset",
    "set-src",
    "set-src-port",
    "set-tos",
    "set-var",
    "set-var-fmt",
    "silent-drop",
    "switch-mode",
    "track-sc0",
    "track-sc1",
    "track-sc2",
    "unset-var",
    "use-service",
];

/// Actions of rules on the bytes of a response.
const TCP_RESPONSE: &[&str] = &[
    "accept",
    "close",
    "reject",
    "sc-inc-gpc",
    "sc-inc-gpc0",
    "sc-inc-gpc1",
    "sc-set-gpt",
    "sc-set-gpt0",
    "send-spoe-group",
    "set-log-level",
    "set-mark",
    "set-nice",
    "set-tos",
    "set-var",
    "set-var-fmt",
    "silent-drop",
    "unset-var",
];

impl Ruleset {
    const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::HttpRequest => HTTP_REQUEST,
            Self::HttpResponse => HTTP_RESPONSE,
            Self::HttpAfterResponse => HTTP_AFTER_RESPONSE,
            Self::TcpRequestConnection | Self::TcpRequestSession => TCP_CONNECTION,
            Self::TcpRequestContent => TCP_REQUEST,
            Self::TcpResponseContent => TCP_RESPONSE,
            Self::TcpRequestInspectDelay | Self::TcpResponseInspectDelay => &[],
            Self::StatsHttpRequest => &["allow", "auth", "deny"],
            Self::Redirect => &["location", "prefix", "scheme"],
        }
    }
}

/// Reads an action, its arguments and its condition; what has no effect is told in the
/// findings.
pub(super) fn rule(ruleset: Ruleset, args: &mut Args<'_>) -> Result<(Rule, Vec<Finding>), Finding> {
    let actions = ruleset.actions();
    let action = args.required(&format!("an action: one of {}", actions.join(", ")))?;
    let text = action.text();
    let name = text.split_once('(').map_or(text, |(name, _)| name);
    if !actions.contains(&name) {
        let message = expected_one_of(name, actions);
        return Err(Finding::error(FindingKind::Unknown, action, message));
    }
    let (arguments, condition) = split(args)?;
    let (reply, findings) = reply(ruleset, action, &arguments)?.unzip();
    let rule = Rule {
        ruleset,
        action: action.clone(),
        arguments,
        reply,
        delay: None,
        condition,
    };
    Ok((rule, findings.unwrap_or_default()))
}

/// What `deny` and `return` answer.
fn reply(
    ruleset: Ruleset,
    action: &Word,
    words: &[Word],
) -> Result<Option<(HttpReply, Vec<Finding>)>, Finding> {
    let status = match (action.text(), ruleset) {
        ("deny", Ruleset::HttpResponse) => 502,
        ("deny", _) => 403,
        ("return", _) => 200,
        _ => return Ok(None),
    };
    let read = reply::read(action, words, status)?;
    Ok(Some((read.reply, read.findings)))
}

/// The words up to `if` or `unless`, and the condition behind it.
pub(super) fn split(args: &mut Args<'_>) -> Result<(Vec<Word>, Option<ConditionWords>), Finding> {
    let mut words = Vec::new();
    while let Some(word) = args.peek() {
        if word.is("if") || word.is("unless") {
            return Ok((words, Some(condition(args)?)));
        }
        words.extend(args.next().cloned());
    }
    Ok((words, None))
}

/// `if ...` or `unless ...`, which must be there.
pub(super) fn condition(args: &mut Args<'_>) -> Result<ConditionWords, Finding> {
    let keyword = args.required("if or unless and a condition")?;
    if !(keyword.is("if") || keyword.is("unless")) {
        return Err(argument(keyword, "expected if or unless and a condition"));
    }
    let words = args.rest().to_vec();
    if words.is_empty() {
        return Err(missing(args.end_of_line(), "a condition"));
    }
    Ok(ConditionWords {
        keyword: keyword.clone(),
        words,
        condition: AclCondition::default(),
    })
}

/// A condition, or nothing.
pub(super) fn optional_condition(args: &mut Args<'_>) -> Result<Option<ConditionWords>, Finding> {
    args.peek().map(|_| condition(args)).transpose()
}
