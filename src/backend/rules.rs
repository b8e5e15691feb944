//! Rules that decide before any cookie is read: `force-persist`, `ignore-persist`
//! and `use-server`, each with a condition on the request.

use std::fmt;
use std::sync::Arc;

use crate::condition::Condition;
use crate::message::Request;
use crate::selection::Trust;
use crate::server::ServerId;

/// `force-persist if ...` or `ignore-persist if ...`.
#[derive(Clone, Debug)]
pub(crate) struct PersistRule {
    pub(crate) trust: Trust,
    pub(crate) condition: Condition,
}

/// Asks a session table of the caller's own which server a request belongs to.
#[derive(Clone)]
pub(crate) struct Lookup(Arc<FindServer>);

type FindServer = dyn Fn(&dyn Request) -> Option<ServerId> + Send + Sync;

impl Lookup {
    pub(crate) fn new(
        find: impl Fn(&dyn Request) -> Option<ServerId> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    pub(crate) fn find(&self, request: &dyn Request) -> Option<ServerId> {
        (self.0)(request)
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup(..)")
    }
}

/// `use-server NAME if ...`.
#[derive(Clone, Debug)]
pub(crate) struct UseServerRule<N = ServerId> {
    pub(crate) server: Named<N>,
    pub(crate) condition: Condition,
}

impl UseServerRule {
    /// Whether the rule is about this server and no other.
    pub(crate) fn names(&self, id: ServerId) -> bool {
        matches!(self.server, Named::Always(server) if server == id)
    }
}

/// Which server a rule names.
#[derive(Clone, Debug)]
pub(crate) enum Named<N> {
    /// The same for all requests.
    Always(N),
    /// Another for each.
    Each(MakeName),
}

/// Makes the name of a server for a request.
#[derive(Clone)]
pub(crate) struct MakeName(Arc<Make>);

type Make = dyn Fn(&dyn Request) -> Vec<u8> + Send + Sync;

impl MakeName {
    pub(crate) fn new(make: impl Fn(&dyn Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn of(&self, request: &dyn Request) -> Vec<u8> {
        (self.0)(request)
    }
}

impl fmt::Debug for MakeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeName(..)")
    }
}

/// The first rule that holds decides; later ones are not asked.
#[inline]
pub(crate) fn trust(rules: &[PersistRule], request: &dyn Request) -> Trust {
    rules
        .iter()
        .find(|rule| rule.condition.holds(request))
        .map_or(Trust::Normal, |rule| rule.trust)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimpleRequest;

    #[test]
    fn the_first_rule_that_holds_decides() {
        let rule = |trust, path: &'static str| PersistRule {
            trust,
            condition: Condition::when(move |request| request.target() == path.as_bytes()),
        };
        let rules = [
            rule(Trust::Ignored, "/a"),
            rule(Trust::Forced, "/a"),
            rule(Trust::Forced, "/b"),
        ];
        let trust_of = |path| trust(&rules, &SimpleRequest::new("GET", path));
        assert_eq!(trust_of("/a"), Trust::Ignored);
        assert_eq!(trust_of("/b"), Trust::Forced);
        assert_eq!(trust_of("/c"), Trust::Normal);
    }
}
