//! The request side: from a request to a server.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::forwarded::Forwarded;
use super::rules::{self, Named};
use super::snapshot::{Holders, Snapshot};
use super::stick::Sticking;
use super::{Backend, Policy};
use crate::cookie::{ClientState, CookiePolicy, Match, Stamp};
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
    #[inline]
    pub fn select(&self, request: &dyn Request, now: Now) -> Result<Selection<P>, SelectError> {
        // A selection is large. Inlined, it is made where the caller keeps it: to move what
        // has just been written takes longer than to write it.
        let mut routed = Routed::new();
        match self.route(request, now, &mut routed) {
            Some(lease) => Ok(routed.selection(lease)),
            None => Err(routed.error()),
        }
    }

    /// A slot for a request; all else that is found out about it is left in `routed`.
    ///
    /// Apart, lest it be made a part of `select`, which would then be too large to be inlined.
    #[inline(never)]
    fn route(&self, request: &dyn Request, now: Now, routed: &mut Routed) -> Option<Lease<P>> {
        self.warm_up(now);
        self.current.read(|snapshot| {
            let lease = if self.policy.has_rules {
                self.route_by_rules(snapshot, request, now, routed)
            } else {
                self.route_by_cookie(snapshot, request, now, routed)
            };
            if lease.is_none() {
                return self.route_again(snapshot, request, now, routed);
            }
            lease
        })
    }

    /// Where nothing but a cookie can name a server: most backends, and most requests.
    #[inline]
    fn route_by_cookie(
        &self,
        snapshot: &Snapshot<P>,
        request: &dyn Request,
        now: Now,
        routed: &mut Routed,
    ) -> Option<Lease<P>> {
        let Some(policy) = &self.policy.cookie else {
            return snapshot.balance_or(&snapshot.choice(request, now), &mut routed.refusal);
        };
        let selecting = Selecting::new(&self.policy, snapshot, request, now, Trust::Normal);
        let client = selecting.read_cookies(policy, ClientState::new());
        let reason = client.server().map(|_| Reason::Cookie);
        routed.findings = Findings {
            method: policy.method_of(request),
            ..Findings::of(reason, Trust::Normal, &client)
        };
        if let Some(&index) = client.server() {
            return Lease::take(&snapshot.members[index]);
        }
        let forwarded = &self.forwarded(request);
        snapshot.balance_or(&snapshot.choice(forwarded, now), &mut routed.refusal)
    }

    /// The same as [`route_by_cookie`](Self::route_by_cookie), whatever there is beside the
    /// cookie.
    #[inline(never)]
    fn route_by_rules(
        &self,
        snapshot: &Snapshot<P>,
        request: &dyn Request,
        now: Now,
        routed: &mut Routed,
    ) -> Option<Lease<P>> {
        let forwarded = &self.forwarded(request);
        let named;
        (named, routed.findings) = self.decide(snapshot, forwarded, now, &mut routed.stores);
        if let Some(index) = named {
            return Lease::take(&snapshot.members[index]);
        }
        snapshot.balance_or(&snapshot.choice(forwarded, now), &mut routed.refusal)
    }

    /// What becomes of a request that has got no slot.
    #[cold]
    fn route_again(
        &self,
        snapshot: &Snapshot<P>,
        request: &dyn Request,
        now: Now,
        routed: &mut Routed,
    ) -> Option<Lease<P>> {
        // The server may have left meanwhile, which is no reason to refuse.
        if routed.refusal == Refusal::Saturated && self.has_changed_since(snapshot) {
            *routed = Routed::new();
            return self.route(request, now, routed);
        }
        None
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
        let trust = rules::trust(&self.policy.trust_rules, request);
        Selecting::new(&self.policy, snapshot, request, now, trust).run(forwarded, stores)
    }
}

/// What is found out about a request beside its server.
struct Routed {
    findings: Findings,
    /// Keys to be stored: large, and nearly never there.
    stores: Option<Stores>,
    /// Why there is no server.
    refusal: Refusal,
}

impl Routed {
    #[inline]
    fn new() -> Self {
        Self {
            findings: Findings::of(None, Trust::Normal, &ClientState::<usize>::new()),
            stores: None,
            refusal: Refusal::Saturated,
        }
    }

    #[inline]
    fn selection<P>(self, lease: Lease<P>) -> Selection<P> {
        let claim = if self.stores.is_none() {
            self.findings.claim(None)
        } else {
            self.findings.claim(self.stores)
        };
        Selection { lease, claim }
    }

