//! Stick rules at work: tables, the servers they name, lookups and stores.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use super::Backend;
use super::snapshot::Snapshot;
use crate::error::Problem;
use crate::fetch::Origin;
use crate::handle::ServerHandle;
use crate::key::Key;
use crate::message::{HeaderVisitor, Request, Response};
use crate::selection::Selection;
use crate::server::{Address, ServerId, Spec};
use crate::stick::{Kept, Pending, StickAction, StickRule, Stores};
use crate::table::{Entry, ServerNaming, StickTable, TableServer};
use crate::time::Now;

/// The stick rules of a backend, and each of their tables once.
#[derive(Debug, Default)]
pub(crate) struct StickPolicy {
    tables: Vec<Arc<StickTable>>,
    rules: Vec<TableRule>,
}

/// A rule and the place of its table.
#[derive(Debug)]
struct TableRule {
    rule: StickRule,
    table: usize,
}

/// What is wrong with these rules.
pub(super) fn problems(
    rules: &[StickRule],
    own: Option<&Arc<StickTable>>,
) -> impl Iterator<Item = Problem> {
    rules.iter().flat_map(move |rule| {
        let table = rule.own_table().or(own);
        let unaskable = rule.asks_too_early() || rule.asks_too_late();
        let action = rule.action();
        [
            table.is_none().then_some(Problem::NoStickTable { action }),
            unaskable.then_some(Problem::StickCondition { action }),
            unavailable(rule),
            table.and_then(|table| mistyped(rule, table)),
        ]
        .into_iter()
        .flatten()
    })
}

fn unavailable(rule: &StickRule) -> Option<Problem> {
    let (action, origin) = (rule.action(), rule.key().origin());
    // What is known of the whole exchange is kept from the request on.
    let is_kept = origin == Origin::Exchange;
    let available = is_kept || rule.key().is_available(action.moment());
    (!available).then_some(Problem::StickKeyMoment { action, origin })
}

fn mistyped(rule: &StickRule, table: &StickTable) -> Option<Problem> {
    let (found, expected) = (rule.key().output(), table.key_type());
    (!expected.accepts(found)).then_some(Problem::StickKeyType {
        action: rule.action(),
        found,
        expected,
    })
}

impl StickPolicy {
    /// Sorts the rules to their tables; a rule without any was refused before.
    pub(super) fn new(rules: Vec<StickRule>, own: Option<&Arc<StickTable>>) -> Self {
        let mut policy = Self::default();
        for rule in rules {
            if let Some(table) = rule.own_table().or(own).cloned() {
                let table = policy.place_of(table);
                policy.rules.push(TableRule { rule, table });
            }
        }
        policy
    }

    /// Whether there are no rules.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn place_of(&mut self, table: Arc<StickTable>) -> usize {
        let mut tables = self.tables.iter();
        tables
            .position(|known| Arc::ptr_eq(known, &table))
            .unwrap_or_else(|| {
                self.tables.push(table);
                self.tables.len() - 1
            })
    }

    /// The number of a server in each table.
    pub(super) fn numbers_of(&self, spec: &Spec) -> Result<Box<[TableServer]>, Problem> {
        let number = |table: &Arc<StickTable>| {
            let name = name_of(spec, table.servers_named_by());
            table.server(spec.id.get(), name.as_deref())
        };
        let numbers = self.tables.iter().map(number);
        numbers
            .collect::<Result<_, _>>()
            .map_err(Problem::StickTable)
    }
}

/// The text by which a server is found in entries.
fn name_of(spec: &Spec, naming: ServerNaming) -> Option<String> {
    match (naming, &spec.address) {
        (ServerNaming::Name, _) => Some(spec.name.to_string()),
        // Without brackets around an IPv6 address, as HAProxy writes it.
        (ServerNaming::Address, Address::Ip(socket)) => {
            Some(format!("{}:{}", socket.ip(), socket.port()))
        }
        (ServerNaming::Address, _) => None,
    }
}

/// Which server an entry means, for each table.
#[derive(Debug)]
pub(crate) struct StickServers(Box<[TableServers]>);

