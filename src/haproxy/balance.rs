//! The `balance` and `hash-type` lines.

use std::sync::Arc;

use super::{DirectiveError, expression, is_token};
use crate::hash::HashFunction;
use crate::{
    ConsistentHash, FirstFree, HashInput, HeaderInput, LeastConnections, MapHash, Moment, Random,
    RoundRobin, Selector, StaticRoundRobin, UriInput,
};

/// The selector that a `balance` line and its `hash-type` line ask for.
///
/// The texts are what follows the keywords, in words separated by blanks. An empty
/// `balance` is `roundrobin`; `hash_type` is `None` where there is no such line, which
/// means `map-based`, and is checked even where the algorithm has no use for it.
///
/// | `balance` | `hash-type` |
/// |---|---|
/// | `roundrobin`, `static-rr`, `leastconn`, `first` | |
/// | `random[(DRAWS)]`, by default 2 draws; see [`selector_seeded`] | |
/// | `source` | `map-based` or `consistent`, and optionally |
/// | `uri [len N] [depth N] [whole] [path-only]` | ... `sdbm`, `djb2`, `wt6`, `crc32` or `none` (HAProxy 3.x), and optionally |
/// | `url_param NAME` | ... `avalanche` |
/// | `hdr(NAME) [use_domain_only]` | |
/// | `hash EXPRESSION`: see [`expression`] | |
/// | `rdp-cookie[(NAME)]`, by default `mstshash` | |
///
/// ```
/// use stickroute::haproxy;
///
/// let by_site = haproxy::selector("hdr(host) use_domain_only", Some("map-based crc32"))?;
/// assert!(by_site.is_hash());
///
/// let error = haproxy::selector("roundrobbin", None).unwrap_err();
/// assert!(error.to_string().starts_with("balance: word 1 is \"roundrobbin\"; expected"));
/// # Ok::<(), haproxy::DirectiveError>(())
/// ```
///
/// # Errors
/// The first word that is unknown, missing, or known to HAProxy and not supported
/// here yet.
pub fn selector(
    balance: &str,
    hash_type: Option<&str>,
) -> Result<Arc<dyn Selector>, DirectiveError> {
    selector_seeded(balance, hash_type, DEFAULT_SEED)
}

/// As [`selector`], with a seed for the draws of `random`, which otherwise is 0.
///
/// Proxies with the same seed draw the same numbers: give each process a seed of its own
/// where several of them stand before the same servers.
///
/// ```
/// use stickroute::haproxy;
///
/// # let seed = 17;
/// let by_chance = haproxy::selector_seeded("random(3)", None, seed)?;
/// # let _ = by_chance;
/// # Ok::<(), haproxy::DirectiveError>(())
/// ```
///
/// # Errors
/// As [`selector`].
pub fn selector_seeded(
    balance: &str,
    hash_type: Option<&str>,
    seed: u64,
) -> Result<Arc<dyn Selector>, DirectiveError> {
    Ok(match tunable(balance, hash_type, seed)? {
        Tunable::Ring(hash) => Arc::new(hash),
        Tunable::Random(random) => Arc::new(random),
        Tunable::Nothing(selector) => selector,
    })
}

/// The seed of `random` where none is given: the same picks at each start.
pub(super) const DEFAULT_SEED: u64 = 0;

/// A selector and whether other lines may have to say something about it.
pub(super) enum Tunable {
    Ring(ConsistentHash),
    Random(Random),
    Nothing(Arc<dyn Selector>),
}

/// What the lines ask for, before other lines are looked at.
pub(super) fn tunable(
    balance: &str,
    hash_type: Option<&str>,
    seed: u64,
) -> Result<Tunable, DirectiveError> {
    let algorithm = algorithm(balance)?;
    let hash = hash_type.map_or(Ok(HashType::default()), HashType::read)?;
    Ok(match algorithm {
        Algorithm::RoundRobin => Tunable::Nothing(Arc::new(RoundRobin::new())),
        Algorithm::StaticRoundRobin => Tunable::Nothing(Arc::new(StaticRoundRobin::new())),
        Algorithm::LeastConnections => Tunable::Nothing(Arc::new(LeastConnections::new())),
        Algorithm::FirstFree => Tunable::Nothing(Arc::new(FirstFree::new())),
        Algorithm::Random { draws } => Tunable::Random(Random::seeded(seed).draws(draws)),
        Algorithm::Hash(input) => match hash.method {
            Method::Map => Tunable::Nothing(Arc::new(
                MapHash::new(input)
                    .function(hash.function.unwrap_or_default())
                    .avalanche(hash.avalanche),
            )),
            Method::Consistent => Tunable::Ring(hash.consistent(input)),
        },
    })
}

enum Algorithm {
    RoundRobin,
    StaticRoundRobin,
    LeastConnections,
    FirstFree,
    Random { draws: u32 },
    Hash(HashInput),
}

