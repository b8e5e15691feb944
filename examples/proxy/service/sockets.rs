//! Sockets to listen on, of the kinds a configuration can name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net as unix;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::io::Errno;
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use stickroute::haproxy::{Bind, Configuration, Endpoint, Host, Port};
use tokio::net::{self, TcpListener, TcpSocket, UnixListener};

use crate::client::stream::{Ends, Stream};
use crate::service::handover::Sockets;
use crate::service::owner::Owner;

/// Where clients or operators come.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// What it is called when it is handed over.
    key: String,
    is_shared: AtomicBool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What the operating system is told to keep waiting, unless `backlog` says otherwise.
const BACKLOG: u32 = 1024;

/// Opens sockets, or takes those that are there already.
#[derive(Debug)]
pub(crate) struct Opener {
    /// From the program whose place is taken.
    pub(crate) handed_over: Sockets,
    /// From the program that started this one.
    pub(crate) descriptors: Descriptors,
    /// Whether another program may listen at the same address, as in HAProxy.
    pub(crate) reuse_port: bool,
}

impl Opener {
    /// Listens on every address of a line; a Unix socket takes the place of one that is
    /// there, whether anybody listens on it or not, as in HAProxy.
    ///
    /// # Errors
    /// The first address that cannot be listened on, and why.
    pub(crate) async fn open(&mut self, bind: &Bind) -> Result<Vec<Listener>, String> {
        let mut listeners = Vec::new();
        for endpoint in &bind.addresses.value {
            let opened = self.listen(endpoint, bind, &mut listeners).await;
            opened.map_err(|error| {
                let place = &bind.addresses.location;
                format!("{place}: cannot listen on {endpoint}: {error}")
            })?;
        }
        Ok(listeners)
    }

    async fn listen(
        &mut self,
        endpoint: &Endpoint,
        bind: &Bind,
        listeners: &mut Vec<Listener>,
    ) -> io::Result<()> {
        let backlog = bind.options.get("backlog").cloned().flatten();
        let backlog = backlog.and_then(|word| word.as_str()?.parse().ok());
        let backlog = backlog.unwrap_or(BACKLOG);
        let key = endpoint.to_string();
        let socket = match &endpoint.host {
            Host::Unix(path) => match self.handed_over.take(&key).filter(|_| is_socket(path)) {
                Some(socket) => adopt(socket, backlog)?,
                None => named(path, bind)?,
            },
            Host::Abstract(name) => match self.handed_over.take(&key) {
                Some(socket) => adopt(socket, backlog)?,
                None => abstract_socket(name)?,
            },
            Host::Descriptor(number) => adopt(self.descriptors.take(*number)?, backlog)?,
            _ => {
                for address in addresses(endpoint).await? {
                    let key = address.to_string();
                    let socket = match self.handed_over.take(&key) {
                        Some(socket) => adopt(socket, backlog)?,
                        None => Socket::Tcp(tcp(address, backlog, self.reuse_port)?),
                    };
                    listeners.push(Listener::new(socket, key));
                }
                return Ok(());
            }
        };
        listeners.push(Listener::new(socket, key));
        Ok(())
    }
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
            let found = net::lookup_host((name.as_str(), 0)).await?;
            let mut ips = found.map(|found| found.ip());
            let ip = ips.find(|ip| endpoint.family.has(*ip));
            ip.ok_or(io::ErrorKind::NotFound)?
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(ports.map(|port| SocketAddr::new(ip, port)).collect())
}

