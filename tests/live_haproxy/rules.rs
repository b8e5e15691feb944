//! Rules on messages and PROXY headers, in HAProxy and in `examples/proxy -f`: the same
//! file, the same requests; what servers receive and what clients get is compared.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::configuration::{self, Folder};
use crate::support::{self, Running};

const CONFIGURATION: &str = r#"
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend web
    bind LISTEN accept-proxy
    option forwardfor except 192.0.2.0/24
    monitor-uri /health
    http-request deny if { path /health }
    tcp-request connection reject if { src 10.0.0.0/8 }
    tcp-request session reject if { src 203.0.113.0/24 }
    acl api path_beg /api
    http-request set-header X-One %[method]-%[src]:%[src_port]-%[dst]:%[dst_port]-%[path] if api
    http-request add-header X-Two a
    http-request add-header X-Two b%%c
    http-request del-header X-Gone
    http-request del-header X-Many- -m beg
    http-request del-header -LAST -m end if { path /x }
    http-request del-header ^x-[ab]+$ -m reg
    http-request allow if { path /deny/not }
    http-request deny if { path_beg /deny }
    http-request deny deny_status 429 if { path /busy } METH_POST || { path /busy } METH_GET
    http-request deny status 410 content-type text/plain string "gone %[path]" if { path /gone }
    http-request return status 418 content-type text/tea string "pot" hdr X-Pot %[method] if { path /tea }
    http-request return status 200 content-type text/plain lf-string "p=%[path]" if { path /lf }
    http-request return if { path /return }
    http-request redirect location /new?%[query] code 301 if { path /old }
    http-request redirect prefix https://h drop-query if { path /pre }
    http-request redirect prefix / if { path /slash }
    http-request redirect prefix https://h code 307 if { path /pre2 }
    http-request redirect scheme https if { path /plain }
    http-request set-header X-Q "a b" if { path /q } or { hdr(x-q) -m found }
    http-response add-header X-Copy %[res.hdr(x-last)]
    http-response set-header X-Last frontend
    http-after-response add-header X-After all
    redirect location /late if { path /late }
    use_backend other if { hdr(x-two) a } { path_beg /other }
    default_backend app
backend app
    option forwardfor header X-Client if-none
    http-request set-header X-Seen "%[hdr(x-one)],%[hdr(x-forwarded-for)],%[hdr(x-client)]"
    http-response set-header X-Last backend
    http-response set-status 201 if { res.hdr(x-origin) one }
    http-response deny if { res.hdr(x-path) /make/deny }
    http-response del-header X-Path unless { status 404 }
    server s1 SERVER
backend other
    option forwardfor if-none
    http-request return status 404 if { path /other/nothing }
    stick-table type string len 40 size 100
    stick on hdr(x-forwarded-for)
    server s1 SERVER
    server s2 SERVER
"#;

