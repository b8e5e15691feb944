//! Addresses as HAProxy writes them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::args::argument;
use super::finding::Finding;
use super::location::Word;
use crate::Address;

/// The host of an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// `*` or nothing: every address, or the one the client asked for.
    Any,
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name for the caller to resolve.
    Name(String),
    /// The path of a Unix socket: `unix@PATH` or an absolute path.
    Unix(PathBuf),
    /// The name of a socket in Linux' abstract namespace: `abns@NAME`.
    Abstract(String),
    /// An open file descriptor: `fd@N`.
    Descriptor(u32),
}

/// The port of an [`Endpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Port {
    /// No port is written.
    None,
    /// One port, from 0.
    One(u16),
    /// A range of ports, `bind` only.
    Range(u16, u16),
    /// The port the client came to, plus this; servers only: `:+N` and `:-N`.
    Offset(i32),
}

/// Which addresses a name may stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Any; the default.
    #[default]
    Any,
    /// Those of IPv4: `ipv4@`, `udp4@`.
    Ipv4,
    /// Those of IPv6: `ipv6@`, `udp6@`.
    Ipv6,
}

impl Family {
    /// Whether this is one of its addresses.
    ///
    /// ```
    /// use stickroute::haproxy::Family;
    ///
    /// assert!(Family::Ipv4.has("192.0.2.1".parse()?) && !Family::Ipv6.has("192.0.2.1".parse()?));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub const fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => ip.is_ipv4(),
            Self::Ipv6 => ip.is_ipv6(),
        }
    }

    fn of(kind: &str) -> Self {
        match kind.as_bytes() {
            [.., b'4'] => Self::Ipv4,
            [.., b'6'] => Self::Ipv6,
            _ => Self::Any,
        }
    }
}

/// An address as HAProxy writes it: `addr:port`, `:port`, `*:port`, `[v6]:port`,
/// `ipv4@`, `ipv6@`, `unix@path`, `abns@name`, `fd@N`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: Port,
    /// Which addresses the host may have, if it is a name.
    pub family: Family,
}

impl Endpoint {
    /// The address a connection can be made to; `None` for those that depend on the
    /// client's connection, or that this library has no words for. That of a name may be one
    /// of the [`family`](Self::family) only, which it does not say.
    pub fn to_address(&self) -> Option<Address> {
        match (&self.host, self.port) {
            (Host::Ip(ip), Port::One(port)) => Some(Address::Ip(SocketAddr::new(*ip, port))),
            (Host::Name(name), Port::One(port)) => Some(Address::Host(name.as_str().into(), port)),
            (Host::Unix(path), _) => Some(Address::Unix(path.clone())),
            _ => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Ip(ip) => ip.fmt(f)?,
            Host::Name(name) => match self.family {
                Family::Any => f.write_str(name)?,
                Family::Ipv4 => write!(f, "ipv4@{name}")?,
                Family::Ipv6 => write!(f, "ipv6@{name}")?,
            },
            Host::Unix(path) => write!(f, "unix@{}", path.display())?,
            Host::Abstract(name) => write!(f, "abns@{name}")?,
            Host::Descriptor(number) => write!(f, "fd@{number}")?,
        }
        match self.port {
            Port::None => Ok(()),
            Port::One(port) => write!(f, ":{port}"),
            Port::Range(first, last) => write!(f, ":{first}-{last}"),
            Port::Offset(offset) => write!(f, ":{offset:+}"),
        }
    }
}

/// The address of a server: anything but a range or a descriptor.
pub(super) fn of_server(word: &Word) -> Result<Endpoint, Finding> {
    const EXPECTED: &str = "expected IP:PORT, [IPV6]:PORT, HOST:PORT, IP, :PORT, a port of +N or -N, unix@PATH or abns@NAME";
    read(word.text())
        .filter(|found| !matches!(found.port, Port::Range(..)))
        .filter(|found| !matches!(found.host, Host::Descriptor(_)))
        .ok_or_else(|| argument(word, EXPECTED))
}

