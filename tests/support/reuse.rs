//! Which requests share a connection to a server, in HAProxy 2.6.12 and `examples/proxy`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::eventually;

/// The configuration around a server, with frontends for `LISTEN` and `CLOSING`.
pub(crate) fn configuration(server: SocketAddr) -> String {
    let backend = |(name, line)| format!("backend {name}\n {line}\n server s {server}\n");
    let backends = [
        ("never", "http-reuse never"),
        ("safe", "http-reuse safe"),
        ("always", "http-reuse always"),
        ("close", "option http-server-close"),
    ];
    let backends: String = backends.into_iter().map(backend).collect();
    format!(
        "defaults\n mode http\n timeout client 5s\n timeout connect 1s\n \
         timeout server 5s\n timeout http-keep-alive 5s\n\
         frontend web\n bind LISTEN\n use_backend %[path,field(2,/)]\n\
         frontend closing\n bind CLOSING\n option httpclose\n default_backend always\n{backends}"
    )
}

/// A server that answers with the number of the connection, and `!` if it is asked to close
/// it.
pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            thread::spawn(move || answer(stream, number));
        }
    });
    address
}

fn answer(mut stream: TcpStream, number: usize) -> Option<()> {
    while let Some(head) = head(&mut stream) {
        let closes = head.to_ascii_lowercase().contains("connection: close");
        let text = format!("{number}{}", if closes { "!" } else { "" });
        let length = text.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
        stream.write_all(answer.as_bytes()).ok()?;
        if closes {
            break;
        }
    }
    None
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    String::from_utf8(head).ok()
}

/// A client that keeps its connection.
struct Client(TcpStream);

impl Client {
    fn new(listen: SocketAddr) -> Self {
        let stream = TcpStream::connect(listen).expect("it listens");
        let limit = Some(Duration::from_secs(10));
        stream.set_read_timeout(limit).expect("it can be set");
        Self(stream)
    }

    /// What the server says; `None` if the connection is over.
    fn ask(&mut self, path: &str) -> Option<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        self.0.write_all(request.as_bytes()).ok()?;
        let head = head(&mut self.0)?.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1)?.lines().next()?;
        let mut text = vec![0; length.parse().ok()?];
        self.0.read_exact(&mut text).ok()?;
        String::from_utf8(text).ok()
    }
}

/// Fails unless connections are shared as they should. What is kept is so a moment after the
/// answer, so that sharing is waited for.
pub(crate) fn check(listen: SocketAddr, closing: SocketAddr) {
    let mut seen = Vec::new();
    let mut first = |path: &str| {
        let mut client = Client::new(listen);
        let number = client.ask(path).expect("it is answered");
        let is_new = !seen.contains(&number);
        seen.push(number.clone());
        (client, number, is_new)
    };
    for path in ["/never/", "/safe/"] {
        for _ in 0..3 {
            let (mut client, number, is_new) = first(path);
            assert!(is_new, "{path}: the first request has its own connection");
            if path == "/never/" {
                let again = || client.ask(path).as_ref() == Some(&number);
                assert!(eventually(again), "{path}: its own is kept");
            }
        }
    }
    assert!(eventually(|| !first("/always/").2), "it is shared");
    let (mut client, number, _) = first("/close/");
    assert!(number.ends_with('!'), "{number}");
    let other = client.ask("/close/").expect("the client's is kept");
    assert!(other.ends_with('!') && other != number, "{other}");
    let mut client = Client::new(closing);
    assert!(client.ask("/").is_some_and(|text| text.ends_with('!')));
    assert_eq!(client.ask("/"), None, "the client's is closed, too");
}
