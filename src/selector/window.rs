//! The order in which round robin serves the servers of one group: a single-threaded
//! core that knows weights and identities and nothing else.
//!
//! # How it works
//!
//! Time is a *cursor* that advances by one with every server taken. A window is as
//! wide as the sum of all weights, and within it a server of weight *w* out of *t* is
//! due every *t / w* positions; what the division leaves over is carried along, so
//! that in every window everyone has its share, give or take one. A server waits in
//! one of three queues: `fresh` until its first turn in this window, heaviest first;
//! `current` until its next position; `later` when that lies in the next window. With
//! `fresh` and `current` empty the window is over and `later` becomes `fresh`.
//!
//! A turn takes one entry from a queue and puts one in: O(1) where weights are equal, since
//! every entry is then put in behind all others, else O(log n). Nothing is allocated. A
//! change of the servers is O(n log n). All numbers wrap at 32 bits, as HAProxy's do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::ServerId;

/// The largest effective weight, 256 × 16.
const HEAVIEST: u32 = 4_096;

/// Where a server continues after its weight was changed at run time.
///
/// ```
/// use stickroute::{RoundRobin, WeightChangeRule};
///
/// let like_3_5 = RoundRobin::new().weight_change(WeightChangeRule::Rejoin);
/// # let _ = like_3_5;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightChangeRule {
    /// As near to the place it had as the new weight allows. HAProxy 2.6; the default.
    #[default]
    KeepPlace,
    /// Where a server that has just come back would be. HAProxy 3.5.
    Rejoin,
}

/// One group's order. Members are named by their position in the farm.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    members: Vec<Member>,
    current: Queue,
    fresh: Queue,
    later: Queue,
    width: u32,
    cursor: u32,
    total: u32,
    /// Working memory of [`next`](Self::next), empty between calls.
    skipped: Vec<usize>,
}

/// `slot` is the position the member is due at, `last` the one it had, `frac` the
/// remainder carried along, in units of one position divided by its weight.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: ServerId,
    /// Effective weight, 0 when it does not take part.
    weight: u32,
    slot: u32,
    last: u32,
    frac: u32,
    /// Positions from turn to turn, and what the division leaves over: all weights by its
    /// own, so that no turn has to divide.
    step: u32,
    rest: u32,
}

/// The queue a member waited in before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Fresh,
    Later,
    /// In `current`, or in none.
    Elsewhere,
}

impl Window {
    /// The order at start-up: everyone fresh, in the order of configuration.
    pub(crate) fn start(servers: &[(ServerId, u32)]) -> Self {
        let mut window = Self {
            members: servers
                .iter()
                .map(|&(id, weight)| member(id, weight))
                .collect(),
            current: Queue::with_room(servers.len()),
            fresh: Queue::with_room(servers.len()),
            later: Queue::with_room(servers.len()),
            width: 0,
            cursor: 0,
            total: 0,
            skipped: Vec::with_capacity(servers.len()),
        };
        for (index, &(_, weight)) in servers.iter().enumerate() {
            if weight > 0 {
                window.total = window.total.wrapping_add(weight);
                window.fresh.insert(by_weight(weight), index);
            }
        }
        window.turn();
        window.divide();
        window
    }

    /// Whether these are the servers it orders already.
    pub(crate) fn suits(&self, servers: &[(ServerId, u32)]) -> bool {
        let known = self.members.iter().map(|known| (known.id, known.weight));
        known.eq(servers.iter().copied())
    }

    /// The order after the servers have become these.
    ///
    /// A server new by its id comes in as one that has just become usable; one that
    /// is gone leaves as one that has just become unusable. Of several changes at
    /// once, departures come first and the rest in the order of configuration.
    pub(crate) fn adapted(&self, servers: &[(ServerId, u32)], rule: WeightChangeRule) -> Self {
        let (mut window, homes) = self.moved_to(servers);
        for ((index, &(_, weight)), home) in servers.iter().enumerate().zip(homes) {
            window.set_weight(index, weight, home, rule);
        }
        window.divide();
        window
    }

