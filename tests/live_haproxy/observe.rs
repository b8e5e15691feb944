//! Health by what sessions meet: the same requests to the same failing servers by HAProxy and
//! by `examples/proxy -f`; what `show stat` says after each, and what is logged, is compared.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::checks::{haproxy, logged, origin, rows};
use crate::support;
use crate::support::configuration::{self, Folder};

const BAD: &str = "HTTP/1.0 500 Oh\r\nContent-Length: 0\r\n\r\n!";

/// What a server is observed for, and what it answers; `refused` is a port that nobody is at.
const ROWS: &[(&str, &str)] = &[
    ("observe layer7", BAD),
    ("observe layer7 on-error mark-down", BAD),
    ("observe layer7 error-limit 3", BAD),
    ("observe layer7 error-limit 3 on-error sudden-death", BAD),
    ("observe layer7 error-limit 3 on-error fastinter", BAD),
    (
        "observe layer7 error-limit 2 rise 3 fall 5",
        "HTTP/1.0 504 Oh\r\nContent-Length: 0\r\n\r\n!",
    ),
    (
        "observe layer7 error-limit 1 on-error mark-down",
        "HTTP/1.0 501 Oh\r\nContent-Length: 0\r\n\r\n!",
    ),
    (
        "observe layer7 error-limit 3 on-error mark-down",
        "garbage\r\n\r\n!",
    ),
    ("observe layer7 error-limit 3 on-error mark-down", "!"),
    ("observe layer7 error-limit 3 on-error mark-down", "refused"),
    ("observe layer4 error-limit 3 on-error mark-down", "refused"),
    ("observe layer4 error-limit 3", BAD),
    ("observe none error-limit 3", BAD),
];

const REQUESTS: usize = 12;

#[test]
#[ignore = "runs a real HAProxy"]
fn errors_of_sessions_count_as_in_haproxy() {
    let checked = origin("HTTP/1.0 200 OK\r\n\r\n!");
    let mut lines = 0;
    for row in ROWS {
        let server = server(row.1);
        let [theirs, ours] = ["observe-theirs", "observe-ours"].map(|name| {
            let folder = Folder::new(name);
            let sink = UdpSocket::bind("127.0.0.1:0").expect("there is a port");
            let listen = support::free_address();
            let text = text(row.0, [listen, server, checked], &folder, &sink);
            let running = if name.ends_with("ours") {
                configuration::run(&text, &folder, &[])
            } else {
                haproxy(&text, &folder)
            };
            let told = told(&folder, listen);
            drop(running);
            (told, plain(&sink))
        });
        assert_eq!(ours.0, theirs.0, "{row:?}");
        assert_eq!(ours.1, theirs.1, "{row:?}");
        lines += theirs.1.len();
    }
    assert!(lines > 10, "hardly anything happened");
}

/// The address stays taken where nobody listens.
fn server(answer: &'static str) -> SocketAddr {
    if answer == "refused" {
        return support::free_address();
    }
    origin(answer)
}

/// What was logged. A session that is just ending may be active, or not.
fn plain(sink: &UdpSocket) -> Vec<String> {
    let lines = logged(sink).remove("b1").unwrap_or_default();
    let plain = |line: String| line.replace(" 1 sessions active", " 0 sessions active");
    lines.into_iter().map(plain).collect()
}

fn text(
    options: &str,
    [listen, server, checked]: [SocketAddr; 3],
    folder: &Folder,
    sink: &UdpSocket,
) -> String {
    let log = sink.local_addr().expect("it is bound");
    let (port, socket) = (checked.port(), folder.file("s.sock"));
    format!(
        "global\n nbthread 1\n stats socket {}\n\
         defaults\n mode http\n retries 0\n timeout connect 9s\n timeout client 9s\n \
         timeout server 9s\n\
         frontend web\n bind {listen}\n default_backend b1\n\
         backend b1\n log {log} format raw local0\n option httpchk\n \
         server s {server} check inter 500s port {port} {options}\n",
        socket.display(),
    )
}

/// What is said of the server after its first check and after each request.
fn told(folder: &Folder, listen: SocketAddr) -> Vec<Vec<String>> {
    let socket = folder.file("s.sock");
    assert!(support::eventually(|| socket.exists()), "it does not run");
    let row = || {
        let answer = configuration::ask(&socket, "show stat b1 4 -1");
        // The text of `last_chk` has a comma.
        let answer = answer
            .replace("errors, last", "errors; last")
            .replace('"', "");
        let columns = [
            "status",
            "check_status",
            "check_code",
            "last_chk",
            "check_health",
        ];
        rows(&answer, &columns).pop().unwrap_or_default()
    };
    let is_checked = || row().get(1).is_some_and(|status| status == "L7OK");
    assert!(support::eventually(is_checked), "{:?}", row());
    let after = (0..REQUESTS).map(|_| {
        request(listen);
        row()
    });
    after.collect()
}

fn request(listen: SocketAddr) {
    let mut stream = TcpStream::connect(listen).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("it can be set");
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    assert!(answer.starts_with(b"HTTP/1."), "{answer:?}");
}
