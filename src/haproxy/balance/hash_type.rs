//! The words of a `hash-type` line.

use super::words::Words;
use crate::haproxy::DirectiveError;
use crate::hash::HashFunction;
use crate::{ConsistentHash, HashInput};

/// What a `hash-type` line asks for.
pub(super) struct HashType {
    pub(super) method: Method,
    pub(super) function: Option<HashFunction>,
    pub(super) avalanche: bool,
}

pub(super) enum Method {
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

const METHODS: &str = "map-based or consistent";

impl HashType {
    pub(super) fn read(text: &str) -> Result<Self, DirectiveError> {
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
    pub(super) fn consistent(&self, input: HashInput) -> ConsistentHash {
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
