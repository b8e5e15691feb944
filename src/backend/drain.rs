//! Taking a server out of service, and being told when its last session is gone.

use super::{Backend, ServerKey, Snapshot};
use crate::error::UpdateError;
use crate::queue::Drained;
use crate::time::Now;

impl<P: Send + Sync + 'static> Backend<P> {
    /// Waits until no request is in flight on a server and none waits in its queue.
    ///
    /// The server takes no new sessions by then: set it to
    /// [`AdminState::Drain`](crate::AdminState::Drain), for example, or its weight to 0. While it
    /// does, or as soon as it does again, the waiting ends with
    /// [`DrainEnd::InService`](crate::DrainEnd::InService), so that nobody takes a server down
    /// that was put back into service. Else it ends with
    /// [`DrainEnd::Empty`](crate::DrainEnd::Empty), even if the server is removed meanwhile.
    ///
    /// Empty is a moment: clients that are bound to a drained server may come back
    /// to it. [Maintenance](crate::AdminState::Maintenance) or [`remove`](Self::remove) keeps
    /// them away, and [`stick_entries`](Self::stick_entries) counts them. A request that is
    /// being selected while its server changes may still take its slot just afterwards; only of
    /// a server that was removed is it certain that nothing comes any more.
    ///
    /// ```
    /// use stickroute::{AdminState, Backend, DrainEnd, Now, Server, SimpleRequest};
    ///
    /// let backend: Backend = Backend::builder("app")
    ///     .server(Server::new("app1", "10.0.0.1:80"))
    ///     .build()?;
    /// let session = backend.select(&SimpleRequest::default(), Now::system())?;
    ///
    /// backend.set_admin_state("app1", AdminState::Drain)?;
    /// let drained = backend.drained("app1")?;
    /// assert_eq!((drained.end(), drained.load().in_flight()), (None, 1));
    ///
    /// drop(session);
    /// // A proxy would write `drained.await` here.
    /// assert_eq!(drained.end(), Some(DrainEnd::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn drained<'k>(&self, server: impl Into<ServerKey<'k>>) -> Result<Drained<P>, UpdateError> {
        let key = server.into();
        self.current.read(|snapshot| {
            let member = &snapshot.members[snapshot.index_of(key)?];
            Ok(snapshot.line.watch(&member.load))
        })
    }

    /// Removes a server, as [`Update::remove`](crate::Update::remove) does, and tells when its last
    /// session is gone. After that none comes, not even one that was being selected while
    /// the server left, so its process may be ended.
    ///
    /// # Errors
    /// As [`Update::remove`](crate::Update::remove).
    pub fn remove<'k>(&self, server: impl Into<ServerKey<'k>>) -> Result<Drained<P>, UpdateError> {
        let member = self.update(|change| change.take_out(server.into()))?;
        Ok(member.line.watch(&member.load))
    }

    /// Entries of the backend's stick tables that lead to this server at this moment: clients
    /// that would come back to it, each perhaps a long time from now or never.
    ///
    /// It looks at every slot of the tables, a nanosecond or two each. Entries are not removed
    /// with the server: without it they lead nowhere, until another has its name or id.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn stick_entries<'k>(
        &self,
        server: impl Into<ServerKey<'k>>,
        now: Now,
    ) -> Result<usize, UpdateError> {
        let key = server.into();
        self.current.read(|snapshot| {
            let index = snapshot.index_of(key)?;
            Ok(snapshot.entries_of(&self.policy.stick, index, now))
        })
    }
}

impl<P> Snapshot<P> {
    fn index_of(&self, key: ServerKey<'_>) -> Result<usize, UpdateError> {
        let mut servers = self.farm.servers().iter();
        servers
            .position(|server| key.names(server))
            .ok_or_else(|| key.unknown())
    }
}
