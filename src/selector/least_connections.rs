//! HAProxy's `balance leastconn`: the server with the fewest sessions for its weight.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use ahash::RandomState;
use parking_lot::Mutex;

use super::ranking::{Ranking, Standing};
use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::server::{Farm, FarmServer, Group, LoadWatcher, ServerId, ServerLoad};

/// Chooses the server with the fewest sessions for its weight, for sessions that last.
///
/// Servers without a session come first, whatever their weight, and among equals the one
/// whose sessions changed longest ago: with one session at a time this is a plain round
/// robin. Sessions that persistence sent to a server count like all others. A server that
/// comes back, or whose weight changes, goes behind its equals. Those who wait for a server
/// count as well, but only from when a session of that server begins or ends: while all
/// servers are full, the first of them gets all who come, up to its
/// [`max_queue`](crate::Server::max_queue). The order is HAProxy's, server by server.
/// HAProxy: `balance leastconn`; 3.x chooses at random among equals.
///
/// A pick looks at one server, however many there are and however many are saturated; each
/// session that starts or ends moves one server within a tournament of all, about 10
/// matches with 1,000 servers. All of that happens under one small lock. Requests of several
/// threads that are chosen for at the same instant may be given the same server.
///
/// ```
/// use stickroute::{Backend, LeastConnections, Now, Server, SimpleRequest};
///
/// let backend: Backend = Backend::builder("db")
///     .server(Server::new("db1", "10.0.0.1:5432"))
///     .server(Server::new("db2", "10.0.0.2:5432"))
///     .balance(LeastConnections::new())
///     .build()?;
///
/// let request = SimpleRequest::default();
/// let first = backend.select(&request, Now::system())?;
/// let second = backend.select(&request, Now::system())?;
/// assert_eq!([first.server().name(), second.server().name()], ["db1", "db2"]);
/// drop(second);
/// assert_eq!(backend.select(&request, Now::system())?.server().name(), "db2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct LeastConnections {
    order: Arc<Order>,
    /// Which of the farms the order was told of this one is adapted to.
    farm: u64,
}

impl LeastConnections {
    /// Least connections as in HAProxy 2.6.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Selector for LeastConnections {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let backups = match choice.farm().serving().group {
            Group::Nobody => return None,
            // Alone and the last resort: HAProxy looks at nothing else here.
            Group::ElectedBackup(index) => return Some(index),
            Group::Active => false,
            Group::Backups => true,
        };
        let loads = self.order.0.lock();
        if loads.farm != self.farm {
            // The farm has changed since this request began.
            drop(loads);
            return search(choice);
        }
        let ranking = loads.ranking(backups);
        let first = first_but(ranking, choice.avoid())?;
        if !choice.is_crowded(first) {
            return Some(first);
        }
        // Its limit is not as large as it may become, or the last slot was taken this very
        // instant.
        let has_room = |it| !choice.is_crowded(it);
        let another = ranking.first_of(|it| has_room(it) && choice.avoid() != Some(it));
        another.or_else(|| ranking.first_of(has_room))
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        // Requests wait while this is copied and counted anew, but not for the rest.
        let before = self.order.0.lock().clone();
        let mut next = before.adapted(farm);
        let mut loads = self.order.0.lock();
        next.recount(farm, &loads);
        next.farm = loads.farm + 1;
        let adapted = Self {
            order: Arc::clone(&self.order),
            farm: next.farm,
        };
        let old = std::mem::replace(&mut *loads, next);
        drop(loads);
        drop(old);
        Ok(Some(Arc::new(adapted)))
    }

    fn load_watcher(&self) -> Option<Arc<dyn LoadWatcher>> {
        let order: Arc<Order> = Arc::clone(&self.order);
        Some(order)
    }

    fn lines_up(&self) -> bool {
        false
    }
}

fn first_but(ranking: &Ranking, avoid: Option<usize>) -> Option<usize> {
    let first = ranking.first();
    match avoid {
        Some(avoid) if first == Some(avoid) => ranking.first_but(avoid).or(first),
        _ => first,
    }
}

