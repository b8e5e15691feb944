//! Promise: a selector of one's own has all it needs for any algorithm, and a wrong one
//! cannot break a backend. What stands here are plain versions of algorithms that need
//! more than a look at the request: the load of each server in the order of its changes,
//! random draws, and the server to be avoided.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stickroute::{
    AdminState, Backend, Choice, Failure, Farm, LoadWatcher, Now, OperationalState, Redispatch,
    Refusal, Retry, RetryPolicy, Selection, Selector, SelectorError, Server, ServerId, ServerLoad,
    SimpleRequest, UpdateError, Weight,
};

fn backend(selector: impl Selector + 'static) -> Backend {
    let servers = (1..=3).map(|n| Server::new(format!("s{n}"), format!("10.0.0.{n}:80")));
    Backend::builder("be")
        .servers(servers)
        .balance(selector)
        .retry(RetryPolicy::new(2).redispatch(Redispatch::Interval(1)))
        .build()
        .unwrap()
}

fn select(backend: &Backend) -> Selection {
    let request = SimpleRequest::new("GET", "/");
    backend.select(&request, Now::system()).unwrap()
}

fn name(selection: &Selection) -> &str {
    selection.server().name()
}

/// Fewest sessions first; among equals whoever has waited longest since its last change.
#[derive(Clone, Debug, Default)]
struct LeastLoaded(Arc<Mutex<Order>>);

#[derive(Debug, Default)]
struct Order {
    changes: u64,
    /// Sessions and the number of the last change.
    servers: BTreeMap<ServerId, (i64, u64)>,
}

impl LeastLoaded {
    fn change(&self, server: ServerId, by: i64) {
        let mut order = self.0.lock().unwrap();
        order.changes += 1;
        let now = order.changes;
        let entry = order.servers.entry(server).or_default();
        *entry = (entry.0 + by, now);
    }
}

impl LoadWatcher for LeastLoaded {
    fn taken(&self, server: &ServerLoad) {
        self.change(server.server(), 1);
    }

    fn given_back(&self, server: &ServerLoad) {
        self.change(server.server(), -1);
    }
}

impl Selector for LeastLoaded {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let order = self.0.lock().unwrap();
        let load = |id: ServerId| order.servers.get(&id).copied().unwrap_or_default();
        choice
            .farm()
            .candidates()
            .min_by_key(|&(index, server)| (Some(index) == choice.avoid(), load(server.id())))
            .map(|(index, _)| index)
    }

    fn load_watcher(&self) -> Option<Arc<dyn LoadWatcher>> {
        Some(Arc::new(self.clone()))
    }
}

#[test]
fn a_selector_can_follow_every_session_that_starts_and_ends() {
    let backend = backend(LeastLoaded::default());
    let [a, b, c] = [select(&backend), select(&backend), select(&backend)];
    assert_eq!([name(&a), name(&b), name(&c)], ["s1", "s2", "s3"]);
    drop(b);
    drop(a);
    assert_eq!(
        name(&select(&backend)),
        "s2",
        "s2 has been idle for longer than s1"
    );
    assert_eq!(name(&c), "s3");
}

#[test]
fn a_selector_knows_the_server_to_avoid() {
    let backend = backend(LeastLoaded::default());
    let request = SimpleRequest::new("GET", "/");
    let first = select(&backend);
    assert_eq!(name(&first), "s1");
    let retry = backend.redispatch(first, &request, Failure::Refused, Now::system());
    let Retry::Other { selection, .. } = retry else {
        panic!("{retry:?}");
    };
    assert_ne!(name(&selection), "s1");
    assert!(selection.is_redispatched());
    let in_flight = |server| backend.server(server).unwrap().in_flight();
    assert_eq!(
        in_flight("s1"),
        0,
        "the slot of the failed attempt is free again"
    );
    assert_eq!(in_flight(name(&selection)), 1);
}

/// Draws come from the caller.
struct Drawn<D>(Mutex<D>);

impl<D> std::fmt::Debug for Drawn<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drawn(..)")
    }
}

impl<D: FnMut() -> usize + Send> Selector for Drawn<D> {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let draw = (self.0.lock().unwrap())();
        let mut candidates = choice.farm().candidates().cycle();
        candidates.nth(draw % 3).map(|(index, _)| index)
    }
}

#[test]
fn a_selector_can_be_given_its_random_draws() {
    let mut draws = [2, 0, 1].into_iter().cycle();
    let backend = backend(Drawn(Mutex::new(move || draws.next().unwrap())));
    let names: Vec<_> = (0..3).map(|_| name(&select(&backend)).to_owned()).collect();
    assert_eq!(names, ["s3", "s1", "s2"]);
}

