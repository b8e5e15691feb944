//! From words to what they mean: conditions, with the ACLs of their section, and sample
//! expressions.

use super::finding::{Finding, FindingKind};
use super::location::{Location, Word};
use super::proxy::{Proxy, Reads};
use super::rules::{ConditionWords, Ruleset};
use super::stats::StatsPage;
use super::targets::TableUse;
use crate::fetch::{Expression, Moment, Origin};
use crate::haproxy::expression::{Reference, read};
use crate::haproxy::{AclError, AclProblem, Acls, ExpressionError, ExpressionProblem};
use crate::pattern::{PatternError, PatternProblem};
use crate::words;

/// Gives every condition its meaning. ACLs count from the line of the first one of their
/// name on, and later ones of that name count for the conditions before them, too. Gives
/// back which tables are read.
pub(super) fn all(proxies: &mut [Proxy], findings: &mut Vec<Finding>) -> Vec<TableUse> {
    let mut all = Vec::new();
    for proxy in proxies {
        let mut tables = Vec::new();
        let acls = acls(proxy, &mut tables, findings);
        for (condition, moment) in conditions(proxy) {
            compile(condition, &acls, moment, &mut tables, findings);
        }
        if !proxy.disabled {
            all.extend(table_uses(proxy, tables));
        }
    }
    all
}

/// The tables that the conditions and the stick rules of a section read.
fn table_uses(proxy: &Proxy, conditions: Reads) -> impl Iterator<Item = TableUse> {
    let own = proxy.name.value.as_str();
    let rules = proxy.backend.stick_rules.iter();
    let keys = rules.flat_map(|rule| rule.reads.iter().cloned());
    let all = conditions.into_iter().chain(keys);
    all.map(|(place, reference)| TableUse::new(own, place, reference))
}

fn acls(proxy: &Proxy, tables: &mut Reads, findings: &mut Vec<Finding>) -> Acls {
    let mut acls = Acls::new();
    for acl in &proxy.acls {
        let mut words = vec![acl.name.clone()];
        words.extend_from_slice(&acl.expression);
        let line = Line::of(&words, 1);
        let place = place(&acl.name.location);
        let mut references = Vec::new();
        match acls.declare_words(&line.plain(), line.end(), place, &mut references) {
            Ok(()) => tables.extend(line.reads(references)),
            Err(error) => {
                findings.push(line.acl_error(&error));
                // It is there; conditions that name it are not to blame.
                acls.declare_broken(&acl.name.bytes, place);
            }
        }
    }
    acls
}

/// Lines in the order in which they are read.
fn place(location: &Location) -> u64 {
    u64::from(location.order) << 32 | u64::from(location.line)
}

/// All conditions of a section, and when they are asked.
fn conditions(proxy: &mut Proxy) -> impl Iterator<Item = (&mut ConditionWords, Moment)> {
    let rules = proxy.rules.iter_mut().filter_map(|rule| {
        let moment = rule.ruleset.moment();
        Some((rule.condition.as_mut()?, moment))
    });
    let page = proxy.stats.as_mut();
    let page = page.into_iter().flat_map(StatsPage::conditions);
    let backend = &mut proxy.backend;
    let sticks = backend.stick_rules.iter_mut().filter_map(|rule| {
        let moment = rule.kind.moment();
        Some((rule.condition.as_mut()?, moment))
    });
    let targets = backend.use_server.iter_mut();
    let targets = targets.chain(&mut proxy.frontend.use_backend);
    let targets = targets.filter_map(|rule| rule.condition.as_mut());
    let persist = backend.persist_rules.iter_mut();
    let others = targets.chain(persist.map(|rule| &mut rule.condition));
    let others = others.chain(page);
    let others = others.map(|condition| (condition, Moment::Request));
    rules.chain(sticks).chain(others)
}

fn compile(
    condition: &mut ConditionWords,
    acls: &Acls,
    moment: Moment,
    tables: &mut Reads,
    findings: &mut Vec<Finding>,
) {
    let mut words = vec![condition.keyword.clone()];
    words.extend_from_slice(&condition.words);
    let line = Line::of(&words, 1);
    let place = place(&condition.keyword.location);
    let mut references = Vec::new();
    match acls.condition_words(&line.plain(), line.end(), place, &mut references) {
        Ok(compiled) => {
            tables.extend(line.reads(references));
            condition.condition = compiled;
        }
        Err(error) => return findings.push(line.acl_error(&error)),
    }
    let other = match moment {
        Moment::Request => Origin::Response,
        Moment::Response => Origin::Request,
    };
    if condition.condition.looks_at(other) {
        let message = match moment {
            Moment::Request => "asks about the response, which is not there yet",
            Moment::Response => "asks about the request, which is gone when the response arrives",
        };
        let message = format!("{message}, so that part never matches");
        let keyword = &condition.keyword;
        findings.push(Finding::warning(FindingKind::Doubtful, keyword, message));
    }
}

