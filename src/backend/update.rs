//! Changes of a running backend: states, weights, addresses, servers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::Backend;
use super::assemble::{self, Draft, DraftServer};
use super::slow_start::Steps;
use super::snapshot::Snapshot;
use super::taken::Taken;
use crate::error::{Problem, UpdateError};
use crate::handle::ServerHandle;
use crate::queue::Called;
use crate::server::{
    Address, AddressError, AdminState, FarmServer, OperationalState, Server, ServerId, Spec,
    Weight, WeightChange, WeightScale,
};
use crate::time::Now;

/// Names a server of a running backend: by name or by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerKey<'a> {
    /// By name.
    Name(&'a str),
    /// By id.
    Id(ServerId),
}

impl ServerKey<'_> {
    pub(super) fn names(self, server: &FarmServer) -> bool {
        self.is(&server.spec)
    }

    fn is(self, spec: &Spec) -> bool {
        match self {
            Self::Name(name) => *spec.name == *name,
            Self::Id(id) => spec.id == id,
        }
    }

    pub(super) fn unknown(self) -> UpdateError {
        let found = match self {
            Self::Name(name) => name.to_owned(),
            Self::Id(id) => id.to_string(),
        };
        UpdateError::UnknownServer { found }
    }
}

impl<'a> From<&'a str> for ServerKey<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for ServerKey<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl From<ServerId> for ServerKey<'_> {
    fn from(id: ServerId) -> Self {
        Self::Id(id)
    }
}

/// A change in the making; see [`Backend::update`].
#[derive(Debug)]
pub struct Update<'b, P: Send + Sync + 'static = ()> {
    backend: &'b Backend<P>,
    draft: Draft<P>,
    /// Known once a server was added.
    taken: Option<Taken>,
    scale: WeightScale,
    at: Option<Duration>,
    writer: MutexGuard<'b, ()>,
}

impl<P: Send + Sync + 'static> Backend<P> {
    /// Changes any number of servers in one step: every request sees all of it or
    /// nothing of it.
    ///
    /// Requests are not held up; changes wait for each other, so one that is begun within
    /// `change` would wait for ever. Sessions that are under way keep the server they have.
    ///
    /// ```
    /// use stickroute::{AdminState, Backend, Server, UpdateError, Weight};
    ///
    /// # let backend: Backend = Backend::builder("app")
    /// #     .server(Server::new("app1", "10.0.0.1:80"))
    /// #     .build()?;
    /// backend.update(|change| {
    ///     change.add(Server::new("app2", "10.0.0.2:80"))?;
    ///     change.set_weight("app2", Weight::ZERO)?;
    ///     change.set_admin_state("app1", AdminState::Drain)
    /// })?;
    /// assert_eq!(backend.farm().servers().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Whatever `change` returns, and [`UpdateError::Selector`] when the selector refuses
    /// the changed farm. Nothing has changed then.
    pub fn update<T>(
        &self,
        change: impl FnOnce(&mut Update<'_, P>) -> Result<T, UpdateError>,
    ) -> Result<T, UpdateError> {
        let writer = self.writer.lock();
        let (draft, selector) = self.current.read(|snapshot| {
            let draft = Draft::from_snapshot(snapshot);
            (draft, Arc::clone(&snapshot.selector))
        });
        let mut update = Update {
            backend: self,
            draft,
            taken: None,
            scale: selector.weight_scale(),
            at: None,
            writer,
        };
        let result = change(&mut update)?;
        let Update { draft, writer, .. } = update;
        let called = self.publish(draft.assemble(&selector, &self.policy.stick)?);
        // Whoever is woken may change the backend, too.
        drop(writer);
        called.wake();
        Ok(result)
    }

    /// Puts a snapshot into service. The caller holds the lock of writers and wakes who is
    /// called once that is released.
    pub(super) fn publish(&self, next: Snapshot<P>) -> Called<P> {
        let steps = Steps::of(&next.farm);
        self.current.publish(next);
        self.steps.become_those(steps);
        self.current.read(Snapshot::adapt_line)
    }

    /// Sets what the operator wants of one server; see [`Update::set_admin_state`].
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn set_admin_state<'k>(
        &self,
        server: impl Into<ServerKey<'k>>,
        state: AdminState,
    ) -> Result<(), UpdateError> {
        self.update(|change| change.set_admin_state(server, state))
    }

    /// Reports the health of one server; see [`Update::set_operational_state`].
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn set_operational_state<'k>(
        &self,
        server: impl Into<ServerKey<'k>>,
        state: OperationalState,
    ) -> Result<(), UpdateError> {
        self.update(|change| change.set_operational_state(server, state))
    }

    /// Changes the weight of one server; see [`Update::set_weight`].
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn set_weight<'k>(
        &self,
        server: impl Into<ServerKey<'k>>,
        weight: impl Into<WeightChange>,
    ) -> Result<(), UpdateError> {
        self.update(|change| change.set_weight(server, weight))
    }
}

