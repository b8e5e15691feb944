//! `examples/proxy -f`: its command line, and the sockets it listens on.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::client::{self, exchange};
use crate::server::{latin1, page, serve};
use crate::service::{
    GET, TIMEOUTS, before, connect, ended, is_running, pid, proxy, read_answer, run_with,
};
use crate::support::configuration::{Folder, run};
use crate::support::{Running, eventually, free_address};

#[test]
fn configurations_are_checked_as_haproxy_checks_them() {
    let folder = Folder::new("flags");
    let plain = TIMEOUTS.to_owned() + "listen l\n bind :80\n server s 127.0.0.1:1\n";
    let odd = plain.clone() + " option http-pretend-keepalive\n";
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
