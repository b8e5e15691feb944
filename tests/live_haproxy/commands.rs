//! Runtime commands, answered as HAProxy 2.6 answers them.
//!
//! Random lines, from fixed seeds, go to HAProxy's stats socket and to [`Runtime`], which
//! were told the same configuration. Pointers and times are left out, and so are the texts
//! of `help` and of unknown commands, which are ours.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stickroute::haproxy::{ProxyId, Runtime, ServerData, selector};
use stickroute::{AdminState, Backend, KeyType, Now, Server, StickTable};

use crate::support::{self, Running};

const SEEDS: u64 = 50;
const LINES: u64 = 100;

/// What both are told. HAProxy's own proxy and the frontend are 1 and 2.
const CONFIGURATION: &str = "\
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend fe
  bind LISTEN
  default_backend be
backend be
  balance roundrobin
  stick-table type ip size 1k expire 300s
  stick on src
  server s1 127.0.1.1:18080 weight 10
  server s2 127.0.1.2:18080 backup
  server s3 127.0.1.3:18080 disabled id 7
backend st
  balance static-rr
  id 33
  stick-table type string len 8 size 10
  server a 127.0.1.1:18080 weight 7
  server b [2001:db8::1]:80
  server c /run/stickroute.sock weight 0
backend t6
  stick-table type ipv6 size 10 store server_id
  server a 127.0.1.1:18080 id 2
backend ti
  stick-table type integer size 20 nopurge
backend tb
  stick-table type binary len 8 size 10
";

/// The same in this library's words.
struct Ours {
    backends: Vec<(ProxyId, Backend)>,
    tables: Vec<(&'static str, StickTable, ServerData)>,
    start: Now,
}

impl Ours {
    fn new() -> Self {
        let be = Backend::builder("be")
            .server(Server::new("s1", "127.0.1.1:18080").weight(10))
            .server(Server::new("s2", "127.0.1.2:18080").backup())
            .server(disabled(Server::new("s3", "127.0.1.3:18080").id(7)));
        let st = Backend::builder("st")
            .balance_shared(selector("static-rr", None).unwrap())
            .server(Server::new("a", "127.0.1.1:18080").weight(7))
            .server(Server::new("b", "[2001:db8::1]:80"))
            .server(Server::new("c", "/run/stickroute.sock").weight(0));
        let t6 = Backend::builder("t6").server(Server::new("a", "127.0.1.1:18080").id(2));
        let table = |key_type, size| StickTable::builder(key_type).size(size);
        let seconds = Duration::from_secs(300);
        Self {
            backends: vec![
                (ProxyId::Counted(3), be.build().unwrap()),
                (ProxyId::Given(33), st.build().unwrap()),
                (ProxyId::Counted(5), t6.build().unwrap()),
            ],
            tables: vec![
                (
                    "be",
                    table(KeyType::Ip, 1024).expire(seconds).build().unwrap(),
                    ServerData::IdAndKey,
                ),
                (
                    "st",
                    table(KeyType::String(8), 10).build().unwrap(),
                    ServerData::None,
                ),
                (
                    "t6",
                    table(KeyType::Ipv6, 10).build().unwrap(),
                    ServerData::Id,
                ),
                (
                    "ti",
                    table(KeyType::Integer, 20).nopurge().build().unwrap(),
                    ServerData::None,
                ),
                (
                    "tb",
                    table(KeyType::Binary(8), 10).build().unwrap(),
                    ServerData::None,
                ),
            ],
            start: Now::system(),
        }
    }

