//! Replays the recorded vectors on the selectors alone, without a backend.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::Value;

use super::{Choice, RoundRobin, Selector, WeightChangeRule};
use crate::haproxy::{self, DirectiveError};
use crate::server::{Load, Spec};
use crate::{
    AdminState, Farm, FarmServer, LoadWatcher, Now, OperationalState, ServerId, SimpleRequest,
    Status, Weight, WeightChange, WeightScale,
};

struct Bench {
    servers: Vec<FarmServer>,
    all_backups: bool,
    farm: Farm,
    selector: Arc<dyn Selector>,
    /// Connections still open, by request.
    open: HashMap<usize, usize>,
}

impl Bench {
    fn new(config: &Value, selector: &dyn Selector) -> Self {
        let watcher = selector.load_watcher();
        let servers: Vec<FarmServer> = list(&config["servers"])
            .map(|config| server(config, watcher.clone()))
            .collect();
        let all_backups = config["allbackups"].as_bool().unwrap();
        let farm = Farm::new(servers.clone(), selector.weight_scale(), all_backups);
        let selector = selector.adapt(&farm).unwrap().unwrap();
        Self {
            servers,
            all_backups,
            farm,
            selector,
            open: HashMap::new(),
        }
    }

    fn apply(&mut self, event: &Value) {
        if event["op"] == "close" {
            let request = event["req"].as_u64().unwrap() as usize;
            if let Some(server) = self.open.remove(&request) {
                self.servers[server].load.give_back();
            }
            return;
        }
        let index = self
            .servers
            .iter()
            .position(|server| event["server"] == server.name())
            .unwrap();
        let server = &mut self.servers[index];
        let status = server.status;
        let changed = changed(status, server.spec.weight, event);
        if self.selector.weight_scale() == WeightScale::Static && event["op"] == "weight" {
            let allowed = [Weight::ZERO, server.spec.weight].contains(&changed.weight);
            assert_eq!(!allowed, event["refused"] == true, "{event}");
            if !allowed {
                return;
            }
        }
        server.status = changed;
        self.farm = Farm::new(
            self.servers.clone(),
            self.selector.weight_scale(),
            self.all_backups,
        );
        if let Some(selector) = self.selector.adapt(&self.farm).unwrap() {
            self.selector = selector;
        }
    }