fn tcp(address: SocketAddr, backlog: u32, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(reuse_port)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// The socket appears under its name only when it has its owner and its permissions. The name stays when
/// the program ends: it may be another program's by then.
fn named(path: &Path, bind: &Bind) -> io::Result<Socket> {
    if !is_socket(path) && fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.tmp", std::process::id()));
    let listener = UnixListener::bind(&new)?;
    let path_of_new = Path::new(&new);
    // A name that nobody has was refused before.
    let owned = Owner::of(bind).unwrap_or_default().take(path_of_new);
    let named = owned.and_then(|()| match bind.mode {
        Some(mode) => fs::set_permissions(path_of_new, fs::Permissions::from_mode(mode)),
        None => Ok(()),
    });
    if let Err(error) = named.and_then(|()| fs::rename(&new, path)) {
        // What is left is a name that nobody knows.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    Ok(Socket::Unix(listener))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn abstract_socket(name: &str) -> io::Result<Socket> {
    let address = unix::SocketAddr::from_abstract_name(name)?;
    let listener = unix::UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    Ok(Socket::Unix(UnixListener::from_std(listener)?))
}

/// Copies of the descriptors this program was started with. The originals stay open: only
/// the program that started this one knows what else they are for.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(BTreeMap<u32, Vec<OwnedFd>>);

impl Descriptors {
    /// All that a configuration names. Whatever this program opens gets a number, too, so
    /// this comes first.
    pub(crate) fn of(configuration: &Configuration) -> io::Result<Self> {
        let proxies = configuration.proxies.iter();
        let binds = proxies.filter(|proxy| !proxy.disabled);
        let binds = binds.flat_map(|proxy| &proxy.frontend.binds);
        let binds = binds.chain(&configuration.global.stats_sockets);
        let numbers = binds.flat_map(|bind| &bind.addresses.value);
        let numbers = numbers.filter_map(|endpoint| match endpoint.host {
            Host::Descriptor(number) => Some(number),
            _ => None,
        });
        let numbers: Vec<_> = numbers.collect();
        if numbers.is_empty() {
            return Ok(Self::default());
        }
        let itself = pidfd_open(getpid(), PidfdFlags::empty())?;
        let mut own = BTreeSet::from([itself.as_raw_fd()]);
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for number in numbers {
            let raw = i32::try_from(number).unwrap_or(-1);
            let copy = pidfd_getfd(&itself, raw, PidfdGetfdFlags::empty());
            // One that is not there is told with its place.
            if let Ok(copy) = copy
                && !own.contains(&raw)
            {
                own.insert(copy.as_raw_fd());
                found.entry(number).or_default().push(copy);
            }
        }
        Ok(Self(found))
    }

    fn take(&mut self, number: u32) -> io::Result<OwnedFd> {
        let found = self.0.get_mut(&number).and_then(Vec::pop);
        found.ok_or_else(|| io::Error::other("no such file descriptor is open"))
    }
}

/// Listens on a socket that is there already.
fn adopt(socket: OwnedFd, backlog: u32) -> io::Result<Socket> {
    let kind = socket_type(&socket).map_err(|error| match error {
        Errno::NOTSOCK => io::Error::other("it is not a socket"),
        error => error.into(),
    })?;
    if kind != SocketType::STREAM {
        return Err(io::Error::other("it is not a stream socket"));
    }
    let backlog = backlog.try_into().unwrap_or(i32::MAX);
    match socket_domain(&socket)? {
        AddressFamily::INET | AddressFamily::INET6 => {
            let listener = std::net::TcpListener::from(socket);
            if listener.local_addr()?.port() == 0 {
                return Err(io::Error::other("it is bound to no address"));
            }
            listen(&listener, backlog)?;
            listener.set_nonblocking(true)?;
            Ok(Socket::Tcp(TcpListener::from_std(listener)?))
        }
        AddressFamily::UNIX => {
            let listener = unix::UnixListener::from(socket);
            listen(&listener, backlog)?;
            listener.set_nonblocking(true)?;
            Ok(Socket::Unix(UnixListener::from_std(listener)?))
        }
        _ => Err(io::Error::other("it is neither a TCP nor a Unix socket")),
    }
}

/// HAProxy takes those that are bound and do not listen yet, too.
fn listen(socket: &impl AsFd, backlog: i32) -> io::Result<()> {
    rustix::net::listen(socket, backlog)
        .map_err(|_| io::Error::other("it cannot be listened on: it is a connection, or not bound"))
}

impl Listener {
    fn new(socket: Socket, key: String) -> Self {
        Self {
            socket,
            key,
            is_shared: AtomicBool::new(false),
        }
    }

    /// One that is not handed over.
    pub(crate) fn tcp(listener: TcpListener) -> Self {
        Self::new(Socket::Tcp(listener), String::new())
    }

    /// Another program listens on it, too, from now on.
    pub(crate) fn share(&self) {
        self.is_shared.store(true, Relaxed);
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared.load(Relaxed)
    }

    /// The next connection, and its ends.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Ends)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, source) = listener.accept().await?;
                // A proxy's small packets should not wait for each other; not vital.
                let _ = stream.set_nodelay(true);
                let ends = Ends {
                    source: Some(source),
                    destination: stream.local_addr().ok(),
                };
                Ok((Box::new(stream), ends))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Ends::default()))
            }
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// How it is called: `127.0.0.1:80`, a path, `abns@name`.
    pub(crate) fn name(&self) -> io::Result<String> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => listener.local_addr()?.to_string(),
            Socket::Unix(_) => match self.key.strip_prefix("unix@") {
                Some(path) => path.to_owned(),
                None => self.key.clone(),
            },
        })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        }
    }
}