#[test]
#[ignore = "runs a real HAProxy"]
fn rules_do_to_messages_what_they_do_in_haproxy() {
    let server = echo();
    let folders = ["rules-theirs", "rules-ours"].map(Folder::new);
    let (theirs, _haproxy) = haproxy(CONFIGURATION, &folders[0], server);
    let (ours, _running) = ours(CONFIGURATION, &folders[1], server);
    let mut statuses = BTreeSet::new();
    for (source, path, fields) in requests() {
        let request = format!(
            "{source}\r\nGET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n"
        );
        let (expected, found) = (send(theirs, &request), send(ours, &request));
        assert_eq!(found, expected, "{request}");
        statuses.insert(expected.status);
    }
    let all = [
        "", "200", "201", "301", "302", "307", "403", "404", "410", "418", "429", "502",
    ];
    assert_eq!(statuses, all.map(str::to_owned).into());
    let tables = folders.map(|folder| {
        let table = configuration::ask(&folder.file("s.sock"), "show table other");
        let without = |word: &&str| !word.starts_with("0x") && !word.starts_with("exp=");
        let words = table.split_whitespace().filter(without);
        words.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(tables[1], tables[0]);
    assert!(tables[0].len() > 20, "{tables:?}");
}

fn requests() -> Vec<(&'static str, &'static str, &'static str)> {
    const HERE: &str = "PROXY TCP4 198.51.100.1 198.51.100.2 1000 80";
    const OTHER: &str = "PROXY TCP4 198.51.100.7 198.51.100.2 1000 80";
    const EXCEPT: &str = "PROXY TCP4 192.0.2.7 198.51.100.2 1000 80";
    const V6: &str = "PROXY TCP6 2001:db8::7 2001:db8::1 1000 80";
    const MAPPED: &str = "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1000 80";
    const REJECTED: &str = "PROXY TCP4 203.0.113.9 198.51.100.2 1000 80";
    let mut requests = vec![
        (REJECTED, "/", ""),
        ("PROXY TCP4 nonsense", "/", ""),
        (
            HERE,
            "/api/x?q",
            "X-One: sent\r\nX-Gone: 1\r\nX-Two: z\r\nX-Gone: 2\r\n",
        ),
        (HERE, "/x", "X-Forwarded-For: 9.9.9.9\r\n"),
        (HERE, "/x", "X-Client: 9.9.9.9\r\n"),
        (
            HERE,
            "/x",
            "X-Many-1: 1\r\nx-many-2: 2\r\nA-Last: 3\r\nX-AB: 4\r\nX-Abc: 5\r\n",
        ),
        (HERE, "/z", "X-Q: 1\r\n"),
        (OTHER, "/other", "X-Forwarded-For: 1.1.1.1\r\n"),
    ];
    for path in [
        "/deny",
        "/deny/not",
        "/busy",
        "/gone",
        "/tea",
        "/lf",
        "/return",
        "/health",
        "/health?a",
        "/old?a=b",
        "/old",
        "/pre?a",
        "/pre2?a",
        "/slash?a",
        "/plain?a",
        "/late",
        "/q",
        "/make/deny",
        "/missing",
        "/other",
        "/other/nothing",
    ] {
        requests.push((HERE, path, ""));
    }
    for source in [HERE, OTHER, EXCEPT, V6, MAPPED, HERE, OTHER] {
        requests.push((source, "/api/y", ""));
        requests.push((source, "/other", ""));
    }
    requests
}

fn adapted(text: &str, folder: &Folder, listen: SocketAddr, server: SocketAddr) -> String {
    let socket = folder.file("s.sock");
    let global = format!(
        "global\n    nbthread 1\n    stats socket {}",
        socket.display()
    );
    let text = text.replace("LISTEN", &listen.to_string());
    global + &text.replace("SERVER", &server.to_string())
}

pub(crate) fn ours(text: &str, folder: &Folder, server: SocketAddr) -> (SocketAddr, Running) {
    let listen = support::free_address();
    let text = adapted(text, folder, listen, server);
    (listen, configuration::run(&text, folder, &[]))
}

pub(crate) fn haproxy(text: &str, folder: &Folder, server: SocketAddr) -> (SocketAddr, Running) {
    let listen = support::free_address();
    let file = folder.file("haproxy.cfg");
    fs::write(&file, adapted(text, folder, listen, server)).expect("the folder can be written to");
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(&file);
    let running = Running::start(command.stderr(Stdio::null()), 0);
    let is_up = || TcpStream::connect(listen).is_ok();
    assert!(
        support::eventually(is_up),
        "{} does not run",
        file.display()
    );
    (listen, running)
}

/// A server that answers with what it received.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                head.extend(byte);
            }
            let length = head.len();
            let text = String::from_utf8_lossy(&head);
            let path = text.split(' ').nth(1).unwrap_or_default();
            let status = if path == "/missing" { 404 } else { 200 };
            // A proxy that goes away is its own affair.
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nX-Origin: one\r\nX-Path: {path}\r\nX-List: one, two ,\"two, x\"\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&head);
        }
    });
    address
}

/// An answer in parts that can be compared: the status, fields, and what the server got or
/// else the text of the proxy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) fields: BTreeSet<String>,
    pub(crate) body: Vec<String>,
}

pub(crate) fn send(proxy: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut answer = Vec::new();
    // One that is rejected may be reset.
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let mut answer = Answer {
        status: head.get(9..12).unwrap_or_default().to_owned(),
        fields: fields(head),
        body: Vec::new(),
    };
    if body.starts_with("GET ") {
        answer.body.extend(fields(body));
    } else if body.contains("<html>") || body.starts_with("forbidden by a rule") {
        // Each proxy has its own words for what it denies.
        answer
            .fields
            .retain(|field| !field.starts_with("content-type"));
    } else {
        answer.body.push(body.to_owned());
    }
    answer
}

/// The fields of a message but for those of one connection, and their order among others.
fn fields(head: &str) -> BTreeSet<String> {
    const OWN: [&str; 4] = ["cache-control", "connection", "content-length", "date"];
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let lines = lines.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let kept = lines.filter(|(name, _)| !OWN.contains(&name.as_str()));
    let mut numbers = 0..;
    kept.map(|(name, value)| {
        // Those of one name are in order.
        let number = if name == "x-two" {
            numbers.next()
        } else {
            None
        };
        format!(
            "{name}{}: {value}",
            number.map_or(String::new(), |n: u8| n.to_string())
        )
    })
    .collect()
}