fn algorithm(balance: &str) -> Result<Algorithm, DirectiveError> {
    const EXPECTED: &str = "roundrobin, static-rr, leastconn, first, random(N), source, uri, url_param NAME, hdr(NAME), \
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
            ("sticky", None) => return Err(words.not_supported_yet(word)),
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

struct HashType {
    method: Method,
    function: Option<HashFunction>,
    avalanche: bool,
}

enum Method {
    Map,
    Consistent,
}

impl Default for HashType {
    /// As without a `hash-type` line.
    fn default() -> Self {
        Self {
            method: Method::Map,
            function: None,
            avalanche: false,
        }
    }
}

impl HashType {
    fn read(text: &str) -> Result<Self, DirectiveError> {
        let mut words = Words::new("hash-type", text);
        let mut hash = Self::default();
        match words.required(METHODS)? {
            "map-based" => hash.method = Method::Map,
            "consistent" => hash.method = Method::Consistent,
            word => return Err(words.unexpected(word, METHODS)),
        }
        if let Some(word) = words.next() {
            hash.function = Some(function(word, &words)?);
            hash.avalanche = match words.next() {
                None => false,
                Some("avalanche") => true,
                Some(word) => return Err(words.unexpected(word, "avalanche or nothing more")),
            };
        }
        words.end()?;
        Ok(hash)
    }

    /// Without a function there is an avalanche, with one only if it is asked for.
    fn consistent(&self, input: HashInput) -> ConsistentHash {
        let hash = ConsistentHash::new(input);
        match (self.function, self.avalanche) {
            (None, _) => hash,
            (Some(function), false) => hash.function(function),
            (Some(function), true) => hash.function(function).avalanche(true),
        }
    }
}

fn function(word: &str, words: &Words<'_>) -> Result<HashFunction, DirectiveError> {
    match word {
        "sdbm" => Ok(HashFunction::Sdbm),
        "djb2" => Ok(HashFunction::Djb2),
        "wt6" => Ok(HashFunction::Wt6),
        "crc32" => Ok(HashFunction::Crc32),
        "none" => Ok(HashFunction::Decimal),
        _ => Err(words.unexpected(word, "sdbm, djb2, wt6, crc32 or none")),
    }
}

const METHODS: &str = "map-based or consistent";
const NOTHING: &str = "nothing more";

/// The words of a line, counted for the sake of errors.
struct Words<'a> {
    directive: &'static str,
    rest: std::str::SplitWhitespace<'a>,
    /// Words read so far, hence the number of the last one.
    read: usize,
}

impl<'a> Words<'a> {
    fn new(directive: &'static str, text: &'a str) -> Self {
        Self {
            directive,
            rest: text.split_whitespace(),
            read: 0,
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.rest.next()?;
        self.read += 1;
        Some(word)
    }

    fn required(&mut self, expected: &'static str) -> Result<&'a str, DirectiveError> {
        let missing = DirectiveError::MissingWord {
            directive: self.directive,
            position: self.read + 1,
            expected,
        };
        self.next().ok_or(missing)
    }

    fn positive(&mut self) -> Result<usize, DirectiveError> {
        const EXPECTED: &str = "a whole number from 1";
        let word = self.required(EXPECTED)?;
        match word.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(self.unexpected(word, EXPECTED)),
        }
    }

    fn end(&mut self) -> Result<(), DirectiveError> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(self.unexpected(word, NOTHING)),
        }
    }

    /// The word just read means nothing.
    fn unexpected(&self, word: &str, expected: &'static str) -> DirectiveError {
        DirectiveError::UnexpectedWord {
            directive: self.directive,
            position: self.read,
            found: word.into(),
            expected,
        }
    }

    /// The word just read means something to HAProxy only.
    fn not_supported_yet(&self, word: &str) -> DirectiveError {
        DirectiveError::NotSupportedYet {
            directive: self.directive,
            position: self.read,
            found: word.into(),
        }
    }
}

