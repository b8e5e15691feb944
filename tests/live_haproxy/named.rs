//! Servers that requests name, by `use-server %[...]` and by RDP cookies, in HAProxy and in
//! `examples/proxy -f`: the same file, the same orders, the same requests.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::client;
use crate::origin::SERVER;
use crate::program::Program;
use crate::support;
use crate::support::configuration::Folder;

const CONFIGURATION: &str = "\
global
  stats socket SOCKET level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
listen web
  bind LISTEN1
  balance first
  use-server %[hdr(x)] if { hdr(x) -m found }
  use-server s%[path,field(2,/)] if { path_beg /1 /2 /3 }
  use-server s2 if { path /two }
  server s1 SERVER1
  server s2 SERVER2
  server s3 SERVER3
listen desk
  mode tcp
  bind LISTEN2
  balance first
  tcp-request inspect-delay 500ms
  tcp-request content accept if RDP_COOKIE
  persist rdp-cookie
  use-server s2 if { req.rdp_cookie(user) -m found }
  server s1 SERVER1
  server s2 SERVER2
  server s3 SERVER3
listen kept
  mode tcp
  bind LISTEN3
  balance first
  option persist
  tcp-request inspect-delay 500ms
  tcp-request content accept if RDP_COOKIE
  persist rdp-cookie(farm)
  server s1 SERVER1
  server s2 SERVER2
  server s3 SERVER3
";

#[test]
#[ignore = "runs a real HAProxy for some seconds; see the top of this file"]
fn requests_name_their_servers_as_in_haproxy() {
    println!("{}", crate::haproxy::version());
    let servers = ["s1", "s2", "s3"].map(server);
    let [expected, found] = [Program::haproxy, Program::ours].map(|start| {
        let folder = Folder::new("named");
        let listen = [(); 3].map(|()| support::free_address());
        let text = text(&folder, listen, servers);
        let program = start(&text, &folder, &[], listen.to_vec());
        ["ready", "drain", "maint"].map(|state| {
            for backend in ["web", "desk", "kept"] {
                let _ = program.ask(&format!("set server {backend}/s3 state {state}"));
            }
            answers(listen, servers)
        })
    });
    println!("{expected:#?}");
    assert_eq!(found, expected);
}

fn text(folder: &Folder, listen: [SocketAddr; 3], servers: [SocketAddr; 3]) -> String {
    let socket = folder.file("stats.sock");
    let mut text = CONFIGURATION.replace("SOCKET", &socket.display().to_string());
    for (number, (listen, server)) in listen.iter().zip(servers).enumerate() {
        let number = number + 1;
        text = text.replace(&format!("LISTEN{number}"), &listen.to_string());
        text = text.replace(&format!("SERVER{number}"), &server.to_string());
    }
    text
}

/// What is asked, and who answers.
fn answers(listen: [SocketAddr; 3], servers: [SocketAddr; 3]) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for path in ["/", "/two", "/1/x", "/3", "/3/x", "/33", "/2?a"] {
        for fields in ["", "X: s3\r\n", "X: nope\r\n", "X:\r\n", "X: s3, s2\r\n"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}Connection: close\r\n\r\n");
            let begun = client::begin(listen[0], Ipv4Addr::LOCALHOST, request.as_bytes());
            let (answer, _) = begun.expect("there is an answer");
            answers.push((
                format!("{path} {fields}"),
                answer.server.unwrap_or_default(),
            ));
        }
    }
    let [_, second, third] = servers.map(token);
    for cookie in [
        format!("msts={third}.0000"),
        format!("MSTS={second}.0000"),
        format!("msts={third}"),
        format!("msts={third}."),
        format!("msts={third}x.0000"),
        format!("mstshash={third}.0000"),
        format!("farm={third}.0000"),
        format!("farm={second}.0000"),
        format!("user={third}.0000"),
        "msts=1.1.0000".to_owned(),
        "msts=".to_owned(),
    ] {
        for (name, proxy) in [("desk", listen[1]), ("kept", listen[2])] {
            answers.push((format!("{name} {cookie}"), connected(proxy, &cookie)));
        }
    }
    answers
}

/// How a terminal server names itself.
fn token(server: SocketAddr) -> String {
    let address = u32::from_le_bytes(Ipv4Addr::LOCALHOST.octets());
    format!("{address}.{}", server.port().swap_bytes())
}

/// The server of an RDP client with this cookie.
fn connected(proxy: SocketAddr, cookie: &str) -> String {
    let cookie = format!("Cookie: {cookie}\r\n");
    let length = 11 + cookie.len() as u8;
    let headers = [3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
    let mut stream = TcpStream::connect(proxy).expect("it listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("it can be set");
    let packet = [&headers, cookie.as_bytes()].concat();
    stream.write_all(&packet).expect("it is taken");
    let mut name = [0; 2];
    match stream.read_exact(&mut name) {
        Ok(()) => String::from_utf8_lossy(&name).into_owned(),
        Err(error) => error.kind().to_string(),
    }
}

/// A server that says its name: in an answer to what begins like HTTP, else at once.
fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut first = [0; 1];
                let _ = stream.read_exact(&mut first);
                let answer = if first == *b"G" {
                    format!(
                        "HTTP/1.1 200 OK\r\n{SERVER}: {name}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )
                } else {
                    name.to_owned()
                };
                // Whoever is gone does not want it.
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}
