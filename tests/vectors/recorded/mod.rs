//! `tests/recorded/*.jsonl`: what the programs of `tests/record/` recorded, each case with
//! the text of its configuration, which is what the library is built from.

mod queues;
mod random;
mod retries;

use std::time::Duration;

use serde_json::Value;
use stickroute::Now;
use stickroute::haproxy::{Configuration, Routing};

use crate::report::Outcome;

const NOW: Now = at(0);

/// So many milliseconds after the start.
const fn at(millis: u64) -> Now {
    let mono = Duration::from_millis(5_000 + millis);
    Now::new(mono, Duration::from_secs(1_800_000_000))
}

/// The configuration of a case; draws of random numbers begin with this seed.
fn built(case: &Value, seed: u64) -> Result<Routing, Outcome> {
    let text = case["config"].as_str().expect("config");
    let text = text.replace("LISTEN", "127.0.0.1:8080");
    let text = text.replace("CONTROL", "ipv4@127.0.0.1:8081");
    let read = Configuration::parse("haproxy.cfg", text);
    let built = read.and_then(|configuration| configuration.routing().seed(seed).build());
    built.map_err(|error| Outcome::Different(error.to_string()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What the runtime commands answer to a line.
fn answer(routing: &Routing, line: &str, now: Now) -> String {
    let answer = routing.runtime(NOW).answer(line.as_bytes(), now);
    answer.text().trim().to_owned()
}
