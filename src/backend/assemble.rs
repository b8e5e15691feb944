//! From a list of servers to a snapshot: checks, numbering, identifiers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::snapshot::{CookieIndex, DynamicCookies, IdIndex, Snapshot};
use super::stick::{StickPolicy, StickServers};
use crate::cookie::{ClientState, CookiePolicy, Match, Stamp, identifier_of};
use crate::error::{ConfigWarning, Problem};
use crate::handle::ServerHandle;
use crate::queue::Line;
use crate::selector::Selector;
use crate::server::{
    AdminState, Farm, FarmServer, History, Limits, LoadWatcher, OperationalState, Server, ServerId,
    ServerLoad, SlowStart, Spec, Status, WarmUp, Weight,
};

/// The next snapshot in the making.
#[derive(Debug)]
pub(super) struct Draft<P> {
    pub(super) servers: Vec<DraftServer<P>>,
    pub(super) dynamic: DynamicCookies,
    all_backups: bool,
    version: u64,
    line: Arc<Line<P>>,
}

/// One server of a [`Draft`].
#[derive(Debug)]
pub(super) struct DraftServer<P> {
    pub(super) member: Arc<ServerHandle<P>>,
    pub(super) status: Status,
    pub(super) history: History,
    pub(super) warm_up: Option<WarmUp>,
}

impl<P> Draft<P> {
    pub(super) fn empty(dynamic: DynamicCookies, all_backups: bool, line: Arc<Line<P>>) -> Self {
        Self {
            servers: Vec::new(),
            dynamic,
            all_backups,
            version: 1,
            line,
        }
    }

    pub(super) fn from_snapshot(snapshot: &Snapshot<P>) -> Self {
        let servers = snapshot.members.iter().zip(snapshot.farm.servers());
        Self {
            servers: servers
                .map(|(member, server)| DraftServer {
                    member: Arc::clone(member),
                    status: server.status(),
                    history: server.history,
                    warm_up: server.warm_up,
                })
                .collect(),
            dynamic: snapshot.dynamic.clone(),
            all_backups: snapshot.farm.all_backups(),
            version: snapshot.version + 1,
            line: Arc::clone(&snapshot.line),
        }
    }

    /// Adds a server under an id that is known to be free.
    pub(super) fn add(
        &mut self,
        server: Server<P>,
        id: ServerId,
        policy: Option<&Arc<CookiePolicy>>,
        watcher: Option<&Arc<dyn LoadWatcher>>,
    ) -> Result<(), Problem> {
        let server = self.server(server, id, policy, watcher)?;
        self.servers.push(server);
        Ok(())
    }

    /// A server that can join under an id that is known to be free.
    pub(super) fn server(
        &self,
        server: Server<P>,
        id: ServerId,
        policy: Option<&Arc<CookiePolicy>>,
        watcher: Option<&Arc<dyn LoadWatcher>>,
    ) -> Result<DraftServer<P>, Problem> {
        let load = ServerLoad::new(id, watcher.cloned(), self.line.crowd().cloned());
        let line = Arc::clone(&self.line);
        draft_server(server, id, policy.cloned(), load, line)
    }

    /// Computes everything a request needs, and adapts the selector.
    pub(super) fn assemble(
        mut self,
        selector: &Arc<dyn Selector>,
        stick: &StickPolicy,
    ) -> Result<Snapshot<P>, Problem> {
        self.servers.iter_mut().for_each(DraftServer::fit_limit);
        self.compute_identifiers();
        self.name_to_tables(stick)?;
        let farm_servers = self
            .servers
            .iter()
            .map(|server| {
                let DraftServer {
                    member,
                    status,
                    history,
                    warm_up,
                } = server;
                let (spec, load) = (Arc::clone(&member.spec), Arc::clone(&member.load));
                FarmServer::new(spec, load, *status, *history, *warm_up)
            })
            .collect();
        let farm = Farm::new(farm_servers, selector.weight_scale(), self.all_backups);
        let adapted = selector.adapt(&farm).map_err(Problem::Selector)?;
        let members: Arc<[_]> = self.servers.into_iter().map(|s| s.member).collect();
        Ok(Snapshot {
            version: self.version,
            line: self.line,
            cookies: CookieIndex::new(&members, &farm),
            ids: IdIndex::new(&farm),
            stick: StickServers::new(stick, &members),
            selector: adapted.unwrap_or_else(|| Arc::clone(selector)),
            farm,
            members,
            dynamic: self.dynamic,
        })
    }

