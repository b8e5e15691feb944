//! The examples do what they say: each is started as its documentation tells, and used.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use support::{Running, eventually, example, free_address};

#[test]
fn the_examples_without_a_network_prove_what_they_print() {
    for (name, last) in [
        ("custom_selector", "app4 has no zone"),
        ("drain_server", "late client: app1 by balance (IN)"),
    ] {
        let output = run(Command::new(example(name)).env_clear());
        assert!(output.status.success(), "{name}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim_end().lines().last().map(str::trim), Some(last));
    }
}

#[test]
#[ignore = "needs curl"]
fn the_curl_lines_of_the_proxy_show_stickiness_and_balancing() {
    let proxy = Proxy::start(&[], 7);
    let lines = &proxy.program.lines;
    let curl: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("curl "))
        .collect();
    let folder = std::env::temp_dir().join(format!("stickroute-curl-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let visit = |line: &str| -> Vec<String> {
        let output = run(Command::new("sh").args(["-c", line]).current_dir(&folder));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let servers = text.lines().filter_map(|line| line.split(' ').next());
        servers.map(str::to_owned).collect()
    };

    let sticky = visit(curl[0]);
    assert_eq!(sticky.len(), 6);
    assert!(
        sticky.iter().all(|server| *server == sticky[0]),
        "{sticky:?}"
    );
    assert_eq!(visit(curl[0]), sticky, "the jar outlives the first visit");
    let mut balanced = visit(curl[1]);
    balanced.sort();
    assert_eq!(balanced, ["app1", "app1", "app2", "app2", "app3", "app3"]);

    proxy.order(&format!("set server app/{} state drain", sticky[0]));
    assert_eq!(visit(curl[0]), sticky, "a drained server keeps its clients");
    assert!(!visit(curl[1]).contains(&sticky[0]), "and gets no new ones");
    proxy.order(&format!("set server {} state maint", sticky[0]));
    let moved = visit(curl[0]);
    assert!(
        moved
            .iter()
            .all(|server| *server == moved[0] && *server != sticky[0])
    );

    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(proxy.stop("INT").code(), Some(0));
}

#[test]
fn wrong_arguments_are_refused_with_a_reason() {
    let cases: [(&str, &[&str], &str); 8] = [
        (
            "minimal_proxy",
            &[],
            "usage: minimal_proxy LISTEN SERVER...",
        ),
        (
            "minimal_proxy",
            &["nonsense", "127.0.0.1:1"],
            "cannot listen on \"nonsense\"",
        ),
        ("minimal_proxy", &["127.0.0.1:0"], "no server"),
        ("proxy", &["--colour"], "unknown option \"--colour\""),
        (
            "proxy",
            &["--retries", "many"],
            "--retries \"many\": expected a number",
        ),
        (
            "proxy",
            &["--admin", "0.0.0.0:1"],
            "expected a loopback address",
        ),
        (
            "proxy",
            &["--cookie", "SRV insert prefix"],
            "cookie directive refused",
        ),
        (
            "proxy",
            &["--server", "a 127.0.0.1:1 colour"],
            "unknown word \"colour\"",
        ),
    ];
    for (name, arguments, reason) in cases {
        let output = run(Command::new(example(name)).args(arguments));
        assert_eq!(output.status.code(), Some(2), "{name} {arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(reason), "{name} {arguments:?}: {text}");
    }
    let help = run(Command::new(example("proxy")).arg("--help"));
    assert!(help.status.success() && help.stdout.starts_with(b"A sticky reverse proxy."));
}

#[test]
fn the_minimal_proxy_moves_clients_of_a_server_that_refuses_connections() {
    let (dead, living) = (free_address(), serve(|_| page("")));
    let mut command = Command::new(example("minimal_proxy"));
    command.args([
        "127.0.0.1:0".to_owned(),
        dead.to_string(),
        living.to_string(),
    ]);
    let program = Running::start(&mut command, 1);
    let proxy = program.address("http://");

    let answer = exchange(proxy, "GET / HTTP/1.1\r\nHost: h\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("set-cookie: SRV=s2; path=/\r\n"),
        "{answer}"
    );
}

#[test]
fn the_minimal_proxy_redispatches_persisted_clients_on_the_last_retry() {
    let (dead, living) = (free_address(), serve(|_| page("")));
    let mut command = Command::new(example("minimal_proxy"));
    command.args([
        "127.0.0.1:0".to_owned(),
        dead.to_string(),
        living.to_string(),
    ]);
    let program = Running::start(&mut command, 1);
    let proxy = program.address("http://");

    let request = "POST / HTTP/1.1\r\nHost: h\r\nCookie: SRV=s1\r\nContent-Length: 5\r\n";
    let answer = exchange(proxy, request, "hello");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("set-cookie: SRV=s2; path=/\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n0 cookies, 5 bytes"), "{answer}");
}

#[test]
fn without_a_server_the_client_is_told_so() {
    let dead = format!("a {}", free_address());
    let proxy = Proxy::start(&["--server", &dead, "--retries", "0"], 2);
    let answer = exchange(proxy.listen(), "GET / HTTP/1.1\r\nHost: h\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    proxy.order("set server a state maint");
    let answer = exchange(proxy.listen(), "GET / HTTP/1.1\r\nHost: h\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[test]
fn a_server_that_hangs_up_gives_502_and_loses_its_slot() {
    let proxy = Proxy::before(serve(|_| Vec::new()));
    let answer = exchange(proxy.listen(), "GET / HTTP/1.1\r\nHost: h\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(eventually(|| proxy.in_flight() == "0"));
}

#[test]
fn a_server_that_closes_idle_connections_is_no_error() {
    // Each connection is kept alive by its headers, and closed all the same.
    let proxy = Proxy::before(serve(|_| page("")));
    for number in 0..500 {
        let method = ["GET", "POST", "DELETE", "PUT"][number % 4];
        let request = format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n");
        let answer = exchange(proxy.listen(), &request, "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{number}: {answer}");
    }
}

#[test]
fn connections_to_servers_and_clients_are_kept_alive() {
    let (server, seen) = serve_kept_alive();
    let proxy = Proxy::before(server);
    let mut command = Command::new(example("minimal_proxy"));
    let minimal = Running::start(command.args(["127.0.0.1:0", &server.to_string()]), 1);
    for (proxy, most) in [(proxy.listen(), 2), (minimal.address("http://"), 4)] {
        let mut client = TcpStream::connect(proxy).unwrap();
        for _ in 0..20 {
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                .unwrap();
            let mut answer = [0; 15];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
            read_to(&mut client, b"0 cookies, 0 bytes");
            // The connection is free again once the proxy has seen the end.
            thread::sleep(Duration::from_millis(5));
        }
        assert!(
            seen.load(Relaxed) <= most,
            "{} connections",
            seen.load(Relaxed)
        );
    }
}

fn read_to(stream: &mut TcpStream, end: &[u8]) {
    let mut received = Vec::new();
    let mut byte = [0];
    while !received.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        received.push(byte[0]);
    }
}

#[test]
fn fields_pass_byte_for_byte_and_in_order() {
    let set = "Set-Cookie: a=1\r\nSet-Cookie: b=\u{e9}\r\nKeep-Alive: x\r\nSet-Cookie: c=3\r\n";
    let proxy = Proxy::before(serve(move |_| page(set)));
    let request = "GET / HTTP/1.1\r\nHost: h\r\nCookie: k=\u{ff}\u{e9}\r\n";
    let answer = exchange(proxy.listen(), request, "");
    let cookies: Vec<&str> = answer
        .lines()
        .filter(|l| l.starts_with("set-cookie"))
        .collect();
    let expected = ["set-cookie: a=1", "set-cookie: b=\u{e9}", "set-cookie: c=3"];
    assert_eq!(cookies[..3], expected);
    assert!(!answer.contains("keep-alive"), "{answer}");
}

#[test]
fn a_large_body_streams_through_and_a_client_that_leaves_frees_the_slot() {
    let big = "x".repeat(8 << 20);
    let proxy = Proxy::before(serve(|_| page("")));
    let request = format!(
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n",
        big.len()
    );
    let answer = exchange(proxy.listen(), &request, &big);
    assert!(
        answer.ends_with(&format!("0 cookies, {} bytes", big.len())),
        "{answer}"
    );

    let mut client = TcpStream::connect(proxy.listen()).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    client.write_all(b"\r\nonly the beginning").unwrap();
    assert!(eventually(|| proxy.in_flight() == "1"));
    drop(client);
    assert!(eventually(|| proxy.in_flight() == "0"));
}

#[test]
fn each_request_is_logged_on_one_line() {
    let server = format!("a {} cookie a", serve(|_| page("")));
    let mut command = Command::new(example("proxy"));
    command.args(["--server", &server, "--cookie", "SRV insert"]);
    let mut program = Running::start(command.stderr(Stdio::piped()), 1);
    let listen = program.address("http://");
    for cookie in ["", "Cookie: SRV=a\r\n", "Cookie: SRV=z\r\n"] {
        exchange(
            listen,
            &format!("GET /x HTTP/1.1\r\nHost: h\r\n{cookie}"),
            "",
        );
    }
    let log = program.child().stderr.take().unwrap();
    let lines = BufReader::new(log).lines().take(3).map(Result::unwrap);
    let told: Vec<String> = lines
        .map(|line| line.split(": ").nth(1).unwrap_or_default().to_owned())
        .map(|told| told.rsplit_once(", ").unwrap_or_default().0.to_owned())
        .collect();
    let expected = ["a by balance (NI)", "a by cookie (VN)", "a by balance (II)"];
    assert_eq!(
        told,
        expected.map(|why| format!("{why}, retries 0, status 200"))
    );
}

#[test]
fn what_is_not_supported_is_refused_clearly() {
    let proxy = Proxy::before(serve(|_| page("")));
    for request in [
        "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    ] {
        let answer = exchange(proxy.listen(), request, "");
        assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    }
}

#[test]
fn the_control_port_answers_orders_and_hangs_up_on_anything_else() {
    let proxy = Proxy::before(serve(|_| page("")));
    for (order, answer) in [
        ("set server a state drain", "\n"),
        ("set server app/a weight 50%", "\n"),
        ("set server a health stopping", "\n"),
        (
            "set server b state drain",
            "no server \"b\" in this backend\n\n",
        ),
        ("set server web/a state drain", "no backend \"web\"\n\n"),
        (
            "set server a weight 257",
            "expected a weight from 0 to 256, or a percentage\n\n",
        ),
        (
            "POST / HTTP/1.1\nset server a state maint",
            "expected: set server ..., or: show servers\n\n",
        ),
    ] {
        assert_eq!(proxy.order(order), answer, "{order}");
    }
    assert!(
        proxy
            .order("show servers")
            .contains("drain       stopping      0")
    );
}

#[test]
fn an_order_to_stop_lets_the_request_under_way_end() {
    let slow = serve(|_| {
        thread::sleep(Duration::from_millis(300));
        page("")
    });
    let proxy = Proxy::before(slow);
    let listen = proxy.listen();
    let client = thread::spawn(move || exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", ""));
    assert!(eventually(|| proxy.in_flight() == "1"));
    assert_eq!(proxy.stop("TERM").code(), Some(0));
    assert!(client.join().unwrap().starts_with("HTTP/1.1 200"));
}

/// `examples/proxy` with a control port.
struct Proxy {
    program: Running,
}

impl Proxy {
    fn start(arguments: &[&str], lines: usize) -> Self {
        let mut command = Command::new(example("proxy"));
        command.args(["--admin", "127.0.0.1:0"]).args(arguments);
        command.stderr(Stdio::null());
        Self {
            program: Running::start(&mut command, lines),
        }
    }

    /// Before one server, `a`, with a cookie.
    fn before(server: SocketAddr) -> Self {
        let server = format!("a {server} cookie a");
        Self::start(&["--server", &server, "--cookie", "SRV insert"], 2)
    }

    fn listen(&self) -> SocketAddr {
        self.program.address("http://")
    }

    /// Gives an order and returns the answer.
    fn order(&self, order: &str) -> String {
        let mut control = TcpStream::connect(self.program.address("control ")).unwrap();
        control.write_all(format!("{order}\n").as_bytes()).unwrap();
        control.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        control.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sessions on the first server.
    fn in_flight(&self) -> String {
        let table = self.order("show servers");
        let row = table.lines().nth(1).unwrap_or_default();
        row.split_whitespace().last().unwrap_or_default().to_owned()
    }

    /// Sends a signal and waits for the end.
    fn stop(mut self, signal: &str) -> ExitStatus {
        let child = self.program.child();
        let kill = format!("kill -{signal} {}", child.id());
        assert!(run(Command::new("sh").args(["-c", &kill])).status.success());
        child.wait().unwrap()
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// A server that answers each connection's first request, with what `answer` makes of its
/// head, and then closes the connection.
fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    listen(move |mut stream| {
        if let Some((head, length)) = read_request(&mut stream) {
            reply(&mut stream, &answer(&head), &head, length);
        }
    })
}

/// A server that keeps connections alive, and the number of connections it has seen.
fn serve_kept_alive() -> (SocketAddr, Arc<AtomicUsize>) {
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
fn page(fields: &str) -> Vec<u8> {
    bytes(&format!(
        "HTTP/1.1 200 OK\r\n{fields}Content-Length: {{size}}\r\n\r\n{{text}}"
    ))
}

/// Sends a request and reads until the proxy closes the connection.
fn exchange(proxy: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.write_all(&bytes(head)).unwrap();
    stream.write_all(b"Connection: close\r\n\r\n").unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    latin1(&answer)
}

/// One character a byte, so that tests can show any byte.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes(latin1: &str) -> Vec<u8> {
    latin1.chars().map(|char| char as u8).collect()
}
