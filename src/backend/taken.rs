//! The names and ids in use, so that a change of many servers looks at each once.

use std::collections::{HashMap, HashSet};

use crate::error::Problem;
use crate::server::{Server, ServerId, Spec};

/// What the servers of a farm in the making are called.
#[derive(Debug)]
pub(super) struct Taken {
    names: HashSet<Box<str>>,
    /// With the names of those who have them.
    ids: HashMap<ServerId, Box<str>>,
    /// All ids below are taken.
    from: u32,
}

impl Taken {
    pub(super) fn new<'s>(servers: impl Iterator<Item = &'s Spec>) -> Self {
        let mut taken = Self {
            names: HashSet::new(),
            ids: HashMap::new(),
            from: 1,
        };
        for server in servers {
            taken.take(server.name.clone(), server.id);
        }
        taken
    }

    /// The id of a new server, whose name and id must be free: its own, or the smallest free
    /// one, as HAProxy numbers servers that are added.
    pub(super) fn id_for<P>(&mut self, server: &Server<P>) -> Result<ServerId, Problem> {
        let own = self.check(server)?;
        Ok(own.unwrap_or_else(|| self.smallest_free()))
    }

    /// The id that the server brings along, if any; nobody else has it, nor its name.
    pub(super) fn check<P>(&self, server: &Server<P>) -> Result<Option<ServerId>, Problem> {
        let name = || server.name.to_string();
        if self.names.contains(&server.name) {
            return Err(Problem::DuplicateName { name: name() });
        }
        let own = server.id.and_then(ServerId::new);
        match own.and_then(|id| Some((id, self.ids.get(&id)?))) {
            None => Ok(own),
            Some((id, other)) => Err(Problem::DuplicateId {
                id,
                servers: [other.to_string(), name()],
            }),
        }
    }

    fn smallest_free(&mut self) -> ServerId {
        let id = (self.from..=ServerId::MAX.get())
            .filter_map(ServerId::new)
            .find(|id| !self.ids.contains_key(id))
            .expect("there are fewer servers than ids");
        self.from = id.get();
        id
    }

    pub(super) fn take(&mut self, name: Box<str>, id: ServerId) {
        self.names.insert(name.clone());
        self.ids.insert(id, name);
    }

    pub(super) fn give_back(&mut self, server: &Spec) {
        self.names.remove(&server.name);
        self.ids.remove(&server.id);
        self.from = self.from.min(server.id.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;

    #[test]
    fn the_smallest_free_id_is_found_after_every_change() {
        let backend: Backend = Backend::builder("b")
            .server(Server::new("s2", "127.0.0.1:1").id(2))
            .build()
            .unwrap();
        let server = |name: &str| Server::new(name, "127.0.0.1:1");
        let added = backend.update(|change| {
            let first = change.add(server("a"))?;
            change.add(server("b").id(4))?;
            let second = change.add(server("c"))?;
            let third = change.add(server("d"))?;
            change.remove("s2")?;
            Ok([first, second, third, change.add(server("e"))?].map(ServerId::get))
        });
        assert_eq!(added, Ok([1, 3, 5, 2]));
    }
}
