//! `balance*.jsonl`: sequences of picks by an algorithm, with events between them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stickroute::haproxy::{self, DirectiveError};
use stickroute::{
    AdminState, Backend, ConsistentHash, Failure, HashInput, Now, OperationalState,
    PreserveAffinity, Redispatch, Retry, RetryPolicy, RingPlacement, RoundRobin, Selection,
    Selector, Server, ServerId, SimpleRequest, UpdateError, Weight, WeightChange, WeightChangeRule,
};

use crate::packets;
use crate::report::{Comparison, Outcome, cases, play_json};

#[test]
fn balance_jsonl() {
    play_json("balance.jsonl", play);
}

/// What is listed as a difference is none with the switch for it: requests without a key
/// cross from ring to ring as they do in HAProxy.
#[test]
fn rings_are_crossed_as_in_haproxy_where_that_is_wanted() {
    let mut played = 0;
    for case in cases("balance.jsonl") {
        let Some(selector) = crossing(&case["config"]) else {
            continue;
        };
        let outcome = match backend_with(&case, Arc::new(selector)) {
            Ok(backend) => compare(&case, backend),
            Err(outcome) => outcome,
        };
        assert!(matches!(outcome, Outcome::Same), "{case}");
        played += 1;
    }
    println!("{played} cases with a ring and a header run");
    let are_others = std::env::var_os("STICKROUTE_VECTORS").is_some();
    assert!(
        played > 0 || are_others,
        "no case with a ring and a header was found"
    );
}

/// The selector of a case with `balance hdr(NAME)` and `hash-type consistent`.
fn crossing(config: &Value) -> Option<ConsistentHash> {
    let name = config["balance"].as_str()?.strip_prefix("hdr(")?;
    let is_plain = config["hash_type"] == "consistent";
    let input = HashInput::header(name.strip_suffix(')').filter(|_| is_plain)?);
    let factor = config["hash_balance_factor"].as_u64().unwrap_or(0);
    let ring = ConsistentHash::new(input).balance_factor(factor as u32);
    Some(ring.cross_rings())
}

#[test]
fn balance_35_jsonl() {
    play_json("balance_35.jsonl", play);
}

#[test]
fn balance_retry_jsonl() {
    play_json("balance_retry.jsonl", play);
}

const NOW: Now = Now::new(Duration::from_secs(5), Duration::from_secs(1_800_000_000));

fn play(case: &Value) -> Outcome {
    if let Some(what) = unsupported(case) {
        return Outcome::NotYet(what);
    }
    let backend = match backend_of(case) {
        Ok(backend) => backend,
        Err(outcome) => return outcome,
    };
    compare(case, backend)
}

