//! `examples/proxy -f` in service: its command line, its sockets, how it ends, and how
//! another one takes its place.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::client::{self, exchange};
use crate::server::{bytes, latin1, page, serve};
use crate::support::configuration::{Folder, ask, run};
use crate::support::{Running, eventually, example, free_address};

const TIMEOUTS: &str = "\
defaults\n mode http\n timeout client 20s\n timeout connect 5s\n timeout server 20s\n";

/// A configuration before one server.
fn before(server: SocketAddr, lines: &str) -> String {
    format!("{TIMEOUTS}listen web\n server s {server}\n{lines}")
}

/// The program, which is built once.
fn proxy() -> &'static Path {
    static PROXY: OnceLock<PathBuf> = OnceLock::new();
    PROXY.get_or_init(|| example("proxy"))
}

/// The program with a file `x.cfg` of a folder and arguments, run to its end.
fn run_with(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(proxy());
    command.current_dir(folder.file("")).args(arguments);
    client::run(&mut command)
}

fn pid(running: &mut Running) -> Pid {
    Pid::from_child(running.child())
}

/// Whether it ends by itself, and how.
fn ended(running: &mut Running) -> Option<ExitStatus> {
    let mut status = None;
    let child = running.child();
    eventually(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status
}

fn is_running(running: &mut Running) -> bool {
    running.child().try_wait().unwrap().is_none()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A server that answers when it is told to, one request after the other.
struct Told {
    address: SocketAddr,
    came: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl Told {
    fn new() -> Self {
        let (comes, came) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let address = serve(move |_| {
            // A test that has ended neither asks nor tells.
            let _ = comes.send(());
            let _ = gone.recv();
            page("")
        });
        Self { address, came, go }
    }

    /// Waits for a request.
    fn wait(&self) {
        self.came.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    fn answer(&self) {
        self.go.send(()).unwrap();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// Reads the answer of a server that shows a [`page`].
fn read_answer(stream: &mut impl Read) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b" bytes") {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    latin1(&read)
}

#[test]
fn configurations_are_checked_as_haproxy_checks_them() {
    let folder = Folder::new("flags");
    let plain = TIMEOUTS.to_owned() + "listen l\n bind :80\n server s 127.0.0.1:1\n";
    let odd = plain.clone() + " option abortonclose\n";
    fs::create_dir_all(folder.file("d/more.cfg")).unwrap();
    fs::create_dir_all(folder.file("empty")).unwrap();
    for (name, text) in [
        ("good.cfg", &*plain),
        ("odd.cfg", &odd),
        ("bad.cfg", "nonsense\n"),
        ("d/1.cfg", "defaults\n mode http\n"),
        ("d/2.cfg", "frontend f\n bind :80\n nonsense\n"),
        ("d/.0.cfg", "nonsense\n"),
        ("d/3.txt", "nonsense\n"),
    ] {
        fs::write(folder.file(name), text).unwrap();
    }
    let valid = "Configuration file is valid\n";
    let odd = format!("Warnings were found.\n{valid}");
    let cases: [(&[&str], i32, &str, bool); 15] = [
        (&["-c", "-f", "good.cfg"], 0, valid, false),
        (&["-c", "-V", "-db", "-f", "good.cfg"], 0, valid, false),
        (&["-c", "-D", "-f", "good.cfg"], 0, valid, false),
        (&["-c", "-q", "-f", "good.cfg"], 0, "", false),
        (&["-c", "-q", "-V", "-f", "good.cfg"], 0, valid, false),
        (&["-c", "-f", "odd.cfg"], 0, &odd, true),
        (&["-c", "-q", "-f", "odd.cfg"], 0, "", false),
        (&["-c", "-f", "bad.cfg"], 1, "", true),
        (&["-c", "-q", "-f", "bad.cfg"], 1, "", false),
        (&["-c", "-f", "missing.cfg"], 1, "", true),
        (&["-c", "-f", "empty"], 1, "", true),
        (&["-c", "--", "good.cfg", "-f"], 1, "", true),
        (&["-c", "--", "good.cfg"], 0, valid, false),
        (
            &["-c", "-C", "d", "-f", "1.cfg", "-f", "2.cfg"],
            1,
            "",
            true,
        ),
        (&["-c", "-C", "nowhere", "-f", "1.cfg"], 1, "", true),
    ];
    for (arguments, code, said, complains) in cases {
        let output = run_with(&folder, arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        assert_eq!(latin1(&output.stdout), said, "{arguments:?}");
        assert_eq!(
            !output.stderr.is_empty(),
            complains,
            "{arguments:?}: {output:?}"
        );
    }
    // Nothing but the second of its two files is told about.
    let output = run_with(&folder, &["-c", "-f", "d"]);
    let log = latin1(&output.stderr);
    assert!(log.contains("d/2.cfg:3:2: 'nonsense': "), "{log}");
    assert_eq!(log.matches("[ALERT]").count(), 1, "{log}");
}

#[test]
fn arguments_of_haproxy_are_followed_or_refused_with_a_reason() {
    let folder = Folder::new("arguments");
    for (arguments, reason) in [
        (&["-W"][..], "-W is not supported: there is no master"),
        (&["-Ws"], "-Ws is not supported: there is no master"),
        (&["-x", "/s"], "-x is not supported: -sf and -st ask"),
        (&["-m", "5"], "-m is not supported: memory"),
        (&["-dM"], "-dM is not supported: memory"),
        (&["-dK"], "-dK is not supported: "),
        (&["-N", "5"], "expected maxconn in the section defaults"),
        (&["-nonsense"], "unknown option \"-nonsense\""),
        (&["-n", "x"], "-n \"x\": expected a number"),
        (&["-sf", "x"], "-sf \"x\": expected process ids"),
        (&["-st", "1", "0"], "-st \"0\": expected process ids"),
        (&["-p"], "-p expects a text"),
        (&["-c"], "-c has no place without -f"),
        (&["-sf"], "-sf has no place without -f"),
        (
            &["-f", "x", "--persist"],
            "--persist has no place beside -f",
        ),
    ] {
        let output = run_with(&folder, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let log = latin1(&output.stderr);
        assert!(log.contains(reason), "{arguments:?}: {log}");
    }
    let name = format!("stickroute proxy version {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(latin1(&run_with(&folder, &["-v"]).stdout), name);
    let long = latin1(&run_with(&folder, &["-vv"]).stdout);
    assert!(
        long.starts_with(&name) && long.lines().count() > 1,
        "{long}"
    );
    let help = run_with(&folder, &["-h"]);
    assert!(help.status.success());
    assert_eq!(help.stdout, run_with(&folder, &["--help"]).stdout);
}

#[test]
fn every_kind_of_address_is_listened_on() {
    let folder = Folder::new("binds");
    let [one, two, three] = [(); 3].map(|()| free_address().port());
    let two_free = || {
        let ports = [(); 2].map(|()| free_address().port());
        (ports[0] + 1 == ports[1]).then_some(ports)
    };
    let [first, last] = std::iter::repeat_with(two_free).flatten().next().unwrap();
    let unix = folder.file("web.sock");
    let name = format!("stickroute-test-{}", std::process::id());
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    let six = if has_v6 {
        format!(" bind ipv6@[::1]:{one}\n")
    } else {
        String::new()
    };
    let lines = format!(
        " bind :{one}\n bind *:{two}\n bind ipv4@127.0.0.1:{three}\n bind unix@{}\n \
         bind abns@{name}\n bind 127.0.0.1:{first}-{last}\n{six}",
        unix.display(),
    );
    let ports = [one, two, three, first, last];
    let mut addresses = ports
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .to_vec();
    addresses.extend(has_v6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, one))));
    let file = folder.file("x.cfg");
    fs::write(&file, before(serve(|_| page("")), &lines)).unwrap();
    let mut command = Command::new(proxy());
    command.stderr(Stdio::null());
    let expected = addresses.len() + 3;
    let running = Running::start(command.arg("-f").arg(&file), expected);
    assert_eq!(running.lines.last().unwrap(), "ready");
    assert!(running.lines.contains(&format!("web: http://abns@{name}")));
    for address in addresses {
        let answer = exchange(address, "GET / HTTP/1.1\r\nHost: h\r\n", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{address}: {answer}");
    }
    let name = UnixAddress::from_abstract_name(name).unwrap();
    for mut stream in
        [UnixStream::connect(unix), UnixStream::connect_addr(&name)].map(Result::unwrap)
    {
        stream.write_all(GET).unwrap();
        assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200"));
    }
}

/// Starts the program with a file descriptor 7, which is free otherwise.
fn with_descriptor(file: &Path, descriptor: impl Into<OwnedFd>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" -f "$1" 7<&0 </dev/null"#]);
    command.arg(proxy()).arg(file).env("SOCKET", "7");
    command.stdin(Stdio::from(descriptor.into()));
    command
}

#[test]
fn sockets_of_whoever_starts_the_program_are_listened_on() {
    let folder = Folder::new("descriptor");
    let file = folder.file("x.cfg");
    let text = before(serve(|_| page("")), " bind \"fd@${SOCKET}\"\n");
    fs::write(&file, &text).unwrap();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    );
    let bound = bound.unwrap();
    let address = free_address();
    rustix::net::bind(&bound, &address).unwrap();
    for (address, socket) in [
        (listening.local_addr().unwrap(), OwnedFd::from(listening)),
        (address, bound),
    ] {
        let running = Running::start(with_descriptor(&file, socket).stderr(Stdio::null()), 2);
        assert_eq!(
            running.lines,
            [format!("web: http://{address}"), "ready".into()]
        );
        let answer = exchange(address, "GET / HTTP/1.1\r\nHost: h\r\n", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    let socket = folder.file("fd.sock");
    let unix = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let running = Running::start(with_descriptor(&file, unix).stderr(Stdio::null()), 2);
    assert_eq!(running.lines[0], "web: http://fd@7");
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(GET).unwrap();
    assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200"));
}

#[test]
fn descriptors_that_cannot_be_listened_on_are_refused_clearly() {
    let folder = Folder::new("descriptor-bad");
    let file = folder.file("x.cfg");
    fs::write(&file, before(free_address(), " bind fd@7\n")).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(other.local_addr().unwrap()).unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let unbound = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    );
    for (descriptor, reason) in [
        (
            fs::File::open("/dev/null").unwrap().into(),
            "it is not a socket",
        ),
        (
            connection.into(),
            "it cannot be listened on: it is a connection",
        ),
        (datagrams.into(), "it is not a stream socket"),
        (unbound.unwrap(), "it is bound to no address"),
    ] {
        let output = client::run(&mut with_descriptor(&file, descriptor));
        assert_eq!(output.status.code(), Some(1), "{reason}");
        let log = latin1(&output.stderr);
        let expected = format!(":8:7: cannot listen on fd@7: {reason}");
        assert!(log.contains(&expected), "{log}");
    }
    let output = run_with(&folder, &["-f", "x.cfg"]);
    let log = latin1(&output.stderr);
    assert!(
        log.contains("fd@7: no such file descriptor is open"),
        "{log}"
    );
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let folder = Folder::new("taken");
    // Without SO_REUSEPORT, so that nobody else may listen there.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = before(address, &format!(" bind {address}\n"));
    fs::write(folder.file("x.cfg"), text).unwrap();
    for arguments in [&["-f", "x.cfg"][..], &["-D", "-f", "x.cfg"]] {
        let output = run_with(&folder, arguments);
        assert_eq!(output.status.code(), Some(1));
        let log = latin1(&output.stderr);
        assert!(
            log.contains(&format!("cannot listen on {address}: ")),
            "{log}"
        );
    }
}

#[test]
fn a_soft_stop_lets_requests_end_and_closes_idle_connections() {
    let server = Told::new();
    let folder = Folder::new("soft-stop");
    let listen = free_address();
    let mut running = run(
        &before(server.address, &format!(" bind {listen}\n")),
        &folder,
        &[],
    );
    let mut idle = connect(listen);
    idle.write_all(GET).unwrap();
    server.wait();
    server.answer();
    read_answer(&mut idle);
    let mut fresh = connect(listen);
    let mut busy = connect(listen);
    busy.write_all(GET).unwrap();
    server.wait();

    // HAProxy asks so for a pause, which would last for ever.
    kill_process(pid(&mut running), Signal::TTOU).unwrap();
    kill_process(pid(&mut running), Signal::USR1).unwrap();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "it is closed at once");
    assert!(eventually(|| TcpStream::connect(listen).is_err()));
    // Nobody has refused this client; its request may have been on its way.
    fresh.write_all(GET).unwrap();
    server.answer();
    let answer = read_answer(&mut busy);
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(busy.read(&mut [0]).unwrap(), 0);
    assert!(is_running(&mut running));
    server.wait();
    server.answer();
    let answer = read_answer(&mut fresh);
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(ended(&mut running).unwrap().success());
}

#[test]
fn a_client_that_waits_for_room_is_served_after_the_order_to_stop() {
    let server = Told::new();
    let folder = Folder::new("stop-room");
    let listen = free_address();
    let mut running = run(
        &before(server.address, &format!(" maxconn 1\n bind {listen}\n")),
        &folder,
        &[],
    );
    let mut clients: Vec<_> = (0..4).map(|_| connect(listen)).collect();
    for client in &mut clients {
        client.write_all(GET).unwrap();
    }
    server.wait();
    kill_process(pid(&mut running), Signal::USR1).unwrap();
    assert!(eventually(|| TcpStream::connect(listen).is_err()));
    (0..4).for_each(|_| server.answer());
    for client in &mut clients {
        assert!(read_answer(client).starts_with("HTTP/1.1 200"));
    }
    assert!(ended(&mut running).unwrap().success());
}

#[test]
fn hard_stop_after_ends_what_takes_too_long() {
    let server = Told::new();
    let folder = Folder::new("hard-stop");
    let listen = free_address();
    let text = format!(
        "global\n hard-stop-after 200ms\n{}",
        before(server.address, &format!(" bind {listen}\n"))
    );
    let mut running = run(&text, &folder, &[]);
    let mut busy = connect(listen);
    busy.write_all(GET).unwrap();
    server.wait();
    assert!(is_running(&mut running));
    kill_process(pid(&mut running), Signal::USR1).unwrap();
    assert!(ended(&mut running).unwrap().success());
    let mut rest = Vec::new();
    // It may be reset as well.
    let _ = busy.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{}", latin1(&rest));
}

#[test]
fn connections_in_mode_tcp_outlive_a_soft_stop_until_somebody_insists() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let folder = Folder::new("tcp-stop");
    let listen = free_address();
    let text = before(address, &format!(" mode tcp\n bind {listen}\n"));
    let mut running = run(&text, &folder, &[]);
    let mut client = connect(listen);
    let (mut far, _) = server.accept().unwrap();
    let mut talk = |text: &[u8]| {
        client.write_all(text).unwrap();
        let mut heard = vec![0; text.len()];
        far.read_exact(&mut heard).unwrap();
        assert_eq!(heard, text);
    };
    talk(b"before");
    let pid = pid(&mut running);
    kill_process(pid, Signal::USR1).unwrap();
    assert!(eventually(|| TcpStream::connect(listen).is_err()));
    talk(b"after");
    kill_process(pid, Signal::TERM).unwrap();
    talk(b"still");
    assert!(is_running(&mut running));
    // Two signals that come at once may be one.
    let insists = || {
        let _ = kill_process(pid, Signal::TERM);
        !is_running(&mut running)
    };
    assert!(eventually(insists));
}

#[test]
fn n_is_the_maxconn_of_the_program() {
    let folder = Folder::new("maxconn-flag");
    let listen = free_address();
    let text = before(serve(|_| page("")), &format!(" bind {listen}\n"));
    let text = format!("global\n maxconn 100\n{text}");
    let _running = run(&text, &folder, &["-n", "1"]);
    let mut first = connect(listen);
    first.write_all(GET).unwrap();
    read_answer(&mut first);
    let mut second = connect(listen);
    second.write_all(GET).unwrap();
    let short = Duration::from_millis(200);
    second.set_read_timeout(Some(short)).unwrap();
    assert!(second.read(&mut [0]).is_err(), "it waits");
    drop(first);
    second
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert!(read_answer(&mut second).starts_with("HTTP/1.1 200"));
}

/// Clients who come without pause, until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    /// Whole answers so far.
    answers: Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<io::Result<()>>>,
}

const LONG: usize = 50_000;

impl Crowd {
    fn new(listen: SocketAddr, socket: PathBuf) -> Self {
        let mut crowd = Self {
            stop: Arc::default(),
            answers: Arc::default(),
            clients: Vec::new(),
        };
        for _ in 0..3 {
            crowd.add(move || TcpStream::connect(listen));
        }
        crowd.add(move || UnixStream::connect(&socket));
        crowd.add(move || {
            let stream = TcpStream::connect(listen);
            // Its request comes when another process may have taken over.
            thread::sleep(Duration::from_millis(5));
            stream
        });
        crowd
    }

    fn add<S: Read + Write>(&mut self, connect: impl Fn() -> io::Result<S> + Send + 'static) {
        let (stop, answers) = (Arc::clone(&self.stop), Arc::clone(&self.answers));
        let end = [b"\r\n\r\n", "~".repeat(LONG).as_bytes()].concat();
        self.clients.push(thread::spawn(move || {
            while !stop.load(Relaxed) {
                let mut stream = connect()?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer)?;
                let is_whole = answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(&end);
                if !is_whole {
                    return Err(io::Error::other(latin1(&answer)));
                }
                answers.fetch_add(1, Relaxed);
            }
            Ok(())
        }));
    }

    /// Lets so many more answers come.
    fn go_on(&self, count: usize) {
        let enough = self.answers.load(Relaxed) + count;
        let goes_on = || {
            let broken = self.clients.iter().any(thread::JoinHandle::is_finished);
            broken || self.answers.load(Relaxed) >= enough
        };
        assert!(
            eventually(goes_on),
            "{} answers",
            self.answers.load(Relaxed)
        );
    }

    fn end(self) {
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.join().unwrap().unwrap();
        }
    }
}

/// A server with long answers.
fn long_answers() -> SocketAddr {
    let body = "~".repeat(LONG);
    let page = bytes(&format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n{body}"
    ));
    serve(move |_| page.clone())
}