/// `name(argument)` or `name`.
fn call(word: &str) -> (&str, Option<&str>) {
    match word.strip_suffix(')').and_then(|word| word.split_once('(')) {
        Some((name, argument)) => (name, Some(argument)),
        None => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WeightScale;

    #[test]
    fn every_supported_line_is_read() {
        for balance in [
            "",
            "roundrobin",
            "static-rr",
            "leastconn",
            "first",
            "random",
            "random(3)",
            "source",
            "uri",
            "uri len 12 depth 3 whole path-only",
            "uri whole whole",
            "  url_param\tuserid ",
            "hdr(x-key)",
            "hdr(X-Key) use_domain_only",
            "hash src,ipmask(24,64)",
            "rdp-cookie",
            "rdp-cookie(id)",
        ] {
            for hash_type in [
                None,
                Some("map-based"),
                Some("map-based none avalanche"),
                Some("consistent"),
                Some("consistent djb2"),
            ] {
                assert!(selector(balance, hash_type).is_ok(), "{balance}");
            }
        }
    }

    #[test]
    fn options_reach_the_selector() {
        let built = selector(
            "uri len 12 depth 3 whole path-only",
            Some("map-based wt6 avalanche"),
        );
        let expected = MapHash::new(HashInput::uri().len(12).depth(3).whole().path_only())
            .function(HashFunction::Wt6)
            .avalanche(true);
        assert_eq!(format!("{:?}", built.unwrap()), format!("{expected:?}"));

        let domain = selector("hdr(host) use_domain_only", None).unwrap();
        let expected = MapHash::new(HashInput::header("host").use_domain_only());
        assert_eq!(format!("{domain:?}"), format!("{expected:?}"));

        let built = selector("source", Some("consistent sdbm"));
        let expected = ConsistentHash::new(HashInput::source()).function(HashFunction::Sdbm);
        assert_eq!(format!("{:?}", built.unwrap()), format!("{expected:?}"));

        for (balance, draws) in [("random", 2), ("random()", 2), ("random(7)", 7)] {
            let built = selector_seeded(balance, None, 42).unwrap();
            let expected = Random::seeded(42).draws(draws);
            assert_eq!(format!("{built:?}"), format!("{expected:?}"));
        }

        let dynamic = selector("roundrobin", None).unwrap();
        assert_eq!(dynamic.weight_scale(), WeightScale::Dynamic);
        let fixed = selector("static-rr", None).unwrap();
        assert_eq!(fixed.weight_scale(), WeightScale::Static);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let table = [
            ("rr", "word 1 is \"rr\"; expected roundrobin, static-rr"),
            ("SOURCE", "word 1 is \"SOURCE\""),
            ("hdr", "word 1 is \"hdr\""),
            ("hdr()", "word 1 is \"hdr()\"; expected hdr(NAME)"),
            ("hdr(x", "word 1 is \"hdr(x\""),
            ("hdr(x) foo", "word 2 is \"foo\"; expected use_domain_only"),
            (
                "hdr(x) use_domain_only y",
                "word 3 is \"y\"; expected nothing",
            ),
            ("uri len", "word 3 is missing; expected a whole number"),
            ("uri len 0", "word 3 is \"0\"; expected a whole number"),
            ("uri whole depth -1", "word 4 is \"-1\""),
            ("uri foo", "word 2 is \"foo\"; expected len N, depth N"),
            ("url_param", "word 2 is missing; expected the name"),
            ("url_param x y", "word 3 is \"y\"; expected nothing"),
            ("leastconn x", "word 2 is \"x\"; expected nothing"),
            ("leastconn(2)", "word 1 is \"leastconn(2)\""),
            ("first 1", "word 2 is \"1\"; expected nothing"),
            (
                "random(0)",
                "word 1 is \"random(0)\"; expected random(N) with",
            ),
            (
                "random(x)",
                "word 1 is \"random(x)\"; expected random(N) with",
            ),
            ("random(2147483648)", "word 1 is \"random(2147483648)\""),
            ("random(2) x", "word 2 is \"x\"; expected nothing"),
            ("source x", "word 2 is \"x\"; expected nothing"),
            ("hash", "word 2 is missing; expected a sample expression"),
            (
                "hash srcc",
                "word 2: character 1: there is no fetch \"srcc\"",
            ),
            (
                "hash status",
                "word 2 is \"status\"; expected a sample of the request",
            ),
            ("hash src x", "word 3 is \"x\"; expected nothing"),
            ("rdp-cookie()", "word 1 is \"rdp-cookie()\""),
        ];
        for (balance, expected) in table {
            let error = selector(balance, None).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("balance: {expected}")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_wrong_hash_type_is_refused_whatever_the_algorithm() {
        let table = [
            ("", "word 1 is missing"),
            ("foo", "word 1 is \"foo\""),
            ("map-based foo", "word 2 is \"foo\"; expected sdbm"),
            ("map-based avalanche", "word 2 is \"avalanche\""),
            (
                "map-based sdbm foo",
                "word 3 is \"foo\"; expected avalanche",
            ),
            ("map-based sdbm avalanche x", "word 4 is \"x\""),
        ];
        for (hash_type, expected) in table {
            for balance in ["roundrobin", "source"] {
                let error = selector(balance, Some(hash_type)).unwrap_err().to_string();
                let expected = format!("hash-type: {expected}");
                assert!(error.starts_with(&expected), "{error}");
            }
        }
    }

    #[test]
    fn words_of_haproxy_that_are_missing_here_are_told_apart() {
        for (balance, word) in [
            ("sticky", "sticky"),
            ("url_param id check_post", "check_post"),
        ] {
            let error = selector(balance, None).unwrap_err();
            assert!(
                matches!(&error, DirectiveError::NotSupportedYet { found, .. } if found == word),
                "{error}"
            );
        }
    }
}