#[derive(Debug)]
struct TableServers {
    /// The servers as the table knows them, for nearly every entry.
    numbers: HashMap<TableServer, usize, RandomState>,
    /// The same for all tables, but for what they call a name.
    known: Arc<KnownServers>,
}

/// The servers of a backend by name and by id.
#[derive(Debug)]
struct KnownServers {
    naming: ServerNaming,
    names: HashMap<String, usize>,
    ids: HashMap<ServerId, usize>,
}

impl StickServers {
    pub(super) fn new<P>(policy: &StickPolicy, members: &[Arc<ServerHandle<P>>]) -> Self {
        let mut all: Vec<Arc<KnownServers>> = Vec::new();
        let tables = policy.tables.iter().enumerate();
        let tables = tables.map(|(place, table)| {
            let naming = table.servers_named_by();
            let mut known = all.iter().filter(|known| known.naming == naming);
            let known = known.next().cloned().unwrap_or_else(|| {
                all.push(Arc::new(KnownServers::new(naming, members)));
                Arc::clone(&all[all.len() - 1])
            });
            TableServers::new(place, known, members)
        });
        Self(tables.collect())
    }

    fn find(&self, table: usize, entry: &Entry<'_>) -> Option<usize> {
        let servers = &self.0[table];
        let known = servers.numbers.get(&entry.server()).copied();
        known.or_else(|| {
            let known = &servers.known;
            known.find(entry.server_id(), entry.server_key())
        })
    }
}

impl TableServers {
    fn new<P>(place: usize, known: Arc<KnownServers>, members: &[Arc<ServerHandle<P>>]) -> Self {
        let mut numbers = HashMap::with_hasher(RandomState::with_seeds(5, 6, 7, 8));
        for member in members {
            let name = name_of(&member.spec, known.naming);
            if let Some(index) = known.find(member.spec.id.get(), name.as_deref()) {
                numbers.insert(member.stick[place], index);
            }
        }
        Self { numbers, known }
    }
}

impl KnownServers {
    fn new<P>(naming: ServerNaming, members: &[Arc<ServerHandle<P>>]) -> Self {
        let mut servers = Self {
            naming,
            names: HashMap::new(),
            ids: HashMap::new(),
        };
        // Of several servers of one name, or at one address, the first counts.
        for (index, member) in members.iter().enumerate().rev() {
            servers.ids.insert(member.spec.id, index);
            if let Some(name) = name_of(&member.spec, naming) {
                servers.names.insert(name, index);
            }
        }
        servers
    }

    /// By name if there is a server of that name, else by id.
    fn find(&self, id: u32, name: Option<&str>) -> Option<usize> {
        let named = name.and_then(|name| self.names.get(name));
        let found = named.or_else(|| self.ids.get(&ServerId::new(id)?));
        found.copied()
    }
}

/// The stick rules of one request.
pub(super) struct Sticking<'a, P> {
    pub(super) policy: &'a StickPolicy,
    pub(super) snapshot: &'a Snapshot<P>,
    pub(super) request: &'a dyn Request,
    pub(super) now: Now,
}

