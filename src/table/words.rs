//! The memory of a table: words that start as zero and are only taken when used.

use std::fmt;

#[cfg(not(crossbeam_loom))]
pub(super) use std::sync::atomic::AtomicU64;

#[cfg(crossbeam_loom)]
pub(super) use loom::sync::atomic::AtomicU64;

/// Bytes between two addresses at which groups begin: two cache lines, because
/// processors fetch lines in pairs.
const ALIGNMENT: usize = 128;

/// A fixed number of words, zero at first, the first of them at an aligned address.
///
/// The allocator takes zeroed memory of this size from the operating system, which backs
/// a page only when something is written to it. So a table that is far larger than what
/// is ever put into it costs addresses, not memory.
pub(super) struct Words {
    memory: Box<[AtomicU64]>,
    /// So short that the compiler sees that no sum with it overflows.
    start: u8,
}

impl Words {
    /// So many words, or `None` when there is no memory for them.
    pub(super) fn zeroed(count: usize) -> Option<Self> {
        let spare = ALIGNMENT / size_of::<u64>();
        let memory = allocate(count.checked_add(spare)?)?;
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(spare);
        let start = start as u8;
        Some(Self { memory, start })
    }

    /// A block of words, of which there are several of this size.
    #[inline]
    pub(super) fn block(&self, index: u32, size: u32) -> &[AtomicU64] {
        let at = index as usize * size as usize + usize::from(self.start);
        &self.memory[at..at + size as usize]
    }
}

#[cfg(not(crossbeam_loom))]
fn allocate(count: usize) -> Option<Box<[AtomicU64]>> {
    use zerocopy::FromZeros;
    <[AtomicU64]>::new_box_zeroed_with_elems(count).ok()
}

#[cfg(crossbeam_loom)]
fn allocate(count: usize) -> Option<Box<[AtomicU64]>> {
    Some((0..count).map(|_| AtomicU64::new(0)).collect())
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.memory.len())
    }
}
