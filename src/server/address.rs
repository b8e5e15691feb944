//! Where a server is: an IP socket, a host name with a port, or a Unix socket.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a server is.
///
/// The library connects to nothing: it hands the address back with the selection,
/// and uses its bytes where HAProxy does (dynamic cookies, `hash-key addr`).
///
/// ```
/// use stickroute::Address;
///
/// let ip: Address = "10.0.0.1:8080".parse()?;
/// let host: Address = "app.internal:8080".parse()?;
/// let unix: Address = "unix@/run/app.sock".parse()?;
/// assert_eq!(host.to_string(), "app.internal:8080");
/// assert_eq!(ip.port(), Some(8080));
/// assert_eq!(unix.port(), None);
/// # Ok::<(), stickroute::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address and a port.
    Ip(SocketAddr),
    /// A name for the caller to resolve, and a port.
    ///
    /// What it resolved to can be told with
    /// [`Update::set_address`](crate::Update::set_address); until then the server has
    /// no dynamic cookie.
    Host(Box<str>, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The IP address, if there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(socket) => Some(socket.ip()),
            _ => None,
        }
    }

    /// The port, if there is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(socket) => Some(socket.port()),
            Self::Host(_, port) => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(socket) => socket.fmt(f),
            Self::Host(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix@{}", path.display()),
        }
    }
}

/// A text that is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    found: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an address; expected IP:PORT, [IPV6]:PORT, HOST:PORT or unix@PATH",
            self.found
        )
    }
}

impl std::error::Error for AddressError {}

impl From<Infallible> for AddressError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `IP:PORT`, `[IPV6]:PORT`, `HOST:PORT`, `unix@PATH`, `unix:PATH` or an absolute path.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let unix = text
            .strip_prefix("unix@")
            .or_else(|| text.strip_prefix("unix:"))
            .or_else(|| text.starts_with('/').then_some(text));
        let parsed = match unix {
            Some("") => None,
            Some(path) if path.contains('\0') => None,
            Some(path) => Some(Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Ip).or_else(|| host(text)),
        };
        parsed.ok_or_else(|| AddressError { found: text.into() })
    }
}

/// `HOST:PORT`, the host in the letters of RFC 1123 and the underscore that
/// service discovery likes.
fn host(text: &str) -> Option<Address> {
    let (name, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // Digits and dots alone are a mistyped IP address, not a name.
    let is_name = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_name && name.len() <= 253 && name.bytes().all(allowed))
        .then(|| Address::Host(name.into(), port))
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        Self::Ip(socket)
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_kind_are_read_and_written_back() {
        for text in ["127.0.0.1:80", "[2001:db8::1]:443", "app-1.example:8080"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let unix: Address = "/run/app.sock".parse().unwrap();
        assert_eq!(unix.to_string(), "unix@/run/app.sock");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_was_found() {
        for text in [
            "",
            "127.0.0.1",
            "300.0.0.1:80",
            "host:",
            "host:99999",
            "a b:80",
            "unix@",
            "::1:x",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
