//! Points: where a node's keys fall, and how many of them are put in order.

use super::key::RingKey;

/// One point of the circle and the slot of the node it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) key: u32,
    pub(super) slot: u32,
}

/// Points `from..to` of the node in `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) slot: u32,
    pub(super) key: RingKey,
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Span {
    pub(super) fn len(&self) -> usize {
        self.to.saturating_sub(self.from) as usize
    }

    fn points(self) -> impl Iterator<Item = Point> {
        (self.from..self.to).map(move |j| Point {
            key: self.key.point(j),
            slot: self.slot,
        })
    }
}

/// The points of all spans by key, equal keys in the order of the spans, with capacity
/// for `spare` more.
pub(super) fn placed(spans: &[Span], spare: usize) -> Vec<Point> {
    let count: usize = spans.iter().map(Span::len).sum();
    let mut points = Vec::with_capacity(count + spare);
    for span in spans {
        points.extend(span.points());
    }
    sort(&mut points);
    points
}

/// Bits of the key that one pass of the radix sort looks at: the counters of both passes
/// fit into the first-level cache.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;
const PASSES: usize = 2;
/// Bits left for comparisons: points that differ in these alone are rare.
const REST_BITS: u32 = u32::BITS - PASSES as u32 * DIGIT_BITS;

/// Below this many points clearing the counters costs more than comparing.
const RADIX_FROM: usize = 512;

/// Sorts by key, keeping the order of equal keys.
fn sort(points: &mut Vec<Point>) {
    if points.len() < RADIX_FROM {
        points.sort_by_key(|point| point.key);
        return;
    }
    let mut starts = starts(points);
    let mut scratch = vec![Point::default(); points.len()];
    for (pass, starts) in starts.iter_mut().enumerate() {
        for &point in points.iter() {
            let start = &mut starts[digit(point.key, pass)];
            scratch[*start as usize] = point;
            *start += 1;
        }
        std::mem::swap(points, &mut scratch);
    }
    for same in points.chunk_by_mut(|a, b| a.key >> REST_BITS == b.key >> REST_BITS) {
        if same.len() > 1 {
            same.sort_by_key(|point| point.key);
        }
    }
}

fn digit(key: u32, pass: usize) -> usize {
    (key >> (REST_BITS + pass as u32 * DIGIT_BITS)) as usize % DIGITS
}

/// For each pass, where the points with each digit begin.
fn starts(points: &[Point]) -> [[u32; DIGITS]; PASSES] {
    let mut counts = [[0; DIGITS]; PASSES];
    for point in points {
        for (pass, counts) in counts.iter_mut().enumerate() {
            counts[digit(point.key, pass)] += 1;
        }
    }
    for counts in &mut counts {
        let mut sum = 0;
        for count in counts {
            sum += std::mem::replace(count, sum);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_sorting_agree_also_about_equal_keys() {
        let mut points: Vec<_> = (0..4 * RADIX_FROM as u32)
            .map(|j| Point {
                key: RingKey::seed(7).point(j % 1500),
                slot: j,
            })
            .collect();
        let mut expected = points.clone();
        expected.sort_by_key(|point| point.key);
        sort(&mut points);
        assert_eq!(points, expected);
    }
}
