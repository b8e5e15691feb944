//! Runtime commands: one line of an operator in, one answer out.
//!
//! [`Runtime`] knows what the commands are about; [`Runtime::answer`] carries a line out.
//! Reading lines, and who may send them, is up to the caller: whoever may send a line may
//! do everything.

mod address;
mod backend;
mod csv;
mod filter;
mod health;
mod help;
mod key;
mod named_table;
mod number;
mod server;
mod sessions;
mod stat;
mod state;
mod statistics;
mod table;
mod words;

use std::borrow::Cow;

use crate::{Backend, Now, StickTable};
pub use csv::statistics_csv;
use named_table::NamedTable;
pub use sessions::Sessions;
pub use statistics::{
    ProcessInfo, StatBackend, StatCheck, StatCounts, StatRow, StatServer, StatSubject, Statistics,
};
pub use words::MAX_LINE;

/// What runtime commands are about: backends and stick tables.
///
/// It only borrows, so it can be made for each line. Outputs, errors included, are those
/// of HAProxy 2.6; pointers in them are any unique numbers.
///
/// # Commands
///
/// | command | what it does |
/// |---|---|
/// | `show table` | one line about each table |
/// | `show table T [data.TYPE OP VALUE]... \| T key K` | entries of a table |
/// | `clear table T [data.TYPE OP VALUE]... \| T key K` | removes entries |
/// | `set table T key K [data.TYPE VALUE]...` | creates or changes an entry |
/// | `show stat [B TYPES S] [up\|no-maint]`, `show info` | what has been counted, if [`statistics`](Self::statistics) are kept |
/// | `show backend` | names of the backends |
/// | `show servers state [B]` | states of all servers, as HAProxy's state file has them |
/// | `show servers conn [B]` | sessions under way on all servers, as `used_cur` |
/// | `set server B/S state ready\|drain\|maint`, `enable server B/S`, `disable server B/S` | administrative state |
/// | `set server B/S health up\|stopping\|down` | operational state |
/// | `enable health B/S`, `disable health B/S` | whether it is checked |
/// | `set server B/S check-addr IP [port PORT]`, `set server B/S check-port PORT` | where it is checked |
/// | `set server B/S weight N\|P%`, `set weight B/S N\|P%`, `get weight B/S` | weight |
/// | `set server B/S addr IP [port PORT]` | address |
/// | `shutdown sessions server B/S` | ends the sessions under way there, if [`sessions`](Self::sessions) are in reach |
/// | `enable dynamic-cookie backend B`, `disable dynamic-cookie backend B` | computed cookies on, off |
/// | `set dynamic-cookie-key backend B KEY` | their secret |
/// | `help [COMMAND]`, `prompt`, `quit` | |
///
/// `B` and `S` are names or `#id`. Blanks separate words, `;` separates commands, and a
/// backslash takes the next byte as it is. Everything else that HAProxy's `set server`
/// takes is answered as HAProxy answers it for a server without agent, TLS and name
/// resolution.
///
/// # Example
///
/// ```
/// use stickroute::haproxy::{ProxyId, Runtime, ServerData};
/// use stickroute::{Backend, KeyType, Now, Server, StickTable};
///
/// # let backend: Backend = Backend::builder("app")
/// #     .server(Server::new("app1", "10.0.0.1:80").weight(10))
/// #     .build()?;
/// # let table = StickTable::builder(KeyType::Ip).size(1024).build()?;
/// let start = Now::system();
/// let runtime = Runtime::new(start)
///     .backend(ProxyId::Counted(2), &backend)
///     .table("app", &table, ServerData::IdAndKey);
///
/// let answer = runtime.answer(b"get weight app/app1", Now::system());
/// assert_eq!(answer.text(), "10 (initial 10)\n\n");
///
/// let answer = runtime.answer(b"disable server app/app1; show table", Now::system());
/// assert_eq!(answer.text(), "\n# table: app, type: ip, size:1024, used:0\n\n");
///
/// let answer = runtime.answer(b"disable server app/app7", Now::system());
/// assert_eq!(answer.text(), "No such server.\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Runtime<'a, P: Send + Sync + 'static = ()> {
    started: Now,
    level: Level,
    backends: Vec<NumberedBackend<'a, P>>,
    tables: Vec<NamedTable<'a>>,
    statistics: Option<&'a dyn Statistics>,
    sessions: Option<&'a dyn Sessions>,
}