    /// Gives every server its number in every table, anew if its name there has changed.
    fn name_to_tables(&mut self, stick: &StickPolicy) -> Result<(), Problem> {
        for server in &mut self.servers {
            let numbers = stick.numbers_of(&server.member.spec)?;
            if server.member.stick != numbers {
                let mut member = ServerHandle::clone(&server.member);
                member.stick = numbers;
                server.member = Arc::new(member);
            }
        }
        Ok(())
    }

    fn compute_identifiers(&mut self) {
        for server in &mut self.servers {
            let cookie = identifier(&server.member, &self.dynamic);
            if server.member.cookie != cookie {
                let mut member = ServerHandle::clone(&server.member);
                member.cookie = cookie;
                server.member = Arc::new(member);
            }
        }
    }
}

/// The configured identifier, else the computed one if that is switched on.
fn identifier<P>(member: &ServerHandle<P>, dynamic: &DynamicCookies) -> Option<Box<[u8]>> {
    let computed = || {
        let key = dynamic.key.as_ref().filter(|_| dynamic.enabled)?;
        identifier_of(key, &member.spec.address).map(|identifier| identifier.as_slice().into())
    };
    member.own_cookie.clone().or_else(computed)
}

fn draft_server<P>(
    server: Server<P>,
    id: ServerId,
    policy: Option<Arc<CookiePolicy>>,
    load: ServerLoad,
    line: Arc<Line<P>>,
) -> Result<DraftServer<P>, Problem> {
    let name = server.name;
    let address = server.address.map_err(|error| Problem::Address {
        server: name.to_string(),
        error,
    })?;
    let weight = Weight::new(server.weight).ok_or_else(|| Problem::Weight {
        server: name.to_string(),
        found: server.weight,
    })?;
    let limits = Limits::new(
        server.max_connections,
        server.min_connections,
        server.max_queue,
    );
    let spec = Arc::new(Spec {
        id,
        has_own_id: server.id.is_some(),
        name,
        address,
        weight,
        guid: server.guid,
        placement: server.placement,
        backup: server.backup,
        limits,
        slow_start: SlowStart::new(server.slow_start),
        non_stick: server.non_stick,
        marked: server.marked,
    });
    let status = Status {
        admin: AdminState::Ready,
        operational: server.operational,
        weight,
    }
    .with_admin(server.admin);
    let is_starting = status.operational == OperationalState::Starting;
    let slow_start = spec.slow_start.filter(|_| is_starting);
    Ok(DraftServer {
        warm_up: slow_start.map(|slow_start| WarmUp::new(slow_start, None)),
        member: Arc::new(ServerHandle {
            spec,
            load: Arc::new(load),
            line,
            payload: Arc::new(server.payload),
            own_cookie: server.cookie,
            cookie: None,
            stick: Box::default(),
            policy,
        }),
        status,
        history: History::starting_in(
            status,
            server.health,
            server.is_checked,
            server.check_target,
        ),
    })
}

/// Everything that is wrong with these servers, each alone and beside the others.
pub(super) fn problems_of_servers<P>(servers: &[Server<P>]) -> Vec<Problem> {
    let mut problems: Vec<_> = servers.iter().flat_map(problems_of_server).collect();
    let mut names = HashSet::new();
    let mut ids = HashMap::new();
    for server in servers {
        if !names.insert(&server.name) {
            problems.push(Problem::DuplicateName {
                name: server.name.to_string(),
            });
        }
        let Some(id) = server.id.and_then(ServerId::new) else {
            continue;
        };
        if let Some(first) = ids.insert(id, &server.name) {
            problems.push(Problem::DuplicateId {
                id,
                servers: [first.to_string(), server.name.to_string()],
            });
        }
    }
    problems
}

/// Everything that is wrong with this server alone.
pub(super) fn problems_of_server<P>(server: &Server<P>) -> Vec<Problem> {
    let name = || server.name.to_string();
    let mut problems = Vec::new();
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if server.name.is_empty() || server.name.contains(odd) {
        problems.push(Problem::ServerName { found: name() });
    }
    if let Some(found) = server.id.filter(|&id| ServerId::new(id).is_none()) {
        problems.push(Problem::Id {
            server: name(),
            found,
        });
    }
    if let Err(error) = &server.address {
        problems.push(Problem::Address {
            server: name(),
            error: error.clone(),
        });
    }
    if Weight::new(server.weight).is_none() {
        problems.push(Problem::Weight {
            server: name(),
            found: server.weight,
        });
    }
    if let Some(cookie) = server
        .cookie
        .as_ref()
        .filter(|cookie| !is_identifier(cookie))
    {
        problems.push(Problem::CookieIdentifier {
            server: name(),
            found: cookie.to_vec(),
        });
    }
    problems
}

