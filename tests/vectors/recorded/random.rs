//! `random.jsonl`: what `balance random` comes to.
//!
//! The draws are not those of HAProxy, so that means are compared: they may differ by five
//! standard errors. Ours come from a seed, so that the answer is always the same.

use std::collections::BTreeMap;

use serde_json::Value;
use stickroute::haproxy::Routing;
use stickroute::{Admission, Backend, FarmServer, Priority, SimpleRequest};

use super::{NOW, built, list};
use crate::report::{Comparison, Outcome, play_json};

#[test]
fn random_jsonl() {
    play_json("random.jsonl", play);
}

const SEED: u64 = 1;

fn play(case: &Value) -> Outcome {
    let routing = match built(case, SEED) {
        Ok(routing) => routing,
        Err(outcome) => return outcome,
    };
    let mut comparison = Comparison::default();
    let backend = routing.backend("app").expect("it has servers");
    if case["one_by_one"].is_array() {
        one_by_one(backend, &case["one_by_one"], &mut comparison);
    } else if case["held"].is_array() {
        held(&routing, case, &mut comparison);
    } else if case["until_full"].is_array() {
        until_full(backend, &case["until_full"], &mut comparison);
    } else {
        for expected in list(&case["exact"]) {
            let chosen = one_of(backend);
            comparison.check("the server", &chosen.as_deref(), &expected.as_str());
        }
    }
    comparison.outcome()
}

fn one_of(backend: &Backend) -> Option<String> {
    let selection = backend.select(&request(), NOW).ok()?;
    Some(selection.server().name().to_owned())
}

fn request() -> SimpleRequest {
    SimpleRequest::new("GET", "/")
}

fn one_by_one(backend: &Backend, counts: &Value, comparison: &mut Comparison) {
    let counts: Vec<_> = list(counts).iter().filter_map(Value::as_u64).collect();
    let requests = counts.iter().sum::<u64>() as usize;
    let chosen: Vec<_> = (0..10 * requests).map(|_| one_of(backend)).collect();
    for (server, &count) in backend.farm().servers().iter().zip(&counts) {
        let is_it = |name: &Option<String>| f64::from(name.as_deref() == Some(server.name()));
        let ours: Vec<f64> = chosen.iter().map(is_it).collect();
        // As many ones as it was chosen.
        let theirs: Vec<f64> = (0..requests as u64)
            .map(|number| f64::from(number < count))
            .collect();
        close(server.name(), &theirs, &ours, comparison);
    }
}

/// Rounds of sessions that stay open.
fn held(routing: &Routing, case: &Value, comparison: &mut Comparison) {
    let backend = routing.backend("app").expect("it has servers");
    let rounds = list(&case["held"]).iter();
    let theirs: Vec<Vec<String>> = rounds
        .map(|round| list(round).iter().filter_map(Value::as_str))
        .map(|names| names.map(str::to_owned).collect())
        .collect();
    let sessions = theirs[0].len();
    let ours: Vec<_> = (0..300).map(|_| round(backend, sessions)).collect();
    for server in backend.farm().servers() {
        let is_it = |name: &String| f64::from(name == server.name());
        let of = |rounds: &[Vec<String>]| -> Vec<f64> {
            rounds
                .iter()
                .map(|round| round.iter().map(is_it).sum())
                .collect()
        };
        close(server.name(), &of(&theirs), &of(&ours), comparison);
    }
    let text = case["config"].as_str().expect("config");
    let factor = text.split("hash-balance-factor ").nth(1);
    let Some(factor) = factor.and_then(|rest| rest.split_whitespace().next()) else {
        return;
    };
    let factor = factor.parse().expect("a number");
    for round in theirs.iter().chain(&ours) {
        bounded(backend, factor, round, comparison);
    }
}

fn round(backend: &Backend, sessions: usize) -> Vec<String> {
    let open = (0..sessions).map(|_| backend.select(&request(), NOW).expect("a server"));
    let open: Vec<_> = open.collect();
    open.iter()
        .map(|selection| selection.server().name().to_owned())
        .collect()
}

/// No session went to a server that had its share, as `hash-balance-factor` computes it.
fn bounded(backend: &Backend, factor: u32, round: &[String], comparison: &mut Comparison) {
    let farm = backend.farm();
    let weights = farm.servers().iter().map(FarmServer::effective_weight);
    let total: u32 = weights.sum();
    let mut served: BTreeMap<&str, u32> = BTreeMap::new();
    for (open, name) in (0..).zip(round) {
        let slots = ((open + 1) * factor).div_ceil(100);
        let (each, over) = (slots / total, slots % total);
        let mut before = 0;
        for server in farm.servers() {
            let weight = server.effective_weight();
            let extra = (before + weight) * over / total - before * over / total;
            before += weight;
            if server.name() == name {
                let has = served.entry(name).or_default();
                let has_room = *has < (weight * each + extra).max(1);
                comparison.check("room on the server", &has_room, &true);
                *has += 1;
            }
        }
    }
}

/// Rounds of sessions until one has to wait.
fn until_full(backend: &Backend, rounds: &Value, comparison: &mut Comparison) {
    let theirs: Vec<_> = list(rounds).iter().filter_map(Value::as_f64).collect();
    let ours: Vec<_> = (0..3_000).map(|_| f64::from(fill(backend))).collect();
    close("served until one waits", &theirs, &ours, comparison);
    let ends = |of: &[f64]| {
        let ends = of.iter().copied();
        (ends.clone().reduce(f64::min), ends.reduce(f64::max))
    };
    comparison.check("fewest and most", &ends(&ours), &ends(&theirs));
}

fn fill(backend: &Backend) -> u32 {
    let mut open = Vec::new();
    loop {
        match backend.admit_with(&request(), NOW, Priority::default()) {
            Ok(Admission::Served(selection)) => open.push(selection),
            Ok(Admission::Waits(_)) => return open.len() as u32,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether both have the same mean, as far as can be told.
fn close(what: &str, theirs: &[f64], ours: &[f64], comparison: &mut Comparison) {
    let (expected, _) = mean_and_error(theirs);
    let (found, error) = mean_and_error(ours);
    // There are fewer of theirs.
    let error = error * (1.0 + size(ours) / size(theirs)).sqrt();
    if (expected - found).abs() > 5.0 * error {
        comparison.check(what, &found, &expected);
    }
}

fn mean_and_error(of: &[f64]) -> (f64, f64) {
    let mean = of.iter().sum::<f64>() / size(of);
    let squares = of.iter().map(|it| (it - mean).powi(2));
    (mean, squares.sum::<f64>().sqrt() / size(of))
}

fn size(of: &[f64]) -> f64 {
    of.iter().map(|_| 1.0).sum()
}
