//! The variables of log formats.

/// A variable; [`NAMES`] says what each is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::haproxy) enum Variable {
    BytesRead,
    BytesUploaded,
    RequestCookie,
    ResponseCookie,
    HostName,
    Method,
    Path,
    PathOnly,
    Query,
    Uri,
    Version,
    RequestLine,
    UniqueId,
    Status,
    Date,
    DateInUtc,
    DateLocal,
    RequestDate,
    RequestDateInUtc,
    RequestDateLocal,
    Seconds,
    Milliseconds,
    ActiveTime,
    ConnectTime,
    DataTime,
    HandshakeTime,
    IdleTime,
    RequestAndIdleTime,
    RequestTime,
    ResponseTime,
    TotalTime,
    UserTime,
    QueueTime,
    ActiveConnections,
    FrontendConnections,
    BackendConnections,
    ServerConnections,
    Backend,
    BackendSource,
    BackendSourcePort,
    Client,
    ClientPort,
    Frontend,
    FrontendTransport,
    FrontendAddress,
    FrontendPort,
    Server,
    ServerAddress,
    ServerPort,
    ServerQueue,
    BackendQueue,
    LogCounter,
    RequestCounter,
    Retries,
    RequestCaptures,
    RequestCapturesCommon,
    ResponseCaptures,
    ResponseCapturesCommon,
    ProcessId,
    TlsCipher,
    TlsVersion,
    Termination,
    TerminationAndCookies,
}

use Variable as V;

const NAMES: [(&str, Variable); 63] = [
    ("B", V::BytesRead),
    ("CC", V::RequestCookie),
    ("CS", V::ResponseCookie),
    ("H", V::HostName),
    ("HM", V::Method),
    ("HP", V::Path),
    ("HPO", V::PathOnly),
    ("HQ", V::Query),
    ("HU", V::Uri),
    ("HV", V::Version),
    ("ID", V::UniqueId),
    ("ST", V::Status),
    ("T", V::DateInUtc),
    ("TR", V::RequestTime),
    ("Ta", V::ActiveTime),
    ("Tc", V::ConnectTime),
    ("Td", V::DataTime),
    ("Th", V::HandshakeTime),
    ("Ti", V::IdleTime),
    ("Tl", V::DateLocal),
    ("Tq", V::RequestAndIdleTime),
    ("Tr", V::ResponseTime),
    ("Ts", V::Seconds),
    ("Tt", V::TotalTime),
    ("Tu", V::UserTime),
    ("Tw", V::QueueTime),
    ("U", V::BytesUploaded),
    ("ac", V::ActiveConnections),
    ("b", V::Backend),
    ("bc", V::BackendConnections),
    ("bi", V::BackendSource),
    ("bp", V::BackendSourcePort),
    ("bq", V::BackendQueue),
    ("ci", V::Client),
    ("cp", V::ClientPort),
    ("f", V::Frontend),
    ("fc", V::FrontendConnections),
    ("fi", V::FrontendAddress),
    ("fp", V::FrontendPort),
    ("ft", V::FrontendTransport),
    ("hr", V::RequestCaptures),
    ("hrl", V::RequestCapturesCommon),
    ("hs", V::ResponseCaptures),
    ("hsl", V::ResponseCapturesCommon),
    ("lc", V::LogCounter),
    ("ms", V::Milliseconds),
    ("pid", V::ProcessId),
    ("r", V::RequestLine),
    ("rc", V::Retries),
    ("rt", V::RequestCounter),
    ("s", V::Server),
    ("sc", V::ServerConnections),
    ("si", V::ServerAddress),
    ("sp", V::ServerPort),
    ("sq", V::ServerQueue),
    ("sslc", V::TlsCipher),
    ("sslv", V::TlsVersion),
    ("t", V::Date),
    ("tr", V::RequestDate),
    ("trg", V::RequestDateInUtc),
    ("trl", V::RequestDateLocal),
    ("ts", V::Termination),
    ("tsc", V::TerminationAndCookies),
];

/// Those that mean nothing outside HTTP.
const OF_HTTP: [Variable; 17] = [
    V::RequestCookie,
    V::ResponseCookie,
    V::Method,
    V::Path,
    V::PathOnly,
    V::Query,
    V::Uri,
    V::Version,
    V::ActiveTime,
    V::IdleTime,
    V::RequestAndIdleTime,
    V::RequestTime,
    V::ResponseTime,
    V::RequestLine,
    V::RequestDate,
    V::RequestDateInUtc,
    V::RequestDateLocal,
];

impl Variable {
    /// The variable of a name.
    pub(in crate::haproxy) fn of(name: &[u8]) -> Option<Self> {
        let mut names = NAMES.iter();
        let found = names.find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, variable)| *variable)
    }

    pub(super) fn is_of_http(self) -> bool {
        OF_HTTP.contains(&self)
    }

    pub(super) fn name(self) -> &'static str {
        let mut names = NAMES.iter();
        let found = names.find(|(_, variable)| *variable == self);
        found.map_or("", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_one_variable() {
        for (name, variable) in NAMES {
            assert_eq!(Variable::of(name.as_bytes()), Some(variable));
            assert_eq!(variable.name(), name);
        }
        assert_eq!(Variable::of(b"zz"), None);
    }
}
