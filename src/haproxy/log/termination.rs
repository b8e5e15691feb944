//! How a session ended: `SD--`.

use crate::cookie::{ClientCookie, ResponseCookie};

/// Who ended a session, or what: the first letter of HAProxy's termination state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Nobody: it was complete. `-`, the default.
    #[default]
    None,
    /// The client broke it off. `C`
    Client,
    /// The server broke it off, or refused it. `S`
    Server,
    /// The proxy refused it: by a rule, or because a message was not valid. `P`
    Proxy,
    /// The proxy had no resources left. `R`
    Resource,
    /// The proxy failed. `I`
    Internal,
    /// The server went down, and its sessions were ended. `D`
    Down,
    /// A server came up, and the sessions of backup servers were ended. `U`
    Up,
    /// The proxy answered by itself. `L`
    Local,
    /// An operator ended it. `K`
    Killed,
    /// The client was silent for too long. `c`
    ClientTimeout,
    /// The server was silent for too long. `s`
    ServerTimeout,
}

impl Cause {
    /// HAProxy's letter.
    pub const fn letter(self) -> char {
        match self {
            Self::None => '-',
            Self::Client => 'C',
            Self::Server => 'S',
            Self::Proxy => 'P',
            Self::Resource => 'R',
            Self::Internal => 'I',
            Self::Down => 'D',
            Self::Up => 'U',
            Self::Local => 'L',
            Self::Killed => 'K',
            Self::ClientTimeout => 'c',
            Self::ServerTimeout => 's',
        }
    }
}

/// What a session was doing when it ended: the second letter of HAProxy's termination
/// state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It was complete. `-`, the default.
    #[default]
    Done,
    /// Waiting for the whole request. `R`
    Request,
    /// Waiting in a queue. `Q`
    Queue,
    /// Waiting for a connection to the server. `C`
    Connect,
    /// Waiting for the head of the response. `H`
    Headers,
    /// Transferring data. `D`
    Data,
    /// Sending the last bytes to the client, the server being done. `L`
    Last,
    /// Keeping a client waiting. `T`
    Tarpit,
}

impl Phase {
    /// HAProxy's letter.
    pub const fn letter(self) -> char {
        match self {
            Self::Done => '-',
            Self::Request => 'R',
            Self::Queue => 'Q',
            Self::Connect => 'C',
            Self::Headers => 'H',
            Self::Data => 'D',
            Self::Last => 'L',
            Self::Tarpit => 'T',
        }
    }
}

/// How a session ended, and what became of its cookies. HAProxy: `%tsc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Termination {
    /// Who ended it.
    pub cause: Cause,
    /// What it was doing.
    pub phase: Phase,
    /// What became of the client's and of the server's persistence cookie; `None` where
    /// there is no persistence by cookie.
    pub cookies: Option<(ClientCookie, ResponseCookie)>,
}

impl Termination {
    /// `SD` for example. HAProxy: `%ts`.
    pub(super) fn letters(self) -> String {
        [self.cause.letter(), self.phase.letter()].iter().collect()
    }

    /// `SDNI` for example. HAProxy: `%tsc`.
    pub(super) fn all_letters(self) -> String {
        let cookies = self.cookies;
        let cookies = cookies.map_or(['-', '-'], |(client, server)| {
            [client.letter(), server.letter()]
        });
        self.letters() + &cookies.iter().collect::<String>()
    }
}
