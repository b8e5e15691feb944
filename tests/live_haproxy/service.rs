//! The command line of HAProxy and of `examples/proxy`, and how each takes the other's
//! place.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::client;
use crate::support::configuration::{Folder, run};
use crate::support::{Running, eventually, example, free_address};

const TIMEOUTS: &str = "\
defaults\n mode http\n timeout client 5s\n timeout connect 1s\n timeout server 5s\n";

#[test]
#[ignore = "runs a real HAProxy"]
fn both_say_the_same_about_configurations() {
    let folder = Folder::new("command-line");
    let good = TIMEOUTS.to_owned() + "listen l\n bind :80\n server s 127.0.0.1:1\n";
    fs::create_dir_all(folder.file("d/4.cfg.d")).unwrap();
    fs::create_dir_all(folder.file("empty")).unwrap();
    for (name, text) in [
        ("good.cfg", &*good),
        ("odd.cfg", &good.replace(" timeout client 5s\n", "")),
        ("bad.cfg", "nonsense\n"),
        ("d/1.cfg", TIMEOUTS),
        ("d/10.cfg", "frontend f\n bind :80\n default_backend b\n"),
        ("d/2.cfg", "backend b\n server s 127.0.0.1:1\n"),
        ("more.cfg", " option httpclose\n"),
        ("d/.0.cfg", "nonsense\n"),
        ("d/3.txt", "nonsense\n"),
    ] {
        fs::write(folder.file(name), text).unwrap();
    }
    for arguments in [
        &["-c", "-f", "good.cfg"][..],
        &["-c", "-V", "-f", "good.cfg"],
        &["-c", "-q", "-f", "good.cfg"],
        &["-c", "-q", "-V", "-f", "good.cfg"],
        &["-c", "-V", "-q", "-f", "good.cfg"],
        &["-c", "-D", "-db", "-p", "x", "-n", "5", "-f", "good.cfg"],
        &["-c", "-f", "good.cfg", "-sf"],
        &["-c", "-f", "good.cfg", "-sf", "99999", "99998", "-V"],
        &["-c", "-f", "odd.cfg"],
        &["-c", "-q", "-f", "odd.cfg"],
        &["-c", "-f", "bad.cfg"],
        &["-c", "-q", "-f", "bad.cfg"],
        &["-c", "-f", "missing.cfg"],
        &["-c", "-f", "d"],
        &["-c", "-f", "d", "-f", "missing.cfg"],
        &["-c", "-f", "empty"],
        &["-c", "--", "d/1.cfg", "d/10.cfg", "d/2.cfg"],
        &["-c", "--", "d/1.cfg", "-f"],
        &[
            "-c", "-C", "d", "-f", "1.cfg", "-f", "10.cfg", "-f", "2.cfg",
        ],
        &["-c", "-C", "nowhere", "-f", "1.cfg"],
        &["-c", "-f", "good.cfg", "more"],
        &["-c", "-f", "good.cfg", "-f", "more.cfg"],
        &["-c", "-f", "good.cfg", "-sf", "x"],
        &["-c", "-f", "good.cfg", "-p"],
        &["-c", "-f", "good.cfg", "--nonsense"],
        &["-c"],
    ] {
        let said = [example("proxy"), "haproxy".into()].map(|program| {
            let mut command = Command::new(program);
            command.current_dir(folder.file("")).args(arguments);
            let output = command.output().unwrap();
            // Without success HAProxy shows its help there, now and then.
            let text = String::from_utf8(output.stdout).unwrap();
            let text = output.status.success().then_some(text);
            (output.status.code(), text)
        });
        assert_eq!(said[0], said[1], "{arguments:?}");
    }
}

#[test]
#[ignore = "runs a real HAProxy"]
fn each_takes_the_place_of_the_other() {
    let folder = Folder::new("each-other");
    let (listen, socket) = (free_address(), folder.file("web.sock"));
    let text = format!(
        "{TIMEOUTS}listen web\n bind {listen}\n bind unix@{}\n http-request return status 200\n",
        socket.display(),
    );
    let file = folder.file("haproxy.cfg");
    fs::write(&file, &text).unwrap();
    let haproxy = |arguments: &[&str]| {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).args(arguments);
        Running::start(command.stderr(Stdio::null()), 0)
    };
    let mut old = haproxy(&[]);
    assert!(eventually(|| TcpStream::connect(listen).is_ok()));
    for is_ours in [true, false, true] {
        let id = old.child().id().to_string();
        let arguments = ["-sf", &id];
        let next = if is_ours {
            run(&text, &folder, &arguments)
        } else {
            haproxy(&arguments)
        };
        // Not asked meanwhile: HAProxy loses who waits at the socket it closes.
        let has_left = || old.child().try_wait().unwrap().is_some();
        assert!(eventually(has_left), "ours takes over: {is_ours}");
        is_served(listen);
        old = next;
    }
}

fn is_served(listen: SocketAddr) {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = client::begin(listen, [127, 0, 0, 1].into(), request);
    let answer = answer.and_then(|(_, pending)| pending.finish());
    assert_eq!(answer.unwrap().status, 200);
}
