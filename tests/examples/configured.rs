//! What `examples/proxy -f` does with the lines of a configuration, one idea each.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use stickroute::Now;

use crate::client::{self, exchange};
use crate::server::{bytes, latin1, page, serve};
use crate::support::configuration::{Folder, ask, run};
use crate::support::{Running, eventually, example, free_address, pages, reuse, wire};

pub(crate) const TIMEOUTS: &str = "\
defaults\n mode http\n timeout client 60s\n timeout connect 1s\n timeout server 60s\n";

/// A configuration at work.
pub(crate) struct Service {
    pub(crate) listen: SocketAddr,
    pub(crate) folder: Folder,
    pub(crate) running: Running,
}

impl Service {
    /// `text` names the address of the frontend LISTEN and paths FOLDER.
    pub(crate) fn start(name: &str, text: &str) -> Self {
        let folder = Folder::new(name);
        let listen = free_address();
        let text = text.replace("LISTEN", &listen.to_string());
        let text = text.replace("FOLDER", &folder.file("").display().to_string());
        let running = run(&(TIMEOUTS.to_owned() + &text), &folder, &[]);
        Self {
            listen,
            folder,
            running,
        }
    }

    pub(crate) fn get(&self, path: &str, fields: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}");
        exchange(self.listen, &head, "")
    }

    /// Says something, hears all that is said, and how long it took.
    fn timed(&self, bytes: &[u8]) -> (String, Duration) {
        let start = Watch::start();
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        (read_all(stream), start.elapsed())
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.listen).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }
}

/// How long something takes. On a machine that has much else to do anything may take long,
/// so what must not be waited for is set to [`LONG`].
struct Watch(Now);

/// Longer than a test has patience, [`SOON`].
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);

impl Watch {
    fn start() -> Self {
        Self(Now::system())
    }

    fn elapsed(&self) -> Duration {
        Now::system().mono().saturating_sub(self.0.mono())
    }
}

/// A server that answers with what it received.
pub(crate) fn echo() -> SocketAddr {
    serve(|head| {
        let length = head.len() + 2;
        bytes(&format!(
            "HTTP/1.1 200 OK\r\nX-Own: server\r\nContent-Length: {length}\r\n\r\n{head}\r\n"
        ))
    })
}

/// A server that does something with each connection.
fn serve_bytes(each: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            thread::spawn(move || each(stream));
        }
    });
    address
}

/// A server that says its name, then what it hears until the other side has said all.
fn named(name: &'static str) -> SocketAddr {
    serve_bytes(move |mut stream| {
        let _ = stream.write_all(name.as_bytes());
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        let _ = stream.write_all(&heard);
    })
}

fn read_all(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // A connection that is reset has nothing more to say.
    let _ = stream.read_to_end(&mut all);
    latin1(&all)
}

/// Each line of a section is refused, and so the text says.
fn refused(name: &str, cases: &[(&str, &str)]) {
    let folder = Folder::new(name);
    let file = folder.file("x.cfg");
    for (line, expected) in cases {
        let text = format!("{TIMEOUTS}listen l\n{line}\n");
        std::fs::write(&file, text).unwrap();
        let output = client::run(Command::new(example("proxy")).args(["-c", "-f"]).arg(&file));
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {log}");
        let alert = log.lines().find(|line| line.starts_with("[ALERT] "));
        let alert = alert.unwrap_or_else(|| panic!("{line}: {log}"));
        assert!(alert.contains(expected), "{line}: {log}");
    }
}

