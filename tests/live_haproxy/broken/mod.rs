//! Those who do not behave: clients that are slow, leave, or send what is no request, and
//! servers that do the like. HAProxy and `examples/proxy -f` come to the same: the answer and
//! how it ends, what reaches the server, the lines of the log, one for each request, and what
//! is counted.
//!
//! * `requests.txt`, `clients.txt`, `servers.txt`, `proxied.txt`, `raw.txt`: the rows, see
//!   `row.rs`; those of `tests/support/wire.txt` are played, too, for their log lines;
//! * `connection.rs`, `origin.rs`, `side.rs`: who plays them;
//! * `leak.rs`: all at once, and what is left of it.
//!
//! `STICKROUTE_BROKEN_ONLY` is a part of the names of the rows to play, default all.

mod connection;
mod leak;
mod origin;
mod row;
mod side;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use stickroute::Now;

use row::Row;
use side::{Seen, Side};

use crate::program::Program;
use crate::support::eventually;

const TABLES: [&str; 5] = [
    include_str!("requests.txt"),
    include_str!("clients.txt"),
    include_str!("servers.txt"),
    include_str!("proxied.txt"),
    include_str!("raw.txt"),
];

/// What happens by chance, on a busy machine, does not happen so often.
const ROUNDS: usize = 4;

/// So many rows are played at a time.
const PLAYERS: usize = 24;

fn rows() -> Vec<Row> {
    let only = std::env::var("STICKROUTE_BROKEN_ONLY").unwrap_or_default();
    let mut rows = Row::of_wire();
    rows.extend(TABLES.into_iter().flat_map(Row::all));
    rows.retain(|row| row.name.contains(&only));
    rows
}

/// Both with the doors for these rows.
fn start(rows: Vec<Row>) -> (Arc<Vec<Row>>, [Side; 2]) {
    let rows = Arc::new(rows);
    let theirs = Side::start("theirs", &rows, Program::haproxy);
    let ours = Side::start("ours", &rows, Program::ours);
    (rows, [theirs, ours])
}

/// Held by a test that keeps the machine busy.
static MACHINE: Mutex<()> = Mutex::new(());

fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
#[ignore = "runs a real HAProxy"]
fn both_come_to_the_same() {
    let _machine = machine();
    let (rows, sides) = start(rows());
    let mut wrong: Vec<usize> = (0..rows.len()).collect();
    for round in 1..=ROUNDS {
        let found = played(&wrong, |number| compared(&rows[number], number, &sides));
        wrong.clear();
        for (number, [theirs, ours]) in found {
            let row = &rows[number];
            if !row.is_right(&theirs, &ours) {
                println!("round {round}: {}, {}", row.name, row.door);
                println!("  HAProxy: {theirs}\n  ours:    {ours}");
                wrong.push(number);
            }
        }
    }
    println!("{} rows were played", rows.len());
    assert!(wrong.is_empty(), "{} rows differ", wrong.len());
}

/// Plays rows, many at a time.
fn played<T: Send>(numbers: &[usize], play: impl Fn(usize) -> T + Sync) -> Vec<(usize, T)> {
    let left = Mutex::new(numbers.to_vec());
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(number) = left.lock().expect("nobody panics").pop() else {
                return;
            };
            let came = play(number);
            done.lock().expect("nobody panics").push((number, came));
        }
    };
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().expect("nobody panics");
    done.sort_by_key(|(number, _)| *number);
    done
}

/// What comes of a row on both sides, once all has been told of it.
fn compared(row: &Row, number: usize, sides: &[Side; 2]) -> [Seen; 2] {
    let played = on_both(sides, |side| side.play(number));
    let seen = || [0, 1].map(|side| sides[side].seen(number, &played[side]));
    let began = Now::system().mono();
    let waited = || Now::system().mono().saturating_sub(began);
    while waited() < Duration::from_secs(5) {
        let [theirs, ours] = seen();
        // Of few there is nothing to be told.
        let is_told = !theirs.log.is_empty() || waited() > Duration::from_secs(1);
        if is_told && row.is_right(&theirs, &ours) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    // A second line would be one too many.
    thread::sleep(Duration::from_millis(100));
    seen()
}

fn on_both<T: Send>(sides: &[Side; 2], play: impl Fn(&Side) -> T + Sync) -> [T; 2] {
    thread::scope(|scope| {
        let theirs = scope.spawn(|| play(&sides[0]));
        let ours = play(&sides[1]);
        [theirs.join().expect("it is played"), ours]
    })
}

/// Rows of which HAProxy counts one thing twice: a server that resets is two bad responses, and
/// a client that is gone when nobody could have answered it anyway is one that has left.
const UNCOUNTED: [&str; 7] = [
    "client resets while a dead server is tried again",
    "closes and nobody ever answers",
    "half a head and a reset",
    "half closed and nobody ever answers",
    "resets and nobody ever answers",
    "resets before it answers",
    "resets while a dead server is tried again",
];

#[test]
#[ignore = "runs a real HAProxy"]
fn both_count_the_same() {
    let _machine = machine();
    let mut rows = rows();
    rows.retain(|row| row.ours.is_none() && !UNCOUNTED.contains(&&*row.name));
    let (rows, sides) = start(rows);
    let quiet = || sides.iter().all(Side::is_quiet);
    // Those who have asked whether it runs go on to servers that are none.
    thread::sleep(Duration::from_secs(2));
    assert!(eventually(quiet));
    let before = sides.each_ref().map(Side::counts);
    let numbers: Vec<_> = (0..rows.len()).collect();
    played(&numbers, |number| {
        on_both(&sides, |side| drop(side.play(number)));
    });
    let grown = || {
        let counts = sides.each_ref().map(Side::counts);
        [0, 1].map(|side| side::difference(&before[side], &counts[side]))
    };
    let wrong = || {
        let [theirs, ours] = grown();
        let all = theirs
            .into_iter()
            .filter(|(key, count)| ours.get(key) != Some(count));
        let wrong = all.map(|(key, count)| format!("{key}: {count}, ours {:?}", ours.get(&key)));
        wrong.collect::<Vec<_>>()
    };
    // Each look costs both of them something.
    let is_same = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(200));
        quiet() && wrong().is_empty()
    });
    assert!(is_same, "{}", wrong().join("\n"));
}
