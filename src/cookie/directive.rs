//! The text of HAProxy's `cookie` directive.

use std::fmt;
use std::time::Duration;

use super::policy::{CookieMode, CookiePolicy, Flag};
use super::problem::{is_attr, is_domain};
use crate::timespan::{self, TimespanError, Unit};
use crate::words::{self, Fault, Word, WordError};

impl CookiePolicy {
    /// Reads HAProxy's text behind the keyword `cookie`, quoting included.
    ///
    /// What HAProxy accepts, warns about and refuses is accepted, warned about and
    /// refused. A name that no cookie can have is accepted here like there, and told by
    /// [`problems`](Self::problems).
    ///
    /// # Errors
    /// Everything that HAProxy refuses in this line, all of it at once; environment
    /// variables between double quotes, which are not read; and numbers above 2⁶⁴,
    /// which HAProxy takes for small ones.
    ///
    /// ```
    /// use stickroute::CookiePolicy;
    ///
    /// let directive = CookiePolicy::from_directive("SRV insert indirect maxidle 30m")?;
    /// assert!(directive.policy.is_indirect());
    ///
    /// let error = CookiePolicy::from_directive("SRV insert prefix maxidle x").unwrap_err();
    /// let codes: Vec<_> = error.findings().iter().map(|f| f.reason().code()).collect();
    /// assert_eq!(codes, ["bad_time", "several_modes"]);
    /// # Ok::<(), stickroute::cookie::CookieDirectiveError>(())
    /// ```
    pub fn from_directive(text: impl AsRef<[u8]>) -> Result<CookieDirective, CookieDirectiveError> {
        let text = text.as_ref();
        match words::split(text) {
            Ok(words) => from_words(&words, text.len()),
            Err(error) => Err(CookieDirectiveError {
                findings: vec![DirectiveFinding::of_fault(text, error)],
            }),
        }
    }
}

/// What a directive says, and what is odd about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CookieDirective {
    /// The policy.
    pub policy: CookiePolicy,
    /// What HAProxy accepts with a warning.
    pub warnings: Vec<DirectiveFinding>,
}

/// A directive that HAProxy refuses, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieDirectiveError {
    findings: Vec<DirectiveFinding>,
}

impl CookieDirectiveError {
    /// Everything that is wrong, at least one thing.
    pub fn findings(&self) -> &[DirectiveFinding] {
        &self.findings
    }
}

