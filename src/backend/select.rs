//! The request side: from a request to a server.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::forwarded::Forwarded;
use super::rules::{self, Named};
use super::snapshot::Snapshot;
use super::stick::Sticking;
use super::{Backend, Policy};
use crate::cookie::{ClientState, Match, Stamp};
use crate::error::{Refusal, SelectError};
use crate::handle::{Lease, ServerHandle};
use crate::message::Request;
use crate::selection::{Findings, KnownMethod, Reason, Selection, Trust};
use crate::selector::Choice;
use crate::stick::Stores;
use crate::time::Now;

impl<P: Send + Sync + 'static> Backend<P> {
    /// Finds the server for a request and takes a slot on it.
    ///
    /// In this order, the first that names a usable server decides: `use-server` rules,
    /// the client's cookie, an RDP cookie, stick rules, lookups, the balancing algorithm. It never waits
    /// and, when a cookie decides, allocates nothing.
    ///
    /// What comes behind the client's cookie sees the `Cookie` fields as they are
    /// [forwarded](Selection::request_edits), as in HAProxy: without the persistence cookie
    /// of mode `insert indirect`, and without the prefix of mode `prefix`.
    ///
    /// # Errors
    /// [`SelectError`] when no server can take the request, or when all slots of the
    /// servers that may are taken or [waited](Self::admit) for; answer 503.
    pub fn select(&self, request: &dyn Request, now: Now) -> Result<Selection<P>, SelectError> {
        self.warm_up(now);
        self.current.read(|snapshot| {
            let request = &self.forwarded(request);
            let mut stores = None;
            let (named, findings) = self.decide(snapshot, request, now, &mut stores);
            let lease = if let Some(index) = named {
                Lease::take(&snapshot.members[index]).ok_or(Refusal::Saturated)
            } else {
                snapshot.balance(&Choice::new(&snapshot.farm, request, now))
            };
            match lease {
                // A selection is large: each of the two is made where it stays.
                Ok(lease) if stores.is_none() => Ok(Selection {
                    lease,
                    claim: findings.claim(None),
                }),
                Ok(lease) => Ok(Selection {
                    lease,
                    claim: findings.claim(stores),
                }),
                // The server may have left meanwhile, which is no reason to refuse.
                Err(Refusal::Saturated) if self.has_changed_since(snapshot) => {
                    self.select(request.original(), now)
                }
                Err(refusal) => Err(SelectError::new(refusal, findings.client_cookie)),
            }
        })
    }

    /// Whether there is a newer snapshot than this by now.
    #[cold]
    pub(super) fn has_changed_since(&self, snapshot: &Snapshot<P>) -> bool {
        self.current.read(|now| now.version != snapshot.version)
    }

    /// The request as the server will see it.
    pub(super) fn forwarded<'r>(&'r self, request: &'r dyn Request) -> Forwarded<'r> {
        Forwarded::new(request, self.policy.cookie.as_deref())
    }

    /// The server that persistence names, if any, and what is known of the request.
    ///
    /// The keys to be stored are large, and nearly never there: they stay where they are.
    #[inline]
    pub(super) fn decide(
        &self,
        snapshot: &Snapshot<P>,
        forwarded: &Forwarded<'_>,
        now: Now,
        stores: &mut Option<Stores>,
    ) -> (Option<usize>, Findings) {
        let request = forwarded.original();
        Selecting {
            policy: &self.policy,
            snapshot,
            request,
            forwarded,
            now,
            trust: rules::trust(&self.policy.trust_rules, request),
        }
        .run(stores)
    }
}

/// One request on its way to a server, within one snapshot.
struct Selecting<'a, P> {
    policy: &'a Policy,
    snapshot: &'a Snapshot<P>,
    request: &'a dyn Request,
    /// What everything behind the client's cookie looks at.
    forwarded: &'a Forwarded<'a>,
    now: Now,
    trust: Trust,
}