#[test]
fn pages_that_cannot_be_are_refused_with_their_place() {
    refused(
        "refused-pages",
        &[
            (" errorfile 418 /x", ":7:12: '418': there is no page"),
            (
                " errorfile 503 /dev/zero/x",
                ":7:16: '/dev/zero/x': Not a directory",
            ),
            (
                " http-error content-type a string x",
                ":7:2: 'http-error': expected status behind it",
            ),
            (
                " http-request deny deny_status 418",
                ":7:32: '418': there is no page",
            ),
            (
                " http-request return file /etc/hostname",
                ":7:27: '/etc/hostname': expected content-type",
            ),
            (
                " http-request normalize-uri path-merge-slashes",
                ":7:15: 'normalize-uri': this action is not supported",
            ),
            (
                " http-request replace-path (?=a) b",
                ":7:28: '(?=a)': character 1: \"(?=\": look-around is not supported",
            ),
            (
                " http-request replace-header X a b\\\\",
                "is no replacement; expected a digit",
            ),
            (
                " errorfiles x",
                ":7:13: 'x': there is no http-errors section",
            ),
            (
                "http-errors x\n errorfile 503 /dev/zero/x\nlisten m\n errorfiles x",
                ":8:16: '/dev/zero/x': Not a directory",
            ),
        ],
    );
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_place() {
    let cases = [
        (
            " http-request tarpit",
            ":7:15: 'tarpit': this action is not supported",
        ),
        (
            " http-request use-service x",
            ":7:15: 'use-service': this action",
        ),
        (
            " http-request set-header X %zz",
            ":7:28: '%zz': character 1: there is no variable %zz",
        ),
        (
            " http-request deny errorfile /x",
            ":7:30: '/x': No such file or directory",
        ),
        (
            " http-request redirect location /x code 200",
            ":7:41: '200': expected a status from 301",
        ),
        (
            " http-request redirect location /x code 304",
            ":7:41: '304': expected one of 301",
        ),
        (
            " http-response redirect prefix /x",
            ":7:25: 'prefix': not supported here; expected location",
        ),
        (
            " http-response set-header X %[path]",
            ":7:29: '%[path]': not supported here",
        ),
        (
            " http-response deny if { src 10.0.0.1 }",
            ":7:21: 'if': not supported here",
        ),
        (
            " option checkcache",
            ":7:9: 'checkcache': this option is not supported",
        ),
        (
            " stats show-modules",
            ":7:8: 'show-modules': not supported by this",
        ),
        (
            " bind :80 transparent",
            ":7:7: 'transparent': this option is not supported",
        ),
        (
            " tcp-request content accept if HTTP",
            ":7:22: 'accept': not supported by this",
        ),
        (
            " tcp-request connection set-mark 1",
            ":7:25: 'set-mark': not supported",
        ),
        (
            " server s 10.0.0.1:80 send-proxy",
            ":7:9: 's': send-proxy is not supported",
        ),
        (
            " compression algo gzip",
            ":7:2: 'compression': not supported; have the servers compress",
        ),
        (
            " monitor fail if { always_false }",
            ":7:2: 'monitor': not supported; monitor-uri always",
        ),
        (
            " server s 10.0.0.1:80 redir http://h",
            ":7:9: 's': not supported yet",
        ),
        (" option nonsense", ":7:9: 'nonsense': unknown option"),
        (
            "global\n stats socket /x level user",
            ":8:15: 'level user': this level",
        ),
        (
            "global\n stats socket /x accept-proxy",
            ":8:15: 'accept-proxy': this option",
        ),
        (
            " mode tcp\n default_backend b\nbackend b",
            ":8:18: 'b': a backend in mode http behind",
        ),
    ];
    refused("refused", &cases);
    let missing = client::run(Command::new(example("proxy")).args(["-f", "/nowhere.cfg"]));
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn names_of_nobody_and_of_no_field_are_refused() {
    let cases = [
        (
            " bind /x user nobody-has-this-name",
            ":7:7: 'user nobody-has-this-name': there is no such user in /etc/passwd",
        ),
        (
            "global\n stats socket /x group nobody-has-this-name",
            ":8:15: 'group nobody-has-this-name': there is no such group in /etc/group",
        ),
        (
            " http-request del-header X -m len",
            ":7:31: 'len': expected beg, end, reg, str or sub",
        ),
        (
            " http-request del-header X -m",
            ":7:28: '-m': expected beg, end, reg, str or sub behind it",
        ),
        (
            " http-response del-header ( -m reg",
            ":7:27: '(': character 1",
        ),
    ];
    refused("names", &cases);
}

#[test]
fn what_is_left_undone_is_told_once_with_its_lines() {
    let folder = Folder::new("told");
    let file = folder.file("x.cfg");
    let text = format!(
        "{TIMEOUTS}listen l\n bind :80 defer-accept\n option http-pretend-keepalive\n timeout tarpit 1h\n \
         server a 10.0.0.1:80 check inter 1s\n server b 10.0.0.2:80 tcp-ut 5s\n \
         server c 10.0.0.3:80\n server d 10.0.0.4:80 pool-max-conn 3\n\
         peers p\n peer x 127.0.0.1:1000\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut check = Command::new(example("proxy"));
    let output = client::run(check.args(["-c", "-L", "x", "-f"]).arg(&file));
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    let log = log.replace(&*file.to_string_lossy(), "x");
    let told: Vec<_> = log
        .lines()
        .map(|line| line.trim_start_matches("[WARNING] "))
        .collect();
    assert_eq!(
        told,
        [
            "x:14:7: 'p': tables are not replicated to peers yet",
            "x:7:7: 'defer-accept': no effect in this program: defer-accept at x:7, \
             http-pretend-keepalive at x:8, timeout tarpit at x:9, tcp-ut at x:11, pool-max-conn at x:13",
        ]
    );
}

#[test]
fn files_are_read_as_one_with_the_environment_in_them() {
    let folder = Folder::new("several");
    let (one, two) = (folder.file("1.cfg"), folder.file("2.cfg"));
    std::fs::write(
        &one,
        TIMEOUTS.to_owned() + "frontend web\n bind \"$HERE\"\n default_backend app\n",
    )
    .unwrap();
    std::fs::write(&two, "backend app\n server s 127.0.0.1:1\n").unwrap();
    let listen = free_address();
    let mut command = Command::new(example("proxy"));
    command.env("HERE", listen.to_string());
    let running = Running::start(command.arg("-f").arg(one).arg("-f").arg(two), 2);
    assert_eq!(
        running.lines,
        [format!("web: http://{listen}"), "ready".into()]
    );
}

#[test]
fn rules_edit_requests_and_responses() {
    let text = format!(
        "frontend web\n bind LISTEN\n default_backend app\n \
         acl is_api path_beg /api/\n \
         http-request set-header X-One %[method]-%[src] if is_api\n \
         http-request add-header X-Two a\n http-request add-header X-Two b%%\n \
         http-request del-header X-Gone\n \
         http-response set-header X-Last frontend\n \
         http-after-response add-header X-After all\n\
         backend app\n http-request set-header X-Seen %[hdr(x-one)]\n \
         http-response set-header X-Last backend\n http-response del-header X-Own if {{ status 200 }}\n \
         http-response add-header X-Copy %[res.hdr(x-last)]\n server s {}\n",
        echo()
    );
    let service = Service::start("rules", &text);
    let answer = service.get("/api/x", "X-Gone: 1\r\nX-One: sent\r\n");
    for expected in [
        "x-one: GET-127.0.0.1\r\n",
        "x-seen: GET-127.0.0.1\r\n",
        "x-two: a\r\nx-two: b%\r\n",
        "x-last: frontend\r\n",
        "x-copy: backend\r\n",
        "x-after: all\r\n",
    ] {
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
    assert!(
        !answer.contains("x-gone") && !answer.contains("x-own"),
        "{answer}"
    );
    let answer = service.get("/", "X-One: sent\r\n");
    assert!(answer.contains("x-one: sent\r\n"), "{answer}");
}

#[test]
fn who_asks_for_the_proxy_is_told_before_any_rule_and_without_a_line() {
    let log = UdpSocket::bind("127.0.0.1:0").unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let text = format!(
        "listen web\n bind LISTEN\n monitor-uri /health\n http-request deny\n \
         log {} format raw local0\n option httplog\n server s 127.0.0.1:1\n",
        log.local_addr().unwrap()
    );
    let service = Service::start("monitor", &text);
    for (path, status) in [("/health", "200"), ("/health/", "403"), ("/health?", "403")] {
        let answer = service.get(path, "");
        assert_eq!(&answer[9..12], status, "{path}: {answer}");
    }
    let mut line = [0; 2000];
    let length = log.recv(&mut line).unwrap();
    let line = latin1(&line[..length]);
    assert!(line.contains("\"GET /health/ HTTP/1.1\""), "{line}");
}

#[test]
fn the_log_is_told_what_the_program_was_started_as() {
    let log = UdpSocket::bind("127.0.0.1:0").unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let folder = Folder::new("tag");
    let (file, program) = (folder.file("x.cfg"), folder.file("balancer"));
    std::os::unix::fs::symlink(example("proxy"), &program).unwrap();
    let listen = free_address();
    let text = format!(
        "{TIMEOUTS}listen web\n bind {listen}\n log {} local0\n http-request deny\n",
        log.local_addr().unwrap()
    );
    fs::write(&file, text).unwrap();
    let _running = Running::start(Command::new(program).arg("-f").arg(file), 2);
    assert!(exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "").starts_with("HTTP/1.1 403"));
    let mut line = [0; 2000];
    let length = log.recv(&mut line).unwrap();
    let line = latin1(&line[..length]);
    assert!(line.contains(" balancer["), "{line}");
}

#[test]
fn rules_answer_themselves() {
    let text = format!(
        "listen web\n bind LISTEN\n \
         http-request allow if {{ path /allowed }}\n \
         http-request deny if {{ path_beg /deny }}\n \
         http-request deny deny_status 429 if {{ path /busy }}\n \
         http-request return status 418 content-type text/tea string 'a %[method] pot' hdr X-Pot %[method] if {{ path /tea }}\n \
         http-request redirect location /new?%[query] code 301 if {{ path /old }}\n \
         http-request redirect prefix https://h drop-query unless {{ path_beg /p /no /allowed }}\n \
         redirect scheme https if {{ path /plain }}\n \
         http-response deny if {{ status 200 }}\n \
         http-after-response set-header X-After all\n server s {}\n",
        echo()
    );
    let service = Service::start("answers", &text);
    for (path, status, parts) in [
        ("/deny/x", "403 Forbidden", vec![]),
        ("/busy", "429 ", vec![]),
        (
            "/tea",
            "418 ",
            vec![
                "content-type: text/tea\r\n",
                "x-pot: GET\r\n",
                "\r\n\r\na %[method] pot",
            ],
        ),
        ("/old?a=b", "301 ", vec!["location: /new?a=b\r\n"]),
        ("/else?a=b", "302 ", vec!["location: https://h/else\r\n"]),
        (
            "/plain?a=b",
            "302 ",
            vec!["location: https://h/plain?a=b\r\n"],
        ),
        ("/path", "502 ", vec![]),
        ("/allowed", "502 ", vec![]),
    ] {
        let answer = service.get(path, "");
        let begin = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&begin), "{path}: {answer}");
        for part in parts.into_iter().chain(["x-after: all\r\n"]) {
            assert!(answer.contains(part), "{path}: {answer}");
        }
    }
}

#[test]
fn pages_and_targets_are_those_of_the_configuration() {
    let folder = Folder::new("pages-files");
    let text = pages::configuration(wire::serve(), &folder);
    let service = Service::start("pages", &text);
    for (path, answer) in pages::CASES {
        assert_eq!(pages::ask(service.listen, path), answer, "{path}");
    }
}

#[test]
fn connections_to_servers_are_shared_as_asked() {
    let closing = free_address();
    let text = reuse::configuration(reuse::serve());
    let service = Service::start("reuse", &text.replace("CLOSING", &closing.to_string()));
    reuse::check(service.listen, closing);
}

#[test]
fn names_stand_for_addresses_of_their_family() {
    let address = named("here");
    let port = address.port();
    let text = format!(
        "listen four\n mode tcp\n bind LISTEN\n server s ipv4@localhost:{port}\n\
         listen six\n mode tcp\n bind OTHER\n retries 0\n server s ipv6@localhost:{port}\n"
    );
    let other = free_address();
    let service = Service::start("families", &text.replace("OTHER", &other.to_string()));
    let four = TcpStream::connect(service.listen).unwrap();
    four.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(four), "here");
    // Nobody listens there, and perhaps the name has no such address.
    assert_eq!(read_all(TcpStream::connect(other).unwrap()), "");
}

