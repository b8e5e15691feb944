//! Servers behind the proxies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// A server that answers each connection's first request, with what `answer` makes of its
/// head, and then closes the connection.
pub(crate) fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    listen(move |mut stream| {
        if let Some((head, length)) = read_request(&mut stream) {
            reply(&mut stream, &answer(&head), &head, length);
        }
    })
}

/// A server that keeps connections alive, and the number of connections it has seen.
pub(crate) fn serve_kept_alive() -> (SocketAddr, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let address = listen(move |mut stream| {
        counter.fetch_add(1, Relaxed);
        thread::spawn(move || {
            while let Some((head, length)) = read_request(&mut stream) {
                reply(&mut stream, &page(""), &head, length);
            }
        });
    });
    (address, seen)
}

fn listen(handle: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(handle));
    address
}

/// The head of a request and the length of its body, `None` when the client goes away.
fn read_request(stream: &mut TcpStream) -> Option<(String, usize)> {
    let mut received = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        received.extend_from_slice(&buffer[..count]);
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = latin1(&received[..end]);
        let length = body_length(&head);
        if received.len() >= end + 4 + length {
            return Some((head, length));
        }
    }
}

/// Sends `answer` with what the server saw in the places it has for that.
fn reply(stream: &mut TcpStream, answer: &[u8], head: &str, length: usize) {
    let cookies = head.matches("\r\ncookie: ").count();
    let text = format!("{cookies} cookies, {length} bytes");
    let size = text.len().to_string();
    let page = latin1(answer)
        .replace("{size}", &size)
        .replace("{text}", &text);
    // A proxy that goes away is not the server's affair.
    let _ = stream.write_all(&bytes(&page));
}

fn body_length(head: &str) -> usize {
    let sized = head.split("content-length: ").nth(1);
    let digits = sized.and_then(|rest| rest.lines().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A page that says what the server saw.
pub(crate) fn page(fields: &str) -> Vec<u8> {
    bytes(&format!(
        "HTTP/1.1 200 OK\r\n{fields}Content-Length: {{size}}\r\n\r\n{{text}}"
    ))
}

/// One character a byte, so that tests can show any byte.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The opposite.
pub(crate) fn bytes(latin1: &str) -> Vec<u8> {
    latin1.chars().map(|char| char as u8).collect()
}
