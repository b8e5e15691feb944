//! The text of HAProxy's `cookie` directive.

use std::fmt;
use std::time::Duration;

use super::finding::{DirectiveFinding, DirectiveReason};
use super::policy::{CookieMode, CookiePolicy, Flag};
use super::problem::{is_attr, is_domain};
use crate::timespan::{self, TimespanError, Unit};
use crate::words::{self, Word};

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

    /// As [`from_directive`](Self::from_directive), from words already split; `end` is
    /// where the line ends.
    #[cfg(feature = "haproxy")]
    pub(crate) fn from_words(
        words: &[Word],
        end: usize,
    ) -> Result<CookieDirective, CookieDirectiveError> {
        from_words(words, end)
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