#[test]
fn a_client_that_closes_its_half_is_answered() {
    let text = format!("listen web\n bind LISTEN\n server s {}\n", echo());
    let service = Service::start("half", &text);
    let mut client = service.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(client).starts_with("HTTP/1.1 200"));
}

#[test]
fn rules_read_what_tables_know_of_a_client() {
    let folder = Folder::new("tables-socket");
    let socket = folder.file("s.sock");
    let text = format!(
        "global\n stats socket {} level admin\nbackend limits\n \
         stick-table type ip size 10 expire 1m store gpc0\n\
         listen web\n bind LISTEN\n \
         http-request deny deny_status 429 if {{ src_get_gpc0(limits) gt 2 }}\n \
         http-request set-header X-Count %[src,table_gpc0(limits)]\n server s {}\n",
        socket.display(),
        echo()
    );
    let service = Service::start("tables", &text);
    assert!(service.get("/", "").contains("x-count: 0\r\n"));
    assert_eq!(
        ask(&socket, "set table limits key 127.0.0.1 data.gpc0 2"),
        "\n"
    );
    assert!(service.get("/", "").contains("x-count: 2\r\n"));
    assert_eq!(
        ask(&socket, "set table limits key 127.0.0.1 data.gpc0 3"),
        "\n"
    );
    assert!(service.get("/", "").starts_with("HTTP/1.1 429"));
}