/// Names a server that does not exist, refuses large farms, or picks nobody.
#[derive(Debug)]
struct Wrong(Option<usize>);

impl Selector for Wrong {
    fn pick(&self, _: &Choice<'_>) -> Option<usize> {
        self.0
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        if farm.servers().len() > 3 {
            return Err(SelectorError::Other("three are enough".to_owned()));
        }
        Ok(None)
    }
}

/// What a request is refused with, however it comes, and no slot or place is kept.
fn refusal(backend: &Backend) -> Refusal {
    let (request, now) = (SimpleRequest::new("GET", "/"), Now::system());
    let refusal = backend.select(&request, now).unwrap_err().refusal().clone();
    let admitted = backend.admit(&request, now).unwrap_err();
    assert_eq!(admitted.refusal(), &refusal);
    assert_idle(backend);
    refusal
}

fn assert_idle(backend: &Backend) {
    assert_eq!(backend.queued(), 0);
    for server in backend.farm().servers() {
        assert_eq!((server.in_flight(), server.queued()), (0, 0), "{server:?}");
    }
}

#[test]
fn a_server_that_does_not_exist_is_an_error_and_nothing_else() {
    for found in [3, 4, usize::MAX] {
        let nowhere = Refusal::Selector { found, servers: 3 };
        assert_eq!(refusal(&backend(Wrong(Some(found)))), nowhere);
    }
    let nobody = backend(Wrong(None)).select(&SimpleRequest::new("GET", "/"), Now::system());
    assert_eq!(nobody.unwrap_err().refusal(), &Refusal::Saturated);
}

/// A position that was right until the farm shrank: this selector does not adapt.
#[test]
fn a_server_that_has_left_is_an_error_and_nothing_else() {
    let backend = backend(Wrong(Some(2)));
    drop(select(&backend));
    drop(backend.remove("s1").unwrap());
    let nowhere = Refusal::Selector {
        found: 2,
        servers: 2,
    };
    assert_eq!(refusal(&backend), nowhere);
}

type Change = fn(&Backend) -> Result<(), UpdateError>;

#[test]
fn a_server_that_takes_no_new_sessions_is_an_error_and_nothing_else() {
    let unusable = Refusal::UnusableServer {
        found: ServerId::new(2).unwrap(),
    };
    let told = "the selector named the server of id 2, which takes no new sessions";
    assert_eq!(unusable.to_string(), told);
    let ways: [Change; 5] = [
        |it| it.set_admin_state("s2", AdminState::Drain),
        |it| it.set_admin_state("s2", AdminState::Maintenance),
        |it| it.set_operational_state("s2", OperationalState::Stopped),
        |it| it.set_operational_state("s2", OperationalState::Stopping),
        |it| it.set_weight("s2", Weight::ZERO),
    ];
    for leave in ways {
        let backend = backend(Wrong(Some(1)));
        assert_eq!(name(&select(&backend)), "s2");
        leave(&backend).unwrap();
        assert_eq!(refusal(&backend), unusable);
    }
}

/// The first choice is right; what is chosen after a failure is not.
#[test]
fn a_wrong_choice_after_a_failure_gives_the_slot_back() {
    let (request, now) = (SimpleRequest::new("GET", "/"), Now::system());
    let picks = [Some(0), Some(7), Some(0), Some(7)].into_iter();
    let backend = backend(Sequence(Mutex::new(picks)));
    let first = select(&backend);
    let retry = backend.redispatch(first, &request, Failure::Refused, now);
    assert_gave_up(retry);
    assert_idle(&backend);
    let first = select(&backend);
    let retry = backend.redispatch_or_wait(first, &request, Failure::Refused, now);
    assert_gave_up(retry);
    assert_idle(&backend);
}

fn assert_gave_up<O: std::fmt::Debug>(retry: Retry<(), O>) {
    let Retry::GiveUp(error) = retry else {
        panic!("{retry:?}");
    };
    let nowhere = Refusal::Selector {
        found: 7,
        servers: 3,
    };
    assert_eq!(error.refusal(), &nowhere);
}

/// Picks that are given, right or wrong.
#[derive(Debug)]
struct Sequence<I>(Mutex<I>);

impl<I: Iterator<Item = Option<usize>> + Send + std::fmt::Debug> Selector for Sequence<I> {
    fn pick(&self, _: &Choice<'_>) -> Option<usize> {
        self.0.lock().unwrap().next().flatten()
    }
}

#[test]
fn a_farm_that_a_selector_refuses_is_not_published() {
    let backend = backend(Wrong(Some(0)));
    let added = backend.update(|change| change.add(Server::new("s4", "10.0.0.4:80")));
    assert!(added.unwrap_err().to_string().contains("three are enough"));
    assert_eq!(backend.farm().servers().len(), 3);
}