    fn divide(&mut self) {
        for member in &mut self.members {
            member.step = self.total.checked_div(member.weight).unwrap_or_default();
            member.rest = self.total.checked_rem(member.weight).unwrap_or_default();
        }
    }

    /// Takes the next member whose turn it is and who is not `saturated`; `avoid`
    /// only when there is no other, and `None` when there is nobody.
    ///
    /// Whoever is passed over has had its turn.
    pub(crate) fn next(
        &mut self,
        avoid: Option<usize>,
        saturated: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.width > 0
            && let Some(index) = self.current.first()
            && self.is_due(index)
            && avoid != Some(index)
            && !saturated(index)
        {
            self.take_turn(index);
            return Some(index);
        }
        self.search(avoid, saturated)
    }

    /// The turn of the first in `current`, who is due and is taken: what nearly every turn
    /// is, and one step of the heap instead of two.
    fn take_turn(&mut self, index: usize) {
        self.advance(index);
        match self.home_of(index) {
            (Home::Later, key) => {
                self.current.take_first();
                self.later.insert(key, index);
            }
            (_, key) => self.current.replace_first(key, index),
        }
    }

    /// The same as [`next`](Self::next), whoever is due and whatever keeps it from being
    /// taken.
    fn search(&mut self, avoid: Option<usize>, saturated: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut switched, mut avoided) = (false, None);
        let chosen = loop {
            if self.width == 0 {
                (self.width, self.cursor) = (self.total, self.total);
            }
            let Some(index) = self.take() else {
                if switched {
                    break avoided;
                }
                std::mem::swap(&mut self.fresh, &mut self.later);
                self.turn();
                switched = true;
                continue;
            };
            if !saturated(index) {
                if avoid != Some(index) {
                    break Some(index);
                }
                avoided = Some(index);
            }
            self.skipped.push(index);
        };
        if let Some(index) = chosen {
            self.requeue(index);
        }
        self.put_back_skipped(chosen, switched);
        chosen
    }

    fn turn(&mut self) {
        (self.width, self.cursor) = (self.total, self.total);
    }

    /// Unlinks the next member and moves it and the cursor one turn on.
    fn take(&mut self) -> Option<usize> {
        let index = self.take_candidate()?;
        self.advance(index);
        Some(index)
    }

    /// Moves a member and the cursor one turn on.
    fn advance(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.slot == 0 {
            member.slot = self.cursor;
        }
        member.last = member.slot;
        member.slot = member.slot.wrapping_add(member.step);
        member.frac = member.frac.wrapping_add(member.rest);
        if member.frac >= member.weight {
            member.frac -= member.weight;
            member.slot = member.slot.wrapping_add(1);
        }
        self.cursor = self.cursor.wrapping_add(1);
    }

    /// Whether a member of `current` has its turn before those who are fresh.
    fn is_due(&self, index: usize) -> bool {
        self.members[index].slot <= self.cursor
    }

    /// Unlinks who is due; else a fresh member; else who is due next.
    fn take_candidate(&mut self) -> Option<usize> {
        if self.current.first().is_some_and(|index| self.is_due(index)) {
            return self.current.take_first();
        }
        let Some(index) = self.fresh.take_first() else {
            return self.current.take_first();
        };
        let member = &mut self.members[index];
        (member.slot, member.frac) = (0, 0);
        Some(index)
    }

    fn put_back_skipped(&mut self, chosen: Option<usize>, switched: bool) {
        while let Some(index) = self.skipped.pop() {
            if Some(index) == chosen {
                continue;
            }
            if switched {
                self.fresh
                    .insert(by_weight(self.members[index].weight), index);
            } else {
                self.requeue(index);
            }
        }
    }

    fn requeue(&mut self, index: usize) {
        match self.home_of(index) {
            (Home::Later, key) => self.later.insert(key, index),
            (_, key) => self.current.insert(key, index),
        }
    }

    /// The queue a member belongs into until its next turn, and its key there. Its slot is
    /// counted from the beginning of that queue's window.
    fn home_of(&mut self, index: usize) -> (Home, u32) {
        let member = &mut self.members[index];
        let far = member.slot >= self.width.wrapping_mul(2)
            || member.slot >= self.width.wrapping_add(self.total);
        if far {
            member.slot = member.slot.wrapping_sub(self.width);
            return (Home::Later, by_weight(member.weight));
        }
        let within = HEAVIEST
            .wrapping_add(member.frac)
            .wrapping_sub(member.weight)
            / 16;
        let key = member.slot.wrapping_mul(256).wrapping_add(within);
        (Home::Elsewhere, key)
    }

    /// The same order with the members at the places of `servers`: those new to it
    /// of weight 0, those gone left out. Members whose weight will change are unlinked;
    /// beside it stands the queue each of them was in.
    fn moved_to(&self, servers: &[(ServerId, u32)]) -> (Self, Vec<Home>) {
        let places: BTreeMap<ServerId, usize> = servers
            .iter()
            .enumerate()
            .map(|(index, &(id, _))| (id, index))
            .collect();
        let place = |index: usize| places.get(&self.members[index].id).copied();
        let stays = |&place: &usize, index: usize| servers[place].1 == self.members[index].weight;
        let mut members: Vec<Member> = servers.iter().map(|&(id, _)| member(id, 0)).collect();
        let mut homes = vec![Home::Elsewhere; servers.len()];
        let mut total = self.total;
        for (index, &known) in self.members.iter().enumerate() {
            match place(index) {
                Some(place) => members[place] = known,
                None => total = total.wrapping_sub(known.weight),
            }
        }
        for (queue, home) in [(&self.fresh, Home::Fresh), (&self.later, Home::Later)] {
            for place in queue.members().filter_map(place) {
                homes[place] = home;
            }
        }
        let place = |index: usize| place(index).filter(|place| stays(place, index));
        let window = Self {
            current: self.current.moved(servers.len(), place),
            fresh: self.fresh.moved(servers.len(), place),
            later: self.later.moved(servers.len(), place),
            width: self.width,
            cursor: self.cursor,
            total,
            skipped: Vec::with_capacity(servers.len()),
            members,
        };
        (window, homes)
    }

    /// Gives an unlinked member its new weight and its place; nothing happens to a
    /// member that has this weight already.
    fn set_weight(&mut self, index: usize, weight: u32, home: Home, rule: WeightChangeRule) {
        let member = &mut self.members[index];
        let before = std::mem::replace(&mut member.weight, weight);
        if before == weight {
            return;
        }
        self.total = self.total.wrapping_add(weight).wrapping_sub(before);
        match (before, weight, rule) {
            (_, 0, _) => {}
            (0, _, _) => self.rejoin(index),
            (_, _, WeightChangeRule::KeepPlace) if home == Home::Fresh => {
                self.fresh.insert(by_weight(weight), index);
            }
            (_, _, WeightChangeRule::KeepPlace) => self.keep_place(index, home),
            (_, _, WeightChangeRule::Rejoin) => {
                if home == Home::Fresh {
                    self.members[index].frac = 0;
                }
                self.rejoin(index);
            }
        }
    }

    /// Puts an unlinked member at its share of what is left of the window. `frac`
    /// keeps what it was when the member left.
    fn rejoin(&mut self, index: usize) {
        let left = self
            .total
            .wrapping_add(self.width)
            .wrapping_sub(self.cursor);
        let member = &mut self.members[index];
        member.slot = self.cursor.wrapping_add(left / member.weight);
        self.requeue(index);
    }

    fn keep_place(&mut self, index: usize, home: Home) {
        let member = &mut self.members[index];
        if home == Home::Later {
            member.slot = member.slot.wrapping_add(self.width);
        }
        let step = self.total / member.weight;
        member.slot = member.slot.min(member.last.wrapping_add(step));
        member.frac = 0;
        if member.slot < self.cursor.wrapping_add(2) {
            member.slot = self.cursor.wrapping_add(step);
        }
        self.requeue(index);
    }
}

