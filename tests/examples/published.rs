//! The published configurations, run by `examples/proxy -f` before real servers.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::client;
use crate::server::{bytes, latin1, serve};
use crate::support::configuration::{Folder, Moved, ask, published, run};
use crate::support::{Running, connect_from, example};

/// The file must load as it stands.
fn is_valid(name: &str) {
    let mut check = Command::new(example("proxy"));
    let output = client::run(check.arg("-c").arg("-f").arg(published(name)));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {log}");
    let peers = log.matches("not replicated to peers yet").count();
    assert_eq!(peers, usize::from(name.starts_with("05")), "{name}: {log}");
}

/// One of the configurations at work.
struct Service {
    at: Moved,
    folder: Folder,
    _running: Running,
}

impl Service {
    fn start(name: &str) -> Self {
        is_valid(name);
        let folder = Folder::new(name);
        let at = Moved::new(name, &folder, [server("one"), server("two")]);
        let running = run(&at.text, &folder, &[]);
        Self {
            at,
            folder,
            _running: running,
        }
    }

    fn ask(&self, source: Ipv4Addr, fields: &str) -> Answer {
        let mut stream = connect_from(source, self.at.listen()).unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(&bytes(&head)).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer(latin1(&answer))
    }
}

/// A server that tells its name and what it received.
fn server(name: &'static str) -> SocketAddr {
    serve(move |head| {
        let length = head.len();
        let kept = "Content-Type: text/plain\r\n";
        let answer = "HTTP/1.1 200 OK\r\nX-Server: ";
        bytes(&format!(
            "{answer}{name}\r\n{kept}Content-Length: {length}\r\n\r\n{head}"
        ))
    })
}

struct Answer(String);

impl Answer {
    fn server(&self) -> &str {
        self.field("x-server")
            .unwrap_or_else(|| panic!("{}", self.0))
    }

    /// A field of the response.
    fn field(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap_or_default();
        field(head, name)
    }

    /// A field of the request, as the server received it.
    fn received(&self, name: &str) -> Option<&str> {
        field(self.0.split("\r\n\r\n").nth(1).unwrap_or_default(), name)
    }

    /// What to send to be the same client.
    fn cookie(&self) -> String {
        let cookie = self.field("set-cookie").unwrap_or_default();
        format!(
            "Cookie: {}\r\n",
            cookie.split(';').next().unwrap_or_default()
        )
    }
}

fn field<'t>(head: &'t str, name: &str) -> Option<&'t str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn source(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number)
}

/// Clients without a cookie are spread, and stay with theirs, all from one address.
fn cookies_keep_clients(service: &Service) {
    let clients: Vec<Answer> = (0..4).map(|_| service.ask(HERE, "")).collect();
    let servers: Vec<&str> = clients.iter().map(Answer::server).collect();
    assert_eq!(servers, ["one", "two", "one", "two"]);
    for _ in 0..3 {
        for client in &clients {
            let again = service.ask(HERE, &client.cookie());
            assert_eq!(again.server(), client.server());
        }
    }
}

/// Clients are spread, and stay with theirs as long as they come from their address.
fn addresses_keep_clients(service: &Service) {
    let first: Vec<String> = (1..=6)
        .map(|number| service.ask(source(number), "").server().to_owned())
        .collect();
    assert_eq!(first, ["one", "two", "one", "two", "one", "two"]);
    for number in (1..=6).rev() {
        let again = service.ask(source(number), "");
        assert_eq!(again.server(), first[usize::from(number) - 1]);
    }
}

#[test]
fn inserted_cookies_keep_clients_and_are_hidden_from_servers() {
    let service = Service::start("01-cookie-insert");
    cookies_keep_clients(&service);
    let first = service.ask(HERE, "");
    let cookie = first.field("set-cookie").unwrap();
    assert!(cookie.starts_with("SERVER_USED=s"), "{cookie}");
    let again = service.ask(HERE, &first.cookie());
    assert_eq!(again.field("set-cookie"), None);
    assert_eq!(again.received("cookie"), None);
}

