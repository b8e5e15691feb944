//! Promise: the orders by load are HAProxy's, whatever happens to servers and sessions: a
//! whole backend beside the plain twins of its algorithms.

use proptest::collection::vec;
use proptest::prelude::*;

use super::naive::{LeastConnectionsTwin, Loaded, first_free};
use super::{FirstFree, LeastConnections};
use crate::{
    AdminState, Backend, Failure, Now, Redispatch, Retry, RetryPolicy, Selection, Server,
    SimpleRequest, Weight, WeightScale,
};

#[derive(Clone, Copy, Debug)]
enum Algorithm {
    LeastConnections,
    FirstFree,
}

#[derive(Clone, Copy, Debug)]
struct Described {
    id: Option<u32>,
    weight: u32,
    limit: u32,
    backup: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take,
    Close(usize),
    /// The server of a session refuses it.
    Refuse(usize),
    SetWeight(usize, u32),
    SetAdmin(usize, AdminState),
    Add(Described),
    Remove(usize),
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 6 => 1..=4_u32, 2 => 1..=256_u32]
}

fn described(ids: impl Strategy<Value = Option<u32>>) -> impl Strategy<Value = Described> {
    let limit = prop_oneof![2 => Just(0), 3 => 1..=3_u32];
    let backup = prop_oneof![3 => Just(false), 1 => Just(true)];
    (ids, weight(), limit, backup).prop_map(|(id, weight, limit, backup)| Described {
        id,
        weight,
        limit,
        backup,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let admin = prop_oneof![
        3 => Just(AdminState::Ready),
        1 => Just(AdminState::Drain),
        1 => Just(AdminState::Maintenance),
    ];
    prop_oneof![
        10 => Just(Step::Take),
        8 => any::<usize>().prop_map(Step::Close),
        3 => any::<usize>().prop_map(Step::Refuse),
        2 => (any::<usize>(), weight()).prop_map(|(at, weight)| Step::SetWeight(at, weight)),
        3 => (any::<usize>(), admin).prop_map(|(at, admin)| Step::SetAdmin(at, admin)),
        1 => described(Just(None)).prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Remove),
    ]
}

/// A backend beside its twin. Servers are called by their place in the twin.
struct Pair {
    backend: Backend,
    algorithm: Algorithm,
    all_backups: bool,
    order: LeastConnectionsTwin,
    servers: Vec<Loaded>,
    admins: Vec<AdminState>,
    weights: Vec<u32>,
    /// Places of the servers that have not left, in order of configuration.
    present: Vec<usize>,
    open: Vec<Selection>,
}

impl Pair {
    fn new(algorithm: Algorithm, all_backups: bool, described: &[Described]) -> Self {
        let servers = described
            .iter()
            .enumerate()
            .map(|(n, it)| described_server(n, *it));
        let mut builder = Backend::builder("b")
            .servers(servers)
            .retry(RetryPolicy::new(1_000).redispatch(Redispatch::Interval(1)));
        if all_backups {
            builder = builder.all_backups();
        }
        let builder = match algorithm {
            Algorithm::LeastConnections => builder.balance(LeastConnections::new()),
            Algorithm::FirstFree => builder.balance(FirstFree::new()),
        };
        let mut pair = Self {
            backend: builder.build().unwrap(),
            algorithm,
            all_backups,
            order: LeastConnectionsTwin::default(),
            servers: Vec::new(),
            admins: Vec::new(),
            weights: Vec::new(),
            present: Vec::new(),
            open: Vec::new(),
        };
        for it in described {
            pair.join(*it);
        }
        pair
    }

    /// Enters the next server into the twin; the backend has it already.
    fn join(&mut self, described: Described) {
        let place = self.servers.len();
        let id = self.backend.server(&name(place)).unwrap().id();
        self.servers.push(Loaded {
            id: id.get(),
            weight: 0,
            backup: described.backup,
            limit: described.limit,
            served: 0,
        });
        self.admins.push(AdminState::Ready);
        self.weights.push(described.weight);
        self.present.push(place);
        self.changed(place);
    }

    /// After the state or the weight of a server may have changed.
    fn changed(&mut self, place: usize) {
        let serves = self.admins[place] == AdminState::Ready && self.present.contains(&place);
        let weight = self.weights[place] * WeightScale::DYNAMIC_UNIT * u32::from(serves);
        if std::mem::replace(&mut self.servers[place].weight, weight) != weight {
            self.order.renew(place, &self.servers[place]);
        }
    }

    fn count(&mut self, place: usize, by: i32) {
        let served = &mut self.servers[place].served;
        *served = served.checked_add_signed(by).unwrap();
        self.order.note(place, &self.servers[place]);
    }

    fn expected(&self, avoid: Option<usize>) -> Option<usize> {
        let usable = |backup: bool| {
            let places = self.present.iter().copied();
            places
                .filter(move |&at| self.servers[at].weight > 0 && self.servers[at].backup == backup)
        };
        let backups = usable(false).next().is_none();
        if backups && !self.all_backups {
            let elected = usable(true).next()?;
            return (!self.servers[elected].is_saturated()).then_some(elected);
        }
        match self.algorithm {
            Algorithm::LeastConnections => self.order.pick(&self.servers, backups, avoid),
            Algorithm::FirstFree => first_free(&self.servers, backups, avoid),
        }
    }

    fn took(&mut self, avoid: Option<usize>, selection: Option<Selection>) {
        let expected = self.expected(avoid);
        let found = selection.as_ref().map(place_of);
        assert_eq!(found, expected, "{:?}", self.servers);
        if let (Some(place), Some(selection)) = (found, selection) {
            self.count(place, 1);
            self.open.push(selection);
        }
    }

    /// `None` if there is nothing the step could be about.
    fn run(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Take => {
                let selection = self.backend.select(&SimpleRequest::default(), NOW);
                self.took(None, selection.ok());
            }
            Step::Close(n) => self.close(n.checked_rem(self.open.len())?),
            Step::Refuse(n) => self.refuse(n.checked_rem(self.open.len())?),
            Step::SetWeight(n, weight) => self.set_weight(self.place(n)?, weight),
            Step::SetAdmin(n, state) => self.set_admin(self.place(n)?, state),
            Step::Add(described) => {
                let new = described_server(self.servers.len(), described);
                self.backend.update(|change| change.add(new)).unwrap();
                self.join(described);
            }
            Step::Remove(n) => self.remove(self.place(n)?),
        }
        Some(())
    }

    fn place(&self, n: usize) -> Option<usize> {
        Some(self.present[n.checked_rem(self.present.len())?])
    }

    fn close(&mut self, at: usize) {
        let place = place_of(&self.open.swap_remove(at));
        self.count(place, -1);
    }

    fn set_weight(&mut self, place: usize, weight: u32) {
        let to = Weight::new(weight).unwrap();
        self.backend.set_weight(&name(place), to).unwrap();
        self.weights[place] = weight;
        self.changed(place);
    }

    fn set_admin(&mut self, place: usize, state: AdminState) {
        self.backend.set_admin_state(&name(place), state).unwrap();
        self.admins[place] = state;
        self.changed(place);
    }

    fn remove(&mut self, place: usize) {
        let key = name(place);
        self.backend.update(|change| change.remove(&key)).unwrap();
        self.present.retain(|&other| other != place);
        self.changed(place);
    }

    fn refuse(&mut self, at: usize) {
        let selection = self.open.swap_remove(at);
        let place = place_of(&selection);
        self.count(place, -1);
        let request = SimpleRequest::default();
        let retry = self
            .backend
            .redispatch(selection, &request, Failure::Refused, NOW);
        let next = match retry {
            Retry::Other { selection, .. } => Some(selection),
            Retry::GiveUp(_) => None,
            Retry::Same { .. } => panic!("every retry is a redispatch"),
        };
        // A server is its id, even if one has left and another has got its number.
        let id = self.servers[place].id;
        let mut present = self.present.iter().copied();
        let avoid = present.find(|&other| self.servers[other].id == id);
        self.took(avoid, next);
    }
}