#[test]
fn requests_are_routed_by_the_rules_of_the_frontend() {
    let text = format!(
        "frontend web\n bind LISTEN\n use_backend be-%[path,field(2,/)] if {{ path_beg /to/ /img/ }}\n \
         default_backend app\n\
         backend app\n server s {app}\n http-request set-header X-Via app\n\
         backend be-img\n server s {app}\n http-request set-header X-Via img\n\
         backend empty\n",
        app = echo()
    );
    let service = Service::start("routes", &text);
    for (path, via) in [("/img/x", "img"), ("/x", "app"), ("/to/nowhere", "app")] {
        let answer = service.get(path, "");
        assert!(
            answer.contains(&format!("x-via: {via}\r\n")),
            "{path}: {answer}"
        );
    }
    let service = Service::start("no-route", "frontend web\n bind LISTEN\n");
    assert!(service.get("/", "").starts_with("HTTP/1.1 503"));
}

#[test]
fn a_proxy_before_this_one_tells_who_the_client_is() {
    let text = format!(
        "listen web\n bind LISTEN accept-proxy\n option forwardfor\n \
         tcp-request session reject if {{ src 192.0.2.66 }}\n server s {}\n",
        echo()
    );
    let service = Service::start("accept-proxy", &text);
    let ask = |header: &[u8]| {
        let mut stream = service.connect();
        stream.write_all(header).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            .unwrap();
        read_all(stream)
    };
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24";
    let v6 = [&v2[..], &[0; 15], &[7], &[0; 20]].concat();
    for (header, source) in [
        (&b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n"[..], "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1"),
        (&v6, "::7"),
    ] {
        let answer = ask(header);
        let told = format!("x-forwarded-for: {source}\r\n");
        assert!(answer.contains(&told), "{answer}");
    }
    for header in [
        &b""[..],
        b"PROXY TCP4 x\r\n",
        b"PROXY TCP4 192.0.2.66 192.0.2.1 1 2\r\n",
    ] {
        assert_eq!(ask(header), "", "{}", header.escape_ascii());
    }
}

#[test]
fn bytes_go_both_ways_and_a_half_closed_connection_stays_open() {
    let text = format!(
        "listen raw\n mode tcp\n bind LISTEN\n server s {}\n",
        named("s:")
    );
    let service = Service::start("half-close", &text);
    let mut stream = service.connect();
    stream.write_all(b"some").unwrap();
    stream.write_all(b" bytes").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(stream), "s:some bytes");
}

