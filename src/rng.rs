//! Random draws without a source of randomness: a seed, or a function of the caller's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where a selector takes its random numbers from; clones share it.
#[derive(Clone)]
pub(crate) enum Draws {
    Seeded(Arc<SplitMix>),
    Given(Arc<dyn Fn() -> u32 + Send + Sync>),
}

impl Draws {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(SplitMix(AtomicU64::new(seed))))
    }

    pub(crate) fn given(draw: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        Self::Given(Arc::new(draw))
    }

    pub(crate) fn draw(&self) -> u32 {
        match self {
            Self::Seeded(generator) => (generator.next() >> 32) as u32,
            Self::Given(draw) => draw(),
        }
    }
}

impl fmt::Debug for Draws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seeded(generator) => f.debug_tuple("Seeded").field(generator).finish(),
            Self::Given(_) => f.write_str("Given(..)"),
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*,
/// 2014): a counter and a mixing function, so that threads share it without a lock and
/// no two of them are given the same number of the sequence.
#[derive(Debug)]
pub(crate) struct SplitMix(AtomicU64);

impl SplitMix {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    fn next(&self) -> u64 {
        let before = self.0.fetch_add(Self::STEP, Relaxed);
        let z = before.wrapping_add(Self::STEP);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let generator = SplitMix(AtomicU64::new(1_234_567));
        let numbers = [(); 3].map(|()| generator.next());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn clones_share_one_sequence() {
        let draws = Draws::seeded(7);
        let clone = draws.clone();
        let shared = [draws.draw(), clone.draw(), draws.draw()];
        let alone = Draws::seeded(7);
        assert_eq!(shared, [(); 3].map(|()| alone.draw()));
    }
}
