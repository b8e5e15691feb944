//! Members in the order of a key, oldest first among equals: a single-threaded core that
//! knows numbers and nothing else.
//!
//! # How it works
//!
//! A tournament: members are the leaves of a binary tree, and each node above them holds
//! the better of the two below, so the best of all stands at the root. A new key replays
//! the matches on the way from its leaf to the root, up to the first that ends as before:
//! O(log n), nothing is allocated. The best but one given member is the best of those it
//! met on that way. Who rests keeps its rank, but stands behind all others until then.
//! 20 bytes for each of n members, n rounded up to a power of two.

/// Smaller is better: first the key, then when the member got it.
type Rank = (u64, u64);

/// Part of the key of a member that rests. Keys are smaller.
const RESTS: u64 = 1 << 63;

/// Worse than every key.
const OUT: Rank = (u64::MAX, u64::MAX);

#[derive(Clone, Debug)]
pub(super) struct Ranking {
    /// Of each member, and filled up with [`OUT`] to a power of two.
    ranks: Box<[Rank]>,
    /// The best below each node; node 1 is the root, those below `n` are `2n`, `2n + 1`.
    best: Box<[u32]>,
    /// How many keys were given so far.
    given: u64,
}

impl Default for Ranking {
    fn default() -> Self {
        Self::new([].into_iter(), 0)
    }
}

impl Ranking {
    /// The order of members with these ranks, `None` for those that are out.
    fn new(ranks: impl ExactSizeIterator<Item = Option<Rank>>, given: u64) -> Self {
        let mut ranks: Vec<Rank> = ranks.map(|rank| rank.unwrap_or(OUT)).collect();
        ranks.resize(ranks.len().next_power_of_two(), OUT);
        let mut ranking = Self {
            best: vec![0; ranks.len()].into(),
            ranks: ranks.into(),
            given,
        };
        for node in (1..ranking.ranks.len()).rev() {
            ranking.best[node] = ranking.match_at(node);
        }
        ranking
    }

    /// The order once its members have become these: a key of its own makes a member the
    /// youngest of its equals, in the order they come in; one that keeps what the member
    /// at this position had leaves it where it was.
    pub(super) fn changed(&self, members: impl ExactSizeIterator<Item = Standing>) -> Self {
        let mut given = self.given;
        let ranks: Vec<_> = members
            .map(|standing| match standing {
                Standing::Out => None,
                Standing::Kept(before) => self.ranks.get(before).copied(),
                Standing::New(key) => {
                    given += 1;
                    Some((key, given))
                }
            })
            .collect();
        Self::new(ranks.into_iter(), given)
    }

    /// Gives a member a key, `None` to put it out. With another key than before it
    /// becomes the youngest of its equals. Whether it rests is as before; who was out
    /// does not.
    pub(super) fn set(&mut self, member: usize, key: Option<u64>) {
        if key == self.key(member) {
            return;
        }
        let Some(rank) = self.ranks.get_mut(member) else {
            return;
        };
        let rests = if *rank == OUT { 0 } else { rank.0 & RESTS };
        *rank = key.map_or(OUT, |key| {
            self.given += 1;
            (key | rests, self.given)
        });
        self.replay(member);
    }

    /// Lets a member rest, or take part again at the rank it has.
    pub(super) fn set_resting(&mut self, member: usize, rests: bool) {
        let rank = self.ranks.get_mut(member).filter(|rank| **rank != OUT);
        if let Some(rank) = rank.filter(|rank| (rank.0 & RESTS != 0) != rests) {
            rank.0 ^= RESTS;
            self.replay(member);
        }
    }

    /// The key of a member, `None` of one that is out.
    pub(super) fn key(&self, member: usize) -> Option<u64> {
        let rank = self.ranks.get(member).filter(|&&rank| rank != OUT);
        rank.map(|rank| rank.0 & !RESTS)
    }

    /// The first of those who are `wanted`, resting or not: looks at all of them.
    pub(super) fn first_of(&self, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let ranks = self.ranks.iter().enumerate();
        ranks
            .filter(|&(member, &rank)| rank != OUT && wanted(member))
            .min_by_key(|&(_, &(key, given))| (key & !RESTS, given))
            .map(|(member, _)| member)
    }

    /// The first in order.
    pub(super) fn first(&self) -> Option<usize> {
        self.unless_idle(self.best_of(1))
    }

