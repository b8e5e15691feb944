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
    let shows_states = command.starts_with("show servers state");
    let lines: Vec<String> = answer
        .trim_end_matches('\n')
        .lines()
        .map(|line| {
            let line = without_lifetime(&without_pointer(line), &mut lifetimes);
            if shows_states {
                without_age(&line)
            } else {
                line
            }
        })
        .collect();
    comparison.check(what, &Value::from(lines), &got["out"]);
    let expected = got["exp_ms"].as_array().map_or(&[][..], Vec::as_slice);
    let expected: Vec<u64> = expected
        .iter()
        .map(|time| time.as_u64().expect("milliseconds"))
        .collect();
    let close = lifetimes.len() == expected.len()
        && lifetimes
            .iter()
            .zip(&expected)
            .all(|(got, expected)| got.abs_diff(*expected) <= TOLERANCE);
    if !close {
        comparison.check(&format!("{what}: exp"), &lifetimes, &expected);
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
