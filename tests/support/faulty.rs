//! Servers that fail in one way each, and remember who asked them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What a server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// It answers so, and says its name.
    Answers(u16),
    /// It says nothing.
    Silent,
    /// It answers what is no HTTP.
    Junk,
    /// It closes the connection.
    Closes,
    /// It closes the connection within the head of its response.
    Breaks,
}

/// What servers got: their names and the lengths of the bodies, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts(Arc<Mutex<Vec<(String, usize)>>>);

impl Attempts {
    /// What there has been since the last time.
    pub(crate) fn take(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, name: &str, length: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((name.to_owned(), length));
    }
}

/// Starts a server.
pub(crate) fn faulty(name: &'static str, manner: Manner, attempts: &Attempts) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has an address");
    let attempts = attempts.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let attempts = attempts.clone();
            thread::spawn(move || serve(stream, name, manner, &attempts));
        }
    });
    address
}

fn serve(mut stream: TcpStream, name: &str, manner: Manner, attempts: &Attempts) {
    let Some(length) = read(&mut stream) else {
        return;
    };
    attempts.note(name, length);
    let status = match manner {
        Manner::Answers(status) => status,
        Manner::Silent => return drop(stream.read(&mut [0])),
        Manner::Closes => return,
        Manner::Junk => return drop(stream.write_all(b"who is there?\r\n\r\n")),
        Manner::Breaks => return drop(stream.write_all(b"HTTP/1.1 200 OK\r\nconte")),
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nX-Server: {name}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
        name.len()
    );
    // Who goes away meanwhile does not want it.
    let _ = stream.write_all(answer.as_bytes());
    // Bytes nobody has read would turn the end into a reset.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Reads a request; tells the length of its body.
fn read(stream: &mut TcpStream) -> Option<usize> {
    let mut received = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        received.extend_from_slice(&buffer[..count]);
        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.map(|end| end + 4) else {
            continue;
        };
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        let sized = head.split("content-length: ").nth(1);
        let digits = sized.and_then(|rest| rest.lines().next());
        let length = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if received.len() >= end + length {
            return Some(length);
        }
    }
}
