//! What `examples/proxy -f` does with those who wish it no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::client;
use crate::configured::{Service, echo};
use crate::server::serve_kept_alive;
use crate::support::configuration::{Folder, ask, run};
use crate::support::{eventually, free_address, tunnel, wire};

#[test]
fn a_client_cannot_have_removed_what_the_proxy_adds() {
    let text = format!(
        "listen web\n bind LISTEN\n option forwardfor\n \
         http-request set-header X-Trusted yes\n server s {}\n",
        echo()
    );
    let service = Service::start("listed", &text);
    let fields =
        "Connection: X-Forwarded-For, X-TRUSTED, x-hop, Host, content-length\r\nX-Hop: 1\r\n";
    let heard = service.get("/", fields).to_ascii_lowercase();
    for kept in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-trusted: yes\r\n",
        "host: h\r\n",
    ] {
        assert!(heard.contains(kept), "{kept}: {heard}");
    }
    assert!(!heard.contains("x-hop"), "{heard}");
}

#[test]
fn an_operator_who_never_reads_does_not_keep_others_out() {
    let text = "global\n stats socket FOLDERs.sock\n stats maxconn 1\n stats timeout 1s\n\
                listen web\n bind LISTEN\n server s 127.0.0.1:1\n";
    let service = Service::start("deaf", text);
    let socket = service.folder.file("s.sock");
    let mut deaf = UnixStream::connect(&socket).unwrap();
    // More than the operating system keeps for him.
    let line = "help;".repeat(3_000) + "\n";
    deaf.write_all(line.as_bytes()).unwrap();
    let mut other = UnixStream::connect(&socket).unwrap();
    let limit = Some(Duration::from_secs(60));
    other.set_read_timeout(limit).unwrap();
    other.write_all(b"show backend\n").unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).expect("he is heard");
    assert_eq!(answer, "# name\nweb\n\n");
}

#[test]
fn a_server_that_has_moved_gets_nothing_at_its_old_address() {
    let [(old, _), (new, seen)] = [serve_kept_alive(), serve_kept_alive()];
    let text = format!(
        "global\n stats socket FOLDERs.sock level admin\n\
         listen web\n bind LISTEN\n server s {old}\n"
    );
    let service = Service::start("moved", &text);
    assert!(service.get("/", "").starts_with("HTTP/1.1 200"));
    let order = format!("set server web/s addr 127.0.0.1 port {}", new.port());
    assert!(ask(&service.folder.file("s.sock"), &order).contains("port changed"));
    assert!(service.get("/", "").starts_with("HTTP/1.1 200"));
    assert_eq!(seen.load(Relaxed), 1);
}

#[test]
fn hostile_bytes_come_to_what_the_table_says() {
    let folder = Folder::new("wire");
    let [listen, proxied] = [free_address(), free_address()];
    let text = wire::configuration(wire::serve());
    let text = text.replace("LISTEN", &listen.to_string());
    let text = text.replace("PROXIED", &proxied.to_string());
    let _running = run(&text, &folder, &[]);
    let wrong = wire::failures(listen, proxied, wire::Row::ours);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tunnels_are_carried() {
    let service = Service::start("tunnel", &tunnel::configuration(tunnel::serve()));
    tunnel::check(service.listen, 1);
}

#[test]
fn a_graceful_stop_waits_for_tunnels() {
    let mut service = Service::start("tunnel-stop", &tunnel::configuration(tunnel::serve()));
    let mut tunnel = tunnel::begin(service.listen);
    let child = service.running.child();
    let kill = format!("kill -TERM {}", child.id());
    let killed = client::run(Command::new("sh").args(["-c", &kill]));
    assert!(killed.status.success());
    let closed = || TcpStream::connect(service.listen).is_err();
    assert!(eventually(closed), "nobody is let in any more");
    for _ in 0..3 {
        tunnel.write_all(b"still here").unwrap();
        let mut heard = [0; 10];
        tunnel.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"still here");
    }
    drop(tunnel);
    assert_eq!(service.running.child().wait().unwrap().code(), Some(0));
}

#[test]
fn an_empty_page_is_no_answer() {
    let text = "listen web\n bind LISTEN\n timeout http-request 200ms\n \
                errorfile 408 /dev/null\n errorfile 403 /dev/null\n \
                http-request deny\n server s 127.0.0.1:1\n";
    let service = Service::start("silent", text);
    assert_eq!(service.get("/", ""), "");
    let mut late = TcpStream::connect(service.listen).unwrap();
    late.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "");
}

/// What is behind an answer must not be taken for the answer to somebody else.
#[test]
fn bytes_behind_an_answer_reach_nobody() {
    let text = wire::configuration(wire::serve());
    let text = text.replace(
        "backend app\n",
        "backend app\n http-reuse always\n retries 0\n",
    );
    let service = Service::start(
        "leftover",
        &text.replace("PROXIED", &free_address().to_string()),
    );
    for round in 0..200 {
        assert!(service.get("/two", "").ends_with("\r\n\r\nok"));
        let answer = service.get("/ok", "");
        assert!(answer.ends_with("\r\n\r\nok"), "round {round}: {answer}");
    }
}