fn member(id: ServerId, weight: u32) -> Member {
    Member {
        id,
        weight,
        slot: 0,
        last: 0,
        frac: 0,
        step: 0,
        rest: 0,
    }
}

/// Heavier members first.
fn by_weight(weight: u32) -> u32 {
    HEAVIEST.wrapping_sub(weight)
}

/// Positions by ascending key, equal keys in the order they were inserted.
#[derive(Clone, Debug)]
struct Queue {
    /// Those that came behind all others in here, in order.
    run: VecDeque<Entry>,
    /// Those that did not.
    heap: BinaryHeap<Reverse<Entry>>,
    inserted: u64,
}

/// Key, age and position from the highest bits down, so that one comparison puts
/// smaller keys first and older entries before younger ones of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u128);

impl Entry {
    fn new(key: u32, age: u64, index: usize) -> Self {
        Self(u128::from(key) << 96 | u128::from(age) << 32 | index as u128)
    }

    fn index(self) -> usize {
        (self.0 as u32) as usize
    }

    fn at(self, index: usize) -> Self {
        Self(self.0 >> 32 << 32 | index as u128)
    }
}

impl Queue {
    fn with_room(members: usize) -> Self {
        Self {
            run: VecDeque::with_capacity(members),
            heap: BinaryHeap::with_capacity(members),
            inserted: 0,
        }
    }

