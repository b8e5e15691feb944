//! The words of a `balance` line.

use super::words::{NOTHING, Words};
use crate::haproxy::{DirectiveError, expression, is_token};
use crate::{HashInput, HeaderInput, Moment, UriInput};

/// What a `balance` line asks for.
pub(super) enum Algorithm {
    RoundRobin,
    StaticRoundRobin,
    LeastConnections,
    FirstFree,
    Sticky,
    Random { draws: u32 },
    Hash(HashInput),
}

/// Reads a `balance` line.
pub(super) fn algorithm(balance: &str) -> Result<Algorithm, DirectiveError> {
    const EXPECTED: &str = "roundrobin, static-rr, leastconn, first, sticky, random(N), source, uri, url_param NAME, hdr(NAME), \
         hash EXPRESSION or rdp-cookie(NAME)";
    let mut words = Words::new("balance", balance);
    let Some(word) = words.next() else {
        return Ok(Algorithm::RoundRobin);
    };
    let algorithm = match word {
        "roundrobin" => Algorithm::RoundRobin,
        "static-rr" => Algorithm::StaticRoundRobin,
        "leastconn" => Algorithm::LeastConnections,
        "first" => Algorithm::FirstFree,
        "sticky" => Algorithm::Sticky,
        "source" => Algorithm::Hash(HashInput::source()),
        "uri" => Algorithm::Hash(uri(&mut words)?.into()),
        "url_param" => Algorithm::Hash(url_param(&mut words)?),
        "hash" => Algorithm::Hash(sample(&mut words)?),
        "rdp-cookie" => Algorithm::Hash(HashInput::rdp_cookie("mstshash")),
        _ => match call(word) {
            ("hdr", Some(name)) => Algorithm::Hash(header(name, word, &mut words)?.into()),
            ("rdp-cookie", Some(name)) if !name.is_empty() => {
                Algorithm::Hash(HashInput::rdp_cookie(name))
            }
            ("random", draws) => Algorithm::Random {
                draws: draws_of(draws, word, &words)?,
            },
            _ => return Err(words.unexpected(word, EXPECTED)),
        },
    };
    words.end()?;
    Ok(algorithm)
}

/// HAProxy counts in `int`, from 1.
fn draws_of(text: Option<&str>, word: &str, words: &Words<'_>) -> Result<u32, DirectiveError> {
    const DEFAULT: u32 = 2;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT);
    };
    match text.parse() {
        Ok(draws @ 1..=0x7fff_ffff) => Ok(draws),
        _ => Err(words.unexpected(word, "random(N) with a number of draws from 1")),
    }
}

fn uri(words: &mut Words<'_>) -> Result<UriInput, DirectiveError> {
    let mut uri = HashInput::uri();
    while let Some(word) = words.next() {
        uri = match word {
            "len" => uri.len(words.positive()?),
            "depth" => uri.depth(words.positive()?),
            "whole" => uri.whole(),
            "path-only" => uri.path_only(),
            _ => return Err(words.unexpected(word, "len N, depth N, whole or path-only")),
        };
    }
    Ok(uri)
}

fn url_param(words: &mut Words<'_>) -> Result<HashInput, DirectiveError> {
    let name = words.required("the name of a parameter")?;
    match words.next() {
        None => Ok(HashInput::url_param(name)),
        Some("check_post") => Err(words.not_supported_yet("check_post")),
        Some(word) => Err(words.unexpected(word, NOTHING)),
    }
}

fn header(name: &str, word: &str, words: &mut Words<'_>) -> Result<HeaderInput, DirectiveError> {
    if !is_token(name) {
        return Err(words.unexpected(word, "hdr(NAME) with the name of a header field"));
    }
    let header = HashInput::header(name);
    match words.next() {
        None => Ok(header),
        Some("use_domain_only") => Ok(header.use_domain_only()),
        Some(word) => Err(words.unexpected(word, "use_domain_only or nothing more")),
    }
}

fn sample(words: &mut Words<'_>) -> Result<HashInput, DirectiveError> {
    let word = words.required("a sample expression")?;
    let expression = expression(word).map_err(|error| DirectiveError::Expression {
        directive: words.directive,
        position: words.read,
        error,
    })?;
    if !expression.is_available(Moment::Request) {
        return Err(words.unexpected(word, "a sample of the request"));
    }
    Ok(HashInput::expression(expression))
}

/// `name(argument)` or `name`.
fn call(word: &str) -> (&str, Option<&str>) {
    match word.strip_suffix(')').and_then(|word| word.split_once('(')) {
        Some((name, argument)) => (name, Some(argument)),
        None => (word, None),
    }
}
