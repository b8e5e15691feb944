//! Who reads the log of `examples/proxy -f` on its standard output, or does not.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::service::{TIMEOUTS, proxy};
use crate::support::configuration::Folder;
use crate::support::free_address;

/// The program, and its standard output from the first log line on.
struct Logged {
    child: Child,
    output: BufReader<ChildStdout>,
    listen: SocketAddr,
    _folder: Folder,
}

impl Logged {
    fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let listen = free_address();
        let text = format!(
            "global\n log stdout len 4096 format raw local0\n{TIMEOUTS} log global\n option httplog\n\
             listen web\n bind {listen}\n http-request return status 200\n"
        );
        let file = folder.file("logged.cfg");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(proxy());
        command.arg("-f").arg(&file);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line != "ready\n" {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it runs");
        }
        Self {
            child,
            output,
            listen,
            _folder: folder,
        }
    }

    /// Asks so often, and is answered each time.
    fn ask(&self, count: usize) {
        let mut stream = TcpStream::connect(self.listen).unwrap();
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        for number in 0..count {
            let path = format!("/{number}-{}-{number}", "x".repeat(2_000));
            let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            let mut byte = [0];
            while !answer.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).expect("it is answered");
                answer.push(byte[0]);
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"));
        }
    }

    /// Ends it gracefully; returns the numbers of the requests that were told of.
    fn told(mut self) -> Vec<usize> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::TERM).unwrap();
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        let lines = text.lines();
        let number = |line: &str| {
            let (_, path) = line.split_once("\"GET /").expect("a line is whole");
            let path = path.strip_suffix(" HTTP/1.1\"").expect("a line is whole");
            let (first, last) = path
                .split_once(&format!("-{}-", "x".repeat(2_000)))
                .unwrap();
            assert_eq!(first, last);
            first.parse().unwrap()
        };
        lines.map(number).collect()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_wait_for_a_slow_reader_and_requests_do_not() {
    let logged = Logged::start("slow-reader");
    // More than a pipe takes.
    logged.ask(500);
    assert_eq!(logged.told(), (0..500).collect::<Vec<_>>());
}

#[test]
fn lines_that_nobody_reads_are_lost_and_nobody_waits() {
    let logged = Logged::start("no-reader");
    // More than is kept.
    logged.ask(4_000);
    let told = logged.told();
    assert!(told.len() < 4_000, "{}", told.len());
    let first = told.len().min(1_000);
    assert_eq!(told[..first], (0..first).collect::<Vec<_>>());
    assert!(told.is_sorted());
}