    fn insert(&mut self, key: u32, index: usize) {
        let entry = self.entry(key, index);
        if self.is_behind_run(entry) {
            self.run.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    fn entry(&mut self, key: u32, index: usize) -> Entry {
        let entry = Entry::new(key, self.inserted, index);
        self.inserted += 1;
        entry
    }

    fn is_behind_run(&self, entry: Entry) -> bool {
        self.run.back().is_none_or(|last| *last < entry)
    }

    /// Whether the first of all is in the run.
    fn run_is_first(&self) -> bool {
        match (self.run.front(), self.heap.peek()) {
            (Some(front), Some(Reverse(top))) => front < top,
            (front, _) => front.is_some(),
        }
    }

    fn first(&self) -> Option<usize> {
        let first = if self.run_is_first() {
            self.run.front().copied()
        } else {
            self.heap.peek().map(|Reverse(entry)| *entry)
        };
        first.map(Entry::index)
    }

    fn take_first(&mut self) -> Option<usize> {
        let first = if self.run_is_first() {
            self.run.pop_front()
        } else {
            self.heap.pop().map(|Reverse(entry)| entry)
        };
        first.map(Entry::index)
    }

    /// Takes the first out and puts a member in.
    fn replace_first(&mut self, key: u32, index: usize) {
        let entry = self.entry(key, index);
        let (from_run, to_run) = (self.run_is_first(), self.is_behind_run(entry));
        if !from_run
            && !to_run
            && let Some(mut first) = self.heap.peek_mut()
        {
            *first = Reverse(entry);
            return;
        }
        self.take_first();
        if to_run {
            self.run.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    /// The positions in it, in no order.
    fn members(&self) -> impl Iterator<Item = usize> + '_ {
        let heap = self.heap.iter().map(|Reverse(entry)| entry.index());
        self.run.iter().map(|entry| entry.index()).chain(heap)
    }

    /// The same queue for positions that have moved or gone.
    fn moved(&self, room: usize, place: impl Fn(usize) -> Option<usize>) -> Self {
        let place = |entry: Entry| place(entry.index()).map(|index| entry.at(index));
        let mut moved = Self {
            inserted: self.inserted,
            ..Self::with_room(room)
        };
        moved.run.extend(self.run.iter().copied().filter_map(place));
        let heap = self.heap.iter().filter_map(|&Reverse(entry)| place(entry));
        moved.heap.extend(heap.map(Reverse));
        moved
    }
}
