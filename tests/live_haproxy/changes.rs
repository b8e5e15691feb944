//! What is told of servers that an operator puts in and out of service: random commands,
//! and the lines that HAProxy and `examples/proxy -f` log of them, urgency included.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::generator::Random;
use crate::program::Program;
use crate::support::{self, configuration::Folder};

const CONFIGURATION: &str = "
global
  stats socket SOCKET level admin
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend web
  bind LISTEN
  default_backend app
backend app
  log LOG format short local0
  server s1 127.0.0.1:1
  server s2 127.0.0.1:1 weight 10
  server s3 127.0.0.1:1 disabled
  server s4 127.0.0.1:1 backup
backend end
  log LOG format short local0
  server mark 127.0.0.1:1
  server other 127.0.0.1:1
";

const SERVERS: [&str; 4] = ["s1", "s2", "s3", "s4"];

const WISHES: [&str; 8] = [
    "state ready",
    "state ready",
    "state drain",
    "state maint",
    "health up",
    "health stopping",
    "health down",
    "weight",
];

const COMMANDS: usize = 200;

#[test]
#[ignore = "runs a real HAProxy"]
fn both_tell_the_same_of_an_operator() {
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("changes-{side}")));
    let [theirs, ours] = &folders;
    let theirs = Side::start(theirs, Program::haproxy);
    let ours = Side::start(ours, Program::ours);
    let mut random = Random(crate::seed());
    let mut has_weight = [true; SERVERS.len()];
    let (mut told, mut history) = (0, Vec::new());
    for number in 0..COMMANDS {
        let command = command(&mut random, &mut has_weight);
        history.push(command.clone());
        let expected = theirs.told_of(&command, number);
        let found = ours.told_of(&command, number);
        assert_eq!(found, expected, "the last of {history:#?}");
        told += expected.len();
    }
    println!("{told} lines of {COMMANDS} commands are the same");
    assert!(told > COMMANDS / 3, "most commands change something");
}

/// Weights are always others than before: HAProxy tells of one that changes nothing, too.
fn command(random: &mut Random, has_weight: &mut [bool; SERVERS.len()]) -> String {
    let which = random.below(SERVERS.len());
    let (server, wish) = (SERVERS[which], random.one_of(&WISHES));
    if wish != "weight" {
        return format!("set server app/{server} {wish}");
    }
    has_weight[which] ^= true;
    let weight = if has_weight[which] { 7 } else { 0 };
    format!("set server app/{server} weight {weight}")
}

struct Side {
    program: Program,
    log: UdpSocket,
}

impl Side {
    fn start(
        folder: &Folder,
        start: fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program,
    ) -> Self {
        let log = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        log.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let listen = support::free_address();
        let text = CONFIGURATION
            .replace("LISTEN", &listen.to_string())
            .replace("LOG", &log.local_addr().unwrap().to_string())
            .replace("SOCKET", &folder.file("stats.sock").display().to_string());
        let program = start(&text, folder, &[], vec![listen]);
        Self { program, log }
    }

    /// The lines up to that of a server which serves nothing else.
    fn told_of(&self, command: &str, number: usize) -> Vec<String> {
        self.program.ask(command);
        let wish = ["drain", "ready"][number % 2];
        self.program
            .ask(&format!("set server end/mark state {wish}"));
        let lines = std::iter::from_fn(|| Some(self.receive()));
        lines
            .take_while(|line| !line.contains("end/mark"))
            .collect()
    }

    fn receive(&self) -> String {
        let mut line = [0; 4_096];
        let length = self.log.recv(&mut line).expect("all is told in the end");
        String::from_utf8_lossy(&line[..length])
            .trim_end()
            .to_owned()
    }
}
