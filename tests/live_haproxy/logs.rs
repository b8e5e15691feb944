//! Log lines: HAProxy and `examples/proxy -f` get the same requests with the same
//! configuration, and tell the same of them.
//!
//! Ports, dates and times are not compared, nor are the bytes of answers the proxy makes
//! itself: it has words of its own.

use std::io::{Read, Write};
use std::mem;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::program::Program;
use crate::support::{self, configuration::Folder};

const CONFIGURATION: &str = r#"
global
  stats socket SOCKET level admin
  log LOG format rfc5424 local3
  log-tag gateway
defaults
  mode http
  log global
  timeout client 700ms
  timeout server 700ms
  timeout connect 300ms
  timeout http-request 2s
frontend web
  bind LISTEN0
  option httplog
  capture request header X-A len 5
  capture request header X-B len 20
  capture response header Server len 8
  capture cookie S len 8
  http-request deny if { path /deny }
  http-request return status 200 content-type text/plain string hello if { path /return }
  http-request redirect location /elsewhere if { path /redirect }
  use_backend none if { path /none }
  use_backend dead if { path /dead }
  use_backend full if { path_beg /full }
  default_backend app
frontend all
  bind LISTEN1
  capture request header X-A len 50
  unique-id-format %ci-%[src]
  unique-id-header X-Id
  log-format "%ci %fi %ft %f %b/%s %ST %B %U %CC %CS %tsc %ts %hr %hs %hrl %hsl %{+Q}r HM=%HM HP=%HP HPO=%HPO HQ=%HQ HU=%HU HV=%HV ID=%ID rc=%rc sq=%sq bq=%bq si=%si sp=%sp bi=%bi lc=%lc %ac/%fc/%bc/%sc %sslc %sslv %{+X}ci %{+Q}s %{+E}HU %{+Q,+E}[src] %[dst] %[str(a)] %%"
  default_backend app
frontend common
  bind LISTEN2
  option httplog clf
  option log-separate-errors
  default_backend app
frontend told
  bind LISTEN3
  default_backend app
frontend bytes
  mode tcp
  bind LISTEN4
  option tcplog
  default_backend raw
frontend few
  bind LISTEN5
  option httplog
  option dontlog-normal
  default_backend app
frontend early
  bind LISTEN6
  option httplog
  option logasap
  http-request deny if { path /deny }
  http-response add-header X-A 0123456789
  http-response del-header server
  http-after-response set-header X-B 0123456789
  use_backend none if { path /none }
  default_backend app
frontend earlyformat
  bind LISTEN7
  option logasap
  option dontlog-normal
  log-format "%B %U %ST %ts %tsc %si %{+Q}r"
  default_backend app
frontend earlybytes
  mode tcp
  bind LISTEN8
  option tcplog
  option logasap
  option dontlognull
  default_backend raw
frontend data
  bind LISTEN9
  option httplog
  option dontlog-normal
  option log-separate-errors
  no option dontlog-normal
  error-log-format "E %ts %ST %b/%s %{+Q}r"
  log-format-sd "[ex@1 status=%ST uri=%{+Q,+E}HU]"
  default_backend app
frontend announced
  bind LISTEN10 accept-proxy
  option httplog
  option dontlognull
  log-format-sd "[ex@1]"
  default_backend app
frontend other
  mode tcp
  bind LISTEN11 accept-proxy name door
  error-log-format "E %ci %f %b/%s %ts %ST"
  default_backend raw
backend app
  cookie SRV insert
  server s1 SERVER cookie a
backend none
backend dead
  retries 1
  option redispatch
  server d1 127.0.0.1:1
  server d2 127.0.0.1:2
backend full
  timeout queue 100ms
  server f1 SERVER maxconn 1
backend raw
  mode tcp
  server r1 SERVER
"#;

