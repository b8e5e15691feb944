//! What a request's cookies say about its server, and the rules that find it out.

use memchr::memchr;

use super::date::{Dates, Stamp};
use super::policy::{CookieMode, CookiePolicy};

/// What became of the client's persistence cookie.
///
/// HAProxy logs it as the third character of the termination state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ClientCookie {
    /// The client sent none.
    #[default]
    None,
    /// No server has this identifier, or it is empty.
    Invalid,
    /// The server it names is stopped, or was given up after failures.
    Down,
    /// It names a server that can serve.
    Valid,
    /// It was idle for longer than `maxidle`.
    Expired,
    /// It is older than `maxlife`.
    Old,
    /// The server was decided otherwise, or persistence is ignored.
    Unused,
}

impl ClientCookie {
    /// HAProxy's letter: `N`, `I`, `D`, `V`, `E`, `O` or `U`.
    pub const fn letter(self) -> char {
        match self {
            Self::None => 'N',
            Self::Invalid => 'I',
            Self::Down => 'D',
            Self::Valid => 'V',
            Self::Expired => 'E',
            Self::Old => 'O',
            Self::Unused => 'U',
        }
    }
}

/// What became of the persistence cookie in the response.
///
/// HAProxy logs it as the fourth character of the termination state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum ResponseCookie {
    /// The server set none, none was inserted.
    #[default]
    None,
    /// The server set one and it was left alone.
    Found,
    /// The server set one and it was removed.
    Deleted,
    /// One was inserted, perhaps one that tells the client to forget its own.
    Inserted,
    /// The server's was rewritten or prefixed.
    Replaced,
    /// One with fresh dates was inserted for the server the client already had.
    Updated,
}

impl ResponseCookie {
    /// HAProxy's letter: `N`, `P`, `D`, `I`, `R` or `U`.
    pub const fn letter(self) -> char {
        match self {
            Self::None => 'N',
            Self::Found => 'P',
            Self::Deleted => 'D',
            Self::Inserted => 'I',
            Self::Replaced => 'R',
            Self::Updated => 'U',
        }
    }
}

/// What the farm says about an identifier.
///
/// `S` is how the caller names a server. The first server in order of configuration
/// that can be taken counts, backups included; when persistence is forced that is
/// the first one with the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Match<S> {
    /// No server has it.
    Unknown,
    /// Only stopped servers have it.
    Stopped,
    /// This server has it and can serve.
    Usable(S),
    /// This server has it, is stopped, and is taken all the same (`option persist`,
    /// `force-persist`).
    Forced(S),
}

/// The state of a request while its persistence cookies are read.
///
/// ```
/// use stickroute::cookie::{ClientCookie, ClientState, CookiePolicy, Match, Stamp};
///
/// let policy = CookiePolicy::from(CookiePolicy::insert("SRV"));
/// let now = Stamp::from_unix(1_800_000_000);
/// let lookup = |id: &[u8]| match id {
///     b"s1" => Match::Stopped,
///     b"s2" => Match::Usable("server 2"),
///     _ => Match::Unknown,
/// };
///
/// let mut client = ClientState::new();
/// for value in policy.prepared_name().values(b"SRV=s1; SRV=s2; SRV=zz") {
///     client.observe(&policy, now, value, lookup);
/// }
/// assert_eq!(client.server(), Some(&"server 2"));
/// assert_eq!(client.cookie(), ClientCookie::Valid);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientState<S> {
    server: Option<S>,
    /// Whether cookies may still choose the server.
    open: bool,
    cookie: ClientCookie,
    dates: Dates,
}

impl<S> Default for ClientState<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> ClientState<S> {
    /// No cookie was seen yet and no server is decided.
    pub fn new() -> Self {
        Self {
            server: None,
            open: true,
            cookie: ClientCookie::None,
            dates: Dates::NONE,
        }
    }

    /// Cookies choose nothing: the server is decided already (`use-server`), or
    /// persistence is ignored (`ignore-persist`). Their dates still count.
    pub fn decided() -> Self {
        Self {
            open: false,
            ..Self::new()
        }
    }

    /// Takes in the value of one persistence cookie; to be called for each of them,
    /// in order, over all `Cookie` fields.
    ///
    /// `lookup` is asked at most once, with an identifier that is not empty.
    #[inline]
    pub fn observe(
        &mut self,
        policy: &CookiePolicy,
        now: Stamp,
        value: &[u8],
        lookup: impl FnOnce(&[u8]) -> Match<S>,
    ) {
        let id = self.split(policy, value);
        let fresh = self.check_dates(policy, now);
        let matched = if fresh && self.open && !id.is_empty() {
            lookup(id)
        } else {
            Match::Unknown
        };
        match matched {
            Match::Usable(server) => self.assign(server, ClientCookie::Valid),
            Match::Forced(server) => self.assign(server, ClientCookie::Down),
            Match::Stopped => self.cookie = ClientCookie::Down,
            Match::Unknown if self.cookie != ClientCookie::None => {}
            Match::Unknown if self.open => self.cookie = ClientCookie::Invalid,
            Match::Unknown => self.cookie = ClientCookie::Unused,
        }
    }

    /// The server a cookie chose.
    pub fn server(&self) -> Option<&S> {
        self.server.as_ref()
    }

