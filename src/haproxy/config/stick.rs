//! `stick-table` and `stick` lines.

use super::args::{Args, argument, missing};
use super::finding::{Finding, FindingKind};
use super::keywords::Scope;
use super::location::Word;
use super::proxy::StickLine;
use super::{compile, rules, table};
use crate::fetch::{Expression, Moment};
use crate::stick::StickAction;

const KINDS: [(&str, StickAction); 5] = [
    ("match", StickAction::Match),
    ("on", StickAction::On),
    ("store", StickAction::StoreRequest),
    ("store-request", StickAction::StoreRequest),
    ("store-response", StickAction::StoreResponse),
];

/// `stick-table ...`, one in a section.
pub(super) fn table(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    let keyword = args.current();
    if let Some(first) = &scope.proxy.stick_table {
        let message = format!(
            "the section has one already, at {}; expected one",
            first.location
        );
        return Err(Finding::error(FindingKind::Conflict, keyword, message));
    }
    let table = table::read(args, scope.findings)?;
    scope.proxy.stick_table = Some(keyword.located(table));
    Ok(())
}

/// `stick KIND EXPRESSION [table NAME] [if|unless ...]`.
pub(super) fn rule(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    let location = args.current().location.clone();
    let (index, _) = args.one_of(&KINDS.map(|(name, _)| name))?;
    let kind = KINDS[index].1;
    let (mut words, condition) = rules::split(args)?;
    let end = args.end_of_line();
    let table = match words.iter().position(|word| word.is("table")) {
        None => None,
        Some(at) => Some(table_of(words.split_off(at), end)?),
    };
    let first = words.first();
    let first = first.ok_or_else(|| missing(end, "a sample expression, src for example"))?;
    let (expression, reads) = compile::expression(&words)?;
    at_hand(&expression, kind, first)?;
    scope.proxy.backend.stick_rules.push(StickLine {
        location,
        kind,
        words,
        expression,
        reads,
        table,
        condition,
    });
    Ok(())
}

/// `table NAME`.
fn table_of(words: Vec<Word>, end: &Word) -> Result<Word, Finding> {
    let mut words = words.into_iter().skip(1);
    let name = words
        .next()
        .ok_or_else(|| missing(end, "the name of a table"))?;
    match words.next() {
        None => Ok(name),
        Some(extra) => Err(argument(&extra, "expected if, unless or nothing")),
    }
}

/// That the key is there when the rule acts.
fn at_hand(key: &Expression, kind: StickAction, word: &Word) -> Result<(), Finding> {
    let (moment, origin) = (kind.moment(), key.origin());
    if origin.is_available(moment) {
        return Ok(());
    }
    let message = match moment {
        Moment::Request => {
            "is in the response, which is not there yet; expected a fetch of the request, or store-response"
        }
        Moment::Response => {
            "is in the request, which is gone when store-response acts; expected a fetch of the response"
        }
    };
    Err(Finding::error(FindingKind::Misplaced, word, message))
}