#[test]
fn another_process_takes_over_without_a_refused_or_broken_connection() {
    let folder = Folder::new("takeover");
    let (listen, socket) = (free_address(), folder.file("web.sock"));
    let stats = folder.file("stats.sock");
    let text = format!(
        "global\n stats socket {}\n{}",
        stats.display(),
        before(
            long_answers(),
            &format!(" bind {listen}\n bind unix@{}\n", socket.display())
        )
    );
    let mut running = run(&text, &folder, &[]);
    let crowd = Crowd::new(listen, socket);
    crowd.go_on(20);
    for _ in 0..6 {
        let old = pid(&mut running).to_string();
        let mut next = run(&text, &folder, &["-sf", &old]);
        crowd.go_on(20);
        assert!(ended(&mut running).unwrap().success(), "it has left");
        crowd.go_on(20);
        assert!(is_running(&mut next));
        assert_eq!(ask(&stats, "show backend"), "# name\nweb\n\n");
        running = next;
    }
    crowd.end();
}

#[test]
fn clients_who_wait_at_the_socket_of_the_old_process_are_let_in_by_the_new_one() {
    let (slow, quick) = (Told::new(), serve(|_| page("")));
    let folder = Folder::new("takeover-waiting");
    let listen = free_address();
    let text = |server, lines| before(server, &format!(" {lines}\n bind {listen}\n"));
    let mut running = run(&text(slow.address, "maxconn 1"), &folder, &[]);
    let mut clients: Vec<_> = (0..4).map(|_| connect(listen)).collect();
    clients[0].write_all(GET).unwrap();
    slow.wait();
    for client in &mut clients[1..] {
        client.write_all(GET).unwrap();
    }
    let id = pid(&mut running).to_string();
    let _next = run(&text(quick, ""), &folder, &["-sf", &id]);
    // One is in the hands of the old process and waits for the first to leave.
    for client in &mut clients[2..] {
        assert!(read_answer(client).starts_with("HTTP/1.1 200"));
    }
    assert!(is_running(&mut running));
    for client in &mut clients[..2] {
        slow.answer();
        assert!(read_answer(client).starts_with("HTTP/1.1 200"));
    }
    assert!(ended(&mut running).unwrap().success());
}