#[test]
fn connections_are_tried_again_elsewhere() {
    let text = format!(
        "listen raw\n mode tcp\n bind LISTEN\n retries 2\n option redispatch 1\n \
         timeout connect 50ms\n stick-table type ip size 100\n stick on src\n \
         server dead {}\n server alive {}\n",
        free_address(),
        named("alive")
    );
    let service = Service::start("tcp-retries", &text);
    for _ in 0..3 {
        let stream = service.connect();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(stream), "alive");
    }
}

/// The first packet of an RDP client with a cookie.
fn rdp(cookie: &str) -> Vec<u8> {
    let text = format!("Cookie: mstshash={cookie}\r\n");
    let length = 11 + text.len() as u8;
    let mut bytes = vec![3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
    bytes.extend(text.bytes());
    bytes
}

#[test]
fn payloads_are_waited_for_and_stick() {
    let text = format!(
        "listen raw\n mode tcp\n bind LISTEN\n tcp-request inspect-delay 1s\n \
         tcp-request content reject if {{ src 127.0.0.9 }}\n \
         tcp-request content accept if RDP_COOKIE\n tcp-request content reject\n \
         stick-table type string len 20 size 100\n stick on rdp_cookie(mstshash)\n \
         server a {}\n server b {}\n",
        named("a "),
        named("b ")
    );
    let service = Service::start("payload", &text);
    let say = |cookie: &str| {
        let mut stream = service.connect();
        let packet = rdp(cookie);
        stream.write_all(&packet[..9]).unwrap();
        thread::sleep(Duration::from_millis(30));
        stream.write_all(&packet[9..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read_all(stream);
        assert!(answer.ends_with(&latin1(&packet)), "{answer}");
        answer[..1].to_owned()
    };
    let found = ["u1", "u2", "u3", "u1", "u3", "u2"].map(say);
    assert_eq!(found, ["a", "b", "a", "a", "a", "b"]);

    let mut stream = service.connect();
    let start = Watch::start();
    stream.write_all(b"no such thing").unwrap();
    assert_eq!(read_all(stream), "");
    assert!(
        start.elapsed() >= Duration::from_millis(950),
        "it is waited for"
    );
}

#[test]
fn what_servers_say_first_can_be_learnt() {
    let text = format!(
        "listen raw\n mode tcp\n bind LISTEN\n stick-table type string len 20 size 100\n \
         tcp-response inspect-delay 2s\n \
         tcp-response content accept if {{ res.payload(0,2) -m found }}\n \
         stick store-response res.payload(0,2)\n server a {}\n\
         global\n stats socket FOLDERs.sock level admin\n",
        named("a:")
    );
    let service = Service::start("store-response", &text);
    let mut stream = service.connect();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(stream), "a:hello");
    let table = ask(&service.folder.file("s.sock"), "show table raw");
    assert!(table.contains(" key=a: use=0 "), "{table}");
    drop(service.running);
}

#[test]
fn a_full_server_is_waited_for() {
    let slow = serve_bytes(|mut stream| {
        let mut request = [0; 512];
        let _ = stream.read(&mut request);
        thread::sleep(Duration::from_millis(300));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    // Busy until all others have been refused.
    let refused = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&refused);
    let busy = serve_bytes(move |mut stream| {
        let _ = stream.read(&mut [0; 512]);
        eventually(|| seen.load(Relaxed) == 3);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let text = format!(
        "frontend web\n bind LISTEN\n use_backend hasty if {{ path /hasty }}\n default_backend app\n\
         backend app\n timeout queue 60s\n server s {slow} maxconn 1\n\
         backend hasty\n timeout queue 50ms\n server s {busy} maxconn 1\n"
    );
    let service = Service::start("queue", &text);
    let at_once = |path: &'static str| {
        let start = Watch::start();
        let statuses: Vec<String> = thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let status = service.get(path, "")[9..12].to_owned();
                        refused.fetch_add(usize::from(status == "503"), Relaxed);
                        status
                    })
                })
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect()
        });
        (statuses, start.elapsed())
    };
    let (statuses, taken) = at_once("/");
    assert_eq!(statuses, ["200"; 4]);
    assert!(
        taken >= Duration::from_millis(1_200),
        "one after the other: {taken:?}"
    );
    let (mut statuses, _) = at_once("/hasty");
    statuses.sort();
    assert_eq!(statuses, ["200", "503", "503", "503"]);
}