    /// What became of the cookies.
    pub fn cookie(&self) -> ClientCookie {
        self.cookie
    }

    /// The dates the cookies carried, as the insertion wants them.
    pub fn dates(&self) -> Dates {
        self.dates
    }

    fn split<'v>(&mut self, policy: &CookiePolicy, value: &'v [u8]) -> &'v [u8] {
        if policy.mode() == CookieMode::Prefix {
            &value[..memchr(b'~', value).unwrap_or(value.len())]
        } else {
            self.dates.split(value)
        }
    }

    /// Whether the dates seen so far let the cookie count; forgets those that do not.
    #[inline]
    fn check_dates(&mut self, policy: &CookiePolicy, now: Stamp) -> bool {
        if self.dates == Dates::NONE {
            return true;
        }
        let too_old =
            |date: Stamp, limit| limit > 0 && date.is_some() && date.is_too_old(now, limit);
        if too_old(self.dates.first, policy.maxlife_seconds()) {
            self.cookie = ClientCookie::Old;
        } else if too_old(self.dates.last, policy.maxidle_seconds()) {
            self.cookie = ClientCookie::Expired;
        } else {
            return true;
        }
        self.dates = Dates::NONE;
        false
    }

    fn assign(&mut self, server: S, cookie: ClientCookie) {
        self.server = Some(server);
        self.cookie = cookie;
        self.open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: u64 = 1_800_000_000;

    fn dated() -> CookiePolicy {
        let minute = Duration::from_secs(60);
        CookiePolicy::insert("S")
            .maxidle(minute)
            .maxlife(minute)
            .into()
    }

    fn lookup(id: &[u8]) -> Match<&'static str> {
        match id {
            b"up" => Match::Usable("up"),
            b"two" => Match::Usable("two"),
            b"forced" => Match::Forced("forced"),
            b"down" => Match::Stopped,
            _ => Match::Unknown,
        }
    }

    fn observe(
        mut client: ClientState<&'static str>,
        values: &[&[u8]],
    ) -> (Option<&'static str>, char) {
        for value in values {
            client.observe(&dated(), Stamp::from_unix(NOW), value, lookup);
        }
        (client.server, client.cookie.letter())
    }

    fn states(values: &[&[u8]]) -> (Option<&'static str>, char) {
        observe(ClientState::new(), values)
    }

    #[test]
    fn the_first_usable_occurrence_wins() {
        assert_eq!(states(&[b"zz", b"two", b"up"]), (Some("two"), 'V'));
        assert_eq!(states(&[b"down", b"up"]), (Some("up"), 'V'));
        assert_eq!(states(&[b"up", b"zz", b"down"]), (Some("up"), 'V'));
        assert_eq!(states(&[b"forced", b"up"]), (Some("forced"), 'D'));
    }

    #[test]
    fn invalid_replaces_no_other_state() {
        assert_eq!(states(&[b"down", b"zz"]), (None, 'D'));
        assert_eq!(states(&[b"zz", b"down"]), (None, 'D'));
        assert_eq!(states(&[b""]), (None, 'I'));
        assert_eq!(states(&[b"|a0nSA"]), (None, 'I'));
        assert_eq!(states(&[]), (None, 'N'));
    }

    #[test]
    fn a_stale_duplicate_turns_the_state_while_the_route_stays() {
        assert_eq!(states(&[b"up|a0nSA", b"two|AAAAB"]), (Some("up"), 'E'));
        assert_eq!(states(&[b"up", b"two|a0nSA|AAAAB"]), (Some("up"), 'O'));
    }

    #[test]
    fn old_is_tested_before_expired_and_both_forget_the_dates() {
        let mut client = ClientState::new();
        client.observe(&dated(), Stamp::from_unix(NOW), b"up|AAAAB|AAAAB", lookup);
        assert_eq!((client.server, client.cookie), (None, ClientCookie::Old));
        assert_eq!(client.dates, Dates::NONE);
        // Hence the next occurrence, without dates, is judged afresh.
        client.observe(&dated(), Stamp::from_unix(NOW), b"up", lookup);
        assert_eq!(
            (client.server, client.cookie),
            (Some("up"), ClientCookie::Valid)
        );
    }

    #[test]
    fn unknown_identifiers_can_be_expired_too() {
        assert_eq!(states(&[b"zz|AAAAB"]), (None, 'E'));
    }

    #[test]
    fn a_decided_request_looks_nothing_up_but_dates_count() {
        assert_eq!(observe(ClientState::decided(), &[b"up"]), (None, 'U'));
        assert_eq!(observe(ClientState::decided(), &[b"up|AAAAB"]), (None, 'E'));
    }

    #[test]
    fn in_prefix_mode_a_tilde_ends_the_identifier_and_a_bar_does_not() {
        let policy = CookiePolicy::from(CookiePolicy::prefix("S"));
        let id_of = |value: &[u8]| {
            let mut seen = None;
            let mut client = ClientState::<()>::new();
            client.observe(&policy, Stamp::from_unix(NOW), value, |id| {
                seen = Some(id.to_vec());
                Match::Unknown
            });
            seen
        };
        assert_eq!(id_of(b"c2~v~w"), Some(b"c2".to_vec()));
        assert_eq!(id_of(b"c2|AAAAB"), Some(b"c2|AAAAB".to_vec()));
        assert_eq!(id_of(b"~v"), None);
    }
}
