//! Sockets to listen on, of the kinds a configuration can name.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use stickroute::haproxy::{Bind, Endpoint, Host, Port};
use tokio::net::{self, TcpListener, TcpSocket, UnixListener};

use crate::stream::{Ends, Stream};

/// Where clients or operators come.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// What the operating system is told to keep waiting, unless `backlog` says otherwise.
const BACKLOG: u32 = 1024;

/// Listens on every address of a line; a Unix socket takes the place of one that is there,
/// whether anybody listens on it or not, as in HAProxy.
///
/// # Errors
/// The first address that cannot be listened on, and why.
pub(crate) async fn open(bind: &Bind) -> Result<Vec<Listener>, String> {
    let backlog = bind.options.get("backlog").cloned().flatten();
    let backlog = backlog.and_then(|word| word.as_str()?.parse().ok());
    let mut listeners = Vec::new();
    for endpoint in &bind.addresses.value {
        let refuse = |error| {
            let place = &bind.addresses.location;
            format!("{place}: cannot listen on {endpoint}: {error}")
        };
        if let Host::Unix(path) = &endpoint.host {
            listeners.push(unix(path, bind.mode).map_err(refuse)?);
            continue;
        }
        for address in addresses(endpoint).await.map_err(refuse)? {
            let listener = tcp(address, backlog.unwrap_or(BACKLOG));
            listeners.push(Listener::Tcp(listener.map_err(refuse)?));
        }
    }
    Ok(listeners)
}

/// All addresses that an endpoint with an internet address stands for.
async fn addresses(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let ports = match endpoint.port {
        Port::One(port) => port..=port,
        Port::Range(first, last) => first..=last,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let ip = match &endpoint.host {
        Host::Any => Ipv4Addr::UNSPECIFIED.into(),
        Host::Ip(ip) => *ip,
        Host::Name(name) => {
            let mut found = net::lookup_host((name.as_str(), 0)).await?;
            found.next().ok_or(io::ErrorKind::NotFound)?.ip()
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(ports.map(|port| SocketAddr::new(ip, port)).collect())
}

fn tcp(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// The socket appears under its name only when it has its permissions.
fn unix(path: &Path, mode: Option<u32>) -> io::Result<Listener> {
    let is_other = fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket());
    if is_other {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.tmp", std::process::id()));
    let listener = UnixListener::bind(&new)?;
    let named = match mode {
        Some(mode) => fs::set_permissions(&new, fs::Permissions::from_mode(mode)),
        None => Ok(()),
    };
    if let Err(error) = named.and_then(|()| fs::rename(&new, path)) {
        // What is left is a name that nobody knows.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    Ok(Listener::Unix(listener, path.to_owned()))
}

impl Listener {
    /// The next connection, and its ends.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Ends)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, source) = listener.accept().await?;
                // A proxy's small packets should not wait for each other; not vital.
                let _ = stream.set_nodelay(true);
                let ends = Ends {
                    source: Some(source),
                    destination: stream.local_addr().ok(),
                };
                Ok((Box::new(stream), ends))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Ends::default()))
            }
        }
    }

    /// How it is called: `127.0.0.1:80` or a path.
    pub(crate) fn name(&self) -> io::Result<String> {
        Ok(match self {
            Self::Tcp(listener) => listener.local_addr()?.to_string(),
            Self::Unix(_, path) => path.display().to_string(),
        })
    }
}
