//! `stick_table.jsonl`: configurations with stick tables, and scenes played with them.

use serde_json::Value;
use stickroute::haproxy::{Configuration, Finding, Severity};

use crate::report::{Comparison, Outcome, cases, play_some};
use crate::simulation;

#[test]
fn configurations_are_judged_as_by_haproxy() {
    play_some("stick_table.jsonl", is_check, judge);
}

#[test]
fn scenes_end_as_with_haproxy() {
    play_some("stick_table.jsonl", |case| !is_check(case), play);
}

fn is_check(case: &Value) -> bool {
    case["topic"] == "config"
}

fn judge(case: &Value) -> Outcome {
    let text = case["config"].as_str().expect("a case has a configuration");
    let expected = expected(&case["check"]);
    let got = match Configuration::parse("CFG", text) {
        Ok(configuration) => {
            let findings = configuration.findings().iter();
            match findings.map(Finding::severity).max() {
                Some(Severity::Warning) => "warned about",
                _ => "accepted",
            }
        }
        Err(_) => "refused",
    };
    let mut comparison = Comparison::default();
    comparison.check("the configuration", &got, &expected);
    comparison.outcome()
}

/// A case without a check was run, so its configuration was accepted.
fn expected(check: &Value) -> &'static str {
    match (check["rc"].as_i64(), check["messages"].as_array()) {
        (Some(0), Some(messages)) if !messages.is_empty() => "warned about",
        (None | Some(0), _) => "accepted",
        _ => "refused",
    }
}

fn play(case: &Value) -> Outcome {
    simulation::play(case).unwrap_or_else(|trouble| match missing(case) {
        Some(part) => Outcome::NotYet(part.into()),
        None => Outcome::Different(trouble),
    })
}

/// The part of the library that the configuration of a case needs and that is not there.
fn missing(case: &Value) -> Option<&'static str> {
    let mut words = case["config"].as_str()?.split_whitespace();
    words.find_map(|word| match word {
        word if word.starts_with("sc_") => Some("fetches of what is tracked"),
        _ => None,
    })
}

/// Whatever is changed of what was recorded, the case is not the same any more.
#[test]
fn every_expectation_of_a_scene_counts() {
    let scenes = cases("stick_table.jsonl");
    let same = scenes.iter().filter(|case| is_same(case));
    for case in same {
        for (step, field) in expectations(case) {
            let mut mutant = case.clone();
            change(&mut mutant["steps"][step]["got"][&field]);
            let id = &case["id"];
            assert!(
                !is_same(&mutant),
                "{id}: {field} of step {step} counts for nothing"
            );
        }
    }
}

fn is_same(case: &Value) -> bool {
    !is_check(case) && matches!(play(case), Outcome::Same)
}

/// Number of step and name of field of all that was recorded.
fn expectations(case: &Value) -> Vec<(usize, String)> {
    let steps = case["steps"].as_array().expect("steps").iter();
    steps
        .enumerate()
        .flat_map(|(number, step)| {
            let fields = step["got"].as_object().into_iter().flatten();
            fields.map(move |(name, _)| (number, name.clone()))
        })
        .collect()
}

/// Another server, another status, one line more, a lifetime that is too far off.
fn change(recorded: &mut Value) {
    *recorded = match &*recorded {
        Value::Null => Value::from("s1"),
        Value::String(text) => Value::from(format!("{text}x")),
        Value::Number(number) => Value::from(number.as_u64().expect("a number") + 1),
        Value::Array(list) => match list.last().and_then(Value::as_u64) {
            Some(lifetime) => Value::from([&list[1..], &[Value::from(lifetime + 400)]].concat()),
            None => Value::from([&list[..], &[Value::from("x")]].concat()),
        },
        other => panic!("{other}"),
    };
}
