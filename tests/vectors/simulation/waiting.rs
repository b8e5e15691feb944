//! Clients whose answers are held back, and those that wait for a server.

use std::time::Duration;

use super::session::{Answered, Placed};
use super::{Simulation, Trouble};

/// Clients by name, in the order in which they came.
#[derive(Default)]
pub(super) struct Clients(Vec<(String, Placed)>);

impl Clients {
    /// When something happens to one of them, if that is not after `end`.
    pub(super) fn next_until(&self, end: Duration) -> Option<Duration> {
        let next = self.0.iter().filter_map(|(_, placed)| placed.due()).min();
        next.filter(|next| *next <= end)
    }
}

impl Simulation {
    /// Keeps a request where it is.
    pub(super) fn hold(&mut self, name: &str, placed: Placed) {
        self.clients.0.push((name.to_owned(), placed));
    }

    /// Lets the server answer.
    pub(super) fn release(&mut self, name: &str) -> Result<Answered, Trouble> {
        let mut clients = self.clients.0.iter();
        let place = clients.position(|(known, _)| known == name);
        let place = place.ok_or_else(|| format!("no client {name} is held"))?;
        let (_, placed) = self.clients.0.remove(place);
        self.complete(placed)
    }

    /// Goes on with those whose time has come.
    pub(super) fn go_on_with_clients(&mut self) {
        let now = self.clock.mono();
        let clients = std::mem::take(&mut self.clients.0).into_iter();
        self.clients.0 = clients
            .map(|(name, placed)| match placed.due() {
                Some(due) if due <= now => (name, self.go_on(placed)),
                _ => (name, placed),
            })
            .collect();
        self.let_in();
    }

    /// Lets those in that wait and whose turn has come.
    pub(super) fn let_in(&mut self) {
        let clients = std::mem::take(&mut self.clients.0).into_iter();
        self.clients.0 = clients
            .map(|(name, placed)| match placed {
                Placed::Waits(arrival, waiting, until) => {
                    (name, self.ask_again(arrival, waiting, until))
                }
                placed => (name, placed),
            })
            .collect();
    }
}