#[test]
fn dynamic_cookies_keep_clients() {
    let service = Service::start("02-cookie-dynamic");
    cookies_keep_clients(&service);
    let answer = service.ask(HERE, "");
    let cookie = answer.field("set-cookie").unwrap();
    let value = cookie.strip_prefix("SERVER_USED=").unwrap();
    let digest = value.split(';').next().unwrap();
    let is_digest = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(is_digest, "{cookie}");
}

#[test]
fn bytes_of_one_address_go_to_one_server() {
    let service = Service::start("03-stick-on-src-tcp");
    addresses_keep_clients(&service);
    // Nobody looks at the bytes.
    assert_eq!(
        service.ask(source(1), "X-Any: y\r\n").received("x-any"),
        Some("y")
    );
}

#[test]
fn headers_are_set_and_added_for_the_server() {
    let service = Service::start("04-frontend-headers");
    addresses_keep_clients(&service);
    let sent = "X-Forwarded-Port: 1\r\n";
    let answer = service.ask(source(7), sent);
    let port = service.at.listen().port().to_string();
    assert_eq!(answer.received("x-forwarded-port"), Some(&*port));
    assert_eq!(answer.received("x-forwarded-for"), Some("127.0.1.7"));
    assert_eq!(answer.received("x-forwarded-proto"), None);
}

#[test]
fn a_cookie_a_table_and_its_socket_work_together() {
    let service = Service::start("05-production-cookie-peers");
    addresses_keep_clients(&service);
    let first = service.ask(source(8), "");
    let cookie = first.field("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("Secure"),
        "{cookie}"
    );
    // The cookie counts more than the address, and the table learns.
    let other = ["one", "two"][usize::from(first.server() == "one")];
    let theirs = format!("Cookie: SRVID=app{}\r\n", 1 + usize::from(other == "two"));
    assert_eq!(service.ask(source(8), &theirs).server(), other);
    let moved = service.ask(source(8), "");
    assert_eq!(moved.server(), other);
    assert_eq!(moved.field("set-cookie"), None);

    let socket = &service.at.socket;
    let mode = socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let table = ask(socket, "show table be_app");
    let head = "# table: be_app, type: ip, size:102400, used:7\n";
    assert!(table.starts_with(head), "{table}");
    assert_eq!(table.matches(" server_id=").count(), 7, "{table}");
    ask(socket, "set server be_app/app1 state maint");
    assert_eq!(service.ask(source(1), "").server(), "two");
    drop(service.folder);
}

#[test]
fn tenants_keep_their_server() {
    let service = Service::start("06-stick-on-header");
    let tenant = |name: &str| format!("X-Tenant-ID: {name}\r\n");
    let names: Vec<String> = (0..8).map(|number| format!("tenant {number}")).collect();
    let first: Vec<String> = names
        .iter()
        .map(|name| service.ask(HERE, &tenant(name)).server().to_owned())
        .collect();
    let both = first.iter().collect::<BTreeSet<_>>();
    assert_eq!(both.len(), 2, "{first:?}");
    for (name, server) in names.iter().zip(&first).rev() {
        assert_eq!(service.ask(source(9), &tenant(name)).server(), server);
    }
}

#[test]
fn a_hash_of_the_address_chooses_the_server() {
    let service = Service::start("07-balance-source-consistent");
    let server = |number| service.ask(source(number), "").server().to_owned();
    let first: Vec<String> = (1..=30).map(server).collect();
    let both = first.iter().collect::<BTreeSet<_>>();
    assert_eq!(both.len(), 2, "{first:?}");
    let again: Vec<String> = (1..=30).map(server).collect();
    assert_eq!(again, first);
}

#[test]
fn a_listen_section_is_both_sides() {
    let service = Service::start("08-listen");
    cookies_keep_clients(&service);
    let first = service.ask(source(5), "");
    assert_eq!(first.received("x-forwarded-for"), Some("127.0.1.5"));
    // Without `indirect` servers see the cookie.
    let again = service.ask(source(5), &first.cookie());
    let cookie = again.received("cookie").unwrap();
    assert!(cookie.starts_with("SRVNAME=S"), "{cookie}");
}
