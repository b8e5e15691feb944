//! What can be wrong or odd in a `cookie` directive.

use std::fmt;

use crate::words::{Fault, WordError};

/// Something wrong or odd in a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectiveFinding {
    reason: DirectiveReason,
    word: String,
    position: usize,
}

impl DirectiveFinding {
    /// What is wrong.
    pub fn reason(&self) -> DirectiveReason {
        self.reason
    }

    /// The word it is wrong with, unquoted; bytes that are not printable ASCII are
    /// shown as escapes.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// Where that word begins, in bytes from the start of the text.
    pub fn position(&self) -> usize {
        self.position
    }

    pub(super) fn new(reason: DirectiveReason, word: &[u8], position: usize) -> Self {
        Self {
            reason,
            word: word.escape_ascii().to_string(),
            position,
        }
    }

    pub(super) fn of_fault(text: &[u8], error: WordError) -> Self {
        let reason = match error.fault {
            Fault::UnterminatedQuote => DirectiveReason::UnterminatedQuote,
            Fault::BadHexadecimal => DirectiveReason::BadHexadecimal,
            Fault::Nul => DirectiveReason::Nul,
            Fault::Variable | Fault::TooLong => DirectiveReason::Variable,
        };
        let rest = &text[error.position..];
        Self::new(reason, &rest[..rest.len().min(20)], error.position)
    }
}

impl fmt::Display for DirectiveFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            word,
            position,
        } = self;
        write!(f, "\"{word}\" at byte {position}: {}", reason.text())
    }
}

/// What can be wrong or odd in a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DirectiveReason {
    /// There is no name, or an empty one.
    MissingName,
    /// More than one of `rewrite`, `insert` and `prefix`.
    SeveralModes,
    /// Both `rewrite` and `indirect`.
    RewriteWithIndirect,
    /// `preserve`, but neither `insert` nor `indirect`.
    PreserveWithoutInsertOrIndirect,
    /// No option is called that; case counts.
    UnknownOption,
    /// An option lacks its argument, or it is empty.
    MissingArgument,
    /// A domain with a character other than letters, digits, `.`, `-` and `_`.
    BadDomainChar,
    /// A domain without a dot; a warning.
    DomainWithoutDot,
    /// An attribute with a control character or `;`.
    BadAttrChar,
    /// No length of time; or, as a warning, one with something behind its unit.
    BadTime,
    /// A length of time of 2³¹ seconds or more.
    TimeOverflow,
    /// A quote that nothing closes.
    UnterminatedQuote,
    /// `\x` without two hexadecimal digits.
    BadHexadecimal,
    /// A zero byte.
    Nul,
    /// A `$` between double quotes: environment variables are not read.
    Variable,
}

impl DirectiveReason {
    /// A short fixed name, `several_modes` for example.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MissingName => "missing_name",
            Self::SeveralModes => "several_modes",
            Self::RewriteWithIndirect => "rewrite_with_indirect",
            Self::PreserveWithoutInsertOrIndirect => "preserve_without_insert_or_indirect",
            Self::UnknownOption => "unknown_option",
            Self::MissingArgument => "missing_argument",
            Self::BadDomainChar => "bad_domain_char",
            Self::DomainWithoutDot => "domain_without_dot",
            Self::BadAttrChar => "bad_attr_char",
            Self::BadTime => "bad_time",
            Self::TimeOverflow => "time_overflow",
            Self::UnterminatedQuote => "unterminated_quote",
            Self::BadHexadecimal => "bad_hexadecimal",
            Self::Nul => "nul",
            Self::Variable => "variable",
        }
    }

    /// What is wrong and what is allowed.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::MissingName => "the name of the cookie is missing",
            Self::SeveralModes => "only one of rewrite, insert and prefix is allowed",
            Self::RewriteWithIndirect => "indirect is not allowed with rewrite",
            Self::PreserveWithoutInsertOrIndirect => {
                "preserve is allowed with insert or indirect only"
            }
            Self::UnknownOption => {
                "unknown option; allowed are rewrite, insert, prefix, indirect, preserve, nocache, postonly, httponly, secure, domain, attr, maxidle, maxlife and dynamic"
            }
            Self::MissingArgument => "the argument is missing",
            Self::BadDomainChar => "a domain is made of letters, digits and any of .-_",
            Self::DomainWithoutDot => "a domain without a dot may be ignored by clients",
            Self::BadAttrChar => "an attribute has no control characters and no ;",
            Self::BadTime => "expected digits and one of us, ms, s, m, h, d or nothing",
            Self::TimeOverflow => "at most 2147483647 seconds are allowed",
            Self::UnterminatedQuote => "the quote is not closed",
            Self::BadHexadecimal => "two hexadecimal digits are expected behind \\x",
            Self::Nul => "a zero byte is not allowed",
            Self::Variable => {
                "environment variables are not read; write \\$ or use single quotes for a dollar sign"
            }
        }
    }
}
