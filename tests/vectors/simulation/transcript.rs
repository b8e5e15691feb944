//! Answers to commands, line by line. Pointers and remaining lifetimes are taken out of
//! recordings, and so they are here.

use serde_json::Value;

use crate::report::Comparison;

/// How far a remaining lifetime may be from the recorded one, in milliseconds.
const TOLERANCE: u64 = 150;

pub(super) fn compare(
    what: &str,
    command: &str,
    answer: &str,
    got: &Value,
    comparison: &mut Comparison,
) {
    let mut lifetimes = Vec::new();
    let recorded = got["out"].as_array().map_or(&[][..], Vec::as_slice);
    let mut recorded = recorded.iter().map(|line| line.as_str().expect("a line"));
    let shows_states = command.starts_with("show servers state");
    let answer = answer.trim_end_matches('\n').lines();
    let lines: Vec<String> = answer
        .map(|line| {
            let line = without_lifetime(&without_pointer(line), &mut lifetimes);
            let line = if shows_states {
                without_age(&line)
            } else {
                line
            };
            recorded
                .next()
                .map_or(line.clone(), |recorded| with_close_rates(&line, recorded))
        })
        .collect();
    comparison.check(what, &Value::from(lines), &got["out"]);
    compare_lifetimes(
        &format!("{what}: exp"),
        &lifetimes,
        &got["exp_ms"],
        comparison,
    );
}

fn compare_lifetimes(what: &str, got: &[u64], recorded: &Value, comparison: &mut Comparison) {
    let recorded = recorded.as_array().map_or(&[][..], Vec::as_slice);
    let recorded: Vec<u64> = recorded
        .iter()
        .map(|time| time.as_u64().expect("milliseconds"))
        .collect();
    let mut pairs = got.iter().zip(&recorded);
    let is_close = got.len() == recorded.len()
        && pairs.all(|(got, recorded)| got.abs_diff(*recorded) <= TOLERANCE);
    if !is_close {
        comparison.check(what, &got, &&recorded[..]);
    }
}

/// The recorded rate for one that is as good as it: a fading rate depends on the
/// millisecond.
fn with_close_rates(line: &str, recorded: &str) -> String {
    let mut words = recorded.split(' ');
    let line = line.split(' ').map(|word| match words.next() {
        Some(recorded) if is_close_rate(word, recorded) => recorded,
        _ => word,
    });
    line.collect::<Vec<_>>().join(" ")
}

fn is_close_rate(word: &str, recorded: &str) -> bool {
    let rate = |word| {
        let (name, value): (&str, &str) = str::split_once(word, ")=")?;
        let value: u64 = value.parse().ok()?;
        name.contains("_rate(").then_some((name, value))
    };
    match (rate(word), rate(recorded)) {
        (Some((name, rate)), Some((other, recorded))) => {
            name == other && rate.abs_diff(recorded) <= recorded / 8
        }
        _ => false,
    }
}

/// `0xPTR` for the pointer a line begins with.
fn without_pointer(line: &str) -> String {
    match line
        .strip_prefix("0x")
        .and_then(|line| line.split_once(':'))
    {
        Some((_, rest)) => format!("0xPTR:{rest}"),
        None => line.to_owned(),
    }
}

/// `exp=E` for the remaining lifetime. A `=` within a key has a backslash before it.
fn without_lifetime(line: &str, lifetimes: &mut Vec<u64>) -> String {
    let Some((before, after)) = line.split_once(" exp=") else {
        return line.to_owned();
    };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (time, rest) = after.split_at(digits);
    match time.parse() {
        Ok(time) if before.starts_with("0xPTR:") => {
            lifetimes.push(time);
            format!("{before} exp=E{rest}")
        }
        _ => line.to_owned(),
    }
}

/// `T` for the time since the last change of a server.
fn without_age(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let is_server = words.first().is_some_and(|id| id.parse::<u32>().is_ok());
    if let (true, Some(age)) = (is_server, words.get_mut(9)) {
        *age = "T";
    }
    words.join(" ")
}