/// The first candidate with the least load, the one to be avoided last.
fn search(choice: &Choice<'_>) -> Option<usize> {
    choice
        .farm()
        .candidates()
        .filter(|(_, server)| !server.is_crowded())
        .min_by_key(|&(index, server)| {
            let is_avoided = choice.avoid() == Some(index);
            (
                is_avoided,
                load(sessions(server.load()), server.effective_weight()),
            )
        })
        .map(|(index, _)| index)
}

/// Those under way and those who wait for the server.
fn sessions(load: &ServerLoad) -> u32 {
    load.in_flight().saturating_add(load.queued())
}

/// HAProxy's measure: sessions, counting the one to come, by weight; 0 without a session.
fn load(sessions: u32, weight: u32) -> u64 {
    const HEAVIEST: u64 = 4_096;
    match sessions {
        0 => 0,
        _ => (u64::from(sessions) + 1) * HEAVIEST / u64::from(weight.max(1)),
    }
}

/// The order of the servers, shared by all selectors of one farm after another.
#[derive(Debug, Default)]
struct Order(Mutex<Loads>);

impl LoadWatcher for Order {
    fn taken(&self, server: &ServerLoad) {
        self.0.lock().note(server);
    }

    fn given_back(&self, server: &ServerLoad) {
        self.0.lock().note(server);
    }

    /// Does not move the server in HAProxy, but may have taken its last place.
    fn queue_changed(&self, server: &ServerLoad) {
        self.0.lock().note_queue(server);
    }
}

#[derive(Clone, Debug)]
struct Loads {
    /// How many farms there were.
    farm: u64,
    /// At their positions in the latest farm.
    members: Arc<[Member]>,
    positions: Arc<Positions>,
    active: Ranking,
    backups: Ranking,
}

impl Default for Loads {
    fn default() -> Self {
        Self {
            farm: 0,
            members: Arc::default(),
            positions: Arc::new(no_positions()),
            active: Ranking::default(),
            backups: Ranking::default(),
        }
    }
}

/// The keys are the operator's, so nobody can make them collide: fixed seeds.
fn no_positions() -> Positions {
    HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4))
}

type Positions = HashMap<ServerId, usize, RandomState>;

#[derive(Clone, Debug)]
struct Member {
    /// Not kept alive, since it keeps the order alive that this belongs to.
    load: Weak<ServerLoad>,
    /// Effective weight, 0 when it takes no part in balancing.
    weight: u32,
    limit: Option<u32>,
    backup: bool,
}

impl Member {
    fn new(server: &FarmServer) -> Self {
        let usable = server.is_usable();
        let room = server.max_queue().unwrap_or(0);
        Self {
            load: Arc::downgrade(server.load()),
            weight: if usable { server.effective_weight() } else { 0 },
            // The most that ever fit, whatever the limit is at the moment: whoever is first
            // is looked at once more.
            limit: server
                .max_connections()
                .map(|limit| limit.saturating_add(room)),
            backup: server.is_backup(),
        }
    }

    /// Where it stands with so many sessions, `None` if it takes none.
    fn key(&self, sessions: u32) -> Option<u64> {
        (self.weight > 0).then(|| load(sessions, self.weight))
    }

    fn is_full(&self, sessions: u32) -> bool {
        self.limit.is_some_and(|limit| sessions >= limit)
    }

    /// Whether a change of the farm has left it alone.
    fn is_still(&self, before: &Self) -> bool {
        (self.weight, self.backup) == (before.weight, before.backup)
            && self.load.ptr_eq(&before.load)
    }
}

impl Loads {
    fn ranking(&self, backups: bool) -> &Ranking {
        if backups { &self.backups } else { &self.active }
    }

    fn ranking_mut(&mut self, backups: bool) -> &mut Ranking {
        if backups {
            &mut self.backups
        } else {
            &mut self.active
        }
    }

    /// Where a server is; that of one which has left is nothing to note.
    fn position(&self, load: &ServerLoad) -> Option<usize> {
        let position = *self.positions.get(&load.server())?;
        std::ptr::eq(self.members[position].load.as_ptr(), load).then_some(position)
    }

    /// Takes note of a session that began or ended.
    fn note(&mut self, load: &ServerLoad) {
        if let Some(position) = self.position(load) {
            let sessions = sessions(load);
            self.set(position, self.members[position].key(sessions), sessions);
        }
    }

