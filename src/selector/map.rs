//! The slot map: each server in as many slots as its effective weight, spread out.
//!
//! # How it works
//!
//! Slot by slot every server earns its weight, and the map's length pays for one
//! slot; the richest in *whole slots* gets it, the first configured among equals. A
//! server has earned `weight * (slot + 1) / length` slots by a given slot, so the
//! slots at which it becomes richer can be computed: a calendar holds the next one of
//! every server, and for each wealth, which is a small number, a set of bits holds the
//! servers that have it. Building takes O(N) time instead of O(N n) for up to a few
//! thousand servers, and 4 bytes a slot. A map never changes: a change of a weight builds
//! a new one.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::error::SelectorError;
use crate::server::{Farm, Group};

/// The limit on the number of slots unless another is set: 2²⁴, 64 MB.
pub(super) const DEFAULT_MAX_SLOTS: u32 = 1 << 24;

/// Slots to positions in the farm.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    slots: Box<[u32]>,
    sharers: Sharers,
}

/// Who shares the slots, and how many there are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sharers {
    positions: Vec<u32>,
    weights: Vec<u32>,
    length: u32,
}

impl Sharers {
    /// HAProxy sizes the map for the elected backup alone and fills it from all usable
    /// backups, so that others may be chosen instead; so does this.
    fn of(farm: &Farm) -> Self {
        let serving = farm.serving();
        let backups = serving.group != Group::Active;
        let (positions, weights) = farm
            .usable(backups)
            .map(|(index, server)| (index as u32, server.effective_weight()))
            .unzip();
        Self {
            positions,
            weights,
            length: serving.total_weight,
        }
    }
}

impl SlotMap {
    /// The map for those who serve in `farm`.
    ///
    /// # Errors
    /// As those of [`adapted`](Self::adapted).
    #[cfg(test)]
    pub(crate) fn new(farm: &Farm, most: u32) -> Result<Self, SelectorError> {
        Self::filled(Sharers::of(farm), most)
    }

    /// The map for a farm that has changed, `None` if this is it.
    ///
    /// # Errors
    /// It would have more slots than `most`; no memory is taken for them then.
    pub(crate) fn adapted(&self, farm: &Farm, most: u32) -> Result<Option<Self>, SelectorError> {
        let sharers = Sharers::of(farm);
        if sharers == self.sharers {
            return Ok(None);
        }
        Self::filled(sharers, most).map(Some)
    }

    fn filled(sharers: Sharers, most: u32) -> Result<Self, SelectorError> {
        if sharers.length > most {
            return Err(too_many(sharers.length, most));
        }
        let mut slots = fill(&sharers.weights, sharers.length);
        for slot in &mut slots {
            *slot = sharers.positions[*slot as usize];
        }
        Ok(Self { slots, sharers })
    }

    /// The server of a hash, `None` when there are no slots.
    pub(crate) fn by_hash(&self, hash: u32) -> Option<usize> {
        let slot = hash.checked_rem(self.slots.len() as u32)?;
        Some(self.slots[slot as usize] as usize)
    }

    /// The next server in turn that is not `saturated`; `avoid` only when there is no
    /// other, and `None` when there is nobody.
    pub(crate) fn walk(
        &self,
        cursor: &Cursor,
        avoid: Option<usize>,
        saturated: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut before = cursor.0.load(Relaxed);
        loop {
            let (found, after) = self.search(before, avoid, &saturated);
            // Another request may have walked meanwhile: then its walk counts, and
            // this one starts where that ended.
            match cursor
                .0
                .compare_exchange_weak(before, after, Relaxed, Relaxed)
            {
                Ok(_) => return found,
                Err(moved) => before = moved,
            }
        }
    }

    /// One walk from a slot: the server and the slot to go on from.
    fn search(
        &self,
        from: u32,
        avoid: Option<usize>,
        saturated: impl Fn(usize) -> bool,
    ) -> (Option<usize>, u32) {
        let from = if (from as usize) < self.slots.len() {
            from
        } else {
            0
        };
        let (passed, ahead) = self.slots.split_at(from as usize);
        let mut found = (None, from);
        for (slot, &server) in (from..).zip(ahead).chain((0..).zip(passed)) {
            let server = server as usize;
            if saturated(server) {
                continue;
            }
            found = (Some(server), slot + 1);
            if avoid != Some(server) {
                break;
            }
        }
        found
    }
}

fn too_many(slots: u32, most: u32) -> SelectorError {
    SelectorError::TooManySlots {
        slots: slots.into(),
        limit: most.into(),
        bytes: u64::from(slots) * size_of::<u32>() as u64,
    }
}

/// Where the walk through the slots goes on; outlives every map.
#[derive(Debug, Default)]
pub(crate) struct Cursor(AtomicU32);