impl<P: Send + Sync + 'static> Update<'_, P> {
    /// Tells the time of the changes that follow, for [`FarmServer::changed`] and
    /// [slow starts](Server::slow_start).
    pub fn at(&mut self, now: Now) -> &mut Self {
        self.at = Some(now.mono());
        self
    }

    /// Sets what the operator wants of a server.
    ///
    /// Entering maintenance stops the server; leaving it, to ready or to drain, starts it
    /// again as running, whatever its health was, by way of its
    /// [slow start](Server::slow_start). HAProxy: `set server ... state`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn set_admin_state<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        state: AdminState,
    ) -> Result<(), UpdateError> {
        let at = self.at;
        let server = self.find(server.into())?;
        let before = server.status;
        server.turn(before.with_admin(state), at);
        server.history.after_order(before, server.status, at);
        Ok(())
    }

    /// Reports the health of a server; without effect during maintenance. One that runs
    /// again does so by way of its [slow start](Server::slow_start). HAProxy:
    /// `set server ... health`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn set_operational_state<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        state: OperationalState,
    ) -> Result<(), UpdateError> {
        let at = self.at;
        let server = self.find(server.into())?;
        let before = server.status;
        server.turn(before.with_operational(state), at);
        server
            .history
            .after_report(state, before, server.status, at);
        Ok(())
    }

    /// Changes the weight of a server. HAProxy: `set weight`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`]; [`UpdateError::StaticWeight`] with a selector on the
    /// static scale, for any weight but 0 and the configured one.
    pub fn set_weight<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        weight: impl Into<WeightChange>,
    ) -> Result<(), UpdateError> {
        let scale = self.scale;
        let server = self.find(server.into())?;
        let configured = server.member.spec.weight;
        let weight = weight.into().applied_to(configured);
        let refused =
            scale == WeightScale::Static && weight != configured && weight != Weight::ZERO;
        if refused {
            return Err(UpdateError::StaticWeight {
                server: server.member.name().to_owned(),
                found: weight,
                configured,
            });
        }
        server.status.weight = weight;
        Ok(())
    }

    /// Moves a server to another address; it keeps its id, state and counters. A dynamic
    /// cookie is computed anew. HAProxy: `set server ... addr`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`]; [`UpdateError::Invalid`] for a text that is no
    /// address.
    pub fn set_address<'k, A>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        address: A,
    ) -> Result<(), UpdateError>
    where
        A: TryInto<Address>,
        AddressError: From<A::Error>,
    {
        let server = self.find(server.into())?;
        let mut member = ServerHandle::clone(&server.member);
        let mut spec = Spec::clone(&member.spec);
        spec.address = address.try_into().map_err(|error| Problem::Address {
            server: spec.name.to_string(),
            error: error.into(),
        })?;
        member.spec = Arc::new(spec);
        server.member = Arc::new(member);
        Ok(())
    }

    /// Changes the limit of sessions at one time, 0 for none; sessions beyond it go on.
    /// HAProxy: `set maxconn server`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn set_max_connections<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        limit: u32,
    ) -> Result<(), UpdateError> {
        let server = self.find(server.into())?;
        let mut member = ServerHandle::clone(&server.member);
        let mut spec = Spec::clone(&member.spec);
        spec.limits.most = NonZeroU32::new(limit);
        member.spec = Arc::new(spec);
        server.member = Arc::new(member);
        Ok(())
    }

    /// Adds a server after all others and returns its id: its own, or the smallest free
    /// one. If it is up it begins with its [slow start](Server::slow_start). HAProxy: `add server`.
    ///
    /// # Errors
    /// [`UpdateError::Invalid`] when name or id are in use or anything else is wrong with
    /// the server.
    pub fn add(&mut self, server: Server<P>) -> Result<ServerId, UpdateError> {
        if let Some(problem) = assemble::problems_of_server(&server).into_iter().next() {
            return Err(problem.into());
        }
        let id = self.taken().id_for(&server)?;
        let name = server.name.clone();
        let (policy, watcher) = (&self.backend.policy.cookie, &self.backend.watcher);
        self.draft
            .add(server, id, policy.as_ref(), watcher.as_ref())?;
        let at = self.at;
        if let Some(added) = self.draft.servers.last_mut() {
            added.arrive(at);
        }
        self.taken().take(name, id);
        Ok(id)
    }

    /// Puts another server in the place of one, and returns its id: its own, or that of the
    /// server before it. HAProxy has no such command; it would be `del server` and `add server`.
    ///
    /// It begins anew as if it had been added: its state, its count of sessions, its payload.
    /// What belongs to the place stays: the order of configuration, and with the id the points
    /// on a ring, the turn in a round robin, and `use-server` rules. Sessions on the server
    /// before go on, as after [`remove`](Self::remove), and requests that wait for it are sent
    /// back.
    ///
    /// ```
    /// use stickroute::{Backend, Server};
    ///
    /// # let backend: Backend = Backend::builder("app")
    /// #     .server(Server::new("app1", "10.0.0.1:80"))
    /// #     .build()?;
    /// let by = Server::new("app1", "10.0.0.9:80").max_connections(50);
    /// let id = backend.update(|change| change.replace("app1", by))?;
    /// assert_eq!(id.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`]; [`UpdateError::Invalid`] as [`add`](Self::add);
    /// [`UpdateError::InUse`] when a `use-server` rule names the server before and the new one
    /// has another id.
    pub fn replace<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        by: Server<P>,
    ) -> Result<ServerId, UpdateError> {
        if let Some(problem) = assemble::problems_of_server(&by).into_iter().next() {
            return Err(problem.into());
        }
        let index = self.position(server.into())?;
        let before = Arc::clone(&self.draft.servers[index].member);
        let own = by.id.and_then(ServerId::new);
        let id = own.unwrap_or(before.id());
        if id != before.id() {
            self.check_unnamed(&before)?;
        }
        self.taken().give_back(&before.spec);
        let replaced = self.replacement(by, id, &before);
        // What is taken must be right even after a refusal: the change may go on.
        let taken = replaced.as_ref().map_or(&before, |server| &server.member);
        let (name, taken) = (taken.spec.name.clone(), taken.id());
        self.taken().take(name, taken);
        let mut server = replaced?;
        server.arrive(self.at);
        self.draft.servers[index] = server;
        Ok(id)
    }

    /// The server in the place of another, whose name and id count as free.
    fn replacement(
        &mut self,
        mut by: Server<P>,
        id: ServerId,
        before: &ServerHandle<P>,
    ) -> Result<DraftServer<P>, UpdateError> {
        if by.id.is_none() && before.spec.has_own_id {
            by.id = Some(id.get());
        }
        self.taken().check(&by)?;
        let (policy, watcher) = (&self.backend.policy.cookie, &self.backend.watcher);
        let server = self
            .draft
            .server(by, id, policy.as_ref(), watcher.as_ref())?;
        Ok(server)
    }

    /// Takes a server out of the backend. Sessions on it go on; its counters end with the
    /// last of them, even if a server with the same id is added later;
    /// [`Backend::remove`] tells when. Requests that wait for it are
    /// [sent back](crate::Turn::SentBack). HAProxy: `del server`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`]; [`UpdateError::InUse`] when a `use-server` rule
    /// names it.
    pub fn remove<'k>(&mut self, server: impl Into<ServerKey<'k>>) -> Result<(), UpdateError> {
        self.take_out(server.into()).map(drop)
    }

    /// Takes a server out and gives it to whoever wants to follow its last sessions.
    pub(super) fn take_out(
        &mut self,
        key: ServerKey<'_>,
    ) -> Result<Arc<ServerHandle<P>>, UpdateError> {
        let index = self.position(key)?;
        self.check_unnamed(&self.draft.servers[index].member)?;
        let removed = self.draft.servers.remove(index);
        if let Some(taken) = &mut self.taken {
            taken.give_back(&removed.member.spec);
        }
        Ok(removed.member)
    }

    /// That no `use-server` rule names the server.
    fn check_unnamed(&self, member: &ServerHandle<P>) -> Result<(), UpdateError> {
        let mut rules = self.backend.policy.use_server_rules.iter();
        if rules.any(|rule| rule.names(member.id())) {
            let server = member.name().to_owned();
            return Err(UpdateError::InUse { server });
        }
        Ok(())
    }

    /// Sets the secret of dynamic cookies and computes all identifiers anew, so that the
    /// cookies of old clients name nobody any more. HAProxy: `set dynamic-cookie-key`.
    ///
    /// # Errors
    /// [`UpdateError::Invalid`] when the key is empty.
    pub fn set_dynamic_cookie_key(&mut self, key: impl Into<Vec<u8>>) -> Result<(), UpdateError> {
        let key = key.into();
        if key.is_empty() {
            return Err(Problem::DynamicCookieKey.into());
        }
        self.draft.dynamic.key = Some(key.into());
        Ok(())
    }

    /// Switches computed identifiers on or off; configured ones stay. HAProxy:
    /// `enable dynamic-cookie`, `disable dynamic-cookie`.
    pub fn set_dynamic_cookies(&mut self, enabled: bool) {
        self.draft.dynamic.enabled = enabled;
    }

    fn position(&self, key: ServerKey<'_>) -> Result<usize, UpdateError> {
        let mut servers = self.draft.servers.iter();
        servers
            .position(|server| key.is(&server.member.spec))
            .ok_or_else(|| key.unknown())
    }

    pub(super) fn time(&self) -> Option<Duration> {
        self.at
    }

    pub(super) fn find(&mut self, key: ServerKey<'_>) -> Result<&mut DraftServer<P>, UpdateError> {
        let index = self.position(key)?;
        Ok(&mut self.draft.servers[index])
    }

    fn taken(&mut self) -> &mut Taken {
        let servers = &self.draft.servers;
        self.taken
            .get_or_insert_with(|| Taken::new(servers.iter().map(|server| &*server.member.spec)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It would take minutes if each one looked at the ids of all others.
    #[test]
    fn thousands_of_servers_are_added_at_once() {
        let backend: Backend = Backend::builder("b")
            .server(Server::new("s1", "127.0.0.1:1"))
            .build()
            .unwrap();
        let last = backend.update(|change| {
            for n in 2..8_000 {
                change.add(Server::new(format!("s{n}"), "127.0.0.1:1"))?;
            }
            change.add(Server::new("last", "127.0.0.1:1"))
        });
        assert_eq!(last.map(ServerId::get), Ok(8_000));
    }
}
