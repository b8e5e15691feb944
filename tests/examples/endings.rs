//! How `examples/proxy` counts what does not end well: beside a real HAProxy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::configured::{Service, TIMEOUTS};
use crate::statistics::{HaProxy, differences};
use crate::support::configuration::{Folder, ask};
use crate::support::{eventually, free_address};

/// A server that does what the path says.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(count) if count > 0 => seen.extend_from_slice(&bytes[..count]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&seen);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let answer = match path {
        "/empty" => "",
        "/junk" => "junk\r\n\r\n",
        "/denied" => "HTTP/1.1 200 OK\r\nX: denied\r\nContent-Length: 0\r\n\r\n",
        "/close" => "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };
    // A proxy that goes away is not the server's affair.
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    // Until the proxy closes: with bytes left to read it would be a reset.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn configuration(server: SocketAddr) -> String {
    format!(
        "frontend web\n bind LISTEN\n maxconn 100\n \
         http-request deny if {{ path /deny }}\n \
         http-request deny deny_status 500 if {{ path /deny500 }}\n \
         http-request return status 200 if {{ path /own }}\n \
         http-request redirect location /x if {{ path /redirect }}\n \
         stats uri /page\n stats http-request deny if {{ req.hdr(x) -m str denied }}\n \
         stats http-request auth if {{ req.hdr(x) -m str asked }}\n default_backend app\n\
         backend app\n fullconn 50\n \
         http-response deny if {{ res.hdr(x) -m str denied }}\n server s {server}\n\
         listen raw\n bind OTHER\n mode tcp\n maxconn 100\n fullconn 50\n \
         tcp-request inspect-delay 5s\n \
         tcp-request content reject if {{ req.payload(0,1) -m str x }}\n \
         tcp-request content accept if {{ req.len gt 0 }}\n server s {server}\n"
    )
}

/// Says it, and hears everything there is to hear.
fn say(address: SocketAddr, text: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    // Who is refused may find the connection reset.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn play(web: SocketAddr, raw: SocketAddr) {
    for path in [
        "/",
        "/deny",
        "/deny500",
        "/own",
        "/redirect",
        "/empty",
        "/junk",
        "/denied",
        "/close",
        "/page;csv",
    ] {
        say(
            web,
            &format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        );
    }
    for fields in [
        "Connection: close, x-a\r\nX-A: 1\r\n",
        "Connection:\r\nConnection: close\r\n",
        "X: denied\r\nConnection: close\r\n",
        "X: asked\r\nConnection: close\r\n",
    ] {
        let path = if fields.starts_with("X:") {
            "/page"
        } else {
            "/"
        };
        say(
            web,
            &format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"),
        );
    }
    let post = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: ";
    say(web, &format!("{post}gzip\r\n\r\n"));
    say(web, "GET\r\n\r\n");
    say(web, "GET / HTTP/1.1\r\nHo st: h\r\n\r\n");
    say(raw, "x");
    say(raw, "GET / HTTP/1.1\r\n\r\n");
}

#[test]
#[ignore = "runs a real HAProxy"]
fn what_does_not_end_well_is_counted_as_a_real_haproxy_does() {
    let text = configuration(server());
    let other = free_address();
    let socket = "global\n stats socket FOLDER/stats.sock\n";
    let own = socket.to_owned() + &text.replace("OTHER", &other.to_string());
    let service = Service::start("endings", &own);
    let folder = Folder::new("endings-haproxy");
    let (web, raw) = (free_address(), free_address());
    let path = folder.file("haproxy.sock");
    let its = socket.replace("FOLDER/stats.sock", &path.display().to_string());
    let its = its + TIMEOUTS + &text.replace("LISTEN", &web.to_string());
    let _haproxy = HaProxy::start(&its.replace("OTHER", &raw.to_string()), &folder);
    let beside = thread::spawn(move || play(web, raw));
    play(service.listen, other);
    beside.join().unwrap();
    let found = || {
        let ours = ask(&service.folder.file("stats.sock"), "show stat");
        differences(&ours, &ask(&path, "show stat"))
    };
    assert!(eventually(|| found().is_none()), "{:?}", found());
}
