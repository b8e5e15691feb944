//! Matching methods, and the patterns they compare samples with.

use super::AclError;
use super::error::{AclProblem, at, missing};
use super::network::Network;
use super::range::{self, Range};
use super::text::{self, Relation, Texts};
use crate::haproxy::expression::binary;
use crate::pattern::Pattern;
use crate::sample::{Sample, SampleType};
use crate::words::Word;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Found,
    Bool,
    Integer,
    Length,
    Address,
    Binary,
    Exact,
    Prefix,
    Suffix,
    Substring,
    Directory,
    Domain,
    Verb,
    Regular,
}

impl Method {
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"found" => Self::Found,
            b"bool" => Self::Bool,
            b"int" => Self::Integer,
            b"len" => Self::Length,
            b"ip" => Self::Address,
            b"bin" => Self::Binary,
            b"str" => Self::Exact,
            b"beg" => Self::Prefix,
            b"end" => Self::Suffix,
            b"sub" => Self::Substring,
            b"dir" => Self::Directory,
            b"dom" => Self::Domain,
            b"reg" => Self::Regular,
            _ => return None,
        })
    }

    /// What a sample is cast to.
    pub(super) fn input(self) -> SampleType {
        match self {
            Self::Found => SampleType::Any,
            Self::Bool => SampleType::Bool,
            Self::Integer => SampleType::Integer,
            Self::Address => SampleType::Address,
            Self::Binary => SampleType::Binary,
            _ => SampleType::Str,
        }
    }

    fn relation(self) -> Relation {
        match self {
            Self::Prefix => Relation::Prefix,
            Self::Suffix => Relation::Suffix,
            Self::Substring => Relation::Substring,
            Self::Directory => Relation::Directory,
            Self::Domain => Relation::Domain,
            _ => Relation::Exact,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Patterns {
    Found,
    Bool,
    Integers(Vec<Range>),
    Lengths(Vec<Range>),
    Networks(Vec<Network>),
    Binaries(Vec<Vec<u8>>),
    Texts(Texts),
    Regular(Vec<Pattern>),
}

impl Patterns {
    pub(super) fn read(
        method: Method,
        ignores_case: bool,
        words: &[Word],
        end: usize,
    ) -> Result<Self, AclError> {
        // Both take no pattern, and HAProxy ignores what stands there.
        match (method, words.first()) {
            (Method::Found, None) => return Ok(Self::Found),
            (Method::Bool, None) => return Ok(Self::Bool),
            (Method::Found | Method::Bool, Some(word)) => {
                return Err(unexpected(word, "nothing: this matches without patterns"));
            }
            (_, None) => return Err(missing(end, "a pattern")),
            (_, Some(_)) => {}
        }
        Ok(match method {
            Method::Integer => Self::Integers(range::read(words, end)?),
            Method::Length => Self::Lengths(range::read(words, end)?),
            Method::Address => Self::Networks(each(words, Network::read, NETWORK)?),
            Method::Regular => Self::Regular(regular(words, ignores_case)?),
            Method::Binary => Self::Binaries(each(words, binary, "pairs of hexadecimal digits")?),
            _ => {
                let relation = method.relation();
                let texts = each(
                    words,
                    |text| text::inner(relation, text),
                    NOT_ONLY_DELIMITERS,
                )?;
                let ignores_case = ignores_case && method != Method::Verb;
                Self::Texts(Texts::new(relation, ignores_case, texts))
            }
        })
    }

    pub(super) fn hold(&self, sample: Sample<'_>) -> bool {
        match self {
            Self::Found => true,
            Self::Bool => sample.cast(SampleType::Bool) == Some(Sample::Bool(true)),
            Self::Integers(ranges) => match sample.cast(SampleType::Integer) {
                Some(Sample::Integer(number)) => range::contain(ranges, number),
                _ => false,
            },
            Self::Lengths(ranges) => range::contain(ranges, length(&sample)),
            Self::Networks(networks) => networks.iter().any(|network| network.holds(&sample)),
            Self::Binaries(list) => {
                sample.with_bytes(|bytes| list.iter().any(|pattern| pattern == bytes))
            }
            Self::Texts(texts) => sample.with_text(|text| texts.hold(text)),
            Self::Regular(patterns) => {
                sample.with_text(|text| patterns.iter().any(|pattern| pattern.is_match(text)))
            }
        }
    }
}

const NETWORK: &str = "an address, alone or with / and a mask, in decimal without leading zeros";
const NOT_ONLY_DELIMITERS: &str = "something between the delimiters";

fn length(sample: &Sample<'_>) -> i64 {
    match sample {
        Sample::Binary(bytes) => bytes.len() as i64,
        _ => sample.with_text(<[u8]>::len) as i64,
    }
}

fn each<'w, T>(
    words: &'w [Word],
    read: impl Fn(&'w [u8]) -> Option<T>,
    expected: &'static str,
) -> Result<Vec<T>, AclError> {
    let read = |word: &'w Word| read(&word.bytes).ok_or_else(|| unexpected(word, expected));
    words.iter().map(read).collect()
}

fn regular(words: &[Word], ignores_case: bool) -> Result<Vec<Pattern>, AclError> {
    let read = |word: &Word| {
        let pattern = if ignores_case {
            Pattern::ignoring_case(&word.bytes)
        } else {
            Pattern::new(&word.bytes)
        };
        pattern.map_err(|error| at(word.position + error.position(), AclProblem::Pattern(error)))
    };
    words.iter().map(read).collect()
}

pub(super) fn unexpected(word: &Word, expected: &'static str) -> AclError {
    super::error::unexpected(word.position, &word.bytes, expected)
}
