//! Races: contenders measured side by side in one process.
//!
//! Times of different runs do not compare: the machine is never twice the same. So the
//! contenders take turns, pass by pass, and the best pass of each counts: what disturbs
//! the machine only ever adds time. Only ratios of one race mean anything.
//!
//! Every pass returns a checksum of its answers. It keeps the compiler from removing
//! the work, and the race asserts that it is the same in every pass.

pub mod tables;

use std::time::{Duration, Instant};

/// How long one pass of one contender should take.
const PASS: Duration = Duration::from_millis(30);
const ROUNDS: usize = 11;

/// Contenders for the same task.
#[derive(Default)]
pub struct Race<'a> {
    contenders: Vec<Contender<'a>>,
}

struct Contender<'a> {
    name: &'a str,
    /// Does the task so many times and returns a checksum of the answers.
    run: Box<dyn FnMut(u64) -> u64 + 'a>,
    repeats: u64,
    checksum: u64,
    best: f64,
}

impl<'a> Race<'a> {
    /// A race without contenders.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a contender: a closure that does the task as often as it is told and
    /// returns a checksum of the answers.
    #[must_use]
    pub fn contender(mut self, name: &'a str, run: impl FnMut(u64) -> u64 + 'a) -> Self {
        self.contenders.push(Contender {
            name,
            run: Box::new(run),
            repeats: 1,
            checksum: 0,
            best: f64::INFINITY,
        });
        self
    }

    /// Runs all rounds and returns nanoseconds a task, in the order of the contenders.
    ///
    /// # Panics
    /// When a contender's checksum differs between two passes.
    pub fn run(mut self) -> Vec<f64> {
        self.contenders.iter_mut().for_each(Contender::calibrate);
        for _ in 0..ROUNDS {
            self.contenders.iter_mut().for_each(Contender::pass);
        }
        self.contenders.iter().map(|it| it.best).collect()
    }
}

impl Contender<'_> {
    /// Finds how many repeats fill a pass, and what they have for a checksum.
    fn calibrate(&mut self) {
        loop {
            let (elapsed, checksum) = self.timed();
            self.checksum = checksum;
            if elapsed >= PASS * 2 / 3 {
                return;
            }
            let factor = PASS.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
            self.repeats = (self.repeats as f64 * factor.clamp(1.2, 16.0)).ceil() as u64;
        }
    }

    fn pass(&mut self) {
        let (elapsed, checksum) = self.timed();
        assert_eq!(checksum, self.checksum, "{} answered anew", self.name);
        let each = elapsed.as_secs_f64() * 1e9 / self.repeats as f64;
        self.best = self.best.min(each);
    }

    fn timed(&mut self) -> (Duration, u64) {
        let start = Instant::now();
        let checksum = (self.run)(self.repeats);
        (start.elapsed(), checksum)
    }
}

/// A ratio that should not be exceeded.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Number of the target, `P13` for example.
    pub id: &'static str,
    /// The greatest ratio that passes.
    pub ratio: f64,
}

impl Target {
    /// Prints how the candidate does against the rival, both in nanoseconds.
    pub fn judge(self, what: &str, candidate: f64, rival: f64) {
        let ratio = candidate / rival;
        let verdict = if ratio <= self.ratio { "PASS" } else { "MISS" };
        println!(
            "{:<4} {what:<44} {:>10} {:>10} {ratio:>6.3}x  (<= {}x) {verdict}",
            self.id,
            readable(candidate),
            readable(rival),
            self.ratio,
        );
    }
}

/// Nanoseconds with a unit.
fn readable(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

/// Different keys in a fixed order that looks random: the `i`-th of a sequence that
/// repeats after 2³².
#[inline]
pub fn key(i: u64) -> u32 {
    (i as u32).wrapping_mul(0x9e37_79b1)
}