/// Whether a `Set-Cookie` field can carry these bytes without becoming another field.
fn is_identifier(cookie: &[u8]) -> bool {
    let harmless = |&byte: &u8| !byte.is_ascii_control() && byte != b';';
    !cookie.is_empty() && cookie.iter().all(harmless)
}

/// Numbers the servers as HAProxy does: those without an id get the smallest free
/// number from a counter that moves on over explicit ids, too.
pub(super) fn number_servers<P>(servers: &[Server<P>]) -> Vec<ServerId> {
    let explicit: HashSet<u32> = servers.iter().filter_map(|server| server.id).collect();
    let mut counter = 1;
    servers
        .iter()
        .map(|server| {
            let id = server.id.unwrap_or_else(|| {
                counter = free_number(counter, &explicit);
                counter
            });
            counter += 1;
            ServerId::new(id).expect("explicit ids are checked, others number the servers")
        })
        .collect()
}

fn free_number(from: u32, taken: &HashSet<u32>) -> u32 {
    (from..=ServerId::MAX.get())
        .find(|number| !taken.contains(number))
        .expect("there are fewer servers than numbers")
}

/// What is odd about the identifiers of these servers, though it works.
pub(super) fn warnings<P>(members: &[Arc<ServerHandle<P>>]) -> Vec<ConfigWarning> {
    let mut warnings = collisions(members);
    let unreadable = members.iter().filter_map(|member| {
        let (policy, cookie) = (member.policy.as_ref()?, member.cookie.as_ref()?);
        (!comes_back(policy, cookie)).then(|| ConfigWarning::CookieIdentifier {
            server: member.name().to_owned(),
            found: cookie.to_vec(),
        })
    });
    warnings.extend(unreadable);
    warnings
}

/// Whether a client that is sent this identifier names it in its next request.
fn comes_back(policy: &CookiePolicy, identifier: &[u8]) -> bool {
    let field = [policy.name(), b"=", identifier].concat();
    let mut same = false;
    if let Some(value) = policy.prepared_name().values(&field).next() {
        ClientState::<()>::new().observe(policy, Stamp::NONE, value, |read| {
            same = read == identifier;
            Match::Unknown
        });
    }
    same
}

/// Servers whose computed identifiers collide. Those in maintenance count, too: leaving
/// them out would hide the mistake until they come back.
fn collisions<P>(members: &[Arc<ServerHandle<P>>]) -> Vec<ConfigWarning> {
    let mut seen: HashMap<&[u8], &str> = HashMap::new();
    let mut warnings = Vec::new();
    for member in members.iter().filter(|member| member.own_cookie.is_none()) {
        let Some(cookie) = &member.cookie else {
            continue;
        };
        match seen.get(&cookie[..]) {
            Some(first) => warnings.push(ConfigWarning::DynamicCookieCollision {
                servers: [(*first).to_owned(), member.name().to_owned()],
            }),
            None => drop(seen.insert(cookie, member.name())),
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;

    fn numbers(ids: &[Option<u32>]) -> Vec<u32> {
        let servers: Vec<_> = ids
            .iter()
            .map(|id| {
                let server = Server::new("s", "127.0.0.1:1");
                id.map_or(server.clone(), |id| server.id(id))
            })
            .collect();
        number_servers(&servers).iter().map(|id| id.get()).collect()
    }

    #[test]
    fn an_identifier_that_never_comes_back_is_odd() {
        let warned = |policy: CookiePolicy, identifier: &str| {
            let backend: Backend = Backend::builder("b")
                .server(Server::new("s1", "127.0.0.1:1").cookie(identifier))
                .cookie(policy)
                .build()
                .unwrap();
            !backend.warnings().is_empty()
        };
        // Identifier, odd in mode `insert`, odd in mode `prefix`.
        let table = [
            ("s1", false, false),
            ("a=b \"c\"", false, false),
            ("a|b", true, false),
            ("a~b", false, true),
            ("a,b", true, true),
            (" a", true, true),
        ];
        for (identifier, insert, prefix) in table {
            let found = warned(CookiePolicy::insert("S").into(), identifier);
            assert_eq!(found, insert, "{identifier}");
            let found = warned(CookiePolicy::prefix("S").into(), identifier);
            assert_eq!(found, prefix, "{identifier}");
        }
    }

    #[test]
    fn ids_are_numbered_as_haproxy_numbers_them() {
        let explicit = [Some(17), None, Some(3), None, Some(70_000), None];
        assert_eq!(numbers(&explicit), [17, 2, 3, 4, 70_000, 6]);
        assert_eq!(numbers(&[None, None, Some(1)]), [2, 3, 1]);
    }
}
