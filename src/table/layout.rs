//! How keys lie in groups of slots.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::Ordering::{Acquire, Release};

use ahash::RandomState;

use super::words::AtomicU64;

/// Slots of one group.
pub(super) const SLOTS: usize = 4;

/// Words of a group in front of the keys: one meta word and one stamp a slot.
pub(super) const HEAD: usize = 2 * SLOTS;

/// Bits of a meta word: the server, 0 in a free slot.
pub(super) const CODE: u64 = (1 << 23) - 1;
/// Whether somebody holds the entry. It is then neither evicted nor expired.
pub(super) const IN_USE: u64 = 1 << 23;
/// From here on, two bits for the number of the slot, if there is an entry in it.
pub(super) const SLOT_AT: u32 = 24;
/// In the first slot of a group: how many entries were passed on from here to a group
/// behind, because there was no free slot. At 63 it is no longer counted, and stays.
pub(super) const PASSED: u64 = 0x3f << 26;
pub(super) const ONE_PASSED: u64 = 1 << 26;
/// What changes when the slot gets another entry, or the entry another server.
pub(super) const IDENTITY: u64 = !(IN_USE | PASSED);

/// Where a key lies in the upper half of the meta word and behind the head of a group.
pub(super) trait Layout: fmt::Debug + Send + Sync {
    /// A key as it is compared.
    type Key<'k>: Copy;

    /// The mark of a key lies in the bits of the meta word from here on.
    const MARK_AT: u32;

    /// Words behind the head that each slot takes.
    fn key_words(&self) -> usize;

