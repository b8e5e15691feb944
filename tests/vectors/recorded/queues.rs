//! `queues.jsonl`: who waits where, who is served next, who is refused.

use std::collections::BTreeMap;

use serde_json::Value;
use stickroute::haproxy::Routing;
use stickroute::{
    Admission, Backend, FarmServer, Now, Priority, SelectError, Selection, SimpleRequest, Turn,
    Waiting,
};

use super::{answer, at, built, list};
use crate::report::{Outcome, play_json};

#[test]
fn queues_jsonl() {
    play_json("queues.jsonl", play);
}

fn play(case: &Value) -> Outcome {
    let routing = match built(case, 0) {
        Ok(routing) => routing,
        Err(outcome) => return outcome,
    };
    let mut run = Run::new(&routing);
    for (number, step) in list(&case["steps"]).iter().enumerate() {
        run.step(step);
        let refused = list(&step["refused"]).iter();
        let queued = list(&step["queued"]).iter();
        let expected = Came {
            served: pairs(&step["served"]),
            refused: refused.filter_map(|it| it[0].as_u64()).collect(),
            queued: queued.filter_map(Value::as_u64).collect(),
        };
        let came = run.came();
        if came != expected {
            // What comes behind is about requests that are elsewhere.
            let how = format!("after step {number} {came:?}, expected {expected:?}");
            return Outcome::Different(how);
        }
    }
    Outcome::Same
}

/// What has become of requests since the last step.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    served: Vec<(u64, String)>,
    refused: Vec<u64>,
    /// For each server, and for any.
    queued: Vec<u64>,
}

fn pairs(served: &Value) -> Vec<(u64, String)> {
    let pair = |pair: &Value| Some((pair[0].as_u64()?, pair[1].as_str()?.to_owned()));
    list(served).iter().filter_map(pair).collect()
}

/// Class, when it is due in milliseconds, number.
type Place = (i64, i64, u64);

struct Run<'r> {
    routing: &'r Routing,
    backend: &'r Backend,
    now: Now,
    waiting: BTreeMap<Place, (SimpleRequest, Waiting)>,
    open: BTreeMap<u64, Selection>,
    /// Since the last step.
    served: BTreeMap<u64, String>,
    refused: Vec<u64>,
}

impl<'r> Run<'r> {
    fn new(routing: &'r Routing) -> Self {
        Self {
            routing,
            backend: routing.backend("app").expect("it has servers"),
            now: at(0),
            waiting: BTreeMap::new(),
            open: BTreeMap::new(),
            served: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    fn step(&mut self, step: &Value) {
        let millis = step["at"].as_u64().expect("at");
        self.now = at(millis);
        if step["comes"].is_object() {
            self.come(&step["comes"], millis as i64);
        } else if let Some(number) = step["ends"].as_u64() {
            assert!(self.open.remove(&number).is_some(), "{number} is not open");
        } else if let Some(number) = step["gives_up"].as_u64() {
            self.waiting.retain(|place, _| place.2 != number);
        } else {
            let line = step["order"].as_str().expect("an order");
            assert_eq!(answer(self.routing, line, self.now), "", "{line}");
        }
        self.settle();
    }

    fn come(&mut self, comes: &Value, at: i64) {
        let number = comes["number"].as_u64().expect("number");
        let class = comes["class"].as_i64().unwrap_or(0);
        let offset = comes["offset"].as_i64().unwrap_or(0);
        let priority = Priority::default().class(class as i16);
        let priority = priority.offset_millis(offset as i32);
        let mut request = SimpleRequest::new("GET", "/");
        request = request.header("x-k", comes["key"].as_str().expect("key"));
        if let Some(server) = comes["cookie"].as_str() {
            request = request.header("Cookie", format!("SRV={server}"));
        }
        let admission = self.backend.admit_with(&request, self.now, priority);
        self.admitted((class, at + offset, number), request, admission);
    }

    fn admitted(
        &mut self,
        place: Place,
        request: SimpleRequest,
        admission: Result<Admission, SelectError>,
    ) {
        match admission {
            Ok(Admission::Served(selection)) => self.is_served(place.2, selection),
            Ok(Admission::Waits(waiting)) => {
                self.waiting.insert(place, (request, waiting));
            }
            Err(_) => self.refused.push(place.2),
        }
    }

    fn is_served(&mut self, number: u64, selection: Selection) {
        let name = selection.server().name().to_owned();
        self.served.insert(number, name);
        self.open.insert(number, selection);
    }

    /// Lets everybody go on whose turn has come.
    fn settle(&mut self) {
        let mut goes_on = true;
        while std::mem::take(&mut goes_on) {
            for (place, (request, waiting)) in std::mem::take(&mut self.waiting) {
                match waiting.try_take() {
                    Err(waiting) => {
                        self.waiting.insert(place, (request, waiting));
                        continue;
                    }
                    Ok(Turn::Served(selection)) => self.is_served(place.2, selection),
                    Ok(Turn::SentBack(back)) => {
                        let admission = self.backend.readmit(back, &request, self.now);
                        self.admitted(place, request, admission);
                    }
                }
                goes_on = true;
            }
        }
    }

    fn came(&mut self) -> Came {
        let mut refused = std::mem::take(&mut self.refused);
        refused.sort_unstable();
        let farm = self.backend.farm();
        let servers = farm.servers().iter().map(FarmServer::queued);
        let queued = servers.chain([self.backend.queued()]);
        Came {
            served: std::mem::take(&mut self.served).into_iter().collect(),
            refused,
            queued: queued.map(u64::from).collect(),
        }
    }
}