impl<P> Selecting<'_, P> {
    #[inline]
    fn run(self, stores: &mut Option<Stores>) -> (Option<usize>, Findings) {
        let ruled = self.use_server();
        let cookie = self.read_cookies(ruled.is_some());
        let found = self.stick(stores);
        let named = ruled
            .map(|index| (index, Reason::UseServer))
            .or_else(|| cookie.server().map(|&index| (index, Reason::Cookie)))
            .or_else(|| self.rdp_cookie().map(|index| (index, Reason::RdpCookie)))
            .or_else(|| found.map(|index| (index, Reason::StickTable)))
            .or_else(|| self.look_up().map(|index| (index, Reason::Lookup)));
        let findings = Findings {
            reason: named.map_or(Reason::Balance, |(_, reason)| reason),
            trust: self.trust,
            client_cookie: cookie.cookie(),
            dates: cookie.dates(),
            method: KnownMethod::of(self.request),
        };
        (named.map(|(index, _)| index), findings)
    }

    /// The server of the first `use-server` rule that holds and whose server may serve.
    fn use_server(&self) -> Option<usize> {
        for rule in &self.policy.use_server_rules {
            match &rule.server {
                Named::Always(server) => {
                    if let Some(index) = self.snapshot.position(*server)
                        && self.may_serve(index)
                        && rule.condition.holds(self.request)
                    {
                        return Some(index);
                    }
                }
                Named::Each(name) if rule.condition.holds(self.request) => {
                    // A name that no server has ends the rules.
                    let index = self.snapshot.named(&name.of(self.request))?;
                    if self.may_serve(index) {
                        return Some(index);
                    }
                }
                Named::Each(_) => {}
            }
        }
        None
    }

    /// The server that an RDP cookie names. Observed on HAProxy 2.6.12: rules that force or
    /// ignore persistence do not matter to it.
    fn rdp_cookie(&self) -> Option<usize> {
        let rdp = self.policy.rdp.as_ref()?;
        let may_serve = |index| self.policy.persist || self.is_up(index);
        rdp.find(self.snapshot, self.request.payload(), may_serve)
    }

    /// The server that stick rules find; the keys they want stored come into `stores`.
    #[inline]
    fn stick(&self, stores: &mut Option<Stores>) -> Option<usize> {
        if self.policy.stick.is_empty() {
            return None;
        }
        let sticking = Sticking {
            policy: &self.policy.stick,
            snapshot: self.snapshot,
            request: self.forwarded,
            now: self.now,
        };
        let stores = stores.insert(Stores::default());
        sticking.run(stores, |index| self.may_serve(index))
    }

    /// The server of the first lookup that knows one which may serve.
    fn look_up(&self) -> Option<usize> {
        self.policy.lookups.iter().find_map(|lookup| {
            let index = self.snapshot.position(lookup.find(self.forwarded)?)?;
            self.may_serve(index).then_some(index)
        })
    }

    /// Reads every persistence cookie, in order, which also settles the client's state.
    fn read_cookies(&self, decided: bool) -> ClientState<usize> {
        let mut client = if decided || self.trust == Trust::Ignored {
            ClientState::decided()
        } else {
            ClientState::new()
        };
        let Some(policy) = &self.policy.cookie else {
            return client;
        };
        let now = Stamp::from_unix(self.now.wall_seconds());
        self.request.visit_headers("cookie", &mut |header| {
            for value in policy.prepared_name().values(header) {
                client.observe(policy, now, value, |identifier| self.find(identifier));
            }
            ControlFlow::Continue(())
        });
        client
    }

    /// The first server with this identifier that may serve.
    fn find(&self, identifier: &[u8]) -> Match<usize> {
        let mut found = Match::Unknown;
        for index in self.snapshot.cookies.find(identifier) {
            if self.is_up(index) {
                return Match::Usable(index);
            }
            if self.insists() {
                return Match::Forced(index);
            }
            found = Match::Stopped;
        }
        found
    }

    fn may_serve(&self, index: usize) -> bool {
        self.insists() || self.is_up(index)
    }

    fn is_up(&self, index: usize) -> bool {
        self.snapshot.farm.servers()[index]
            .status()
            .accepts_persisted()
    }

    /// Whether persistence is followed even to a server that is down.
    fn insists(&self) -> bool {
        self.policy.persist || self.trust == Trust::Forced
    }
}

/// What came of a choice.
pub(super) enum Chosen<P> {
    Taken(Lease<P>),
    /// The server at this position, which has no slot left.
    Full(usize),
    /// No server, since all are saturated.
    Nobody,
}

impl<P> Snapshot<P> {
    /// Lets the selector choose and takes a slot on its choice.
    pub(super) fn balance(&self, choice: &Choice<'_>) -> Result<Lease<P>, Refusal> {
        match self.choose(choice)? {
            Chosen::Taken(lease) => Ok(lease),
            Chosen::Full(_) | Chosen::Nobody => Err(Refusal::Saturated),
        }
    }

    pub(super) fn choose(&self, choice: &Choice<'_>) -> Result<Chosen<P>, Refusal> {
        if self.farm.serving().count == 0 {
            return Err(Refusal::NoServer);
        }
        if self.line.waiting() > 0 && self.selector.lines_up() {
            return Ok(Chosen::Nobody);
        }
        // Between the choice and the taking another thread can take the last slot. A
        // selector that looks at slots then chooses another server; one that does not,
        // a hash for example, names the same again.
        let mut full = None;
        for _ in 0..self.members.len() {
            let Some(picked) = self.selector.pick(choice) else {
                return Ok(Chosen::Nobody);
            };
            if let Some(lease) = Lease::take(self.member(picked)?) {
                return Ok(Chosen::Taken(lease));
            }
            if full.replace(picked) == Some(picked) {
                break;
            }
        }
        Ok(full.map_or(Chosen::Nobody, Chosen::Full))
    }

    /// The server that the selector named, if it exists and takes new sessions.
    fn member(&self, picked: usize) -> Result<&Arc<ServerHandle<P>>, Refusal> {
        match self.farm.servers().get(picked) {
            Some(server) if server.is_usable() => Ok(&self.members[picked]),
            Some(server) => Err(Refusal::UnusableServer { found: server.id() }),
            None => Err(Refusal::Selector {
                found: picked,
                servers: self.members.len(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::{Condition, Selector, Server, SimpleRequest};

    /// A hash without a key, in the moment after it saw the last slot of `s1` free: it
    /// names that server once, and others from then on.
    #[derive(Debug)]
    struct Late(AtomicUsize);

    impl Selector for Late {
        fn pick(&self, _: &Choice<'_>) -> Option<usize> {
            Some(self.0.fetch_add(1, Relaxed).min(1))
        }

        fn is_hash(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_slot_lost_to_another_request_is_no_reason_to_refuse() {
        let server = |name: &str| Server::new(name, "127.0.0.1:1").max_connections(1);
        let backend: Backend = Backend::builder("b")
            .servers([server("s1"), server("s2")])
            .balance(Late(AtomicUsize::new(0)))
            .use_server("s1", Condition::when(|it| it.target() == b"/s1"))
            .build()
            .unwrap();
        let select = |path| backend.select(&SimpleRequest::new("GET", path), Now::system());
        let _held = select("/s1").unwrap();
        let selection = select("/").unwrap();
        assert_eq!(selection.server().name(), "s2");
        let error = select("/").unwrap_err();
        assert_eq!(error.refusal(), &Refusal::Saturated);
    }
}
