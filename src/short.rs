//! Short byte strings as two words, which are compared, searched and hashed in a few steps.
//!
//! Names of cookies and identifiers of servers nearly always fit, and a call that compares
//! or hashes any number of bytes takes longer than everything else that is done with them.

/// All bytes of a string of at most [`WHOLE`](Self::WHOLE), some of them twice; of a longer
/// one the last eight and a hash of the others.
///
/// Two strings of the same length have the same words if they are equal, and up to that
/// length only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words([u64; 2]);

impl Words {
    /// Length up to which nothing is lost.
    pub(crate) const WHOLE: usize = 16;

    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        // Halves that overlap, or three bytes that may be the same.
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let first = if bytes.len() > Self::WHOLE {
                fold(bytes)
            } else {
                u64::from_le_bytes(*first)
            };
            return Self([first, u64::from_le_bytes(*last)]);
        }
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let [first, last]: [u32; 2] = [first, last].map(|half| u32::from_le_bytes(*half));
            return Self([first.into(), last.into()]);
        }
        let Some(&last) = bytes.last() else {
            return Self([0, 0]);
        };
        let [first, middle] = [bytes[0], bytes[bytes.len() / 2]];
        Self([u32::from_le_bytes([first, middle, last, 0]).into(), 0])
    }

    /// Whether this byte, which is not zero, is among those of the words.
    #[inline]
    pub(crate) fn contain(self, byte: u8) -> bool {
        let wanted = splat(byte);
        zeros(self.0[0] ^ wanted) | zeros(self.0[1] ^ wanted) != 0
    }

    /// A hash of a string of this length. Keys must not come from clients, who could make
    /// them collide.
    #[inline]
    pub(crate) fn hash(self, length: usize) -> u64 {
        // The products do not wait for one another. Spread, lest the length be taken for a
        // byte that is another.
        let [first, last] = self.0.map(u128::from);
        let length = (length as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let wide = (first * 0x9e37_79b9_7f4a_7c15).wrapping_add(last * 0xd6e8_feb8_6659_fd93);
        (wide >> 64) as u64 ^ wide as u64 ^ length
    }
}

/// The place of the first such byte, which is not zero.
///
/// A vector search takes longer to begin than to look at a few words.
#[inline]
pub(crate) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    if bytes.len() > 2 * Words::WHOLE {
        return memchr::memchr(byte, bytes);
    }
    let wanted = splat(byte);
    for (index, word) in bytes.as_chunks().0.iter().enumerate() {
        let marks = zeros(u64::from_le_bytes(*word) ^ wanted);
        if marks != 0 {
            return Some(8 * index + lowest(marks));
        }
    }
    if let Some(word) = bytes.last_chunk() {
        let marks = zeros(u64::from_le_bytes(*word) ^ wanted);
        return (marks != 0).then(|| bytes.len() - 8 + lowest(marks));
    }
    let is_in = Words::of(bytes).contain(byte);
    bytes.iter().position(|&it| is_in && it == byte)
}

/// A hash of all that is not in the last word.
#[cold]
fn fold(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(0, |hash, word| mixed(hash ^ word))
}

#[inline]
fn mixed(word: u64) -> u64 {
    let wide = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
    (wide >> 64) as u64 ^ wide as u64
}

/// The byte in all eight places of a word.
#[inline]
pub(crate) const fn splat(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// The highest bit of every byte that is zero; of bytes above the lowest of them, a few
/// others may be marked, too.
#[inline]
pub(crate) const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(splat(1)) & !word & splat(0x80)
}

/// The place of the lowest byte that is marked.
#[inline]
pub(crate) const fn lowest(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Strings that differ in their length, or in one byte wherever it is.
    fn similar() -> Vec<Vec<u8>> {
        let lengths = (0..40).map(|length| vec![b'a'; length]);
        let places = (1..40).flat_map(|length| {
            (0..length).map(move |place| {
                let mut bytes = vec![b'a'; length];
                bytes[place] = b'|';
                bytes
            })
        });
        lengths.chain(places).collect()
    }

    #[test]
    fn similar_strings_differ_in_length_or_words_and_hashes_spread() {
        let strings = similar();
        let words: HashSet<_> = strings
            .iter()
            .map(|bytes| (bytes.len(), Words::of(bytes).0))
            .collect();
        assert_eq!(words.len(), strings.len());
        let hash = |bytes: &Vec<u8>| Words::of(bytes).hash(bytes.len());
        let hashes: HashSet<u64> = strings.iter().map(hash).collect();
        assert_eq!(hashes.len(), strings.len());
    }

    #[test]
    fn whatever_clients_send_has_a_hash() {
        for length in 0..40 {
            let bytes = vec![0xff; length];
            let _ = Words::of(&bytes).hash(length);
        }
    }

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for bytes in similar() {
            let place = bytes.iter().position(|&byte| byte == b'|');
            assert_eq!(find(b'|', &bytes), place);
            if bytes.len() <= Words::WHOLE {
                assert_eq!(Words::of(&bytes).contain(b'|'), place.is_some());
            }
        }
        for none in [
            &b"\x01\x00\x80\xff{}"[..],
            b"\x01\x00\x80\xff{}\x7f\xfc\0\x83",
            b"",
        ] {
            assert_eq!(find(b'|', none), None);
            assert!(!Words::of(none).contain(b'|'));
        }
        assert_eq!(find(b'|', b"||"), Some(0));
    }

    #[test]
    fn the_lowest_zero_is_marked() {
        for at in 0..8 {
            let word = splat(1) << (8 * at);
            assert_eq!(lowest(zeros(!(splat(0xff) << (8 * at)) & splat(1))), at);
            assert_eq!(zeros(word | splat(0x80)), 0);
        }
        assert_eq!(zeros(splat(1)), 0);
    }
}
