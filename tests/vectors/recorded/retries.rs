//! `retries.jsonl`: the servers a request is sent to, one after the other.

use serde_json::Value;
use stickroute::{Backend, Failure, Retry, Selection, SimpleRequest};

use super::{NOW, answer, built, list};
use crate::report::{Comparison, Outcome, play_json};

#[test]
fn retries_jsonl() {
    play_json("retries.jsonl", play);
}

fn play(case: &Value) -> Outcome {
    let routing = match built(case, 0) {
        Ok(routing) => routing,
        Err(outcome) => return outcome,
    };
    let backend = routing.backend("app").expect("it has servers");
    let mut comparison = Comparison::default();
    for (number, step) in list(&case["steps"]).iter().enumerate() {
        let what = format!("step {number}");
        if let Some(line) = step["order"].as_str() {
            let expected = step["answer"].as_str().expect("answer").to_owned();
            comparison.check(&what, &answer(&routing, line, NOW), &expected);
            continue;
        }
        let expected = list(&step["attempts"]).iter();
        let expected = expected.filter_map(|name| Some(name.as_str()?.to_owned()));
        let expected: Vec<String> = expected.collect();
        let (attempts, served) = attempts(backend, step, list(&case["fails"]));
        comparison.check(&what, &attempts, &expected);
        comparison.check(&what, &served.as_deref(), &step["answer"].as_str());
    }
    comparison.outcome()
}

/// All servers that are tried, and the one that answers.
fn attempts(backend: &Backend, step: &Value, fails: &[Value]) -> (Vec<String>, Option<String>) {
    let request = request(step);
    let mut tried = Vec::new();
    let mut attempt = backend.select(&request, NOW).ok();
    while let Some(selection) = attempt {
        let name = selection.server().name().to_owned();
        tried.push(name.clone());
        if !fails.iter().any(|failing| *failing == name) {
            return (tried, Some(name));
        }
        attempt = again(backend, selection, &request);
    }
    (tried, None)
}

fn again(backend: &Backend, selection: Selection, request: &SimpleRequest) -> Option<Selection> {
    match backend.redispatch(selection, request, Failure::Refused, NOW) {
        Retry::Same { selection, .. } | Retry::Other { selection, .. } => Some(selection),
        Retry::GiveUp(_) => None,
    }
}

fn request(step: &Value) -> SimpleRequest {
    let key = step["key"].as_str().expect("key");
    let request = SimpleRequest::new("GET", format!("/{key}")).header("x-k", key);
    match step["cookie"].as_str() {
        Some(server) => request.header("Cookie", format!("SRV={server}")),
        None => request,
    }
}
