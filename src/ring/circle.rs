//! The circle: points in order, and an index that finds the nearest one.

use super::points::Point;

/// Points looked at together. A bucket of the index holds two to four on average, half of
/// them below the hash, so that more than eight are rare and the loop over a window has
/// no branch to mispredict.
const WINDOW: usize = 8;

/// Points stored beside those that count: one in front, a window behind.
pub(super) const SPARE: usize = 1 + WINDOW;

/// Points in order of their keys, with an index over the top bits of a key.
///
/// `points[0]` repeats the last point, so that every point has one before it, and
/// `WINDOW` points of the greatest key follow the last, so that a whole window can be
/// read anywhere. A *rank* counts from 0 and does not see these extra points.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    points: Vec<Point>,
    /// Rank of the first point in or after each bucket; one more closes the last.
    index: Vec<u32>,
    /// What is shifted out of a key to get its bucket.
    shift: u32,
}

impl Default for Circle {
    fn default() -> Self {
        Unfinished::with_capacity(0).finish()
    }
}

impl Circle {
    /// Number of points.
    pub(super) fn len(&self) -> usize {
        self.points.len() - SPARE
    }

    /// The points in order.
    pub(super) fn points(&self) -> &[Point] {
        &self.points[1..][..self.len()]
    }

    /// Memory of a circle of so many points.
    pub(super) fn bytes(points: u64) -> u64 {
        let buckets = 1 + (1 << bucket_bits(points));
        (points + SPARE as u64) * size_of::<Point>() as u64 + buckets * 4
    }

    /// The slot of the point nearest to `h`; the one below where two are as near.
    ///
    /// The circle must not be empty.
    pub(super) fn nearest_slot(&self, h: u32) -> u32 {
        let (_, below, above) = self.neighbours(h);
        if is_nearer(h, below, above) {
            below.slot
        } else {
            above.slot
        }
    }

    /// The rank of the point nearest to `h`, as in [`Self::nearest_slot`].
    pub(super) fn nearest(&self, h: u32) -> usize {
        let (rank, below, above) = self.neighbours(h);
        match (is_nearer(h, below, above), rank) {
            (false, _) => rank % self.len(),
            (true, 0) => self.len() - 1,
            (true, _) => rank - 1,
        }
    }

    /// The rank of the first point at or above `key`; [`len`](Self::len) if all lie below.
    pub(super) fn first_from(&self, key: u32) -> usize {
        let start = self.index[self.bucket(key)] as usize;
        let window = &self.points[start + 1..][..WINDOW];
        let below = window.iter().filter(|point| point.key < key).count();
        if below == WINDOW {
            return self.search(key, start + WINDOW);
        }
        start + below
    }

    /// The rank of the first point above `key`; [`len`](Self::len) if there is none.
    pub(super) fn first_above(&self, key: u32) -> usize {
        match key.checked_add(1) {
            Some(key) => self.first_from(key),
            None => self.len(),
        }
    }

    /// The points on both sides of `h`, and the rank of the upper, not yet wrapped.
    fn neighbours(&self, h: u32) -> (usize, Point, Point) {
        let rank = self.first_from(h);
        let wrapped = if rank == self.len() { 0 } else { rank };
        (rank, self.points[rank], self.points[wrapped + 1])
    }

    /// The same as [`Self::first_from`] in a crowded bucket, from rank `start` on.
    #[cold]
    fn search(&self, key: u32, start: usize) -> usize {
        let end = self.index[self.bucket(key) + 1] as usize;
        start + self.points()[start..end.max(start)].partition_point(|point| point.key < key)
    }

    fn bucket(&self, key: u32) -> usize {
        (key >> self.shift) as usize
    }
}

/// Whether `below` is chosen for `h`. The distances wrap around the circle.
fn is_nearer(h: u32, below: Point, above: Point) -> bool {
    h.wrapping_sub(below.key) <= above.key.wrapping_sub(h)
}

/// Bits of a key that name its bucket, for two to four points each. At least 1, so that
/// a shift is always less than the 32 bits of a key.
fn bucket_bits(points: u64) -> u32 {
    (points / 4).next_power_of_two().ilog2().clamp(1, 31)
}