    #[inline]
    fn error(self) -> SelectError {
        SelectError::new(self.refusal, self.findings.client_cookie)
    }
}

/// One request on its way to a server, within one snapshot.
struct Selecting<'a, P> {
    policy: &'a Policy,
    snapshot: &'a Snapshot<P>,
    request: &'a dyn Request,
    now: Now,
    trust: Trust,
}

impl<'a, P> Selecting<'a, P> {
    #[inline]
    fn new(
        policy: &'a Policy,
        snapshot: &'a Snapshot<P>,
        request: &'a dyn Request,
        now: Now,
        trust: Trust,
    ) -> Self {
        Self {
            policy,
            snapshot,
            request,
            now,
            trust,
        }
    }

    /// What everything behind the client's cookie looks at is `forwarded`.
    fn run(
        self,
        forwarded: &Forwarded<'_>,
        stores: &mut Option<Stores>,
    ) -> (Option<usize>, Findings) {
        let ruled = self.use_server();
        let mut cookie = if ruled.is_some() || self.trust == Trust::Ignored {
            ClientState::decided()
        } else {
            ClientState::new()
        };
        let mut method = KnownMethod::Other;
        if let Some(policy) = &self.policy.cookie {
            cookie = self.read_cookies(policy, cookie);
            method = policy.method_of(self.request);
        }
        let found = self.stick(forwarded, stores);
        let named = ruled
            .map(|index| (index, Reason::UseServer))
            .or_else(|| cookie.server().map(|&index| (index, Reason::Cookie)))
            .or_else(|| self.rdp_cookie().map(|index| (index, Reason::RdpCookie)))
            .or_else(|| found.map(|index| (index, Reason::StickTable)))
            .or_else(|| self.look_up(forwarded).map(|index| (index, Reason::Lookup)));
        let reason = named.map(|(_, reason)| reason);
        let findings = Findings {
            method,
            ..Findings::of(reason, self.trust, &cookie)
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
    fn stick(&self, forwarded: &Forwarded<'_>, stores: &mut Option<Stores>) -> Option<usize> {
        if self.policy.stick.is_empty() {
            return None;
        }
        let sticking = Sticking {
            policy: &self.policy.stick,
            snapshot: self.snapshot,
            request: forwarded,
            now: self.now,
        };
        let stores = stores.insert(Stores::default());
        sticking.run(stores, |index| self.may_serve(index))
    }

    /// The server of the first lookup that knows one which may serve.
    fn look_up(&self, forwarded: &Forwarded<'_>) -> Option<usize> {
        self.policy.lookups.iter().find_map(|lookup| {
            let index = self.snapshot.position(lookup.find(forwarded)?)?;
            self.may_serve(index).then_some(index)
        })
    }

    /// Reads every persistence cookie, in order, which also settles the client's state.
    #[inline]
    fn read_cookies(
        &self,
        policy: &CookiePolicy,
        mut client: ClientState<usize>,
    ) -> ClientState<usize> {
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
    #[inline]
    fn find(&self, identifier: &[u8]) -> Match<usize> {
        match self.snapshot.cookies.find(identifier) {
            None => Match::Unknown,
            Some(Holders { first, up }) if up == Some(first) => Match::Usable(first),
            Some(Holders { first, .. }) if self.insists() => Match::Forced(first),
            Some(Holders { up: Some(up), .. }) => Match::Usable(up),
            Some(_) => Match::Stopped,
        }
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
    /// The same as [`balance`](Self::balance), which says why it did not succeed.
    #[inline]
    fn balance_or(&self, choice: &Choice<'_>, refusal: &mut Refusal) -> Option<Lease<P>> {
        self.balance(choice).map_err(|why| *refusal = why).ok()
    }

    #[inline]
    fn choice<'a>(&'a self, request: &'a dyn Request, now: Now) -> Choice<'a> {
        Choice::new(&self.farm, request, now)
    }

    /// Lets the selector choose and takes a slot on its choice.
    #[inline]
    pub(super) fn balance(&self, choice: &Choice<'_>) -> Result<Lease<P>, Refusal> {
        match self.choose(choice)? {
            Chosen::Taken(lease) => Ok(lease),
            Chosen::Full(_) | Chosen::Nobody => Err(Refusal::Saturated),
        }
    }

    #[inline]
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
    #[inline]
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