#[test]
fn an_operator_can_end_the_waiting() {
    let text = format!(
        "global\n stats socket FOLDERs.sock level admin\n\
         listen web\n bind LISTEN\n timeout queue 60s\n server full {} maxconn 1\n \
         server spare {} disabled\n",
        serve_bytes(|stream| {
            thread::sleep(LONG);
            drop(stream);
        }),
        echo()
    );
    let service = Service::start("queue-ends", &text);
    let _first = {
        let mut stream = service.connect();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        stream
    };
    let socket = service.folder.file("s.sock");
    let is_full = || ask(&socket, "show servers conn web").contains("web/full 2/1 ");
    assert!(eventually(is_full));
    thread::sleep(Duration::from_millis(100));
    let start = Watch::start();
    let answer = thread::scope(|scope| {
        let client = scope.spawn(|| service.get("/", ""));
        thread::sleep(Duration::from_millis(200));
        ask(&socket, "set server web/spare state ready");
        client.join().unwrap()
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn silence_has_its_limits() {
    let mute = serve_bytes(|stream| {
        thread::sleep(LONG);
        drop(stream);
    });
    let text = format!(
        "frontend web\n bind LISTEN\n timeout http-request 300ms\n \
         timeout http-keep-alive 100ms\n use_backend mute if {{ path /mute }}\n default_backend app\n\
         backend mute\n timeout server 100ms\n server s {mute}\n\
         backend app\n server s {}\n",
        serve(|_| page(""))
    );
    let service = Service::start("timeouts", &text);
    let (answer, taken) =
        service.timed(b"GET /mute HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(
        taken >= Duration::from_millis(90) && taken < SOON,
        "server: {taken:?}"
    );
    let (answer, taken) = service.timed(b"GET / HTT");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        taken >= Duration::from_millis(290) && taken < SOON,
        "http-request: {taken:?}"
    );
    let (answer, taken) = service.timed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        taken >= Duration::from_millis(90) && taken < SOON,
        "http-keep-alive: {taken:?}"
    );
}

#[test]
fn a_client_that_goes_on_asking_may_stay() {
    let text = format!(
        "listen web\n bind LISTEN\n server s {}\n \
         timeout http-request 4s\n timeout http-keep-alive 4s\n",
        serve(|_| page(""))
    );
    let service = Service::start("asking", &text);
    let mut stream = TcpStream::connect(service.listen()).unwrap();
    // Each pause is far from the limit, and all of them together are beyond it.
    for _ in 0..50 {
        let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b" 0 bytes") {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap();
            assert_ne!(length, 0, "closed behind {}", latin1(&answer));
            answer.extend_from_slice(&bytes[..length]);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn clients_that_stop_in_the_middle_make_the_server_late() {
    let text = format!(
        "listen web\n bind LISTEN\n timeout client 100ms\n timeout server 300ms\n server s {}\n",
        serve(|_| page(""))
    );
    let service = Service::start("client-timeout", &text);
    let (answer, taken) = service.timed(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(
        taken >= Duration::from_millis(290) && taken < SOON,
        "{taken:?}"
    );
}

#[test]
fn silent_connections_are_closed_in_mode_tcp() {
    let mute = serve_bytes(|mut stream| {
        let _ = stream.read(&mut [0; 1]);
        thread::sleep(LONG);
    });
    let text =
        format!("listen raw\n mode tcp\n bind LISTEN\n timeout client 150ms\n server s {mute}\n");
    let service = Service::start("tcp-timeouts", &text);
    let (heard, taken) = service.timed(b"");
    assert_eq!(heard, "");
    assert!(
        taken >= Duration::from_millis(140) && taken < SOON,
        "{taken:?}"
    );
}

#[test]
fn a_frontend_takes_no_more_than_it_may() {
    let text = format!(
        "listen web\n bind LISTEN\n maxconn 1\n server s {}\n",
        echo()
    );
    let service = Service::start("maxconn", &text);
    let mut first = service.connect();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let mut start = [0; 12];
    first.read_exact(&mut start).unwrap();
    let mut second = service.connect();
    second
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .unwrap();
    second
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert!(second.read_exact(&mut start).is_err(), "it waits");
    drop(first);
    second.set_read_timeout(Some(LONG)).unwrap();
    second.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
}

#[test]
fn sockets_of_operators_have_levels_and_take_the_place_of_dead_ones() {
    let port = free_address();
    let folder = Folder::new("stale");
    let stale = folder.file("s.sock");
    drop(UnixListener::bind(&stale).unwrap());
    // Only root may give a socket to somebody else.
    let mine = fs::metadata(&stale).unwrap();
    assert!(stale.exists());
    let text = format!(
        "global\n stats socket {} level admin user root uid {} gid {} mode 610\n stats socket {port}\n \
         stats timeout 1s\n\
         listen web\n bind LISTEN\n server s 127.0.0.1:1\n",
        stale.display(),
        mine.uid(),
        mine.gid()
    );
    let service = Service::start("stats", &text);
    let found = fs::metadata(&stale).unwrap();
    assert_eq!((found.uid(), found.gid()), (mine.uid(), mine.gid()));
    assert_eq!(found.mode() & 0o777, 0o610);
    assert_eq!(ask(&stale, "set server web/s weight 5"), "\n");
    assert_eq!(
        ask(&stale, "prompt\nget weight web/s\nquit"),
        "\n> 5 (initial 1)\n\n> "
    );
    assert_eq!(ask(&stale, "show backend\nshow backend"), "# name\nweb\n\n");
    let mut operator = TcpStream::connect(port).unwrap();
    operator
        .write_all(b"set server web/s weight 1; get weight web/s\n")
        .unwrap();
    assert_eq!(read_all(operator), "Permission denied\n\n5 (initial 1)\n\n");
    let start = Watch::start();
    assert_eq!(read_all(TcpStream::connect(port).unwrap()), "");
    assert!(
        start.elapsed() >= Duration::from_millis(990),
        "silence has its limit"
    );
    assert!(service.get("/", "").starts_with("HTTP/1.1 503"));
}
