//! Health checks of `examples/proxy -f`: who fails is left, and who is back is taken again.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use crate::client::exchange;
use crate::server::{bytes, serve};
use crate::support::configuration::{Folder, ask, run};
use crate::support::{eventually, free_address};

/// A server that tells its name, and whose `/health` has the status of the moment.
fn server(name: &'static str) -> (std::net::SocketAddr, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let address = serve(move |head| {
        if !head.starts_with("GET /health ") {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{name}");
            return bytes(&text);
        }
        let status = now.load(Relaxed);
        bytes(&format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n"
        ))
    });
    (address, status)
}

#[test]
fn servers_that_fail_their_checks_are_left_until_they_pass_them() {
    let folder = Folder::new("checks");
    let socket = folder.file("stats.sock");
    let log = UdpSocket::bind("127.0.0.1:0").unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let [(one, health), (two, _)] = [server("one"), server("two")];
    let listen = free_address();
    let text = format!(
        "global\n stats socket {} level admin\n log {} format raw local0\n\
         defaults\n mode http\n log global\n timeout client 60s\n timeout connect 10s\n \
         timeout server 60s\n\
         frontend web\n bind {listen}\n no log\n default_backend app\n\
         backend app\n balance first\n option httpchk GET /health\n http-check disable-on-404\n \
         default-server inter 50ms fall 2 rise 2\n server s1 {one} check\n server s2 {two} check\n",
        socket.display(),
        log.local_addr().unwrap()
    );
    let _running = run(&text, &folder, &[]);
    let answers =
        |name: &str| exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "").ends_with(name);
    let told = || {
        let mut line = [0; 1_024];
        let length = log.recv(&mut line).expect("the change is told");
        String::from_utf8_lossy(&line[..length]).into_owned()
    };
    assert!(eventually(|| answers("one")), "the first is up at first");
    health.store(503, Relaxed);
    assert!(eventually(|| answers("two")), "the first is down");
    let line = told();
    assert!(
        line.starts_with("Server app/s1 is DOWN, reason: Layer7 wrong status"),
        "{line}"
    );
    health.store(200, Relaxed);
    assert!(eventually(|| answers("one")), "the first is up again");
    let line = told();
    assert!(line.starts_with("Server app/s1 is UP"), "{line}");
    health.store(404, Relaxed);
    assert!(eventually(|| answers("two")), "the first is leaving");
    assert!(told().starts_with("Server app/s1 is stopping"));
    let states = ask(&socket, "show servers state app");
    let first = states.lines().find(|line| line.contains(" s1 "));
    // Its operational state is 3: stopping.
    assert_eq!(first.and_then(|line| line.split(' ').nth(5)), Some("3"));
}

#[test]
fn a_connection_is_check_enough_where_nothing_more_is_asked() {
    let folder = Folder::new("connect-checks");
    let socket = folder.file("stats.sock");
    let (one, _) = server("one");
    let text = format!(
        "global\n stats socket {} level admin\n\
         listen web\n mode http\n bind {}\n timeout client 60s\n timeout connect 10s\n \
         timeout server 60s\n default-server inter 50ms fall 1\n server s1 {one} check\n \
         server s2 {} check\n server s3 {}\n",
        socket.display(),
        free_address(),
        free_address(),
        free_address(),
    );
    let _running = run(&text, &folder, &[]);
    let states = || {
        let text = ask(&socket, "show servers state web");
        let lines = text.lines().filter(|line| line.contains(" s"));
        let state = |line: &str| line.split(' ').nth(5).unwrap_or_default().to_owned();
        lines.skip(1).map(state).collect::<Vec<_>>()
    };
    // Nobody is at the second; nobody has looked whether anybody is at the third.
    assert!(eventually(|| states() == ["2", "0", "2"]), "{:?}", states());
}