impl fmt::Display for CookieDirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cookie directive refused")?;
        let mut separator = ": ";
        for finding in &self.findings {
            write!(f, "{separator}{finding}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for CookieDirectiveError {}

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

    fn new(reason: DirectiveReason, word: &[u8], position: usize) -> Self {
        Self {
            reason,
            word: word.escape_ascii().to_string(),
            position,
        }
    }

    fn of_fault(text: &[u8], error: WordError) -> Self {
        let reason = match error.fault {
            Fault::UnterminatedQuote => DirectiveReason::UnterminatedQuote,
            Fault::BadHexadecimal => DirectiveReason::BadHexadecimal,
            Fault::Nul => DirectiveReason::Nul,
            Fault::Variable => DirectiveReason::Variable,
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
    const fn text(self) -> &'static str {
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

/// Reads the words behind the keyword; `end` is where the line ends.
fn from_words(words: &[Word], end: usize) -> Result<CookieDirective, CookieDirectiveError> {
    let name = words.first().map_or(&b""[..], |word| &word.bytes);
    let mut reader = Reader {
        policy: CookiePolicy::new(name, CookieMode::Passive),
        options: Vec::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    if name.is_empty() {
        let position = words.first().map_or(end, |word| word.position);
        let missing = DirectiveFinding::new(DirectiveReason::MissingName, b"", position);
        reader.errors.push(missing);
    }
    reader.read_options(words.get(1..).unwrap_or_default());
    reader.check_combinations();
    reader.finish()
}

struct Reader<'w> {
    policy: CookiePolicy,
    /// The options found so far, without their arguments.
    options: Vec<&'w Word>,
    errors: Vec<DirectiveFinding>,
    warnings: Vec<DirectiveFinding>,
}

impl<'w> Reader<'w> {
    fn read_options(&mut self, words: &'w [Word]) {
        let mut words = words.iter();
        while let Some(option) = words.next() {
            match &option.bytes[..] {
                // HAProxy ends the line at an empty word.
                b"" => return,
                b"domain" | b"attr" | b"maxidle" | b"maxlife" => match words.next() {
                    Some(argument) if !argument.bytes.is_empty() => self.argument(option, argument),
                    _ => self.error(DirectiveReason::MissingArgument, option),
                },
                _ => self.option(option),
            }
        }
    }

    fn option(&mut self, option: &'w Word) {
        let flag = match &option.bytes[..] {
            b"rewrite" | b"insert" | b"prefix" => None,
            b"indirect" => Some(Flag::Indirect),
            b"preserve" => Some(Flag::Preserve),
            b"nocache" => Some(Flag::Nocache),
            b"postonly" => Some(Flag::Postonly),
            b"httponly" => Some(Flag::Httponly),
            b"secure" => Some(Flag::Secure),
            b"dynamic" => Some(Flag::Dynamic),
            _ => return self.error(DirectiveReason::UnknownOption, option),
        };
        self.options.push(option);
        if let Some(flag) = flag {
            self.policy.set(flag);
        }
    }

    fn argument(&mut self, option: &Word, argument: &Word) {
        let bytes = &argument.bytes;
        match &option.bytes[..] {
            b"domain" if !is_domain(bytes) => self.error(DirectiveReason::BadDomainChar, argument),
            b"domain" => {
                if !bytes.contains(&b'.') {
                    self.warn(DirectiveReason::DomainWithoutDot, argument);
                }
                self.policy.add_domain(bytes.clone());
            }
            b"attr" if !is_attr(bytes) => self.error(DirectiveReason::BadAttrChar, argument),
            b"attr" => self.policy.add_attr(bytes.clone()),
            b"maxidle" => {
                let limit = self.time(argument);
                self.policy.set_maxidle(limit);
            }
            _ => {
                let limit = self.time(argument);
                self.policy.set_maxlife(limit);
            }
        }
    }

    fn time(&mut self, argument: &Word) -> Duration {
        match timespan::parse(&argument.bytes, Unit::Second) {
            Ok(time) if time.duration <= CookiePolicy::MAX_AGE => {
                if time.has_junk {
                    self.warn(DirectiveReason::BadTime, argument);
                }
                return time.duration;
            }
            Ok(_) | Err(TimespanError::Overflow) => {
                self.error(DirectiveReason::TimeOverflow, argument);
            }
            Err(TimespanError::Malformed) => self.error(DirectiveReason::BadTime, argument),
        }
        Duration::ZERO
    }

    fn check_combinations(&mut self) {
        let find = |name: &[u8]| self.options.iter().copied().find(|word| word.bytes == name);
        let [rewrite, insert, prefix] = [&b"rewrite"[..], b"insert", b"prefix"].map(find);
        let [indirect, preserve] = [&b"indirect"[..], b"preserve"].map(find);
        let mut modes: Vec<_> = [rewrite, insert, prefix].into_iter().flatten().collect();
        modes.sort_by_key(|mode| mode.position);

        if let (Some(_), Some(indirect)) = (rewrite, indirect) {
            self.error(DirectiveReason::RewriteWithIndirect, indirect);
        }
        if let Some(second) = modes.get(1) {
            self.error(DirectiveReason::SeveralModes, second);
        }
        if let (Some(preserve), None, None) = (preserve, insert, indirect) {
            self.error(DirectiveReason::PreserveWithoutInsertOrIndirect, preserve);
        }
        self.policy.set_mode(match (rewrite, insert, prefix) {
            (Some(_), ..) => CookieMode::Rewrite,
            (_, Some(_), _) => CookieMode::Insert,
            (.., Some(_)) => CookieMode::Prefix,
            _ => CookieMode::Passive,
        });
    }

    fn error(&mut self, reason: DirectiveReason, word: &Word) {
        let finding = DirectiveFinding::new(reason, &word.bytes, word.position);
        self.errors.push(finding);
    }

    fn warn(&mut self, reason: DirectiveReason, word: &Word) {
        let finding = DirectiveFinding::new(reason, &word.bytes, word.position);
        self.warnings.push(finding);
    }

    fn finish(self) -> Result<CookieDirective, CookieDirectiveError> {
        if self.errors.is_empty() {
            Ok(CookieDirective {
                policy: self.policy,
                warnings: self.warnings,
            })
        } else {
            Err(CookieDirectiveError {
                findings: self.errors,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        let findings = CookiePolicy::from_directive(text).map_or_else(
            |error| error.findings().to_vec(),
            |directive| directive.warnings,
        );
        findings.iter().map(|f| f.reason().code()).collect()
    }

    #[test]
    fn text_and_builder_say_the_same() {
        let text = "SRV maxlife 1h insert attr 'a b' indirect domain .a.b secure maxidle 1500ms \
                    httponly nocache postonly preserve dynamic domain .c.d";
        let directive = CookiePolicy::from_directive(text).unwrap();
        let built = CookiePolicy::insert("SRV")
            .indirect()
            .preserve()
            .nocache()
            .postonly()
            .httponly()
            .secure()
            .dynamic()
            .domain(".a.b")
            .domain(".c.d")
            .attr("a b")
            .maxidle(Duration::from_secs(2))
            .maxlife(Duration::from_secs(3_600));
        assert_eq!(directive.policy, built.into());
        assert!(directive.warnings.is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let text = "SRV foo rewrite domain a/b insert indirect maxidle 10x attr";
        assert_eq!(
            codes(text),
            [
                "unknown_option",
                "bad_domain_char",
                "bad_time",
                "missing_argument",
                "rewrite_with_indirect",
                "several_modes"
            ]
        );
    }

    #[test]
    fn the_last_time_counts_and_a_bad_earlier_one_is_still_refused() {
        let text = "SRV maxidle 1 maxidle 2";
        let policy = CookiePolicy::from_directive(text).unwrap().policy;
        assert_eq!(policy.maxidle(), Some(Duration::from_secs(2)));
        assert_eq!(codes("SRV maxidle x maxidle 2"), ["bad_time"]);
    }

    #[test]
    fn findings_name_the_word_and_its_place() {
        let error = CookiePolicy::from_directive("SRV insert  Secure").unwrap_err();
        let finding = &error.findings()[0];
        assert_eq!((finding.word(), finding.position()), ("Secure", 12));
        assert!(error.to_string().contains("allowed are rewrite"), "{error}");
    }

    #[test]
    fn a_word_that_is_an_argument_is_no_option() {
        let policy = CookiePolicy::from_directive("SRV attr insert")
            .unwrap()
            .policy;
        assert_eq!(policy.mode(), CookieMode::Passive);
    }

    #[test]
    fn faults_of_quoting_are_told() {
        assert_eq!(codes("SRV \"insert"), ["unterminated_quote"]);
        assert_eq!(codes("SRV attr \"$X\""), ["variable"]);
        assert_eq!(codes("# SRV"), ["missing_name"]);
    }
}
