//! Reads recordings, counts what became of each case, and judges at the end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// What became of one case.
pub(crate) enum Outcome {
    /// It does what HAProxy did.
    Same,
    /// It does not, and how.
    Different(String),
    /// It needs something the library does not have yet.
    NotYet(String),
}

/// Plays every line of a JSON file; a file missing in a folder of other recordings is
/// skipped with a line that says so.
pub(crate) fn play_json(file: &str, play: impl Fn(&Value) -> Outcome) {
    play_some(file, |_| true, play);
}

/// The cases of a JSON file; none if it is missing in a folder of other recordings.
pub(crate) fn cases(file: &str) -> Vec<Value> {
    objects(&read(file).unwrap_or_default()).collect()
}

fn objects(text: &str) -> impl Iterator<Item = Value> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).expect("a line is a JSON object"))
}

/// Plays the lines of a JSON file that are `wanted`; the others are another test's.
pub(crate) fn play_some(
    file: &str,
    wanted: impl Fn(&Value) -> bool,
    play: impl Fn(&Value) -> Outcome,
) {
    let cases = |text: &str| -> Vec<(String, Value)> {
        objects(text)
            .filter(|case| wanted(case))
            .map(|case| (id_of(&case), case))
            .collect()
    };
    run(file, cases, |case| play(case));
}

/// Plays every line of a CSV file but its heading.
pub(crate) fn play_csv(file: &str, play: impl Fn(&[&str]) -> Outcome) {
    let cases = |text: &str| -> Vec<(String, String)> {
        let lines = text.lines().skip(1).filter(|line| !line.is_empty());
        lines
            .map(|line| (line.to_owned(), line.to_owned()))
            .collect()
    };
    run(file, cases, |line| {
        play(&line.split(',').collect::<Vec<_>>())
    });
}

fn id_of(case: &Value) -> String {
    let id = case.get("id").or_else(|| case.get("line"));
    id.and_then(Value::as_str)
        .expect("a case has an id or a line")
        .to_owned()
}

fn run<C>(file: &str, cases: impl Fn(&str) -> Vec<(String, C)>, play: impl Fn(&C) -> Outcome) {
    let Some(text) = read(file) else {
        println!("{file}: skipped, not in this folder");
        return;
    };
    let listed = differences(file);
    let (mut ran, mut differ, mut not_yet) = (0, 0, 0);
    let mut failures = String::new();
    for (id, case) in cases(&text) {
        match (play(&case), listed.contains(&id)) {
            (Outcome::NotYet(what), _) => {
                println!("{file}: {id}: not yet: {what}");
                not_yet += 1;
                continue;
            }
            (Outcome::Same, true) => {
                let _ = writeln!(failures, "{id}: listed as a difference, but the same");
            }
            (Outcome::Different(_), true) => differ += 1,
            (Outcome::Different(how), false) => {
                let _ = writeln!(failures, "{id}: {how}");
            }
            (Outcome::Same, false) => {}
        }
        ran += 1;
    }
    let failed = failures.lines().count();
    println!(
        "{file}: {ran} run, {failed} failed, {differ} listed as differences, {not_yet} not yet"
    );
    assert!(ran > 0, "{file}: no case was run");
    assert!(failures.is_empty(), "{file}:\n{failures}");
}

fn read(file: &str) -> Option<String> {
    let other = std::env::var_os("STICKROUTE_VECTORS").map(PathBuf::from);
    let is_own = other.is_none();
    let path = other.map_or_else(|| own(file), |folder| folder.join(file));
    assert!(!is_own || path.exists(), "{} is missing", path.display());
    path.exists()
        .then(|| fs::read_to_string(&path).expect("recordings are readable text"))
}

/// Where a file of our own is: given to us, or recorded by `tests/record/`.
fn own(file: &str) -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let given = tests.join("vectors").join(file);
    if given.exists() {
        given
    } else {
        tests.join("recorded").join(file)
    }
}

/// Ids of a file that `docs/differences.md` lists.
fn differences(file: &str) -> BTreeSet<String> {
    let page = include_str!("../../docs/differences.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let file = cells.next()?.trim_matches('`').to_owned();
        Some((file, cells.next()?.trim_matches('`').to_owned()))
    });
    rows.filter(|(of, _)| of == file)
        .map(|(_, id)| id)
        .collect()
}

/// Collects what differs between what is expected and what was got.
#[derive(Default)]
pub(crate) struct Comparison(Vec<String>);

impl Comparison {
    /// Notes a difference unless both are equal.
    pub(crate) fn check<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        got: &T,
        expected: &T,
    ) {
        if got != expected {
            self.0
                .push(format!("{what} is {got:?}, expected {expected:?}"));
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        if self.0.is_empty() {
            Outcome::Same
        } else {
            Outcome::Different(self.0.join("; "))
        }
    }
}
