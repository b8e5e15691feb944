//! Saved states: servers that checks have found down, and those that an operator has given
//! orders about, are what they were after a restart, in HAProxy and in `examples/proxy -f`,
//! whoever of them has written the file.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use crate::program::Program;
use crate::support::{self, configuration::Folder};

/// The one in front is checked at once after a restart, and not looked at.
const CONFIGURATION: &str = "
global
  stats socket SOCKET level admin
  server-state-base BASE
  server-state-file all
defaults
  mode http
  timeout client 2s
  timeout server 2s
  timeout connect 2s
  load-server-state-from-file global
frontend web
  bind LISTEN
  default_backend app
backend app
  default-server check inter TIME rise 2 fall 2
  server s0 LIVE
  server live LIVE
  server dead DEAD
  server drained LIVE weight 10
  server stopped DEAD
  server unchecked LIVE
  server maintained DEAD
  server early LIVE weight 10
backend own
  load-server-state-from-file local
  server-state-file-name other
  default-server check inter TIME rise 2 fall 2
  server s0 LIVE
  server dead DEAD
backend none
  load-server-state-from-file none
  server s0 LIVE
  server live LIVE weight 10
";

const ORDERS: [&str; 5] = [
    "set server app/drained state drain",
    "disable health app/unchecked",
    "set server app/maintained state maint",
    "set server app/early weight 5",
    "set server none/live weight 5",
];

/// States, weights, and what is about checks but for the result, which is 0 while one is on
/// its way.
const COLUMNS: [usize; 8] = [5, 6, 7, 8, 10, 12, 13, 14];

type Start = fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program;

#[test]
#[ignore = "runs a real HAProxy"]
fn states_come_back_after_a_restart() {
    let live = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = live.local_addr().expect("it has an address");
    thread::spawn(move || live.incoming().for_each(drop));
    let folder = Folder::new("states");
    let start = |start: Start, time: &str| {
        let listen = support::free_address();
        let text = CONFIGURATION
            .replace("SOCKET", &folder.file("stats.sock").display().to_string())
            .replace("BASE", &folder.file("").display().to_string())
            .replace("LISTEN", &listen.to_string())
            .replace("LIVE", &address.to_string())
            .replace("DEAD", "127.0.0.1:1")
            .replace("TIME", time);
        // It was that of the program before.
        let _ = fs::remove_file(folder.file("stats.sock"));
        start(&text, &folder, &[], vec![listen])
    };
    let write = |name: &str, text: &str| {
        fs::write(Path::new(&folder.file(name)), text).expect("the folder can be written to");
    };
    let sides: [Start; 2] = [Program::haproxy, Program::ours];
    let mut found = Vec::new();
    for writer in sides {
        write("all", "1\n");
        write("other", "1\n");
        let program = start(writer, "50ms");
        // Orders end checks, so what they find is waited for first.
        assert!(support::eventually(|| has_settled(&program)));
        for order in ORDERS {
            let _ = program.ask(order);
        }
        let saved = program.ask("show servers state");
        drop(program);
        write("all", &saved);
        write("other", &saved);
        for reader in sides {
            let program = start(reader, "10m");
            found.push(shown(&program.ask("show servers state")));
        }
    }
    for other in &found[1..] {
        assert_eq!(other, &found[0]);
    }
    let all = found[0].join("\n");
    for expected in [
        "app/live 2 0 1 1 6 3 6 0",
        "app/dead 0 0 1 1 8 0 6 0",
        "app/unchecked 2 0 1 1 6 3 2 0",
        "own/dead 0 0 1 1 8 0 6 0",
    ] {
        assert!(all.contains(expected), "{expected}: {all}");
    }
}

/// What is to come up or to go down has done so.
fn has_settled(program: &Program) -> bool {
    let states = shown(&program.ask("show servers state"));
    let is = |name: &str, begin: &str| {
        let mut lines = states.iter();
        lines.any(|line| {
            line.strip_prefix(name)
                .is_some_and(|it| it.starts_with(begin))
        })
    };
    let is_down = |name: &str| is(name, " 0 0 1 1 8 0 ");
    let is_up = |name: &str| is(name, " 2 ") && has_full_health(&states, name);
    ["app/dead", "app/stopped", "app/maintained", "own/dead"].map(is_down) == [true; 4]
        && ["app/live", "app/drained", "app/unchecked", "app/early"].map(is_up) == [true; 4]
}

fn has_full_health(states: &[String], name: &str) -> bool {
    let mut lines = states.iter();
    let line = lines.find(|line| line.starts_with(&format!("{name} ")));
    line.is_some_and(|line| line.split(' ').nth(6) == Some("3"))
}

fn shown(answer: &str) -> Vec<String> {
    let rows = answer.lines().skip(2).map(|line| line.split(' ').collect());
    let rows = rows.filter(|row: &Vec<_>| row.len() > COLUMNS[7] && row[3] != "s0");
    rows.map(|row| {
        let columns = COLUMNS.map(|column| row[column]).join(" ");
        format!("{}/{} {columns}", row[1], row[3])
    })
    .collect()
}