const NOW: Now = Now::new(std::time::Duration::ZERO, std::time::Duration::ZERO);

fn name(place: usize) -> String {
    format!("n{place}")
}

fn place_of(selection: &Selection) -> usize {
    selection.server().name()[1..].parse().unwrap()
}

fn described_server(place: usize, described: Described) -> Server {
    let mut server = Server::new(name(place), "127.0.0.1:1")
        .weight(described.weight)
        .max_connections(described.limit);
    if let Some(id) = described.id {
        server = server.id(id);
    }
    if described.backup {
        server = server.backup();
    }
    server
}

/// Servers of which some have ids of their own, all different.
fn servers() -> impl Strategy<Value = Vec<Described>> {
    let one = (described(Just(None)), proptest::option::of(1..20_u32));
    vec(one, 1..9).prop_map(|servers| {
        let mut taken = std::collections::HashSet::new();
        let mut own = |id: &u32| taken.insert(*id);
        let with_id = |(it, id): (Described, Option<u32>)| Described {
            id: id.filter(&mut own),
            ..it
        };
        servers.into_iter().map(with_id).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sessions_go_where_the_twins_send_them(
        algorithm in prop_oneof![
            3 => Just(Algorithm::LeastConnections),
            1 => Just(Algorithm::FirstFree),
        ],
        all_backups in any::<bool>(),
        servers in servers(),
        steps in vec(step(), 1..120),
    ) {
        let mut pair = Pair::new(algorithm, all_backups, &servers);
        for step in steps {
            let _ = pair.run(step);
        }
    }
}
