//! One test: a criterion, flags and patterns.

use super::AclError;
use super::error::{AclProblem, at, missing, unexpected};
use super::pattern::{Method, Patterns};
use crate::fetch::{Expression, Fetch, FindTable, Message, Moment, Origin};
use crate::haproxy::expression::{self, Reference};
use crate::sample::SampleType;
use crate::words::Word;

/// A sample, and what it is compared with.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    expression: Expression,
    patterns: Patterns,
}

impl Criterion {
    /// Holds where the fetch gives true.
    pub(super) fn of(fetch: Fetch) -> Self {
        Self {
            expression: fetch.into(),
            patterns: Patterns::Bool,
        }
    }

    pub(super) fn holds(&self, message: Message<'_>) -> bool {
        self.expression
            .any(message, &mut |sample| self.patterns.hold(sample))
    }

    /// `None` as long as bytes that are still arriving may make it hold.
    pub(super) fn holds_so_far(&self, message: Message<'_>) -> Option<bool> {
        self.expression
            .any_so_far(message, &mut |sample| self.patterns.hold(sample))
    }

    pub(super) fn reads_tables(&self) -> bool {
        self.expression.reads_tables()
    }

    pub(super) fn bind(&mut self, find: &FindTable<'_>) {
        self.expression.bind(find);
    }

    pub(super) fn origin(&self) -> Origin {
        self.expression.origin()
    }

    /// Values of the whole exchange are in the request alone.
    pub(super) fn is_in_message_of(&self, moment: Moment) -> bool {
        match self.origin() {
            Origin::Exchange => moment == Moment::Request,
            origin => origin.is_available(moment),
        }
    }
}

/// Reads a criterion and what follows it; `end` is where the line ends. Tables are added to
/// `references`.
pub(super) fn read(
    words: &[Word],
    end: usize,
    references: &mut Vec<Reference>,
) -> Result<Criterion, AclError> {
    let Some((word, rest)) = words.split_first() else {
        return Err(missing(end, "a criterion"));
    };
    let (expression, implied) = criterion(word, references)?;
    let flags = Flags::read(rest, end)?;
    let method = match flags.method.or(implied) {
        Some(method) => method,
        None => default_method(&expression).map_err(|problem| at(word.position, problem))?,
    };
    let (found, expected) = (expression.output(), method.input());
    if !found.casts_to(expected) {
        return Err(at(word.position, AclProblem::Type { found, expected }));
    }
    let patterns = Patterns::read(method, flags.ignores_case, flags.patterns, end)?;
    Ok(Criterion {
        expression,
        patterns,
    })
}

/// The expression, and the matching method its keyword implies. Behind a converter the
/// type of what comes out decides.
fn criterion(
    word: &Word,
    references: &mut Vec<Reference>,
) -> Result<(Expression, Option<Method>), AclError> {
    let name = expression::leading_name(&word.bytes);
    let (alias, implied) = match keyword(name) {
        Some((fetch, method)) => (Some(fetch), method),
        None => (None, None),
    };
    let mut found = Vec::new();
    let expression = expression::read(&word.bytes, alias, &mut found).map_err(|error| {
        let position = word.position + error.position();
        at(position, AclProblem::Expression(error))
    })?;
    references.extend(found.into_iter().map(|found| Reference {
        start: word.position,
        ..found
    }));
    let implied = implied.filter(|_| !expression.has_converters());
    Ok((expression, implied))
}

/// The fetch behind a name that only conditions know.
fn keyword(name: &str) -> Option<(&'static str, Option<Method>)> {
    let (base, suffix) = match name.rsplit_once('_') {
        Some((base, suffix)) if fetch_of(base).is_some() => (base, Some(suffix)),
        _ => (name, None),
    };
    let fetch = fetch_of(base)?;
    let method = match suffix {
        None => return Some((fetch, None)),
        Some("reg") if has_regular(base) => Method::Regular,
        Some("beg") => Method::Prefix,
        Some("end") => Method::Suffix,
        Some("sub") => Method::Substring,
        Some("dir") => Method::Directory,
        Some("dom") => Method::Domain,
        Some("len") => Method::Length,
        Some(_) => return None,
    };
    Some((fetch, Some(method)))
}

/// Those of the first bytes have no name of the kind.
fn has_regular(base: &str) -> bool {
    !base.starts_with("payload") && !base.starts_with("req_rdp_cookie")
}

fn fetch_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "base" => "base",
        "cook" => "req.cook",
        "hdr" => "req.hdr",
        "path" => "path",
        "scook" => "res.cook",
        "shdr" => "res.hdr",
        "url" => "url",
        "urlp" => "urlp",
        "req_rdp_cookie" => "req.rdp_cookie",
        "req_rdp_cookie_cnt" => "req.rdp_cookie_cnt",
        "payload" => "req.payload",
        "payload_lv" => "req.payload_lv",
        _ => return None,
    })
}

fn default_method(expression: &Expression) -> Result<Method, AclProblem> {
    match expression.output() {
        SampleType::Bool => Ok(Method::Bool),
        SampleType::Integer => Ok(Method::Integer),
        SampleType::Address | SampleType::Ipv4 | SampleType::Ipv6 => Ok(Method::Address),
        SampleType::Str => Ok(Method::Exact),
        SampleType::Method => Ok(Method::Verb),
        found => Err(AclProblem::MethodNeeded { found }),
    }
}

struct Flags<'w> {
    method: Option<Method>,
    ignores_case: bool,
    patterns: &'w [Word],
}

impl<'w> Flags<'w> {
    /// Flags come before the first pattern.
    fn read(words: &'w [Word], end: usize) -> Result<Self, AclError> {
        let mut flags = Self {
            method: None,
            ignores_case: false,
            patterns: words,
        };
        while let Some((word, rest)) = flags.patterns.split_first() {
            if word.bytes.first() != Some(&b'-') {
                break;
            }
            flags.patterns = rest;
            match &word.bytes[..] {
                b"--" => break,
                b"-i" => flags.ignores_case = true,
                b"-n" => {}
                b"-m" => flags.method = Some(flags.named_method(end)?),
                b"-f" | b"-M" | b"-u" => return Err(not_supported(word)),
                flag => {
                    let expected = "-i, -m, -n, or -- before a pattern that begins with -";
                    return Err(unexpected(word.position, flag, expected));
                }
            }
        }
        Ok(flags)
    }

    fn named_method(&mut self, end: usize) -> Result<Method, AclError> {
        const EXPECTED: &str =
            "str, beg, end, sub, dir, dom, len, reg, int, ip, bin, bool or found";
        let Some((word, rest)) = self.patterns.split_first() else {
            return Err(missing(end, EXPECTED));
        };
        self.patterns = rest;
        let name = &word.bytes[..];
        Method::named(name).ok_or(unexpected(word.position, name, EXPECTED))
    }
}

fn not_supported(word: &Word) -> AclError {
    let found = String::from_utf8_lossy(&word.bytes).into_owned();
    at(word.position, AclProblem::NotSupported { found })
}