impl<P> Sticking<'_, P> {
    /// Works through the request rules: looks keys up, and remembers those to be stored in
    /// `stores`.
    ///
    /// Says which server was found first that `may_serve` accepts. Every entry found is
    /// refreshed, whether its server is used or not.
    pub(super) fn run(
        &self,
        stores: &mut Stores,
        may_serve: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut server = None;
        for (place, TableRule { rule, table }) in self.policy.rules.iter().enumerate() {
            if rule.action() == StickAction::StoreResponse {
                self.keep(place, rule, *table, stores);
                continue;
            }
            let passed_over = rule.action().stores() && stores.contains(*table);
            if passed_over || !rule.applies_to_request(self.request) {
                continue;
            }
            let keeper = &self.policy.tables[*table];
            rule.key_of_request(keeper, self.request, |key| {
                if rule.action().looks_up() {
                    let found = self.look_up(*table, key).filter(|&index| may_serve(index));
                    server = server.or(found);
                }
                if rule.action().stores() {
                    self.remember(*table, key, stores);
                }
            });
        }
        server
    }

    /// Keeps what a rule that acts at the response takes from the request.
    fn keep(&self, place: usize, rule: &StickRule, table: usize, stores: &mut Stores) {
        let note = rule.note(self.request);
        let is_here = rule.key().origin() == Origin::Exchange;
        if note.is_none() && !is_here {
            return;
        }
        let keeper = &self.policy.tables[table];
        let owned = |key: &Key<'_>| key.clone().into_owned();
        let key = is_here.then(|| rule.key_of_request(keeper, self.request, owned));
        stores.keep(
            place,
            Kept {
                key: key.flatten(),
                note: note.unwrap_or_default(),
            },
        );
    }

    fn look_up(&self, table: usize, key: &Key<'_>) -> Option<usize> {
        let entry = self.policy.tables[table].lookup(key, self.now)?;
        self.snapshot.stick.find(table, &entry)
    }

    fn remember(&self, table: usize, key: &Key<'_>, stores: &mut Stores) {
        if !stores.has_room() {
            return;
        }
        // A full table that may not evict: HAProxy stores nothing then, silently.
        if let Ok(room) = self.policy.tables[table].reserve(self.now) {
            let key = key.clone().into_owned();
            stores.push(Pending { table, key, room });
        }
    }
}

impl<P> Snapshot<P> {
    /// Entries of the backend's tables that lead to the server at this position.
    pub(super) fn entries_of(&self, policy: &StickPolicy, index: usize, now: Now) -> usize {
        let tables = policy.tables.iter().enumerate();
        let leading = tables.map(|(place, table)| {
            table.count_where(now, |entry| self.stick.find(place, entry) == Some(index))
        });
        leading.sum()
    }
}

impl<P: Send + Sync + 'static> Backend<P> {
    /// Stores what stick rules have to store, for a connection that is no HTTP: call it
    /// once the connection to the selected server is established. Of the rules that act
    /// at the response, those have a key that ask about the connection.
    ///
    /// HTTP proxies call [`respond`](Self::respond), which does it, too; so do proxies of
    /// TCP that wait for the first bytes of the server. Only the first call stores.
    pub fn connected(&self, selection: &mut Selection<P>, now: Now) {
        self.stick_to_response(selection, &Unanswered, now);
    }

    /// Takes the keys of the response rules, then stores all keys there are.
    pub(super) fn stick_to_response(
        &self,
        selection: &mut Selection<P>,
        response: &dyn Response,
        now: Now,
    ) {
        let Some(stores) = &mut selection.claim.stores else {
            return;
        };
        if !stores.close() {
            return;
        }
        let mut taken = Vec::new();
        for (place, TableRule { rule, table }) in self.policy.stick.rules.iter().enumerate() {
            let may_act = rule.action() == StickAction::StoreResponse
                && !taken.contains(table)
                && stores.has_room();
            if !may_act {
                continue;
            }
            let Kept { key, note } = stores.kept(place);
            if !rule.applies_to_response(note, response) {
                continue;
            }
            let keeper = &self.policy.stick.tables[*table];
            let key = key.or_else(|| rule.key_of_response(keeper, response));
            if let Some(key) = key
                && let Ok(room) = keeper.reserve(now)
            {
                let table = *table;
                taken.push(table);
                stores.push(Pending { table, key, room });
            }
        }
        store(stores.drain(), &selection.lease, now);
    }
}

/// The response of a server that has not said anything.
struct Unanswered;

impl Response for Unanswered {
    /// No status, so that a condition about it does not hold.
    fn status(&self) -> u16 {
        0
    }

    fn visit_headers<'a>(&'a self, _: &str, _: HeaderVisitor<'_, 'a>) {}
}

fn store<P>(pending: impl Iterator<Item = Pending>, server: &ServerHandle<P>, now: Now) {
    if server.spec.non_stick {
        return;
    }
    for Pending { table, key, room } in pending {
        // Key and server are the table's own, so nothing is left to be refused.
        let stored = room.set(&key, server.stick[table], now);
        debug_assert!(stored.is_ok(), "{stored:?}");
    }
}
