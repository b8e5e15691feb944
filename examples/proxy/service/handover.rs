//! Listening sockets, handed over to the program that takes this one's place.
//!
//! A socket that is closed takes along the clients nobody has let in yet, even if another
//! program listens at the same address. So both programs listen on the same socket: the new
//! one asks for it before it tells the old one to leave.
//!
//! Who may ask is decided by the kernel's word on who it is. The place to ask is a Unix
//! socket without a file, named after the process; each socket goes with its name, whose
//! length comes first, and an empty name is the end.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{self, Pid, Signal};
use tokio::{net, task, time};

use crate::service::graceful::{Guest, Phase};
use crate::service::sockets::Listener;

/// The other side has nothing else to do.
const LIMIT: Duration = Duration::from_secs(5);

/// A program whose place is taken, and how it is told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predecessor {
    pub(crate) process: Pid,
    pub(crate) order: Signal,
}

impl Predecessor {
    /// Its listening sockets, by name.
    fn ask(self, sockets: &mut Sockets) -> io::Result<()> {
        let mut stream = UnixStream::connect_addr(&place(self.process)?)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let peer = socket_peercred(&stream)?;
        if peer.pid != self.process || !is_trusted(peer.uid) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        while let Some((name, socket)) = receive(&mut stream)? {
            sockets.0.entry(name).or_default().push(socket);
        }
        Ok(())
    }

    /// Tells it to leave; who has left already is no mistake.
    pub(crate) fn dismiss(self) -> io::Result<()> {
        match process::kill_process(self.process, self.order) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sockets that were handed over, by name.
#[derive(Debug, Default)]
pub(crate) struct Sockets(BTreeMap<String, Vec<OwnedFd>>);

impl Sockets {
    /// Asks everybody whose place is taken. Those who do not answer, as HAProxy, may let
    /// others listen beside them; `tell` hears of it.
    pub(crate) fn of(predecessors: &[Predecessor], tell: impl Fn(&str)) -> Self {
        let mut sockets = Self::default();
        for predecessor in predecessors {
            if let Err(error) = predecessor.ask(&mut sockets) {
                let process = predecessor.process;
                tell(&format!("process {process} hands over no sockets: {error}"));
            }
        }
        sockets
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.0.get_mut(name)?.pop()
    }
}

/// Hands over the listeners to whoever asks, until the program is to end.
pub(crate) fn offer(listeners: Vec<Weak<Listener>>, mut guest: Guest) -> io::Result<()> {
    let listener = UnixListener::bind_addr(&place(process::getpid())?)?;
    listener.set_nonblocking(true)?;
    let listener = net::UnixListener::from_std(listener)?;
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = guest.told(Phase::Leaving) => return,
            };
            match accepted {
                Ok((stream, _)) => answer(stream, &listeners).await,
                // Out of file descriptors, most likely: some will come back.
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(())
}

/// Who breaks off gets nothing; he will ask again, or not.
async fn answer(stream: net::UnixStream, listeners: &[Weak<Listener>]) {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    if !uid.is_ok_and(|uid| is_trusted(process::Uid::from_raw(uid))) {
        return;
    }
    let listeners: Vec<_> = listeners.iter().filter_map(Weak::upgrade).collect();
    let sent = task::spawn_blocking(move || send_all(stream.into_std()?, &listeners));
    let _ = sent.await;
}

/// The program's own user, and the one who may do anything.
fn is_trusted(user: process::Uid) -> bool {
    user == process::geteuid() || user.is_root()
}

fn place(process: Pid) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("stickroute-{process}"))
}

fn send_all(mut stream: UnixStream, listeners: &[Arc<Listener>]) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(LIMIT))?;
    for listener in listeners {
        send(&mut stream, listener.key(), listener.as_fd())?;
        listener.share();
    }
    stream.write_all(&[0])
}

fn send(stream: &mut UnixStream, name: &str, socket: BorrowedFd<'_>) -> io::Result<()> {
    let length = u8::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let sockets = [socket];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(&sockets));
    let bytes = [length];
    sendmsg(
        &*stream,
        &[IoSlice::new(&bytes)],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?;
    stream.write_all(name.as_bytes())
}

/// `None` at the end.
fn receive(stream: &mut UnixStream) -> io::Result<Option<(String, OwnedFd)>> {
    let mut length = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        &*stream,
        &mut [IoSliceMut::new(&mut length)],
        &mut rights,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if length == [0] {
        return Ok(None);
    }
    let sockets = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let socket = sockets.flatten().next().ok_or(io::ErrorKind::InvalidData)?;
    let mut name = vec![0; length[0].into()];
    stream.read_exact(&mut name)?;
    let name = String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some((name, socket)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_goes_over_with_its_clients() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        send(&mut here, "one", listener.as_fd()).unwrap();
        send(&mut here, "two", listener.as_fd()).unwrap();
        drop(listener);
        here.write_all(&[0]).unwrap();
        let (name, socket) = receive(&mut there).unwrap().unwrap();
        assert_eq!(name, "one");
        let (mut stream, _) = TcpListener::from(socket).accept().unwrap();
        stream.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        assert_eq!(receive(&mut there).unwrap().unwrap().0, "two");
        assert!(receive(&mut there).unwrap().is_none());
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(b"\x03on").unwrap();
        assert!(receive(&mut there).is_err(), "no socket");
        drop(here);
        assert!(receive(&mut there).is_err(), "no end");
    }
}