fn compare(case: &Value, backend: Backend) -> Outcome {
    let mut comparison = Comparison::default();
    check_ids(case, &backend, &mut comparison);
    let is_retry = case["kind"] == "retry";
    let mut run = Run::new(case, backend);
    for (number, expected) in list(&case["expect"]).iter().enumerate() {
        run.events_before(number, &mut comparison);
        let what = format!("request {number}");
        if is_retry {
            comparison.check(&what, &run.attempts(number), expected);
        } else {
            comparison.check(
                &what,
                &run.pick(number),
                &expected.as_str().map(str::to_owned),
            );
        }
    }
    comparison.outcome()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What a case needs that is not played here: requests do not wait in these cases.
fn unsupported(case: &Value) -> Option<String> {
    let servers = list(&case["config"]["servers"]);
    let waits = servers.iter().any(|server| !server["maxqueue"].is_null());
    waits.then(|| "a server with maxqueue, whose queue is not played here".to_owned())
}

/// The selector of a case, from HAProxy's text where there is one for it.
fn selector_of(case: &Value) -> Result<Arc<dyn Selector>, Outcome> {
    let config = &case["config"];
    let balance = config["balance"].as_str().expect("balance");
    let hash_type = config["hash_type"].as_str();
    let is_newer = case["haproxy"].is_string();
    match (balance, hash_type) {
        ("roundrobin", _) if is_newer => {
            let rejoin = RoundRobin::new().weight_change(WeightChangeRule::Rejoin);
            Ok(Arc::new(rejoin))
        }
        ("source", Some("consistent")) => Ok(Arc::new(source_ring(config))),
        _ => haproxy::selector(balance, hash_type).map_err(refused),
    }
}

/// `balance source`, `hash-type consistent` with all that goes with it.
fn source_ring(config: &Value) -> ConsistentHash {
    let preserve = match config["hash_preserve_affinity"].as_str() {
        None | Some("always") => PreserveAffinity::Always,
        Some("maxconn") => PreserveAffinity::MaxConnections,
        Some(other) => panic!("hash-preserve-affinity {other:?}"),
    };
    let factor = config["hash_balance_factor"].as_u64().unwrap_or(0);
    ConsistentHash::new(HashInput::source())
        .preserve_affinity(preserve)
        .balance_factor(factor as u32)
}

fn placement(hash_key: &str) -> RingPlacement {
    match hash_key {
        "id" => RingPlacement::Id,
        "id32" => RingPlacement::Id32,
        "guid" => RingPlacement::Guid,
        "addr" => RingPlacement::Address,
        "addr-port" => RingPlacement::AddressPort,
        other => panic!("hash-key {other:?}"),
    }
}

fn backend_of(case: &Value) -> Result<Backend, Outcome> {
    backend_with(case, selector_of(case)?)
}

fn backend_with(case: &Value, selector: Arc<dyn Selector>) -> Result<Backend, Outcome> {
    let config = &case["config"];
    let mut builder = Backend::builder("be")
        .servers(list(&config["servers"]).iter().map(server_of))
        .balance_shared(selector)
        .retry(retry_of(config));
    if config["allbackups"] == true {
        builder = builder.all_backups();
    }
    // A request of a retry case may come with persistence: `direct` names its server.
    builder = builder.lookup(|request| {
        let mut server = None;
        request.visit_headers(DIRECT, &mut |id| {
            server = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            ControlFlow::Break(())
        });
        ServerId::new(server?)
    });
    builder
        .build()
        .map_err(|error| Outcome::Different(error.to_string()))
}

fn refused(error: DirectiveError) -> Outcome {
    match error {
        DirectiveError::NotSupportedYet { .. } => Outcome::NotYet(error.to_string()),
        other => Outcome::Different(other.to_string()),
    }
}

fn server_of(server: &Value) -> Server {
    let number = |field: &str| server[field].as_u64().map(|n| n as u32);
    let name = server["name"].as_str().expect("name");
    let address = server["addr"].as_str().expect("addr");
    let mut built = Server::new(name, address).weight(number("weight").expect("weight"));
    if let Some(id) = number("id") {
        built = built.id(id);
    }
    if let Some(limit) = number("maxconn") {
        built = built.max_connections(limit);
    }
    if let Some(guid) = server["guid"].as_str() {
        built = built.guid(guid);
    }
    if let Some(hash_key) = server["hash_key"].as_str() {
        built = built.hash_key(placement(hash_key));
    }
    if server["backup"] == true {
        built = built.backup();
    }
    match server["state"].as_str().expect("state") {
        "up" => built,
        "maint" => built.admin_state(AdminState::Maintenance),
        other => panic!("state {other:?}"),
    }
}

fn retry_of(config: &Value) -> RetryPolicy {
    let retries = config["retries"].as_u64().unwrap_or(3) as u32;
    let redispatch = match config["redispatch"].as_i64() {
        Some(interval) => Redispatch::Interval(interval as i32),
        None => Redispatch::Off,
    };
    RetryPolicy::new(retries).redispatch(redispatch)
}

fn check_ids(case: &Value, backend: &Backend, comparison: &mut Comparison) {
    let farm = backend.farm();
    for (server, expected) in farm.servers().iter().zip(list(&case["config"]["servers"])) {
        let expected = expected["effective_id"].as_u64();
        comparison.check(server.name(), &Some(server.id().get().into()), &expected);
    }
}

/// A case being played.
struct Run<'c> {
    case: &'c Value,
    backend: Backend,
    next_event: usize,
    hold: bool,
    /// Connections that stay open, by number of their request.
    open: BTreeMap<u64, Selection>,
}

impl<'c> Run<'c> {
    fn new(case: &'c Value, backend: Backend) -> Self {
        Self {
            case,
            backend,
            next_event: 0,
            hold: case["hold"] == true,
            open: BTreeMap::new(),
        }
    }