    /// The first in order but this one.
    pub(super) fn first_but(&self, member: usize) -> Option<usize> {
        let mut node = self.ranks.len() + member;
        let mut found = None;
        while node > 1 && member < self.ranks.len() {
            let other = self.best_of(node ^ 1);
            found = Some(found.map_or(other, |found| self.better(found, other)));
            node /= 2;
        }
        self.unless_idle(found?)
    }

    /// Neither out nor resting.
    fn unless_idle(&self, member: u32) -> Option<usize> {
        let key = self.ranks[member as usize].0;
        (key & RESTS == 0).then_some(member as usize)
    }

    fn replay(&mut self, member: usize) {
        let mut node = (self.ranks.len() + member) >> 1;
        while node > 0 && node < self.best.len() {
            let winner = self.match_at(node);
            let before = std::mem::replace(&mut self.best[node], winner);
            // Whoever wins as before, and has not changed, wins as before further up.
            if before == winner && winner as usize != member {
                return;
            }
            node /= 2;
        }
    }

    fn match_at(&self, node: usize) -> u32 {
        self.better(self.best_of(2 * node), self.best_of(2 * node + 1))
    }

    fn best_of(&self, node: usize) -> u32 {
        match node.checked_sub(self.ranks.len()) {
            Some(leaf) => leaf as u32,
            None => self.best[node],
        }
    }

    fn better(&self, a: u32, b: u32) -> u32 {
        if self.ranks[b as usize] < self.ranks[a as usize] {
            b
        } else {
            a
        }
    }
}

/// Where a member stands after a change of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nowhere.
    Out,
    /// Where the member at this position stood.
    Kept(usize),
    /// Behind all that have this key.
    New(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[u64]) -> Ranking {
        Ranking::default().changed(keys.iter().map(|&key| Standing::New(key)))
    }

    /// Members from the first to the last, which empties it.
    fn order(mut ranking: Ranking) -> Vec<usize> {
        std::iter::from_fn(|| {
            let first = ranking.first()?;
            ranking.set(first, None);
            Some(first)
        })
        .collect()
    }

    #[test]
    fn equals_stand_in_the_order_they_came() {
        assert_eq!(order(of(&[5, 3, 5, 3, 9])), [1, 3, 0, 2, 4]);
    }

    #[test]
    fn a_key_puts_behind_equals_only_if_it_is_another() {
        let mut ranking = of(&[1, 1, 1]);
        ranking.set(0, Some(1));
        assert_eq!(ranking.first(), Some(0));
        ranking.set(0, Some(2));
        ranking.set(0, Some(1));
        assert_eq!(order(ranking), [1, 2, 0]);
    }

    #[test]
    fn who_rests_keeps_its_place_among_equals() {
        let mut ranking = of(&[7, 7, 7]);
        ranking.set_resting(0, true);
        assert_eq!(ranking.first(), Some(1));
        assert_eq!(
            (ranking.key(0), ranking.first_of(|_| true)),
            (Some(7), Some(0))
        );
        ranking.set_resting(1, true);
        ranking.set(1, Some(7));
        ranking.set_resting(0, false);
        ranking.set_resting(1, false);
        assert_eq!(order(ranking), [0, 1, 2]);
    }

    #[test]
    fn nobody_is_first_while_all_rest() {
        let mut ranking = of(&[1, 2]);
        (0..2).for_each(|member| ranking.set_resting(member, true));
        assert_eq!((ranking.first(), ranking.first_but(0)), (None, None));
        ranking.set(0, Some(3));
        assert_eq!(
            (ranking.first(), ranking.first_of(|_| true)),
            (None, Some(1))
        );
    }

    #[test]
    fn the_first_but_one_is_found_without_it() {
        let ranking = of(&[4, 2, 7]);
        assert_eq!(ranking.first_but(1), Some(0));
        assert_eq!(ranking.first_but(0), Some(1));
        assert_eq!(ranking.first_but(99), None);
        assert_eq!(of(&[4]).first_but(0), None);
    }

    #[test]
    fn who_stays_keeps_its_place_among_equals() {
        let ranking = of(&[1, 1, 1]);
        let standings = [Standing::New(1), Standing::Kept(2), Standing::Kept(0)];
        assert_eq!(order(ranking.changed(standings.into_iter())), [2, 1, 0]);
        let out = [Standing::Out, Standing::Kept(1)];
        assert_eq!(order(ranking.changed(out.into_iter())), [1]);
    }

    #[test]
    fn nobody_is_first_of_nobody() {
        assert_eq!(Ranking::default().first(), None);
        let mut ranking = Ranking::default();
        ranking.set(3, Some(1));
        assert_eq!(ranking.first(), None);
    }
}
