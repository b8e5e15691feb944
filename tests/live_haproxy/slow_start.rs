//! Slow starts, in HAProxy and in the backends built from the same file: states and weights
//! of servers that come up, as commands show them while time goes by.
//!
//! HAProxy keeps time with the clock. This library is told, so it is asked about all times
//! that HAProxy may have had in mind, a second of delay included.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use stickroute::haproxy::{Configuration, Routing};
use stickroute::{AdminState, Now, OperationalState};

use crate::program::Program;
use crate::support;
use crate::support::configuration::Folder;

const CONFIGURATION: &str = "\
global
  stats socket SOCKET level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend fe
  bind LISTEN
  default_backend three
backend three
  balance roundrobin
  server s1 127.0.0.1:1 weight 100 slowstart 3s
  server s2 127.0.0.1:1 weight 100
backend four
  balance leastconn
  server s1 127.0.0.1:1 weight 7 slowstart 3001ms
  server s2 127.0.0.1:1 weight 100
backend seven
  balance source
  hash-type consistent
  server s1 127.0.0.1:1 weight 256 slowstart 7s
backend static
  balance static-rr
  server s1 127.0.0.1:1 weight 100 slowstart 2s
  server s2 127.0.0.1:1 weight 50
backend none
  balance roundrobin
  server s1 127.0.0.1:1 weight 10
";

const BACKENDS: [&str; 5] = ["three", "four", "seven", "static", "none"];

/// Longer than any slow start, with a second of delay.
const WATCHED: Duration = Duration::from_millis(8_500);

const SLACK: Duration = Duration::from_secs(1);

/// State as in `show servers state`, weight as in `show stat`.
type Seen = (u8, u32);

/// What HAProxy shows of `s1` in each backend, some time between two moments.
struct Sample {
    between: (Duration, Duration),
    seen: Vec<Seen>,
}

#[test]
#[ignore = "runs a real HAProxy for ten seconds; see the top of this file"]
fn servers_are_warmed_up_as_in_haproxy() {
    println!("{}", crate::haproxy::version());
    let folder = Folder::new("slow-start");
    let listen = support::free_address();
    let text = text(&folder, listen);
    let program = Program::haproxy(&text, &folder, &[], vec![listen]);
    let begun = moment();
    for backend in BACKENDS {
        let _ = program.ask(&format!("disable server {backend}/s1"));
        let _ = program.ask(&format!("enable server {backend}/s1"));
    }
    let changed = (begun, moment());
    let mut samples = Vec::new();
    while moment() < changed.1 + WATCHED {
        samples.push(sample(&program));
        std::thread::sleep(Duration::from_millis(100));
    }
    let routing = Configuration::parse("f", text.as_str())
        .unwrap()
        .build()
        .unwrap();
    for (index, backend) in BACKENDS.iter().enumerate() {
        let shown: Vec<_> = samples.iter().map(|sample| sample.seen[index]).collect();
        for (sample, seen) in samples.iter().zip(&shown) {
            let allowed = allowed(&routing, backend, changed, sample.between);
            assert!(allowed.contains(seen), "{backend}: {shown:?}; {allowed:?}");
        }
        let all: BTreeSet<_> = shown.iter().collect();
        println!("{backend}: {all:?}");
        assert!(
            shown.is_sorted_by_key(|seen| seen.1),
            "{backend}: {shown:?}"
        );
        assert_eq!(shown.last().map(|seen| seen.0), Some(2), "{backend}");
    }
}

fn text(folder: &Folder, listen: SocketAddr) -> String {
    let socket = folder.file("stats.sock");
    CONFIGURATION
        .replace("SOCKET", &socket.display().to_string())
        .replace("LISTEN", &listen.to_string())
}

/// On the monotonic clock.
fn moment() -> Duration {
    Now::system().mono()
}

fn sample(program: &Program) -> Sample {
    let from = moment();
    let states = program.ask("show servers state");
    let statistics = program.ask("show stat");
    let seen = BACKENDS.map(|backend| {
        let state = column(&states, ' ', &[(1, backend), (3, "s1")], 5);
        let weight = column(&statistics, ',', &[(0, backend), (1, "s1")], 18);
        (state as u8, weight)
    });
    Sample {
        between: (from, moment()),
        seen: seen.into(),
    }
}

/// The number in a column of the line with these words in others.
fn column(text: &str, separator: char, words: &[(usize, &str)], column: usize) -> u32 {
    let mut lines = text
        .lines()
        .map(|line| line.split(separator).collect::<Vec<_>>());
    let is_it = |line: &Vec<&str>| words.iter().all(|(at, word)| line.get(*at) == Some(word));
    let line = lines.find(is_it).expect("every server is shown");
    line[column].parse().expect("it is a number")
}

/// What this library shows at any of the times that HAProxy may have had in mind.
fn allowed(
    routing: &Routing,
    backend: &str,
    changed: (Duration, Duration),
    seen: (Duration, Duration),
) -> BTreeSet<Seen> {
    let least = seen.0.saturating_sub(changed.1 + SLACK);
    let most = (seen.1 + SLACK).saturating_sub(changed.0);
    let backend = routing.backend(backend).expect("it is configured");
    let origin = Duration::from_secs(1_000);
    let at = |time| Now::new(origin + time, Duration::ZERO);
    let order = |state| {
        let changed =
            backend.update(|change| change.at(at(Duration::ZERO)).set_admin_state("s1", state));
        changed.expect("the server is there");
    };
    order(AdminState::Maintenance);
    order(AdminState::Ready);
    let mut all = BTreeSet::new();
    let mut time = least;
    while time <= most {
        backend.maintain(at(time));
        let server = backend.server("s1").expect("it is configured");
        let state = match server.status().operational() {
            OperationalState::Starting => 1,
            _ => 2,
        };
        // HAProxy shows it on the scale of the configuration, where the static one is 50.
        let weight = match backend.name() {
            "static" => server.effective_weight() * 50,
            _ => server.effective_weight().div_ceil(16),
        };
        all.insert((state, weight));
        time += Duration::from_millis(50);
    }
    all
}