    fn hash(&self, key: Self::Key<'_>) -> u64;

    /// What tells most keys of a group apart: the bits of the meta word from
    /// [`MARK_AT`](Self::MARK_AT) on.
    fn mark(&self, key: Self::Key<'_>, hash: u64) -> u64;

    /// The bits between the mark and the lower half for the next entry of a slot, by
    /// which a reader notices that it has read parts of two keys.
    fn next_version(&self, meta: u64) -> u64;

    /// Whether these words hold the key, given that the mark is right.
    fn matches(&self, words: &[AtomicU64], key: Self::Key<'_>) -> bool;

    fn write(&self, words: &[AtomicU64], key: Self::Key<'_>);

    /// Copies the words of a key.
    fn read(&self, words: &[AtomicU64], buffer: &mut Vec<u8>);

    /// The key with this meta word and these copied bytes.
    fn key<'b>(&self, meta: u64, bytes: &'b [u8]) -> Self::Key<'b>;
}

/// Keys of four bytes, in the meta word: one load reads a key with its server.
#[derive(Debug)]
pub(super) struct Narrow {
    flip: u64,
    factor: u64,
}

impl Narrow {
    /// Takes what decides the places of keys from a hasher, which would itself take
    /// longer for four bytes than the rest of a lookup.
    pub(super) fn new(hasher: &RandomState) -> Self {
        Self {
            flip: hasher.hash_one(0),
            factor: hasher.hash_one(1) | 1,
        }
    }
}

impl Layout for Narrow {
    type Key<'k> = u32;

    const MARK_AT: u32 = 32;

    #[inline]
    fn key_words(&self) -> usize {
        0
    }

    #[inline]
    fn hash(&self, key: u32) -> u64 {
        let product = u128::from(u64::from(key) ^ self.flip) * u128::from(self.factor);
        product as u64 ^ (product >> 64) as u64
    }

    #[inline]
    fn mark(&self, key: u32, _hash: u64) -> u64 {
        u64::from(key) << Self::MARK_AT
    }

    #[inline]
    fn next_version(&self, _meta: u64) -> u64 {
        0
    }

    #[inline]
    fn matches(&self, _words: &[AtomicU64], _key: u32) -> bool {
        true
    }

    fn write(&self, _words: &[AtomicU64], _key: u32) {}

    fn read(&self, _words: &[AtomicU64], _buffer: &mut Vec<u8>) {}

    fn key(&self, meta: u64, _bytes: &[u8]) -> u32 {
        (meta >> 32) as u32
    }
}

/// Longer keys, in words of their own, filled up with zeros.
#[derive(Debug)]
pub(super) struct Wide {
    key_words: usize,
    /// Whether keys differ in length; zeros at the end of one are then as good as none.
    varies: bool,
    hasher: RandomState,
}

impl Wide {
    /// For keys of up to so many bytes.
    pub(super) fn up_to(length: usize, hasher: RandomState) -> Self {
        Self {
            key_words: length.div_ceil(WORD),
            varies: true,
            hasher,
        }
    }

    /// For keys of so many words.
    pub(super) fn words(key_words: usize, hasher: RandomState) -> Self {
        Self {
            key_words,
            varies: false,
            hasher,
        }
    }
}

const WORD: usize = size_of::<u64>();
const VERSION: u64 = 0x00ff_ffff << 32;
const ONE_VERSION: u64 = 1 << 32;

impl Layout for Wide {
    /// Without zeros at the end, if lengths differ, and no longer than the words.
    type Key<'k> = &'k [u8];

    /// Seven bits of the hash, so that few other keys are looked at, and one that no free
    /// slot has.
    const MARK_AT: u32 = 56;

    #[inline]
    fn key_words(&self) -> usize {
        self.key_words
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    #[inline]
    fn mark(&self, _key: &[u8], hash: u64) -> u64 {
        (hash | 1) << Self::MARK_AT
    }

    #[inline]
    fn next_version(&self, meta: u64) -> u64 {
        meta.wrapping_add(ONE_VERSION) & VERSION
    }

    #[inline]
    fn matches(&self, words: &[AtomicU64], key: &[u8]) -> bool {
        let (whole, rest) = key.as_chunks::<WORD>();
        let Some((front, back)) = words.split_at_checked(whole.len()) else {
            return false;
        };
        let mut pairs = front.iter().zip(whole);
        if !pairs.all(|(word, bytes)| word.load(Acquire) == u64::from_le_bytes(*bytes)) {
            return false;
        }
        let Some((word, zeros)) = back.split_first() else {
            return rest.is_empty();
        };
        word.load(Acquire) == last_word(key, rest.len())
            && zeros.iter().all(|word| word.load(Acquire) == 0)
    }

    fn write(&self, words: &[AtomicU64], key: &[u8]) {
        let (whole, rest) = key.as_chunks::<WORD>();
        let whole = whole.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let padded = whole
            .chain([last_word(key, rest.len())])
            .chain(std::iter::repeat(0));
        for (word, value) in words.iter().zip(padded) {
            word.store(value, Release);
        }
    }

    fn read(&self, words: &[AtomicU64], buffer: &mut Vec<u8>) {
        buffer.clear();
        for word in words {
            buffer.extend(word.load(Acquire).to_le_bytes());
        }
    }

    fn key<'b>(&self, _meta: u64, bytes: &'b [u8]) -> &'b [u8] {
        if self.varies {
            without_end_zeros(bytes)
        } else {
            bytes
        }
    }
}

/// The last bytes of a key, up to seven, as a word, filled up with zeros. It reads a whole
/// word if it can, because a loop over few bytes ends where nobody expects.
#[inline]
fn last_word(key: &[u8], count: usize) -> u64 {
    let missing = 8 * (WORD - count) as u32;
    match key.last_chunk::<WORD>() {
        Some(last) => u64::from_le_bytes(*last).checked_shr(missing).unwrap_or(0),
        None => key
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

#[inline]
pub(super) fn without_end_zeros(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0);
    &bytes[..end.map_or(0, |last| last + 1)]
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn wide_keys_match_themselves_alone() {
        let layout = Wide::up_to(20, RandomState::with_seeds(1, 2, 3, 4));
        let words: Vec<AtomicU64> = (0..3).map(|_| AtomicU64::new(u64::MAX)).collect();
        let keys = [
            &b""[..],
            b"a",
            b"a\0b",
            b"12345678",
            b"1234567",
            b"12345678\0\0\0\0\0\0\0\0abcd",
            b"12345678abcdefghABCD",
        ];
        let mut buffer = Vec::new();
        for key in keys {
            layout.write(&words, key);
            layout.read(&words, &mut buffer);
            assert_eq!(layout.key(0, &buffer), key);
            for other in keys {
                assert_eq!(
                    layout.matches(&words, other),
                    other == key,
                    "{key:?} {other:?}"
                );
            }
        }
        assert!(
            !layout.matches(&words, &[b'x'; 40]),
            "longer than the words"
        );
    }
}