    fn note_queue(&mut self, load: &ServerLoad) {
        if let Some(position) = self.position(load) {
            let member = &self.members[position];
            let (backup, is_full) = (member.backup, member.is_full(sessions(load)));
            self.ranking_mut(backup).set_resting(position, is_full);
        }
    }

    fn set(&mut self, position: usize, key: Option<u64>, sessions: u32) {
        let member = &self.members[position];
        let (backup, is_full) = (member.backup, member.is_full(sessions));
        let ranking = self.ranking_mut(backup);
        ranking.set(position, key);
        ranking.set_resting(position, is_full);
    }

    /// Takes note of all changes nobody has told of; `before` was told of them.
    fn recount(&mut self, farm: &Farm, before: &Self) {
        for (position, server) in farm.servers().iter().enumerate() {
            let (member, sessions) = (&self.members[position], sessions(server.load()));
            let key = before.key_of(server, member);
            self.set(position, key.or_else(|| member.key(sessions)), sessions);
        }
    }

    /// Where a server was that is still as it was.
    fn kept(&self, server: &FarmServer, now: &Member) -> Option<usize> {
        let position = self.positions.get(&server.id()).copied();
        position.filter(|&at| now.is_still(&self.members[at]))
    }

    fn key_of(&self, server: &FarmServer, now: &Member) -> Option<u64> {
        self.ranking(now.backup).key(self.kept(server, now)?)
    }

