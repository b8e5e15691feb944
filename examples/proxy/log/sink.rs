//! Where log lines go: the standard streams, and syslog servers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use stickroute::Now;
use stickroute::haproxy::{Endpoint, Host, LogLevel, LogLine, LogSender, LogTarget, Port};

use crate::configuration::fault::Fault;
use crate::log::standard::{STDERR, STDOUT, Standard};

/// One `log` line.
#[derive(Debug)]
pub(super) struct Sink {
    line: LogLine,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Standard(&'static Standard),
    Udp(UdpSocket, SocketAddr),
    Unix(UnixDatagram, PathBuf),
}

impl Sink {
    pub(super) fn open(line: &LogLine) -> Result<Self, Fault> {
        let refuse = |message: String| Fault::at(&line.location, "log", message);
        let way = match &line.target {
            LogTarget::Stdout => Way::Standard(&STDOUT),
            LogTarget::Stderr => Way::Standard(&STDERR),
            LogTarget::Server(server) => {
                let opened = of_server(server);
                opened.map_err(|error| refuse(format!("{server}: {error}")))?
            }
            _ => {
                let message = "not supported by this program; expected stdout, stderr, an \
                     address or the path of a socket";
                return Err(refuse(message.into()));
            }
        };
        let line = line.clone();
        Ok(Self { line, way })
    }

    /// Sends a line with its structured data, if it is urgent enough. One that cannot be
    /// sent is lost: a log must neither take requests down nor hold them up.
    pub(super) fn send(&self, level: LogLevel, sender: Sender<'_>, text: &[u8], data: &[u8]) {
        if level > self.line.least {
            return;
        }
        let sender = LogSender {
            tag: sender.tag,
            host_name: sender.host_name,
            process_id: std::process::id(),
            facility: self.line.facility,
        };
        let level = level.max(self.line.most);
        let (envelope, wall) = (self.line.envelope, Now::system().wall());
        let mut line = envelope.header_with_data(level, &sender, wall, data);
        line.extend_from_slice(text);
        line.truncate(usize::from(self.line.max_length) - 1);
        line.push(b'\n');
        self.way.write(&line);
    }
}

/// Who lines are from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'s> {
    pub(super) tag: &'s str,
    pub(super) host_name: Option<&'s str>,
}

impl Way {
    fn write(&self, line: &[u8]) {
        match self {
            Self::Standard(stream) => stream.write(line),
            // One that cannot be sent is lost.
            Self::Udp(socket, server) => drop(socket.send_to(line, server)),
            Self::Unix(socket, path) => drop(socket.send_to(line, path)),
        }
    }
}

fn of_server(server: &Endpoint) -> io::Result<Way> {
    let address = match (&server.host, server.port) {
        (Host::Ip(ip), Port::One(port)) => SocketAddr::new(*ip, port),
        (Host::Name(name), Port::One(port)) => {
            let mut found = (name.as_str(), port).to_socket_addrs()?;
            let found = found.find(|found| server.family.has(found.ip()));
            found.ok_or(io::ErrorKind::NotFound)?
        }
        (Host::Unix(path), _) => {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            return Ok(Way::Unix(socket, path.clone()));
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    Ok(Way::Udp(socket, address))
}
