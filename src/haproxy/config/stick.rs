//! `stick-table` and `stick` lines, their expressions and arguments kept as words.

use super::args::{Args, argument, missing};
use super::finding::{Finding, FindingKind};
use super::keywords::Scope;
use super::location::Word;
use super::proxy::{StickKind, StickLine};
use super::rules;

const KINDS: [(&str, StickKind); 5] = [
    ("match", StickKind::Match),
    ("on", StickKind::On),
    ("store", StickKind::StoreRequest),
    ("store-request", StickKind::StoreRequest),
    ("store-response", StickKind::StoreResponse),
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
    let words = args.rest().to_vec();
    for name in ["size", "type"] {
        if !words.iter().any(|word| word.is(name)) {
            let expected = format!("type TYPE and size N; {name} is missing");
            return Err(missing(args.end_of_line(), &expected));
        }
    }
    scope.proxy.stick_table = Some(keyword.located(words));
    Ok(())
}

/// `stick KIND EXPRESSION [table NAME] [if|unless ...]`.
pub(super) fn rule(scope: &mut Scope<'_>, args: &mut Args<'_>) -> Result<(), Finding> {
    let location = args.current().location.clone();
    let (index, _) = args.one_of(&KINDS.map(|(name, _)| name))?;
    let (mut expression, condition) = rules::split(args)?;
    let end = args.end_of_line();
    let table = match expression.iter().position(|word| word.is("table")) {
        None => None,
        Some(at) => Some(table_of(expression.split_off(at), end)?),
    };
    check_expression(&expression, end)?;
    scope.proxy.backend.stick_rules.push(StickLine {
        location,
        kind: KINDS[index].1,
        expression,
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

/// Words behind the first are converters, which begin with a comma or follow one.
fn check_expression(words: &[Word], end: &Word) -> Result<(), Finding> {
    let expected = "a sample expression, src for example";
    let first = words.first().ok_or_else(|| missing(end, expected))?;
    match words.get(1) {
        Some(word) if !word.bytes.starts_with(b",") && !first.bytes.ends_with(b",") => {
            Err(argument(word, "expected table NAME, if, unless or nothing"))
        }
        _ => Ok(()),
    }
}