#[test]
fn an_old_process_can_be_told_to_hurry() {
    let folder = Folder::new("takeover-hurry");
    let listen = free_address();
    let text = before(serve(|_| page("")), &format!(" bind {listen}\n"));
    let mut running = run(&text, &folder, &[]);
    let mut silent = connect(listen);
    // Who comes later is let in later.
    exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "");
    let id = pid(&mut running).to_string();
    // Nobody has the other number.
    let _next = run(&text, &folder, &["-st", "99999999", &id, "-V"]);
    assert!(
        ended(&mut running).unwrap().success(),
        "it waits for a second, not for ten"
    );
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    let answer = exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn what_the_new_configuration_does_not_name_is_closed_and_what_it_adds_is_opened() {
    let folder = Folder::new("takeover-other");
    let [one, two, three] = [(); 3].map(|()| free_address());
    let server = serve(|_| page(""));
    let name = format!("stickroute-over-{}", std::process::id());
    let old = before(
        server,
        &format!(" bind {one}\n bind {two}\n bind abns@{name}\n"),
    );
    let new = before(
        server,
        &format!(" bind {three}\n bind {two}\n bind abns@{name}\n"),
    );
    let mut running = run(&old, &folder, &[]);
    let id = pid(&mut running).to_string();
    let _next = run(&new, &folder, &["-sf", &id]);
    assert!(ended(&mut running).unwrap().success());
    assert!(TcpStream::connect(one).is_err());
    for address in [two, three] {
        let answer = exchange(address, "GET / HTTP/1.1\r\nHost: h\r\n", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let name = UnixAddress::from_abstract_name(name).unwrap();
    let mut stream = UnixStream::connect_addr(&name).unwrap();
    stream.write_all(GET).unwrap();
    assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_process_that_cannot_start_leaves_the_old_one_alone() {
    let folder = Folder::new("takeover-fails");
    let listen = free_address();
    let server = serve(|_| page(""));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = before(server, &format!(" bind {listen}\n"));
    let mut running = run(&text, &folder, &[]);
    let id = pid(&mut running).to_string();
    let taken = taken.local_addr().unwrap();
    fs::write(
        folder.file("x.cfg"),
        text.clone() + &format!(" bind {taken}\n"),
    )
    .unwrap();
    let output = run_with(&folder, &["-f", "x.cfg", "-sf", &id]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    fs::write(folder.file("y.cfg"), text).unwrap();
    for arguments in [
        &["-f", "missing.cfg", "-sf", &id][..],
        &["-p", "no/such/folder", "-f", "y.cfg", "-sf", &id],
    ] {
        let output = run_with(&folder, arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    let answer = exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(is_running(&mut running));
}

/// Stops what runs in the background.
struct Background(Pid);

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended, which is as good.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_program_goes_to_the_background_and_is_replaced_there() {
    let folder = Folder::new("background");
    let listen = free_address();
    let text = before(serve(|_| page("")), &format!(" bind {listen}\n"));
    fs::write(folder.file("x.cfg"), text).unwrap();
    let file = folder.file("pid");
    let mut all = Vec::new();
    for _ in 0..2 {
        let old = fs::read_to_string(&file).unwrap_or_default();
        let mut arguments = vec!["-D", "-p", "pid", "-f", "x.cfg", "-sf"];
        arguments.extend(old.split_whitespace());
        // It would last for ever if the background kept the pipes of its output.
        let output = run_with(&folder, &arguments);
        assert!(output.status.success(), "{output:?}");
        assert!(latin1(&output.stdout).ends_with("\nready\n"), "{output:?}");
        let new = fs::read_to_string(&file).unwrap();
        all.push(Background(
            Pid::from_raw(new.trim().parse().unwrap()).unwrap(),
        ));
        let answer = exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(eventually(|| !lives(all[0].0)), "it has been replaced");
    assert!(lives(all[1].0));
}

/// Whether a process is there that has not ended, reaped or not.
fn lives(process: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = state.rsplit(") ").next().unwrap_or_default().to_owned();
    test_kill_process(process).is_ok() && !state.starts_with('Z')
}

#[test]
fn the_foreground_counts_more_than_the_background() {
    let folder = Folder::new("foreground");
    let listen = free_address();
    let text = before(serve(|_| page("")), &format!(" bind {listen}\n"));
    fs::write(folder.file("x.cfg"), text).unwrap();
    let mut command = Command::new(proxy());
    command
        .args(["-D", "-db", "-q", "-f"])
        .arg(folder.file("x.cfg"));
    let mut running = Running::start(&mut command, 0);
    assert!(eventually(|| TcpStream::connect(listen).is_ok()));
    assert!(is_running(&mut running));
    let stream = connect(listen);
    stream.shutdown(Shutdown::Write).unwrap();
    kill_process(pid(&mut running), Signal::INT).unwrap();
    assert!(ended(&mut running).unwrap().success());
}