/// Candidates, by their position in `weights`, for each of `length` slots.
pub(super) fn fill(weights: &[u32], length: u32) -> Box<[u32]> {
    // Only then does the rule below not say the same: the first configured wins,
    // not the heaviest.
    if length == 1 {
        return Box::new([0]);
    }
    let mut wealth = Wealth::new(weights, length);
    (0..length).map(|slot| wealth.spend(slot)).collect()
}

/// No candidate; ends a list of the calendar.
const NONE: u32 = u32::MAX;

struct Wealth<'a> {
    weights: &'a [u32],
    /// Whole slots earned and not yet spent.
    balance: Vec<i64>,
    /// Whole slots earned so far.
    earned: Vec<u64>,
    /// By balance, the candidates that have it. Those in debt are in none: they never win,
    /// since fractions included all together have earned more than was given away, so that
    /// somebody is not in debt.
    levels: Vec<Level>,
    /// By slot, the first of the candidates that earn something at that slot.
    calendar: Vec<u32>,
    /// By candidate, the next one in the same list of the calendar.
    next: Vec<u32>,
}

impl<'a> Wealth<'a> {
    fn new(weights: &'a [u32], length: u32) -> Self {
        let candidates = 0..weights.len() as u32;
        let mut wealth = Self {
            weights,
            balance: vec![0; weights.len()],
            earned: vec![0; weights.len()],
            levels: vec![Level::of(weights.len())],
            calendar: vec![NONE; length as usize],
            next: vec![NONE; weights.len()],
        };
        for who in candidates {
            wealth.levels[0].insert(who);
            wealth.note(who);
        }
        wealth
    }

    /// Earns what is due at this slot and gives the slot to the richest.
    fn spend(&mut self, slot: u32) -> u32 {
        let mut who = std::mem::replace(&mut self.calendar[slot as usize], NONE);
        while who != NONE {
            let following = self.next[who as usize];
            self.earn(who, slot);
            self.note(who);
            who = following;
        }
        let winner = self.richest();
        self.change(winner, -1);
        winner
    }

    fn earn(&mut self, who: u32, slot: u32) {
        let weight = u64::from(self.weights[who as usize]);
        let earned = weight * (u64::from(slot) + 1) / self.calendar.len() as u64;
        let before = std::mem::replace(&mut self.earned[who as usize], earned);
        self.change(who, (earned - before) as i64);
    }

    fn change(&mut self, who: u32, slots: i64) {
        let balance = &mut self.balance[who as usize];
        if let Ok(level) = usize::try_from(*balance) {
            self.levels[level].remove(who);
        }
        *balance += slots;
        if let Ok(level) = usize::try_from(*balance) {
            while self.levels.len() <= level {
                self.levels.push(Level::of(self.weights.len()));
            }
            self.levels[level].insert(who);
        }
    }

    /// Enters the next slot at which a candidate earns into the calendar.
    fn note(&mut self, who: u32) {
        let goal = (self.earned[who as usize] + 1) * self.calendar.len() as u64;
        let slot = goal.div_ceil(u64::from(self.weights[who as usize])) - 1;
        if let Some(first) = self.calendar.get_mut(slot as usize) {
            self.next[who as usize] = std::mem::replace(first, who);
        }
    }

    fn richest(&self) -> u32 {
        let mut richest_first = self.levels.iter().rev();
        richest_first.find_map(Level::first).unwrap_or(0)
    }
}

/// A set of candidates that knows the first of them: a bit for each, and above them a bit
/// for each word that is not empty.
struct Level {
    words: Vec<u64>,
    filled: Vec<u64>,
}

impl Level {
    fn of(candidates: usize) -> Self {
        let words = candidates.div_ceil(64);
        Self {
            words: vec![0; words],
            filled: vec![0; words.div_ceil(64)],
        }
    }

    fn insert(&mut self, who: u32) {
        let word = who as usize / 64;
        self.words[word] |= 1 << (who % 64);
        self.filled[word / 64] |= 1 << (word % 64);
    }

    fn remove(&mut self, who: u32) {
        let word = who as usize / 64;
        self.words[word] &= !(1 << (who % 64));
        if self.words[word] == 0 {
            self.filled[word / 64] &= !(1 << (word % 64));
        }
    }

    fn first(&self) -> Option<u32> {
        let filled = self.filled.iter().position(|&filled| filled != 0)?;
        let word = filled * 64 + self.filled[filled].trailing_zeros() as usize;
        Some(word as u32 * 64 + self.words[word].trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{WeightScale, farm_of};

    #[test]
    fn a_map_with_too_many_slots_is_refused_with_the_memory_it_would_take() {
        let farm = farm_of(&[(200, false), (201, false)], WeightScale::Static, false);
        assert!(SlotMap::new(&farm, 401).is_ok());
        let refused = SelectorError::TooManySlots {
            slots: 401,
            limit: 400,
            bytes: 1_604,
        };
        assert_eq!(SlotMap::new(&farm, 400), Err(refused));
        let alike = farm_of(&[(200, false), (200, false)], WeightScale::Static, false);
        assert!(SlotMap::new(&alike, 2).is_ok(), "one slot each");
    }
}
