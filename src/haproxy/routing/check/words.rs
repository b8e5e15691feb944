//! The words of the lines about checks.

use crate::haproxy::Pattern;
use crate::haproxy::config::{Finding, FindingKind, Word};

pub(super) type Read<T> = Result<T, Finding>;

pub(super) fn not_supported(word: &Word, message: &str) -> Finding {
    Finding::error(FindingKind::NotSupported, word, message)
}

pub(super) fn wrong(word: &Word, message: &impl ToString) -> Finding {
    Finding::error(FindingKind::Argument, word, message.to_string())
}

/// The word behind a name.
pub(super) fn value<'w>(name: &Word, word: Option<&'w Word>) -> Read<&'w Word> {
    let word = word.filter(|word| !word.bytes().is_empty());
    word.ok_or_else(|| {
        let message = "expected a value behind it";
        Finding::error(FindingKind::Missing, name, message)
    })
}

/// A text that may have samples in it, and has none.
pub(super) fn plain(word: &Word) -> Read<Vec<u8>> {
    let mut text = Vec::new();
    let mut bytes = word.bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' && bytes.next() != Some(b'%') {
            let message = "samples are not supported here; expected plain text, with %% for %";
            return Err(not_supported(word, message));
        }
        text.push(byte);
    }
    Ok(text)
}

/// The same, to be told of.
pub(super) fn told(word: &Word) -> Read<String> {
    let text = plain(word)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn pattern(word: &Word) -> Read<Pattern> {
    Pattern::new(word.bytes()).map_err(|error| wrong(word, &error))
}

/// Bytes in hexadecimal digits.
pub(super) fn binary(word: &Word) -> Read<Vec<u8>> {
    let bytes = crate::haproxy::expression::binary(word.bytes());
    bytes.ok_or_else(|| wrong(word, &"expected pairs of hexadecimal digits"))
}

pub(super) fn nothing_more(word: Option<&Word>) -> Read<()> {
    word.map_or(Ok(()), |word| {
        Err(wrong(word, &"expected nothing more on this line"))
    })
}

/// What no line about checks can do here.
pub(super) fn refused(keyword: &Word, expected: &str) -> Finding {
    let is_about_variables = ["set-var", "unset-var"]
        .iter()
        .any(|name| keyword.text().starts_with(name));
    if is_about_variables {
        return not_supported(keyword, "not supported: variables are not there");
    }
    not_supported(keyword, &format!("not supported; expected {expected}"))
}
