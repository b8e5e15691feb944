//! The `balance` and `hash-type` lines.

mod algorithm;
mod hash_type;
mod words;

use std::sync::Arc;

use super::DirectiveError;
#[cfg(doc)]
use super::expression;
use crate::{
    ConsistentHash, FirstFree, LeastConnections, MapHash, Random, RoundRobin, Selector,
    StaticRoundRobin, Sticky,
};
use algorithm::{Algorithm, algorithm};
use hash_type::{HashType, Method};

/// The selector that a `balance` line and its `hash-type` line ask for.
///
/// The texts are what follows the keywords, in words separated by blanks. An empty
/// `balance` is `roundrobin`; `hash_type` is `None` where there is no such line, which
/// means `map-based`, and is checked even where the algorithm has no use for it. Rings and
/// maps are limited to their default numbers of points and slots, see
/// [`ConsistentHash::max_points`] and [`MapHash::max_slots`].
///
/// | `balance` | `hash-type` |
/// |---|---|
/// | `roundrobin`, `static-rr`, `leastconn`, `first`, `sticky` (HAProxy 3.x) | |
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
        Tunable::Map(hash) => Arc::new(hash),
        Tunable::Turns(turns) => Arc::new(turns),
        Tunable::Nothing(selector) => selector,
    })
}

/// The seed of `random` where none is given: the same picks at each start.
pub(super) const DEFAULT_SEED: u64 = 0;

/// A selector, and what other lines or the limits of the caller may have to say about it.
pub(super) enum Tunable {
    Ring(ConsistentHash),
    Random(Random),
    Map(MapHash),
    Turns(StaticRoundRobin),
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
        Algorithm::StaticRoundRobin => Tunable::Turns(StaticRoundRobin::new()),
        Algorithm::LeastConnections => Tunable::Nothing(Arc::new(LeastConnections::new())),
        Algorithm::FirstFree => Tunable::Nothing(Arc::new(FirstFree::new())),
        Algorithm::Sticky => Tunable::Nothing(Arc::new(Sticky::new())),
        Algorithm::Random { draws } => Tunable::Random(Random::seeded(seed).draws(draws)),
        Algorithm::Hash(input) => match hash.method {
            Method::Map => Tunable::Map(
                MapHash::new(input)
                    .function(hash.function.unwrap_or_default())
                    .avalanche(hash.avalanche),
            ),
            Method::Consistent => Tunable::Ring(hash.consistent(input)),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashFunction;
    use crate::{HashInput, WeightScale};

    #[test]
    fn every_supported_line_is_read() {
        for balance in [
            "",
            "roundrobin",
            "static-rr",
            "leastconn",
            "first",
            "sticky",
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
            ("url_param id check_post", "check_post"),
            ("  url_param x check_post", "check_post"),
        ] {
            let error = selector(balance, None).unwrap_err();
            assert!(
                matches!(&error, DirectiveError::NotSupportedYet { found, .. } if found == word),
                "{error}"
            );
        }
    }
}