    fn events_before(&mut self, number: usize, comparison: &mut Comparison) {
        let case = self.case;
        while let Some(event) = list(&case["events"]).get(self.next_event) {
            if event["at"].as_u64().expect("at") > number as u64 {
                break;
            }
            self.next_event += 1;
            let refused = self.apply(event).is_err();
            comparison.check("refused", &refused, &(event["refused"] == true));
        }
    }

    fn apply(&mut self, event: &Value) -> Result<(), UpdateError> {
        let server = event["server"].as_str().unwrap_or_default();
        match event["op"].as_str().expect("op") {
            "state" => self.backend.set_admin_state(server, admin(event)),
            "health" => self.backend.set_operational_state(server, health(event)),
            "weight" => self.backend.set_weight(server, weight(event)),
            "close" => {
                self.open.remove(&event["req"].as_u64().expect("req"));
                Ok(())
            }
            other => panic!("op {other:?}"),
        }
    }

    fn request(&self, number: usize) -> SimpleRequest {
        let request = &self.case["requests"][number];
        let source = request["src"].as_str().unwrap_or("127.0.0.1");
        let uri = request["uri"].as_str().unwrap_or("/");
        let mut built = SimpleRequest::new("GET", uri).source(source.parse().expect("src"));
        for (name, value) in request["hdr"].as_object().into_iter().flatten() {
            built = built.header(name, value.as_str().expect("a header value"));
        }
        if let Some(name) = request["direct"].as_str() {
            let id = self.backend.server(name).expect("a server").id();
            built = built.header(DIRECT, id.to_string());
        }
        if let Some(user) = request["rdp"].as_str() {
            built = built.payload(packets::rdp(&format!("mstshash={user}")));
        }
        built
    }

    fn pick(&mut self, number: usize) -> Option<String> {
        let selection = self.backend.select(&self.request(number), NOW).ok()?;
        let name = selection.server().name().to_owned();
        if self.hold {
            self.open.insert(number as u64, selection);
        }
        Some(name)
    }

    /// Attempts by server until one is accepted, in the form of the recording.
    fn attempts(&mut self, number: usize) -> Value {
        let request = self.request(number);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut attempt = self.backend.select(&request, NOW).ok();
        let mut last = None;
        while let Some(selection) = attempt {
            let name = selection.server().name().to_owned();
            *counts.entry(name.clone()).or_default() += 1;
            if !self.refuses(&name) {
                last = Some(name);
                break;
            }
            attempt = self.retry(selection, &request);
        }
        serde_json::json!({ "attempt_counts": counts, "final": last })
    }

    fn refuses(&self, name: &str) -> bool {
        let mut servers = list(&self.case["config"]["servers"]).iter();
        servers.any(|server| server["name"] == name && server["refuse"] == true)
    }

    fn retry(&self, selection: Selection, request: &SimpleRequest) -> Option<Selection> {
        match self
            .backend
            .redispatch(selection, request, Failure::Refused, NOW)
        {
            Retry::Same { selection, .. } | Retry::Other { selection, .. } => Some(selection),
            Retry::GiveUp(_) => None,
        }
    }
}

/// The field that names the server a request comes with.
const DIRECT: &str = "x-direct";

fn admin(event: &Value) -> AdminState {
    match event["value"].as_str().expect("a state") {
        "ready" => AdminState::Ready,
        "drain" => AdminState::Drain,
        "maint" => AdminState::Maintenance,
        other => panic!("state {other:?}"),
    }
}

fn health(event: &Value) -> OperationalState {
    match event["value"].as_str().expect("a health") {
        "up" => OperationalState::Running,
        "down" => OperationalState::Stopped,
        other => panic!("health {other:?}"),
    }
}

fn weight(event: &Value) -> WeightChange {
    let to = |weight: u64| WeightChange::To(Weight::new(weight as u32).expect("a weight"));
    match (&event["value"], event["value"].as_u64()) {
        (_, Some(weight)) => to(weight),
        (Value::String(text), None) => match text.strip_suffix('%') {
            Some(percent) => WeightChange::PercentOfConfigured(percent.parse().expect("percent")),
            None => to(text.parse().expect("a weight")),
        },
        (other, None) => panic!("weight {other:?}"),
    }
}