/// What an operator may do. HAProxy: `level`, but for `user`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Look at everything and change tables; `Permission denied` about servers and
    /// backends. HAProxy's default.
    Operator,
    /// Everything; the default here.
    #[default]
    Admin,
}

#[derive(Debug)]
struct NumberedBackend<'a, P: Send + Sync + 'static> {
    id: ProxyId,
    name: &'a str,
    /// `None` if it has no servers.
    backend: Option<&'a Backend<P>>,
}

/// The number of a proxy: HAProxy's frontends, backends and `listen` sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyId {
    /// Counted over all proxies of the configuration in the order of their declaration,
    /// from 1. With a `stats socket` in the configuration HAProxy itself takes the first.
    Counted(u32),
    /// Given in the configuration: `id N`.
    Given(u32),
}

impl ProxyId {
    /// The number.
    pub const fn get(self) -> u32 {
        match self {
            Self::Counted(id) | Self::Given(id) => id,
        }
    }
}

/// What the entries of a table say about servers, as `show table` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerData {
    /// Nothing: no stick rule refers to the table.
    None,
    /// `server_id`: `store server_id` and no stick rule.
    Id,
    /// `server_id` and `server_key`: a stick rule refers to the table.
    #[default]
    IdAndKey,
}

/// What an operator is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    text: String,
    wish: Option<Wish>,
}

/// What an operator wants of the connection, once the answer is sent.
///
/// HAProxy closes it after one line, unless it has been asked for the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wish {
    /// To go on, with a prompt before each command; or no more, if it is on already.
    Prompt,
    /// To leave.
    Quit,
}

impl Answer {
    /// The text to send. What each command has to say ends with an empty line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text to send.
    pub fn into_text(self) -> String {
        self.text
    }

    /// What `prompt` or `quit` asked for.
    pub fn wish(&self) -> Option<Wish> {
        self.wish
    }

    /// What one command has to say.
    fn of(text: &str) -> Self {
        let end = match text {
            "" => "\n",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        Self {
            text: [text, end].concat(),
            wish: None,
        }
    }
}

/// What a command has to say for itself, or why it did nothing.
type Outcome = Result<String, Refusal>;

/// Why a command did nothing, or did not do all of it.
type Refusal = Cow<'static, str>;

const DONE: Outcome = Ok(String::new());

fn refused<T>(text: impl Into<Refusal>) -> Result<T, Refusal> {
    Err(text.into())
}

impl<'a, P: Send + Sync + 'static> Runtime<'a, P> {
    /// Commands about nothing yet. `started` is when the proxy began to run: the time
    /// since the last change of a server that never changed.
    pub const fn new(started: Now) -> Self {
        Self {
            started,
            level: Level::Admin,
            backends: Vec::new(),
            tables: Vec::new(),
            statistics: None,
            sessions: None,
        }
    }

    /// Sets what the operator may do; default everything. HAProxy: `level` of a
    /// `stats socket`.
    #[must_use]
    pub const fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Adds a backend; add them in the order of their declaration.
    #[must_use]
    pub fn backend(mut self, id: ProxyId, backend: &'a Backend<P>) -> Self {
        self.backends.push(NumberedBackend {
            id,
            name: backend.name(),
            backend: Some(backend),
        });
        self
    }

    /// Adds a backend without servers, as HAProxy's configurations have them for the sake
    /// of a table.
    #[must_use]
    pub fn empty_backend(mut self, id: ProxyId, name: &'a str) -> Self {
        self.backends.push(NumberedBackend {
            id,
            name,
            backend: None,
        });
        self
    }

    /// Adds a table by its name: that of its proxy, or `PEERS/NAME`. Add them in the order
    /// of their declaration.
    #[must_use]
    pub fn table(mut self, name: &'a str, table: &'a StickTable, data: ServerData) -> Self {
        self.tables.push(NamedTable { name, table, data });
        self
    }

    /// Sets where `show stat` and `show info` find their numbers; without it they are
    /// refused.
    #[must_use]
    pub const fn statistics(mut self, statistics: &'a dyn Statistics) -> Self {
        self.statistics = Some(statistics);
        self
    }