impl Ruleset {
    /// When rules of this list are evaluated.
    const fn moment(self) -> Moment {
        match self {
            Self::HttpResponse
            | Self::HttpAfterResponse
            | Self::TcpResponseContent
            | Self::TcpResponseInspectDelay => Moment::Response,
            _ => Moment::Request,
        }
    }
}

/// Reads a sample expression. Converters may be words of their own, as in HAProxy:
/// `hdr(x) lower` and `hdr(x), lower`. Gives back which tables are read, too.
pub(super) fn expression(words: &[Word]) -> Result<(Expression, Reads), Finding> {
    let mut text = Vec::new();
    let mut line = Line::default();
    for word in words {
        if !text.is_empty() && !text.ends_with(b",") {
            text.push(b',');
        }
        line.words.push((text.len(), word));
        text.extend_from_slice(&word.bytes);
    }
    let mut references = Vec::new();
    let expression = read(&text, None, &mut references);
    let expression = expression.map_err(|error| line.expression_error(&error))?;
    Ok((expression, line.reads(references)))
}

/// Words, and where each begins in a text made of them, so that a place in the text is
/// a place in a file.
#[derive(Default)]
struct Line<'w> {
    words: Vec<(usize, &'w Word)>,
}

impl<'w> Line<'w> {
    /// The words with so many bytes between them.
    fn of(words: &'w [Word], between: usize) -> Self {
        let mut at = 0;
        let place = |word: &'w Word| {
            let start = at;
            at += word.bytes.len() + between;
            (start, word)
        };
        Self {
            words: words.iter().map(place).collect(),
        }
    }

    fn plain(&self) -> Vec<words::Word> {
        let plain = |&(position, word): &(usize, &Word)| words::Word {
            bytes: word.bytes.clone(),
            position,
        };
        self.words.iter().map(plain).collect()
    }

    fn end(&self) -> usize {
        let last = self.words.last();
        last.map_or(0, |(start, word)| start + word.bytes.len())
    }

    /// The word at a place of the text, and where exactly in the file.
    fn at(&self, position: usize) -> Word {
        let behind = self.words.partition_point(|(start, _)| *start <= position);
        let (start, word) = self.words[behind.saturating_sub(1)];
        let offset = position - start;
        let column = word.location.column as usize - 1 + offset;
        let bytes = if offset < word.bytes.len() {
            word.bytes.clone()
        } else {
            b"end of line".to_vec()
        };
        Word {
            bytes,
            location: word.location.at(column),
        }
    }

    fn reads(&self, references: Vec<Reference>) -> Reads {
        let place =
            |reference: Reference| (self.at(reference.start + reference.position), reference);
        references.into_iter().map(place).collect()
    }

    fn acl_error(&self, error: &AclError) -> Finding {
        let (kind, message) = match error.problem() {
            AclProblem::Expression(error) => (expression_kind(error), error.problem().to_string()),
            problem => (acl_kind(problem), problem.to_string()),
        };
        Finding::error(kind, &self.at(error.position()), message)
    }

    fn expression_error(&self, error: &ExpressionError) -> Finding {
        let word = self.at(error.position());
        Finding::error(expression_kind(error), &word, error.problem().to_string())
    }
}

fn acl_kind(problem: &AclProblem) -> FindingKind {
    match problem {
        AclProblem::Missing { .. } => FindingKind::Missing,
        AclProblem::UnknownAcl { .. } => FindingKind::Target,
        AclProblem::NotSupported { .. } => FindingKind::NotSupported,
        AclProblem::Pattern(error) => pattern_kind(error),
        _ => FindingKind::Argument,
    }
}

/// A pattern may be right, and beyond what can be done here.
fn pattern_kind(error: &PatternError) -> FindingKind {
    match error.problem() {
        PatternProblem::NotSupported { .. } => FindingKind::NotSupported,
        _ => FindingKind::Argument,
    }
}

fn expression_kind(error: &ExpressionError) -> FindingKind {
    match error.problem() {
        ExpressionProblem::UnknownFetch { .. } | ExpressionProblem::UnknownConverter { .. } => {
            FindingKind::Unknown
        }
        ExpressionProblem::NotSupportedFetch { .. }
        | ExpressionProblem::NotSupportedConverter { .. } => FindingKind::NotSupported,
        ExpressionProblem::Pattern { error, .. } => pattern_kind(error),
        _ => FindingKind::Argument,
    }
}
