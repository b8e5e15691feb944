//! Clients whose answers are held back, and those that wait for a slot.

use std::time::Duration;

use super::session::{Answered, Arrival, Exchange, Placed};
use super::{Simulation, Trouble};

/// Clients by name, in the order in which they came.
#[derive(Default)]
pub(super) struct Clients(Vec<(String, Client)>);

enum Client {
    /// A server has the request.
    Connected(Exchange),
    /// All slots are taken; until then it waits for one.
    Waiting(Arrival, Duration),
    Answered(Answered),
}

impl Clients {
    /// Answers those that have waited for too long.
    pub(super) fn give_up(&mut self, now: Duration) {
        for (_, client) in &mut self.0 {
            if matches!(client, Client::Waiting(_, until) if *until <= now) {
                *client = Client::Answered(Answered::with(503));
            }
        }
    }

    fn take(&mut self, name: &str) -> Result<Client, Trouble> {
        let place = self.0.iter().position(|(known, _)| known == name);
        let place = place.ok_or_else(|| format!("no client {name} is held"))?;
        Ok(self.0.remove(place).1)
    }

    /// The one that has waited longest, and its place.
    fn first_waiting(&mut self, from: usize) -> Option<usize> {
        let clients = self.0.iter().skip(from);
        let mut waiting = clients.map(|(_, client)| matches!(client, Client::Waiting(..)));
        Some(from + waiting.position(|waits| waits)?)
    }
}

impl Simulation {
    /// Keeps a request at its server, or where it waits for one.
    pub(super) fn hold(&mut self, name: &str, placed: Placed) {
        let client = match placed {
            Placed::Answered(answered) => Client::Answered(answered),
            Placed::Connected(exchange) => Client::Connected(exchange),
            Placed::Full(arrival) => {
                let until = self.clock.mono().saturating_add(self.patience(&arrival));
                Client::Waiting(arrival, until)
            }
        };
        self.clients.0.push((name.to_owned(), client));
    }

    /// Lets the server answer.
    pub(super) fn release(&mut self, name: &str) -> Result<Answered, Trouble> {
        let answered = match self.clients.take(name)? {
            Client::Connected(exchange) => self.finish(exchange)?,
            Client::Waiting(_, until) => {
                self.pass(until.saturating_sub(self.clock.mono()));
                Answered::with(503)
            }
            Client::Answered(answered) => answered,
        };
        self.let_in()?;
        Ok(answered)
    }

    /// Lets those in that wait, as far as there are slots.
    fn let_in(&mut self) -> Result<(), Trouble> {
        let mut from = 0;
        while let Some(place) = self.clients.first_waiting(from) {
            from = place + 1;
            let (name, client) = self.clients.0.remove(place);
            let Client::Waiting(arrival, until) = client else {
                continue;
            };
            let client = match self.place(arrival)? {
                Placed::Answered(answered) => Client::Answered(answered),
                Placed::Connected(exchange) => Client::Connected(exchange),
                Placed::Full(arrival) => Client::Waiting(arrival, until),
            };
            self.clients.0.insert(place, (name, client));
        }
        Ok(())
    }
}
