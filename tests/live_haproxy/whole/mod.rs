//! Whole configurations in service: HAProxy and `examples/proxy -f` run the same text before
//! the same servers, and meet the same clients, failures and operators.
//!
//! Clients are `curl` and raw sockets, which send requests one by one, one behind the other,
//! all at once, in pieces, and shut their side. Servers are killed and started again, are
//! slow, answer 500, and close before, in the middle of and behind the head of an answer.
//! Operators give commands between.
//!
//! Compared are the answers (status, fields, bodies), what every server received and how
//! often, the lines of the log field by field, the tables and `show servers state`. Left out
//! are ports, dates and times, the words of error pages, and the fields that belong to one
//! connection (`Connection`, `Transfer-Encoding`).
//!
//! * `STICKROUTE_LIVE_SEED` is as in the main comparison.
//! * `STICKROUTE_LIVE_ONLY` is a part of the names of the configurations, default all.
//! * `STICKROUTE_LIVE_VISITS` is the number of clients that come, default 60 for each.

mod compare;
mod message;
mod plan;
mod run;
mod servers;
mod talk;
mod traffic;

use std::sync::Mutex;
use std::thread;

use stickroute::Now;

use crate::{number, seed};
use plan::Plan;
use run::{Report, Run};

#[test]
#[ignore = "runs a real HAProxy for two minutes"]
fn configurations_serve_as_in_haproxy() {
    let seed = seed();
    println!("{}", crate::haproxy::version());
    println!("STICKROUTE_LIVE_SEED={seed}");
    let only = std::env::var("STICKROUTE_LIVE_ONLY").unwrap_or_default();
    let visits = number("STICKROUTE_LIVE_VISITS").unwrap_or(60) as usize;
    let mut plans = Plan::all();
    plans.retain(|plan| plan.name.contains(&only));
    plans.reverse();
    let count = plans.len();
    let left = Mutex::new(plans);
    let sum = Mutex::new((Report::default(), Vec::new()));
    let work = || {
        loop {
            let Some(plan) = left.lock().expect("nobody panics").pop() else {
                return;
            };
            let begin = Now::system();
            let (report, outcome) = Run::start(&plan, seed).play(visits);
            let lasted = Now::system().mono().saturating_sub(begin.mono());
            println!("{:<28} {report:?} in {lasted:.1?}", plan.name);
            let mut sum = sum.lock().expect("nobody panics");
            sum.0 += report;
            if let Err(difference) = outcome {
                println!("{} DIFFERENT\n{difference}", plan.name);
                sum.1.push(plan.name);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let (report, different) = sum.into_inner().expect("nobody panics");
    println!("{count} configurations: {report:?}");
    assert!(
        different.is_empty(),
        "STICKROUTE_LIVE_SEED={seed} repeats it: {different:?}"
    );
    let is_much = report.served * 2 > report.requests && report.lines > report.visits;
    assert!(is_much && report.entries > 0 && report.states > 0);
}