    /// The order once the farm has become this one.
    fn adapted(&self, farm: &Farm) -> Self {
        let servers = || farm.servers().iter();
        let members: Arc<[_]> = servers().map(Member::new).collect();
        let ranking = |backups| {
            let before = self.ranking(backups);
            let standings = members.iter().zip(servers()).map(|(member, server)| {
                match (
                    member.key(sessions(server.load())),
                    self.kept(server, member),
                ) {
                    _ if member.backup != backups => Standing::Out,
                    (None, _) => Standing::Out,
                    (Some(_), Some(at)) if before.key(at).is_some() => Standing::Kept(at),
                    (Some(key), _) => Standing::New(key),
                }
            });
            before.changed(standings)
        };
        let mut positions = no_positions();
        positions.extend(servers().map(FarmServer::id).zip(0..));
        Self {
            farm: self.farm,
            active: ranking(false),
            backups: ranking(true),
            positions: Arc::new(positions),
            members,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{WeightScale, farm_of};
    use crate::{AdminState, Backend, Now, Selection, Server, SimpleRequest, Weight};

    fn backend(weights: &[u32]) -> Backend {
        let servers = weights.iter().zip(1..).map(|(&weight, n)| {
            let name: String = format!("s{n}");
            Server::new(name, "127.0.0.1:1").weight(weight)
        });
        Backend::builder("b")
            .servers(servers)
            .balance(LeastConnections::new())
            .build()
            .unwrap()
    }

    fn select(backend: &Backend) -> Selection {
        backend
            .select(&SimpleRequest::default(), Now::system())
            .unwrap()
    }

    /// The servers of so many sessions, each of which ends before the next.
    fn one_by_one(backend: &Backend, sessions: usize) -> Vec<String> {
        let name = |_| select(backend).server().name().to_owned();
        (0..sessions).map(name).collect()
    }

    fn pick(selector: &dyn Selector, farm: &Farm, avoid: Option<usize>) -> Option<usize> {
        let request = SimpleRequest::default();
        let choice = Choice::new(farm, &request, Now::system());
        selector.pick(&choice.avoiding(avoid))
    }

    #[test]
    fn with_one_session_at_a_time_servers_take_turns_whatever_their_weight() {
        let backend = backend(&[1, 200, 3]);
        assert_eq!(one_by_one(&backend, 5), ["s1", "s2", "s3", "s1", "s2"]);
    }

    #[test]
    fn sessions_that_last_follow_the_weights() {
        let backend = backend(&[1, 2, 5]);
        let open: Vec<_> = (0..800).map(|_| select(&backend)).collect();
        let farm = backend.farm();
        let sessions: Vec<_> = farm.servers().iter().map(FarmServer::in_flight).collect();
        assert_eq!(sessions, [100, 200, 500]);
        drop(open);
    }

    #[test]
    fn who_comes_back_or_is_reweighted_goes_behind_its_equals() {
        let backend = backend(&[1, 1, 1]);
        for state in [AdminState::Drain, AdminState::Ready] {
            backend.set_admin_state("s1", state).unwrap();
        }
        assert_eq!(one_by_one(&backend, 3), ["s2", "s3", "s1"]);
        backend.set_weight("s2", Weight::new(7).unwrap()).unwrap();
        assert_eq!(one_by_one(&backend, 3), ["s3", "s1", "s2"]);
        backend.set_weight("s3", Weight::new(1).unwrap()).unwrap();
        assert_eq!(one_by_one(&backend, 1), ["s3"], "it had that weight before");
    }

    /// If sessions of the removed server counted for the new one, `s1` would be chosen twice.
    #[test]
    fn sessions_of_a_removed_server_do_not_count_for_one_with_its_id() {
        let backend = backend(&[1, 1]);
        let old = select(&backend);
        let server = || Server::new("new", "127.0.0.1:1").id(1);
        let changed = backend.update(|change| {
            change.remove("s1")?;
            change.add(server())
        });
        changed.unwrap();
        let [a, b] = [select(&backend), select(&backend)];
        assert_eq!([a.server().name(), b.server().name()], ["s2", "new"]);
        drop((b, old));
        assert_eq!(one_by_one(&backend, 2), ["new", "new"]);
    }

    #[test]
    fn who_takes_the_place_of_another_goes_behind_its_equals() {
        let backend = backend(&[1, 1]);
        let changed = backend.update(|change| {
            change.remove("s1")?;
            change.add(Server::new("new", "127.0.0.1:1").id(1))
        });
        changed.unwrap();
        assert_eq!(one_by_one(&backend, 2), ["s2", "new"]);
    }

    #[test]
    fn an_elected_backup_is_taken_even_when_it_is_to_be_avoided() {
        let servers = [(0, false), (1, true), (1, true)];
        for (all, expected) in [(false, 1), (true, 2)] {
            let farm = farm_of(&servers, WeightScale::Dynamic, all);
            let selector = LeastConnections::new().adapt(&farm).unwrap().unwrap();
            assert_eq!(pick(&*selector, &farm, Some(1)), Some(expected));
        }
    }

    /// As a request does that began before the farm changed.
    #[test]
    fn a_selector_of_an_earlier_farm_goes_on_with_that() {
        let (small, large) = (
            farm_of(&[(1, false)], WeightScale::Dynamic, false),
            farm_of(&[(1, false); 3], WeightScale::Dynamic, false),
        );
        let first = LeastConnections::new().adapt(&large).unwrap().unwrap();
        let second = first.adapt(&small).unwrap().unwrap();
        assert_eq!(pick(&*first, &large, Some(0)), Some(1));
        assert_eq!(pick(&*second, &small, Some(0)), Some(0));
        assert_eq!(pick(&*first, &small, None), Some(0));
        assert_eq!(pick(&*second, &large, None), Some(0));
    }

    /// A backend must not live on in the order of its own servers.
    #[test]
    fn nothing_is_kept_alive_by_the_order() {
        let farm = farm_of(&[(1, false)], WeightScale::Dynamic, false);
        let selector = LeastConnections::new().adapt(&farm).unwrap().unwrap();
        assert_eq!(Arc::strong_count(farm.servers()[0].load()), 1);
        drop(selector);
    }

    #[test]
    fn every_session_is_counted_once_all_threads_are_done() {
        let backend = backend(&[1; 5]);
        let held: Vec<_> = std::thread::scope(|scope| {
            let work = || {
                let mut held: Vec<_> = (0..40).map(|_| select(&backend)).collect();
                for turn in 0..2_000 {
                    held[turn % 40] = select(&backend);
                }
                held
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
            for turn in 0..60 {
                let states = [AdminState::Drain, AdminState::Ready];
                backend.set_admin_state("s1", states[turn % 2]).unwrap();
            }
            threads
                .into_iter()
                .flat_map(|it| it.join().unwrap())
                .collect()
        });
        // From here on one at a time, so each goes to one of those with the fewest.
        let mut open = held;
        for _ in 0..200 {
            let fewest = backend
                .farm()
                .servers()
                .iter()
                .map(FarmServer::in_flight)
                .min();
            let selection = select(&backend);
            assert_eq!(Some(selection.server().in_flight() - 1), fewest);
            open.push(selection);
        }
    }
}