/// The frontend and what is sent to it.
const REQUESTS: &[(usize, &str)] = &[
    (
        0,
        "GET /x\"?a=1 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 1234567\r\nCookie: A=1; S=12345678; SRV=a\r\n\r\n",
    ),
    (
        0,
        "GET /x HTTP/1.0\r\nX-B: a\"#{|}\\]\r\nCookie: SRV=zz\r\n\r\n",
    ),
    (0, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        0,
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde",
    ),
    (0, "GET /chunks HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /error HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /return HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /redirect HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /dead HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /half HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /silent HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n"),
    (0, "GET /noise HTTP/1.1\r\nHost: h\r\n\r\n"),
    (1, "GET /x/y?a=1&b HTTP/1.1\r\nHost: h\r\nX-A: ~ z\r\n\r\n"),
    (1, "GET http://h:81/x?a HTTP/1.1\r\nHost: h:81\r\n\r\n"),
    (1, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n"),
    (2, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (2, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n"),
    (3, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (4, "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    (4, "GET /silent HTTP/1.1\r\nHost: h\r\n\r\n"),
    (5, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (5, "GET /error HTTP/1.1\r\nHost: h\r\n\r\n"),
    (3, "no request\r\n\r\n"),
    (6, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "GET /half HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "GET /chunks HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "GET /error HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "GET /deny HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n"),
    (6, "no request\r\n\r\n"),
    (7, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (
        7,
        "POST /error HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde",
    ),
    (7, "GET /half HTTP/1.1\r\nHost: h\r\n\r\n"),
    (8, "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    (8, ""),
    (9, "GET /x\"]\\a HTTP/1.1\r\nHost: h\r\n\r\n"),
    (9, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n"),
    (9, "no request\r\n\r\n"),
    (10, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
    (10, "PROXY TCP4 1.2.3.4 192.0.2.1 7 8\r\nno request\r\n\r\n"),
    (10, "PROXY TCP4 1.2.3.4 192.0.2.1 7 8\r\nGET /x"),
    (11, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
];

/// What is normal where that is not told, and what is no request where only those who have
/// come are told of.
const UNTOLD: [(usize, &str); 3] = [(5, "GET /x "), (7, "GET /x "), (3, "no request")];

const FRONTENDS: usize = 12;

#[test]
#[ignore = "runs a real HAProxy"]
fn both_tell_the_same_of_requests() {
    let server = origin();
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("logs-{side}")));
    let [theirs, ours] = &folders;
    let (theirs, their_log) = start(theirs, server, Program::haproxy);
    let (ours, our_log) = start(ours, server, Program::ours);
    let mut told = 0;
    for (frontend, request) in REQUESTS {
        let expected = tell(&theirs, &their_log, *frontend, request);
        let found = tell(&ours, &our_log, *frontend, request);
        assert_eq!(found, expected, "{request}");
        told += usize::from(expected.is_some());
    }
    println!("{told} lines of {} requests are the same", REQUESTS.len());
    assert_eq!(told, REQUESTS.len() - UNTOLD.len(), "all others are told");
}

#[test]
#[ignore = "runs a real HAProxy"]
fn both_tell_the_same_of_a_queue() {
    let server = origin();
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("log-queue-{side}")));
    let [theirs, ours] = &folders;
    let started = [
        start(theirs, server, Program::haproxy),
        start(ours, server, Program::ours),
    ];
    let [expected, found] = started.map(|(program, log)| {
        let slow = "GET /full/slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let first = open(&program, 0, slow);
        // It has the slot once it is counted.
        let has_slot = || program.ask("show servers state full").contains(" f1 ");
        assert!(support::eventually(has_slot));
        thread::sleep(Duration::from_millis(30));
        let second = tell(&program, &log, 0, slow);
        drop(first);
        second
    });
    assert_eq!(found, expected);
    assert!(expected.is_some_and(|line| line.contains(" sQ-- ")));
}

type Start = fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program;

fn start(folder: &Folder, server: SocketAddr, start: Start) -> (Program, UdpSocket) {
    let log = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listen: Vec<_> = (0..FRONTENDS).map(|_| support::free_address()).collect();
    let mut text = CONFIGURATION.replace("SERVER", &server.to_string());
    text = text.replace("LOG", &log.local_addr().unwrap().to_string());
    text = text.replace("SOCKET", &folder.file("stats.sock").display().to_string());
    for (index, address) in listen.iter().enumerate().rev() {
        text = text.replace(&format!("LISTEN{index}"), &address.to_string());
    }
    let program = start(&text, folder, &[], listen);
    // What was told of the first connections, made to see whether it runs.
    log.set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    while receive(&log).is_some() {}
    (program, log)
}

fn receive(log: &UdpSocket) -> Option<String> {
    let mut line = [0; 4_096];
    let length = log.recv(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line[..length]).into_owned())
}

fn open(program: &Program, frontend: usize, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(program.address(frontend)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// What is told of a request whose client says nothing more.
fn tell(program: &Program, log: &UdpSocket, frontend: usize, request: &str) -> Option<String> {
    let mut stream = open(program, frontend, request);
    let is_meant = |(of, begin): &(usize, &str)| *of == frontend && request.starts_with(begin);
    let is_told = !UNTOLD.iter().any(is_meant);
    let limit = if is_told { 5_000 } else { 300 };
    log.set_read_timeout(Some(Duration::from_millis(limit)))
        .unwrap();
    // The end of an answer is known by its length, so that the connection is the client's
    // to close: not before the line is there.
    let line = receive(log);
    let _ = stream.shutdown(Shutdown::Both);
    let _ = stream.read(&mut [0; 1]);
    line.map(|line| normalised(&line))
}

/// A line without ports, dates, times and numbers of processes.
fn normalised(line: &str) -> String {
    let line = line.trim_end();
    let header: Vec<_> = line.splitn(7, ' ').collect();
    let [priority, _, _, tag, _, "-", text] = header[..] else {
        panic!("{line}");
    };
    let (data, text) = match text.split_once("] ") {
        Some((data, text)) if data.starts_with("[ex@1") => (data, text),
        _ => ("", text.strip_prefix("- ").expect(line)),
    };
    // Why a client is turned away is said in other words.
    let text = match text.split_once("announced/1: ") {
        Some((before, _)) => &text[..before.len() + "announced/1:".len()],
        None => text,
    };
    // Times come before connections.
    let mut is_time = true;
    let mut words: Vec<_> = text.split(' ').map(|it| word(it, &mut is_time)).collect();
    let is_own = text.contains("<NOSRV>")
        || ["SH", "sH", "PH", "SC", "CR"]
            .iter()
            .any(|end| text.contains(&format!(" {end}")));
    let is_common = text.starts_with("127.0.0.1 - - ");
    let bytes = if is_common { 9 } else { 6 };
    if is_own && words.len() > bytes {
        words[bytes] = "BYTES".into();
    }
    if is_common {
        // The port, milliseconds and times.
        for at in [12, 13].into_iter().chain(17..22) {
            if words[at] != "-1" {
                words[at] = "N".into();
            }
        }
    }
    format!("{priority} {tag} {data} {}", words.join(" "))
}

fn word(word: &str, is_time: &mut bool) -> String {
    if word.starts_with('[') {
        return "[DATE]".into();
    }
    if word == "+0000]" {
        return String::new();
    }
    let is_ending = |text: &str| text.starts_with("127.0.0.1:");
    if is_ending(word) {
        return "127.0.0.1:PORT".into();
    }
    let numbers: Vec<_> = word.split('/').collect();
    let is_numbers = numbers.iter().all(|number| number.parse::<i64>().is_ok());
    if numbers.len() < 3 || !is_numbers {
        return word.to_owned();
    }
    let is_time = mem::replace(is_time, false);
    // Times, and connections there are: those of clients that have just left, too.
    let masked = numbers.iter().map(|number| match *number {
        "-1" => "-1",
        number if number.starts_with('+') && is_time => "+N",
        number if number.starts_with('+') => number,
        _ => "N",
    });
    masked.collect::<Vec<_>>().join("/")
}

/// A server that does as the path says.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4_096];
    while !seen.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&seen).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.trim_start_matches("http://h:81");
    let path = path.split('?').next().unwrap_or_default();
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nSet-Cookie: S=abc; path=/\r\n\
        Server: a server\r\n\r\n";
    let answer = match path {
        "/chunks" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        "/error" => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nabc",
        "/half" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        "/noise" => "noise\r\n\r\n",
        "/close" => return,
        "/silent" => return drop(stream.read(&mut buffer)),
        "/full/slow" => {
            thread::sleep(Duration::from_millis(400));
            plain
        }
        _ => plain,
    };
    let body = if answer == plain && !head.starts_with("HEAD") {
        "0123456789"
    } else {
        ""
    };
    // The proxy may have gone.
    let _ = stream.write_all(format!("{answer}{body}").as_bytes());
}