/// Points being put in order, for a circle yet to be finished.
#[derive(Debug)]
pub(super) struct Unfinished(Vec<Point>);

impl Unfinished {
    /// Room for exactly so many points.
    pub(super) fn with_capacity(points: usize) -> Self {
        let mut all = Vec::with_capacity(points + SPARE);
        all.push(Point::default());
        Self(all)
    }

    /// Adds one point, not below those before it.
    pub(super) fn push(&mut self, point: Point) {
        self.0.push(point);
    }

    /// Adds a run of points, none below those before it.
    pub(super) fn extend(&mut self, points: &[Point]) {
        self.0.extend_from_slice(points);
    }

    /// These points and no others; best with [`SPARE`] capacity left.
    pub(super) fn of(mut points: Vec<Point>) -> Self {
        points.insert(0, Point::default());
        Self(points)
    }

    /// Closes the circle and indexes it.
    pub(super) fn finish(mut self) -> Circle {
        self.0[0] = self.0[self.0.len() - 1];
        let greatest = Point {
            key: u32::MAX,
            slot: 0,
        };
        let (index, shift) = index(&self.0[1..]);
        self.0.extend([greatest; WINDOW]);
        Circle {
            points: self.0,
            index,
            shift,
        }
    }
}

/// The index of these points and the shift that goes with it.
fn index(points: &[Point]) -> (Vec<u32>, u32) {
    let bits = bucket_bits(points.len() as u64);
    let shift = 32 - bits;
    let mut index = vec![u32::MAX; (1 << bits) + 1];
    // Backwards, so that the first point of a bucket is the last to be written.
    for (rank, point) in points.iter().enumerate().rev() {
        index[(point.key >> shift) as usize] = rank as u32;
    }
    // An empty bucket begins where the next one does.
    let mut next = points.len() as u32;
    for start in index.iter_mut().rev() {
        next = next.min(*start);
        *start = next;
    }
    (index, shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn circle(mut keys: Vec<u32>) -> Circle {
        keys.sort_unstable();
        let points = (0..).zip(keys).map(|(slot, key)| Point { key, slot });
        Unfinished::of(points.collect()).finish()
    }

    /// The nearest point by looking at all of them.
    fn naive(points: &[Point], h: u32) -> usize {
        let next = points.iter().position(|point| point.key >= h).unwrap_or(0);
        let before = if next == 0 { points.len() } else { next } - 1;
        let below = h.wrapping_sub(points[before].key);
        let above = points[next].key.wrapping_sub(h);
        if below <= above { before } else { next }
    }

    /// Keys anywhere, in a crowd, at both ends, and many times the same.
    fn keys() -> impl Strategy<Value = Vec<u32>> {
        let key = prop_oneof![
            any::<u32>(),
            0x7fff_fff0..0x8000_0100_u32,
            0..3_u32,
            u32::MAX - 3..=u32::MAX,
            Just(77),
        ];
        prop_oneof![
            prop::collection::vec(key, 1..200),
            prop::collection::vec(Just(0x8000_0005), 1..20),
            prop::collection::vec(Just(0), 1..20),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_hash_finds_the_nearest_point(
            keys in keys(), mut hashes in prop::collection::vec(any::<u32>(), 20)
        ) {
            let circle = circle(keys.clone());
            hashes.extend(keys.iter().flat_map(|&key| {
                [-1, 0, 1, 1 << 30, i32::MIN].map(|by| key.wrapping_add_signed(by))
            }));
            for h in hashes {
                let expected = naive(circle.points(), h);
                prop_assert_eq!(circle.nearest(h), expected, "hash {}", h);
                prop_assert_eq!(circle.nearest_slot(h), circle.points()[expected].slot);
            }
        }
    }

    #[test]
    fn a_point_takes_at_most_ten_bytes_in_a_large_circle() {
        let circle = circle((0..1 << 16).map(crate::hash::full_hash).collect());
        let bytes = circle.points.len() * 8 + circle.index.len() * 4;
        assert_eq!(bytes as u64, Circle::bytes(1 << 16));
        assert!(bytes <= 10 << 16, "{bytes}");
    }
}