    /// Sets how sessions are ended; without it that is refused.
    #[must_use]
    pub const fn sessions(mut self, sessions: &'a dyn Sessions) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// Carries out a line of commands.
    ///
    /// A line that is longer than [`MAX_LINE`] or holds a zero byte does
    /// nothing, and is told so. A command that is refused does not keep those behind it
    /// from being carried out.
    pub fn answer(&self, line: &[u8], now: Now) -> Answer {
        let mut whole = Answer::default();
        for answer in self.answers(line, now) {
            whole.text.push_str(&answer.text);
            whole.wish = answer.wish.or(whole.wish);
        }
        whole
    }

    /// As [`answer`](Self::answer), one command after the other: each is carried out when
    /// its answer is asked for, and nothing behind `quit` is.
    ///
    /// A short line can ask for a large table a thousand times: send each answer before
    /// the next.
    pub fn answers(&self, line: &[u8], now: Now) -> impl Iterator<Item = Answer> + use<'_, 'a, P> {
        let (commands, fault) = match words::commands(line) {
            Ok(commands) => (commands, None),
            Err(fault) => (Vec::new(), Some(Answer::of(fault))),
        };
        let mut has_quit = false;
        let answers = commands.into_iter().map_while(move |command| {
            let answer = (!has_quit).then(|| self.run_one(&command, now))?;
            has_quit = answer.wish == Some(Wish::Quit);
            Some(answer)
        });
        fault.into_iter().chain(answers)
    }

    fn run_one(&self, command: &words::Command, now: Now) -> Answer {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        match words[..] {
            [b"quit", ..] => Answer {
                wish: Some(Wish::Quit),
                ..Answer::default()
            },
            [b"prompt", ..] => Answer {
                wish: Some(Wish::Prompt),
                ..Answer::of("")
            },
            _ => Answer::of(&self.run(&words, now).unwrap_or_else(Refusal::into_owned)),
        }
    }

    fn run(&self, words: &[&[u8]], now: Now) -> Outcome {
        if self.level == Level::Operator && changes_servers(words) {
            return refused("Permission denied");
        }
        self.warm_up(now);
        match *words {
            [b"show", b"table", ref words @ ..] => self.show_table(words, now),
            [b"clear", b"table", ref words @ ..] => self.clear_table(words, now),
            [b"set", b"table", ref words @ ..] => self.set_table(words, now),
            [b"show", b"servers", b"state", ref words @ ..] => self.show_servers_state(words, now),
            [b"show", b"servers", b"conn", ref words @ ..] => self.show_servers_conn(words),
            [b"show", b"stat", ref words @ ..] => self.show_stat(words, now),
            [b"show", b"info", ..] => self.show_info(now),
            [b"show", b"backend", ..] => Ok(self.show_backend()),
            [b"set", b"server", ref words @ ..] => self.set_server(words, now),
            [b"enable", b"server", ref words @ ..] => self.enable_server(words, now),
            [b"disable", b"server", ref words @ ..] => self.disable_server(words, now),
            [b"enable", b"health", ref words @ ..] => self.enable_health(words),
            [b"disable", b"health", ref words @ ..] => self.disable_health(words),
            [b"shutdown", b"sessions", b"server", ref words @ ..] => self.end_sessions(words),
            [b"get", b"weight", ref words @ ..] => self.get_weight(words),
            [b"set", b"weight", ref words @ ..] => self.set_weight(words),
            [b"enable", b"dynamic-cookie", b"backend", ref words @ ..] => {
                self.switch_dynamic_cookies(words, true)
            }
            [b"disable", b"dynamic-cookie", b"backend", ref words @ ..] => {
                self.switch_dynamic_cookies(words, false)
            }
            [b"set", b"dynamic-cookie-key", b"backend", ref words @ ..] => {
                self.set_dynamic_cookie_key(words)
            }
            [b"help", ref words @ ..] => Ok(help::help(words)),
            _ => refused(help::unknown(words)),
        }
    }
}

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    /// Lets slow starts go on, so that states are those of this moment.
    fn warm_up(&self, now: Now) {
        for backend in self.backends.iter().filter_map(|known| known.backend) {
            backend.maintain(now);
        }
    }
}

/// Whether a command is about more than tables, and does more than look.
fn changes_servers(words: &[&[u8]]) -> bool {
    matches!(
        words,
        [b"set" | b"enable" | b"disable", b"server", ..]
            | [b"enable" | b"disable", b"health", ..]
            | [b"shutdown", b"sessions", b"server", ..]
            | [b"set", b"weight", ..]
            | [b"enable" | b"disable", b"dynamic-cookie", b"backend", ..]
            | [b"set", b"dynamic-cookie-key", b"backend", ..]
    )
}

/// The n-th word, or an empty one: HAProxy does not tell the two apart.
fn word<'w>(words: &[&'w [u8]], index: usize) -> &'w [u8] {
    words.get(index).copied().unwrap_or_default()
}

/// A word within an answer.
fn shown(word: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(word)
}
