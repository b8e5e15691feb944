//! Configurations with stick tables: accepted, warned about or refused as by HAProxy.

use serde_json::Value;
use stickroute::haproxy::{Configuration, Finding, Severity};

use crate::report::{Comparison, Outcome, play_some};

#[test]
fn configurations_are_judged_as_by_haproxy() {
    play_some("stick_table.jsonl", |case| case["topic"] == "config", judge);
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