/// The addresses of a `bind` line or a `stats socket`, separated by commas.
pub(super) fn of_listener(word: &Word) -> Result<Vec<Endpoint>, Finding> {
    const EXPECTED: &str = "expected IP:PORT, [IPV6]:PORT, HOST:PORT, :PORT, *:PORT, unix@PATH, abns@NAME or fd@N, ports from 1 to 65535 or a range of them";
    let refused = || argument(word, EXPECTED);
    let pieces = word.text().split(',').filter(|piece| !piece.is_empty());
    let found: Option<Vec<_>> = pieces
        .map(|piece| listener(piece).filter(listens))
        .collect();
    found.filter(|found| !found.is_empty()).ok_or_else(refused)
}

/// `ipv6@:80` is every IPv6 address, where `:80` is every IPv4 one.
fn listener(text: &str) -> Option<Endpoint> {
    let mut found = read(text)?;
    let is_v6 = text.starts_with("ipv6@") || text.starts_with("tcp6@");
    if is_v6 && found.host == Host::Any {
        found.host = Host::Ip(Ipv6Addr::UNSPECIFIED.into());
    }
    Some(found)
}

/// The address of a peer, which needs a port.
pub(super) fn of_peer(word: &Word) -> Result<Endpoint, Finding> {
    let found = read(word.text()).filter(|found| {
        matches!(found.port, Port::One(_)) && !matches!(found.host, Host::Descriptor(_))
    });
    found.ok_or_else(|| argument(word, "expected IP:PORT, [IPV6]:PORT or HOST:PORT"))
}

/// The address of a syslog server: port 514 if none is written, or the path of a socket.
pub(super) fn of_log(word: &Word) -> Option<Endpoint> {
    const SYSLOG: u16 = 514;
    let text = word.text();
    let mut found = match text.split_once('@') {
        Some((kind @ ("udp" | "udp4" | "udp6"), rest)) => {
            of_family(Family::of(kind), internet(rest)?)?
        }
        _ => read(text)?,
    };
    if let (Host::Ip(_) | Host::Name(_), Port::None) = (&found.host, found.port) {
        found.port = Port::One(SYSLOG);
    }
    let is_one = matches!(
        (&found.host, found.port),
        (Host::Ip(_) | Host::Name(_), Port::One(1..)) | (Host::Unix(_), _)
    );
    is_one.then_some(found)
}

fn listens(found: &Endpoint) -> bool {
    match (&found.host, found.port) {
        (Host::Any | Host::Ip(_) | Host::Name(_), Port::One(port)) => port > 0,
        (Host::Any | Host::Ip(_) | Host::Name(_), Port::Range(first, last)) => {
            first > 0 && first <= last
        }
        (Host::Unix(_) | Host::Abstract(_) | Host::Descriptor(_), _) => true,
        _ => false,
    }
}

fn read(text: &str) -> Option<Endpoint> {
    let without_port = |host| {
        Some(Endpoint {
            host,
            port: Port::None,
            family: Family::Any,
        })
    };
    match text.split_once('@') {
        Some(("unix", path)) if !path.is_empty() => without_port(Host::Unix(path.into())),
        Some(("abns", name)) if !name.is_empty() => without_port(Host::Abstract(name.into())),
        Some(("fd", number)) => without_port(Host::Descriptor(number.parse().ok()?)),
        Some((kind @ ("ipv4" | "tcp4" | "ipv6" | "tcp6" | "tcp"), rest)) => {
            of_family(Family::of(kind), internet(rest)?)
        }
        Some(_) => None,
        None if text.starts_with('/') => without_port(Host::Unix(text.into())),
        None => internet(text),
    }
}