    fn pick(&self, request: &SimpleRequest) -> Option<usize> {
        if self.farm.serving().count == 0 {
            return None;
        }
        let now = Now::new(std::time::Duration::ZERO, std::time::Duration::ZERO);
        self.selector.pick(&Choice::new(&self.farm, request, now))
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn server(config: &Value, watcher: Option<Arc<dyn LoadWatcher>>) -> FarmServer {
    let number = |name: &str| config[name].as_u64().map(|number| number as u32);
    let id = ServerId::new(number("effective_id").unwrap()).unwrap();
    let weight = Weight::new(number("weight").unwrap()).unwrap();
    let spec = Spec {
        id,
        name: config["name"].as_str().unwrap().into(),
        address: config["addr"].as_str().unwrap().parse().unwrap(),
        weight,
        guid: config["guid"].as_str().map(Into::into),
        backup: config["backup"].as_bool().unwrap(),
        max_connections: number("maxconn").and_then(NonZeroU32::new),
    };
    let status = Status {
        weight,
        ..Status::default()
    };
    let status = match config["state"].as_str().unwrap() {
        "maint" => status.with_admin(AdminState::Maintenance),
        _ => status,
    };
    FarmServer::new(Arc::new(spec), Arc::new(Load::new(id, watcher)), status)
}

fn changed(status: Status, configured: Weight, event: &Value) -> Status {
    let value = &event["value"];
    match (event["op"].as_str().unwrap(), value.as_str()) {
        ("state", Some("ready")) => status.with_admin(AdminState::Ready),
        ("state", Some("drain")) => status.with_admin(AdminState::Drain),
        ("state", Some("maint")) => status.with_admin(AdminState::Maintenance),
        ("health", Some("up")) => status.with_operational(OperationalState::Running),
        ("health", Some("down")) => status.with_operational(OperationalState::Stopped),
        ("weight", Some(percent)) => {
            let percent = percent.trim_end_matches('%').parse().unwrap();
            let weight = WeightChange::PercentOfConfigured(percent).applied_to(configured);
            Status { weight, ..status }
        }
        ("weight", None) => {
            let weight = Weight::new(value.as_u64().unwrap() as u32).unwrap();
            Status { weight, ..status }
        }
        other => panic!("unknown event {other:?}"),
    }
}

fn request(recorded: &Value) -> SimpleRequest {
    let text = |name: &str, default: &str| recorded[name].as_str().unwrap_or(default).to_owned();
    let request = SimpleRequest::new("GET", text("uri", "/"))
        .source(text("src", "127.0.0.1").parse().unwrap());
    recorded["hdr"]
        .as_object()
        .into_iter()
        .flatten()
        .fold(request, |request, (name, value)| {
            request.header(name, value.as_str().unwrap())
        })
}

/// Replays one case; says where it differs first.
fn replay(case: &Value, selector: &dyn Selector) -> Result<(), String> {
    let mut bench = Bench::new(&case["config"], selector);
    let mut events = list(&case["events"]).peekable();
    for (number, (recorded, expected)) in list(&case["requests"])
        .zip(list(&case["expect"]))
        .enumerate()
    {
        while let Some(event) = events.next_if(|event| event["at"] == number) {
            bench.apply(event);
        }
        let picked = bench.pick(&request(recorded));
        let name = picked.map(|index| bench.farm.servers()[index].name());
        if name != expected.as_str() {
            return Err(format!(
                "{}: request {number}: {name:?}, not {expected}",
                case["id"]
            ));
        }
        if let (Some(index), Some(true)) = (picked, case["hold"].as_bool()) {
            bench.servers[index].load.try_take(None);
            bench.open.insert(number, index);
        }
    }
    Ok(())
}

/// Replays all cases of a file that `build` makes a selector for.
pub(super) fn replay_file(
    file: &str,
    build: impl Fn(&Value) -> Option<Arc<dyn Selector>>,
) -> (usize, Vec<String>) {
    let cases = file.lines().map(|line| serde_json::from_str(line).unwrap());
    cases.fold((0, Vec::new()), |(run, mut failed), case: Value| {
        let Some(selector) = build(&case["config"]) else {
            return (run, failed);
        };
        failed.extend(replay(&case, &*selector).err());
        (run + 1, failed)
    })
}

fn configured(config: &Value) -> Option<Arc<dyn Selector>> {
    let (balance, hash_type) = (config["balance"].as_str()?, config["hash_type"].as_str());
    if hash_type.is_some_and(|line| line.starts_with("consistent")) {
        // Replayed beside that selector, with options that these two lines do not tell.
        return None;
    }
    match haproxy::selector(balance, hash_type) {
        Ok(selector) => Some(selector),
        Err(DirectiveError::NotSupportedYet { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn recorded_choices_of_2_6_are_repeated() {
    let file = include_str!("../../tests/vectors/balance.jsonl");
    let (run, failed) = replay_file(file, configured);
    assert_eq!(failed, Vec::<String>::new());
    assert!(run >= 47, "{run} cases run");
}

#[test]
fn recorded_round_robins_of_3_5_are_repeated() {
    let file = include_str!("../../tests/vectors/balance_35.jsonl");
    let (run, failed) = replay_file(file, |config| {
        let selector = RoundRobin::new().weight_change(WeightChangeRule::Rejoin);
        (config["balance"] == "roundrobin").then(|| -> Arc<dyn Selector> { Arc::new(selector) })
    });
    assert_eq!((run, failed), (4, Vec::new()));
}
