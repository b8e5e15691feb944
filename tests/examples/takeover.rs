//! How `examples/proxy -f` ends, and how another one takes its place.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::client::exchange;
use crate::server::{bytes, latin1, page, serve};
use crate::service::{GET, Told, before, connect, ended, is_running, pid, read_answer, run_with};
use crate::support::configuration::{Folder, ask, run};
use crate::support::{eventually, free_address};

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
