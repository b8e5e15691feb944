//! The arguments of `stick-table`, and of `table` in a `peers` section.

use std::time::Duration;

use super::args::{Args, argument, missing};
use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::store::{self, StoredData};
use super::suggest::expected_one_of;
use crate::{KeyType, ServerNaming};

/// HAProxy: `stick-table type T size N [expire T] [nopurge] [srvkey name|addr]
/// [peers SECTION] [store LIST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableLine {
    /// HAProxy: `type ip|ipv6|integer|string [len N]|binary [len N]`.
    pub key_type: KeyType,
    /// The most entries, 1 to 2³² − 1. HAProxy: `size N`.
    pub size: u32,
    /// How long an entry lives without being used; 0, the default, is for ever. HAProxy:
    /// `expire T`.
    pub expire: Duration,
    /// Whether a full table refuses new entries. HAProxy: `nopurge`.
    pub nopurge: bool,
    /// How entries name servers. HAProxy: `srvkey name|addr`.
    pub naming: ServerNaming,
    /// The section it is shared with. HAProxy: `peers SECTION`.
    pub peers: Option<Word>,
    /// What entries hold beside a server, in the order it is written. HAProxy: `store`.
    pub store: Vec<StoredData>,
}

const KEYWORDS: [&str; 7] = [
    "expire", "nopurge", "peers", "size", "srvkey", "store", "type",
];

/// Arguments of HAProxy 3.x.
const NOT_SUPPORTED: [&str; 3] = ["brates-factor", "recv-only", "write-to"];

/// What has been read so far; a later argument takes the place of an earlier one.
#[derive(Default)]
struct Reading {
    key_type: Option<KeyType>,
    size: Option<u32>,
    expire: Duration,
    nopurge: bool,
    naming: ServerNaming,
    peers: Option<Word>,
    store: Vec<StoredData>,
}

/// Reads the arguments, in any order, to the end of the line.
pub(super) fn read(args: &mut Args<'_>, findings: &mut Vec<Finding>) -> Result<TableLine, Finding> {
    let mut reading = Reading::default();
    while let Some(word) = args.next() {
        reading.follow(word, args, findings)?;
    }
    reading.finish(args.end_of_line())
}

impl Reading {
    fn follow(
        &mut self,
        word: &Word,
        args: &mut Args<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Finding> {
        match word.text() {
            "expire" => self.expire = args.time()?,
            "nopurge" => self.nopurge = true,
            "peers" => self.peers = Some(args.required("the name of a peers section")?.clone()),
            "size" => self.size = Some(size(args)?),
            "srvkey" => self.naming = naming(args)?,
            "store" => store::read(args, &mut self.store, findings)?,
            "type" => self.key_type = Some(key_type(args)?),
            text if NOT_SUPPORTED.contains(&text) => {
                let message = format!("not supported; expected one of {}", KEYWORDS.join(", "));
                return Err(Finding::error(FindingKind::NotSupported, word, message));
            }
            text => {
                let message = expected_one_of(text, &KEYWORDS);
                return Err(Finding::error(FindingKind::Unknown, word, message));
            }
        }
        Ok(())
    }

    fn finish(self, end: &Word) -> Result<TableLine, Finding> {
        let size = self.size.ok_or_else(|| missing(end, SIZE))?;
        let key_type = self.key_type.ok_or_else(|| missing(end, TYPE))?;
        Ok(TableLine {
            key_type,
            size,
            expire: self.expire,
            nopurge: self.nopurge,
            naming: self.naming,
            peers: self.peers,
            store: self.store,
        })
    }
}

const TYPE: &str = "type ip, ipv6, integer, string [len N] or binary [len N]";
const SIZE: &str =
    "size N, 1 to 4294967295 entries: digits and k, m, g or nothing (1k is 1024 entries)";

fn key_type(args: &mut Args<'_>) -> Result<KeyType, Finding> {
    const NAMES: [&str; 5] = ["ip", "ipv6", "integer", "string", "binary"];
    if let Some(word) = args.peek().filter(|word| word.is("ipv4")) {
        return Err(argument(
            word,
            "expected ip, as the type is called up to HAProxy 3.1",
        ));
    }
    let key_type = match args.one_of(&NAMES)?.0 {
        0 => KeyType::Ip,
        1 => KeyType::Ipv6,
        2 => KeyType::Integer,
        3 => length(args)?.map_or(KeyType::STRING, KeyType::String),
        _ => length(args)?.map_or(KeyType::BINARY, KeyType::Binary),
    };
    Ok(key_type)
}

/// `len N`, if it is there.
fn length(args: &mut Args<'_>) -> Result<Option<usize>, Finding> {
    if !args.peek().is_some_and(|word| word.is("len")) {
        return Ok(None);
    }
    args.next();
    let length = args.number(1, KeyType::MAX_LENGTH as i64)?;
    Ok(usize::try_from(length).ok())
}

fn size(args: &mut Args<'_>) -> Result<u32, Finding> {
    let word = args.required(SIZE)?;
    let size = scaled(&word.bytes).filter(|&size| size > 0);
    size.ok_or_else(|| argument(word, format!("expected {SIZE}")))
}

/// Digits, and a power of 1024 behind them.
fn scaled(text: &[u8]) -> Option<u32> {
    let (digits, shift) = match text {
        [digits @ .., b'k' | b'K'] => (digits, 10),
        [digits @ .., b'm' | b'M'] => (digits, 20),
        [digits @ .., b'g' | b'G'] => (digits, 30),
        digits => (digits, 0),
    };
    // `parse` would take a sign.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    number.checked_mul(1 << shift)
}

fn naming(args: &mut Args<'_>) -> Result<ServerNaming, Finding> {
    let (index, _) = args.one_of(&["name", "addr"])?;
    Ok([ServerNaming::Name, ServerNaming::Address][index])
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn sizes_are_powers_of_1024_within_32_bits() {
        assert_eq!(scaled(b"200k"), Some(204_800));
        assert_eq!(scaled(b"1M"), Some(1 << 20));
        assert_eq!(scaled(b"3g"), Some(3 << 30));
        assert_eq!(scaled(b"4294967295"), Some(u32::MAX));
        for text in ["4g", "4294967296", "", "k", "+1", "1kb", "1 k", "-1", "0x1"] {
            assert_eq!(scaled(text.as_bytes()), None, "{text}");
        }
    }
}
