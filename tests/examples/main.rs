//! The examples do what they say: each is started as its documentation tells, and used.

mod checks;
mod client;
mod command_line;
mod configured;
mod endings;
mod hostile;
mod published;
mod readers;
mod retries;
mod server;
mod service;
mod statistics;
#[path = "../support/mod.rs"]
mod support;
mod takeover;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use client::{Proxy, exchange, run};
use server::{page, serve, serve_kept_alive};
use support::{Running, eventually, example, free_address};

#[test]
fn the_examples_without_a_network_prove_what_they_print() {
    for (name, last) in [
        ("custom_selector", "app4 has no zone"),
        ("drain_server", "late client: app1 by balance (IN)"),
        ("wait_for_a_slot", "late: done"),
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
    let mut proxy = Proxy::start(&[], 7);
    let lines = proxy.program.lines.iter();
    let curl: Vec<_> = lines.filter(|line| line.starts_with("curl ")).collect();
    let folder = std::env::temp_dir().join(format!("stickroute-curl-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let with_jar = || servers_of(curl[0], &folder);
    let without = || servers_of(curl[1], &folder);

    let sticky = with_jar();
    assert!(
        sticky.len() == 6 && all_are(&sticky, &sticky[0]),
        "{sticky:?}"
    );
    assert_eq!(with_jar(), sticky, "the jar outlives the first visit");
    let mut balanced = without();
    balanced.sort();
    assert_eq!(balanced, ["app1", "app1", "app2", "app2", "app3", "app3"]);

    proxy.order(&format!("set server app/{} state drain", sticky[0]));
    assert_eq!(with_jar(), sticky, "a drained server keeps its clients");
    assert!(!without().contains(&sticky[0]), "and gets no new ones");
    proxy.order(&format!("set server app/{} state maint", sticky[0]));
    let moved = with_jar();
    assert!(
        moved[0] != sticky[0] && all_are(&moved, &moved[0]),
        "{moved:?}"
    );

    fs::remove_dir_all(&folder).unwrap();
    proxy.signal("INT");
    assert_eq!(proxy.end().code(), Some(0));
}

/// Runs one of the lines, and names the server of each answer.
fn servers_of(line: &str, folder: &Path) -> Vec<String> {
    let output = run(Command::new("sh").args(["-c", line]).current_dir(folder));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

fn all_are(servers: &[String], expected: &str) -> bool {
    servers.iter().all(|server| server == expected)
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
        // HAProxy's exit status, where it is asked like HAProxy.
        let code = if name == "proxy" { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(reason), "{name} {arguments:?}: {text}");
    }
}

#[test]
fn the_proxy_explains_its_options() {
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
    proxy.order("set server app/a state maint");
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
    for proxy in [proxy.listen(), minimal.address("http://")] {
        let before = seen.load(Relaxed);
        let mut client = TcpStream::connect(proxy).unwrap();
        for _ in 0..20 {
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                .unwrap();
            let mut answer = [0; 15];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
            read_to(&mut client, b"0 cookies, 0 bytes");
            // The connection is free again once the proxy has seen the end, which can last.
            thread::sleep(Duration::from_millis(10));
        }
        let connections = seen.load(Relaxed) - before;
        assert!(connections <= 10, "{connections} connections");
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
    let mut log = BufReader::new(program.child().stderr.take().unwrap()).lines();
    let told = ["", "Cookie: SRV=a\r\n", "Cookie: SRV=z\r\n"].map(|cookie| {
        let head = format!("GET /x HTTP/1.1\r\nHost: h\r\n{cookie}");
        exchange(listen, &head, "");
        // The line may come after the answer, and even after that to the next request.
        let line = log.next().unwrap().unwrap();
        let told = line.split(": ").nth(1).unwrap_or_default();
        told.rsplit_once(", ").unwrap_or_default().0.to_owned()
    });
    let expected = ["a by balance (NI)", "a by cookie (VN)", "a by balance (II)"];
    assert_eq!(
        told,
        expected.map(|why| format!("{why}, retries 0, status 200"))
    );
}

#[test]
fn the_control_port_takes_the_commands_of_haproxy_one_line_at_a_time() {
    let proxy = Proxy::before(serve(|_| page("")));
    for (order, answer) in [
        ("set server app/a state drain", "\n"),
        (
            "set server app/a weight 50%; get weight app/#1",
            "\n0 (initial 1)\n\n",
        ),
        ("set server app/a health stopping", "\n"),
        ("set server app/b state drain", "No such server.\n\n"),
        ("set server web/a state drain", "No such backend.\n\n"),
        (
            "show backend\nset server app/a state maint",
            "# name\napp\n\n",
        ),
        (
            "prompt\nget weight app/a\nprompt\nshow backend",
            "\n> 0 (initial 1)\n\n> \n",
        ),
    ] {
        assert_eq!(proxy.order(order), answer, "{order}");
    }
    let http = proxy.order("POST / HTTP/1.1\nset server app/a state maint");
    assert!(http.starts_with("Unknown command."), "{http}");
    let state = proxy.order("show servers state app");
    let row = state.lines().nth(2).unwrap_or_default();
    assert!(row.starts_with("3 app 1 a 127.0.0.1 3 8 0 1 "), "{state}");
}

#[test]
fn an_order_to_stop_lets_the_request_under_way_end() {
    let ordered = Arc::new(AtomicBool::new(false));
    let is_ordered = Arc::clone(&ordered);
    let slow = serve(move |_| {
        eventually(|| is_ordered.load(Relaxed));
        // The order is followed a little later than it is given.
        thread::sleep(Duration::from_millis(200));
        page("")
    });
    let mut proxy = Proxy::before(slow);
    let listen = proxy.listen();
    let client = thread::spawn(move || exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", ""));
    assert!(eventually(|| proxy.in_flight() == "1"));
    proxy.signal("TERM");
    ordered.store(true, Relaxed);
    assert_eq!(proxy.end().code(), Some(0));
    assert!(client.join().unwrap().starts_with("HTTP/1.1 200"));
}
