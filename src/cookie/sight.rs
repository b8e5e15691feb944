//! Looking for a name, or for a quote that could deceive, in one pass over a short field.

use crate::short::{lowest, splat, zeros};

/// The first and the last byte of a name.
///
/// A vector search for the whole name and another for a quote would take longer to begin
/// than a field of a few hundred bytes takes to read.
#[derive(Clone, Copy)]
pub(super) struct Outline {
    first: u8,
    last: u8,
    /// From the one to the other.
    gap: usize,
}

impl Outline {
    /// That of a name, which is not empty.
    pub(super) fn of(name: &[u8]) -> Self {
        Self {
            first: name.first().copied().unwrap_or_default(),
            last: name.last().copied().unwrap_or_default(),
            gap: name.len().saturating_sub(1),
        }
    }

    /// The first place from `from` on with a double quote or with the outline of the name,
    /// as far as the name fits in.
    #[inline]
    pub(super) fn first_sight(self, bytes: &[u8], from: usize) -> Option<usize> {
        let ends = bytes.get(from + self.gap..)?;
        let starts = &bytes[from..][..ends.len()];
        let ((blocks, rest), (end_blocks, end_rest)) = (starts.as_chunks(), ends.as_chunks());
        for (index, (starts, ends)) in blocks.iter().zip(end_blocks).enumerate() {
            if self.is_in_block(starts, ends) {
                let at = self.in_words(starts, ends)?;
                return Some(from + BLOCK * index + at);
            }
        }
        let at = match self.in_words(rest, end_rest) {
            Some(at) => BLOCK * blocks.len() + at,
            None => self.in_last_word(starts, ends)?,
        };
        Some(from + at)
    }

    /// Whether there is anything in a block: a loop that the compiler makes vectors of.
    #[inline]
    #[allow(
        clippy::needless_bitwise_bool,
        reason = "a branch would keep it from that"
    )]
    fn is_in_block(self, starts: &[u8; BLOCK], ends: &[u8; BLOCK]) -> bool {
        let pairs = starts.iter().zip(ends);
        pairs.fold(false, |any, (&start, &end)| {
            any | (start == self.first) & (end == self.last) | (start == b'"')
        })
    }

    /// Where it is, as far as there are whole words.
    #[inline]
    fn in_words(self, starts: &[u8], ends: &[u8]) -> Option<usize> {
        let pairs = starts.as_chunks().0.iter().zip(ends.as_chunks().0);
        for (index, (start, end)) in pairs.enumerate() {
            let marks = self.marks(*start, *end);
            if marks != 0 {
                return Some(8 * index + lowest(marks));
            }
        }
        None
    }

    /// Where it is in the last eight bytes, of which some were looked at before, in vain.
    #[inline]
    fn in_last_word(self, starts: &[u8], ends: &[u8]) -> Option<usize> {
        let (Some(start), Some(end)) = (starts.last_chunk(), ends.last_chunk()) else {
            let mut pairs = starts.iter().zip(ends);
            return pairs.position(|(&start, &end)| {
                start == b'"' || (start == self.first && end == self.last)
            });
        };
        let marks = self.marks(*start, *end);
        (marks != 0).then(|| starts.len() - 8 + lowest(marks))
    }

    #[inline]
    fn marks(self, start: [u8; 8], end: [u8; 8]) -> u64 {
        let (start, end) = (u64::from_le_bytes(start), u64::from_le_bytes(end));
        let differences = (start ^ splat(self.first)) | (end ^ splat(self.last));
        zeros(differences) | zeros(start ^ splat(b'"'))
    }
}

/// Bytes looked at together.
const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(name: &[u8], bytes: &[u8], from: usize) -> Option<usize> {
        let fits = (bytes.len() + 1).checked_sub(name.len())?;
        (from..fits).find(|&at| {
            let last = bytes[at + name.len() - 1];
            bytes[at] == b'"' || (bytes[at], last) == (name[0], name[name.len() - 1])
        })
    }

    proptest! {
        #[test]
        fn what_is_seen_first_is_what_is_there_first(
            bytes in prop::collection::vec(prop_oneof![
                20 => Just(b'x'), 1 => Just(b'S'), 1 => Just(b'D'), 1 => Just(b'"'),
                1 => any::<u8>(),
            ], 0..200),
            from in 0_usize..40,
        ) {
            let from = from.min(bytes.len());
            for name in [&b"SID"[..], b"S", b"SS", b"\"", b"SERVER-OF-SESSIOND"] {
                let seen = Outline::of(name).first_sight(&bytes, from);
                prop_assert_eq!(seen, naive(name, &bytes, from));
            }
        }
    }
}