fn of_family(family: Family, mut found: Endpoint) -> Option<Endpoint> {
    match found.host {
        Host::Ip(ip) if !family.has(ip) => return None,
        Host::Name(_) => found.family = family,
        _ => {}
    }
    Some(found)
}

fn internet(text: &str) -> Option<Endpoint> {
    if text.is_empty() {
        return None;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            let port = if rest.is_empty() {
                ""
            } else {
                rest.strip_prefix(':')?
            };
            host.parse::<Ipv6Addr>().ok()?;
            (host, port)
        }
        // The last colon is that of the port, even in an IPv6 address.
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    Some(Endpoint {
        host: self::host(host)?,
        port: self::port(port)?,
        family: Family::Any,
    })
}

fn host(text: &str) -> Option<Host> {
    if matches!(text, "" | "*") {
        return Some(Host::Any);
    }
    if let Ok(ip) = text.parse() {
        return Some(Host::Ip(ip));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // Digits and dots alone are a mistyped IP address, not a name.
    let is_name = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_name && text.len() <= 253 && text.bytes().all(allowed)).then(|| Host::Name(text.into()))
}

fn port(text: &str) -> Option<Port> {
    let digits = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u16>().ok()).flatten()
    };
    if text.is_empty() {
        return Some(Port::None);
    }
    if let Some(offset) = text.strip_prefix('+') {
        return digits(offset).map(|offset| Port::Offset(offset.into()));
    }
    if let Some(offset) = text.strip_prefix('-') {
        return digits(offset).map(|offset| Port::Offset(-i32::from(offset)));
    }
    match text.split_once('-') {
        Some((first, last)) => Some(Port::Range(digits(first)?, digits(last)?)),
        None => digits(text).map(Port::One),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::haproxy::config::tests::word;

    #[test]
    fn servers_have_the_addresses_haproxy_knows() {
        for text in [
            "127.0.0.1:80",
            "127.0.0.1",
            "*:80",
            "localhost:80",
            "[::1]:80",
            "unix@/tmp/x",
            "abns@x",
            "10.0.0.1:+10",
            "10.0.0.1:-10",
        ] {
            assert_eq!(of_server(&word(text)).unwrap().to_string(), text);
        }
        for (text, shown) in [
            (":80", "*:80"),
            ("::1:80", "[::1]:80"),
            ("/tmp/x", "unix@/tmp/x"),
            ("[::1]", "[::1]"),
            ("ipv4@1.2.3.4:80", "1.2.3.4:80"),
            ("ipv6@::1:80", "[::1]:80"),
            ("1.2.3.4:", "1.2.3.4"),
            ("127.0.0.1:080", "127.0.0.1:80"),
            ("ipv4@localhost:80", "ipv4@localhost:80"),
            ("tcp6@localhost:80", "ipv6@localhost:80"),
            ("tcp@localhost:80", "localhost:80"),
        ] {
            assert_eq!(of_server(&word(text)).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:70000",
            "127.0.0.1:80-90",
            "127.0.0.1:x",
            "fd@3",
            "256.1.1.1:80",
            "udp@1.2.3.4:80",
            "ipv4@::1:80",
            "unix@",
            "a b:80",
        ] {
            assert!(of_server(&word(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn listeners_need_a_port_and_may_have_several() {
        let found = of_listener(&word("*:80,[::]:443,127.0.0.1:8000-8010,fd@5,")).unwrap();
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["*:80", "[::]:443", "127.0.0.1:8000-8010", "fd@5"]);
        let found = of_listener(&word("ipv4@:80,ipv6@:80,ipv6@*:81")).unwrap();
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["*:80", "[::]:80", "[::]:81"]);
        for text in [
            "127.0.0.1",
            "*",
            "127.0.0.1:0",
            "127.0.0.1:9-8",
            "1.1.1.1:+1",
            ",",
            "1.1.1.1:1-65536",
        ] {
            assert!(of_listener(&word(text)).is_err(), "{text}");
        }
    }
}