    fn answer(&self, line: &str) -> String {
        let mut runtime = Runtime::new(self.start);
        for (id, backend) in &self.backends {
            runtime = runtime.backend(*id, backend);
        }
        for (name, table, data) in &self.tables {
            runtime = runtime.table(name, table, *data);
        }
        runtime = runtime.empty_backend(ProxyId::Counted(6), "ti");
        runtime = runtime.empty_backend(ProxyId::Counted(7), "tb");
        runtime.answer(line.as_bytes(), Now::system()).into_text()
    }
}

fn disabled(server: Server) -> Server {
    server.admin_state(AdminState::Maintenance)
}

#[test]
#[ignore = "runs a real HAProxy"]
fn random_commands_are_answered_alike() {
    let mut lines = 0;
    for seed in 0..SEEDS {
        let (_haproxy, socket) = start(seed);
        let ours = Ours::new();
        let mut random = Random(seed);
        for _ in 0..LINES {
            let line = random.line();
            let Some(expected) = ask(&socket, &line) else {
                println!("seed {seed}: HAProxy ended over {line}");
                break;
            };
            let answer = normalised(&ours.answer(&line));
            assert_eq!(answer, normalised(&expected), "seed {seed}: {line}");
            lines += 1;
        }
        fs::remove_file(socket).unwrap();
    }
    println!("{lines} lines of {SEEDS} seeds answered alike");
    assert!(lines >= SEEDS * LINES / 2, "HAProxy ended too often");
}

/// A HAProxy that listens on nothing but Unix sockets, of which the second takes commands.
fn start(seed: u64) -> (Running, PathBuf) {
    let path = |name: &str| {
        let name = format!("stickroute-{}-{seed}.{name}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let (file, listen, socket) = (path("cfg"), path("web"), path("commands"));
    let global = format!(
        "global\n  nbthread 1\n  stats socket {} level admin\n",
        socket.display()
    );
    let listen_on = format!("unix@{}", listen.display());
    fs::write(&file, global + &CONFIGURATION.replace("LISTEN", &listen_on)).unwrap();
    let mut command = Command::new("haproxy");
    command
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .stderr(Stdio::null());
    let haproxy = Running::start(&mut command, 0);
    // The command socket is there before the listener is.
    for path in [&socket, &listen] {
        assert!(
            support::eventually(|| UnixStream::connect(path).is_ok()),
            "haproxy runs"
        );
    }
    for path in [file, listen] {
        fs::remove_file(path).unwrap();
    }
    (haproxy, socket)
}

/// HAProxy's answer; `None` when it has ended, as 2.6 sometimes does over a filter whose
/// words it reads beyond their end.
fn ask(socket: &Path, line: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(format!("{line}\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The answers that come without the empty line from HAProxy.
const UNENDED: [&str; 4] = [
    "Empty weight string empty or preceded by garbage",
    "Trailing garbage in weight string",
    "agent checks are not enabled on this server",
    "health checks are not enabled on this server",
];

/// An answer without pointers, times and help.
fn normalised(answer: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in answer.lines() {
        let is_unended = |last: &String| UNENDED.contains(&last.as_str());
        if line.starts_with("  ") || line.is_empty() && lines.last().is_some_and(is_unended) {
            continue;
        }
        if let Some(header) = line.strip_prefix("Unknown command") {
            lines.push(format!("Unknown command{}", &header[..1]).replace(',', "."));
            continue;
        }
        let columns = line.split(' ').count();
        let word = |(index, word): (usize, &str)| match word {
            _ if columns == 25 && index == 9 => "T".to_owned(),
            _ if word.starts_with("0x") => "0xPTR:".to_owned(),
            _ if word.starts_with("exp=") => "exp=E".to_owned(),
            _ => word.to_owned(),
        };
        let words: Vec<_> = line.split(' ').enumerate().map(word).collect();
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

/// Draws lines.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn line(&mut self) -> String {
        let commands: Vec<_> = (0..=self.below(20) / 18).map(|_| self.command()).collect();
        commands.join(self.one_of(&[";", " ; "]))
    }

    fn command(&mut self) -> String {
        match self.below(10) {
            0..=2 => self.about_a_server(),
            3 => {
                "show servers state ".to_owned()
                    + self.one_of(&["", "be", "st", "#33", "#5", "t6", "ti", "fe", "x"])
            }
            4 | 5 => self.entry(),
            6 | 7 => self.about_a_table(),
            8 => self
                .one_of(&[
                    "show table",
                    "show backend",
                    "show table be",
                    "show table st",
                    "show table ti",
                ])
                .to_owned(),
            _ => self.rare(),
        }
    }

    fn about_a_server(&mut self) -> String {
        let server = self.one_of(&[
            "be/s1", "be/s1", "be/s2", "be/s3", "be/#7", "#3/s1", "st/a", "st/b", "st/c", "#33/#2",
            "t6/a", "be/x", "x/s1", "be", "be/", "/s1", "be/#1x", "",
        ]);
        match self.below(12) {
            // To `get weight /s1` alone HAProxy has another answer than to all others.
            0 if server != "/s1" => format!("get weight {server}"),
            1 => format!("enable server {server}"),
            2 => format!("disable server {server}"),
            3 => format!("set weight {server} {}", self.weight()),
            4 | 5 => format!("set server {server} weight {}", self.weight()),
            6 | 7 => format!(
                "set server {server} state {}",
                self.one_of(&["ready", "drain", "maint", "ready", "x", ""])
            ),
            8 | 9 => format!(
                "set server {server} health {}",
                self.one_of(&["up", "stopping", "down", "up", "x", ""])
            ),
            10 => format!("set server {server} addr {}", self.address()),
            _ => format!("set server {server} {}", self.option()),
        }
    }

    fn weight(&mut self) -> &'static str {
        self.one_of(&[
            "0",
            "1",
            "7",
            "10",
            "256",
            "257",
            "-1",
            "100%",
            "50%",
            "0%",
            "300%",
            "-5%",
            "5x",
            "%",
            "x",
            "",
            "+5",
            "99999999999",
            "-0",
            "5%x",
            "300x",
            "10 x",
        ])
    }

    fn address(&mut self) -> String {
        let address = self.one_of(&[
            "127.0.1.1",
            "127.0.1.9",
            "::1",
            "2001:db8::1",
            "[::1]",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "0.0.0.0",
            "bogus",
            "1.2.3",
            "127.0.0.1:80",
            "010.0.0.1",
            "",
        ]);
        let port = self.one_of(&[
            "",
            "",
            " port 80",
            " port 18080",
            " port 0",
            " port",
            " port x",
            " port +5",
            " port -1",
            " x",
        ]);
        format!("{address}{port}")
    }

    fn option(&mut self) -> &'static str {
        self.one_of(&[
            "",
            "x",
            "agent",
            "agent up",
            "agent-addr",
            "agent-addr ::1",
            "agent-port",
            "agent-port 1",
            "agent-send",
            "agent-send x",
            "check-addr",
            "check-addr ::1",
            "check-port",
            "check-port 1",
            "fqdn",
            "fqdn x",
            "ssl",
            "ssl on",
        ])
    }

    /// A command about one entry.
    fn entry(&mut self) -> String {
        let verb = self.one_of(&["set", "set", "set", "show", "clear"]);
        let table = self.one_of(&["be", "be", "st", "t6", "ti", "tb", "x"]);
        let key = match table {
            "be" => self.one_of(&[
                "10.0.0.1",
                "10.0.0.2",
                "10.0.0.3",
                "10.1",
                "300.1.1.1",
                "1.2.3.4567",
                "::1",
                "x",
                "",
            ]),
            "t6" => self.one_of(&[
                "::1",
                "::2",
                "0::1",
                "2001:DB8::1",
                "1.2.3.4",
                "::ffff:1.2.3.4",
                "x",
                "::1%lo",
            ]),
            "ti" => self.one_of(&[
                "1",
                "2",
                "256",
                "65536",
                "+12",
                "-1",
                "4294967295",
                "4294967296",
                "7x",
                "x",
                "-0",
            ]),
            _ => self.one_of(&[
                "a",
                "b",
                r"a\ b",
                "a=b",
                "12345678",
                "123456789",
                r"a\;b",
                "'q'",
                r"\\",
            ]),
        };
        // A word in the place of the key that is empty would be the next one.
        let rest = if key.is_empty() { "" } else { self.data() };
        format!("{verb} table {table} key {key} {rest}")
    }

    fn data(&mut self) -> &'static str {
        self.one_of(&[
            "",
            "",
            "data.server_id 1",
            "data.server_id 2",
            "data.server_id -1",
            "data.server_id 4294967297",
            "data.server_id 1 data.server_id 3",
            "data.server_id",
            "data.server_id x",
            "data.server_key 1",
            "data.server_key x",
            "data.server_name 1",
            "data.gpc0 1",
            "data.foo 1",
            "data. 1",
            "data",
            "x",
            "data.server_id 5 x",
            "data.server_id +5",
            "data.server_id 9223372036854775808",
        ])
    }

    /// A command about a whole table. One that would empty it in HAProxy alone is left out.
    fn about_a_table(&mut self) -> String {
        let verb = self.one_of(&["show", "show", "clear", "set"]);
        let table = self.one_of(&["be", "be", "st", "t6", "ti", "tb", "x"]);
        let rest = match verb {
            "set" => self.one_of(&["key", "data.server_id eq 1", "x", "data", "keyx"]),
            _ => self.one_of(&[
                "data.server_id eq 1",
                "data.server_id gt 1",
                "data.server_id ne 2 data.server_id le 3",
                "data.server_id lt 0",
                "data.server_id ge -1",
                "data.server_key eq 0",
                "data.server_name gt 0",
                "data.server_id",
                "data.server_id eq",
                "data.server_id xx 1",
                "data.server_id eq x",
                "data.gpc0 eq 1",
                "data.server_id eq 1 xxxxxx",
                "data.foo",
                "data.",
                "data",
                "key",
                "x",
                "data.server_id EQ 1",
                "data.server_id ge 0 data.server_id ge 0 data.server_id ge 0 data.server_id ge 0 x",
                "data.server_id ge 0 data.server_id ge 0 data.server_id ge 0 data.server_id ge 1",
                "key x y",
            ]),
        };
        format!("{verb} table {table} {rest}")
    }

    fn rare(&mut self) -> String {
        self.one_of(&[
            "",
            "set table",
            "clear table",
            "clear table be",
            "clear table st",
            "clear table x",
            "show table x",
            "set server",
            "get weight",
            "set weight",
            "disable server",
            "enable health be/s1",
            "disable health be/s3",
            "enable health",
            "disable health x/s1",
            "enable dynamic-cookie backend be",
            "enable dynamic-cookie backend",
            "disable dynamic-cookie backend x",
            "disable dynamic-cookie backend #3",
            "set dynamic-cookie-key backend be secret",
            "set dynamic-cookie-key backend be",
            "set dynamic-cookie-key backend",
            "show servers",
            "show servers conn",
            "show servers conn st",
            "show servers conn x",
            "show",
            "help",
            "quit",
            "show backend x",
            "set table x",
            "clear table be x",
            "qwertz",
        ])
        .to_owned()
    }
}
