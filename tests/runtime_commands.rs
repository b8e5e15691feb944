//! Promise: runtime commands answer as HAProxy does, and no line does harm.
#![cfg(feature = "haproxy")]

use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use stickroute::haproxy::{Level, ProxyId, Runtime, ServerData, Wish, selector};
use stickroute::{Backend, Key, KeyType, Now, Server, StickTable};

fn at(milliseconds: u64) -> Now {
    let mono = Duration::from_millis(milliseconds);
    Now::new(mono, Duration::from_secs(1_700_000_000) + mono)
}

fn table(key_type: KeyType, size: u64) -> StickTable {
    let table = StickTable::builder(key_type).size(size);
    table.expire(Duration::from_secs(30)).build().unwrap()
}

fn backend() -> Backend {
    Backend::builder("be")
        .server(Server::new("s1", "127.0.1.1:18080"))
        .server(Server::new("s2", "127.0.1.2:18080").weight(10))
        .server(
            Server::new("s3", "127.0.1.3:18080").admin_state(stickroute::AdminState::Maintenance),
        )
        .server(Server::new("s4", "app.internal:80").id(9))
        .server(Server::new("s5", "/run/app.sock").backup())
        .build()
        .unwrap()
}

/// A backend and tables of every type, one of them full.
struct Scene {
    backend: Backend,
    tables: Vec<(&'static str, StickTable, ServerData)>,
}

impl Scene {
    fn new() -> Self {
        let tables = vec![
            ("be", table(KeyType::Ip, 1024), ServerData::IdAndKey),
            ("t6", table(KeyType::Ipv6, 10), ServerData::Id),
            ("ti", table(KeyType::Integer, 10), ServerData::None),
            ("ts", table(KeyType::String(8), 10), ServerData::IdAndKey),
            ("tb", table(KeyType::Binary(8), 10), ServerData::None),
        ];
        let backend = backend();
        Self { backend, tables }
    }

    fn runtime(&self) -> Runtime<'_> {
        let mut runtime = Runtime::new(at(0)).backend(ProxyId::Counted(3), &self.backend);
        for (name, table, data) in &self.tables {
            runtime = runtime.table(name, table, *data);
        }
        runtime
    }

    fn say(&self, line: &str, now: Now) -> String {
        self.runtime().answer(line.as_bytes(), now).into_text()
    }

    /// Plays (command, answer) pairs; an answer is given without its empty line.
    fn play(&self, steps: &[(&str, &str)]) {
        for &(line, expected) in steps {
            let separator = if expected.is_empty() { "" } else { "\n" };
            let answer = without_pointers(&self.say(line, at(1_000)));
            assert_eq!(answer, format!("{expected}{separator}\n"), "{line}");
        }
    }
}

/// The text with `0xPTR` for each pointer.
fn without_pointers(text: &str) -> String {
    let line = |line: &str| match line.split_once(": key=") {
        Some((pointer, rest)) if pointer.starts_with("0x") => format!("0xPTR: key={rest}"),
        _ => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_entry_is_created_shown_changed_and_cleared() {
    Scene::new().play(&[
        ("set table be key 10.0.0.1 data.server_id 2", ""),
        ("set table be key 10.0.0.2", ""),
        (
            "show table be",
            "# table: be, type: ip, size:1024, used:2\n\
             0xPTR: key=10.0.0.1 use=0 exp=30000 server_id=2 server_key=-\n\
             0xPTR: key=10.0.0.2 use=0 exp=30000 server_id=0 server_key=-",
        ),
        ("clear table be key 10.0.0.1", ""),
        ("show table be key 10.0.0.1", ""),
        ("set table t6 key ::1 data.server_id -1", ""),
        ("clear table be", ""),
        (
            "show table t6 key 0::1",
            "# table: t6, type: ipv6, size:10, used:1\n0xPTR: key=::1 use=0 exp=30000 server_id=-1",
        ),
    ]);
}

#[test]
fn set_table_without_a_key_empties_nothing() {
    let scene = Scene::new();
    scene.play(&[
        ("set table be key 10.0.0.1", ""),
        (
            "set table be",
            "Required arguments: <table> key <key> [data.<store_data_type> <value>]*",
        ),
    ]);
    assert_eq!(scene.tables[0].1.len(), 1);
}

#[test]
fn setting_the_id_leaves_the_name_that_traffic_has_stored() {
    let scene = Scene::new();
    let table = &scene.tables[0].1;
    let s1 = table.server(1, Some("s1")).unwrap();
    let key = Key::from(std::net::Ipv4Addr::new(10, 0, 0, 1));
    let _ = table.set(&key, s1, at(0)).unwrap();
    scene.play(&[(
        "set table be key 10.0.0.1 data.server_id 3 data.server_key 9",
        "",
    )]);
    let entry = table.peek(&key, at(1_000)).unwrap();
    assert_eq!((entry.server_id(), entry.server_key()), (3, Some("s1")));
}

#[test]
fn an_entry_in_use_is_not_cleared() {
    let scene = Scene::new();
    let shared = std::sync::Arc::new(table(KeyType::Integer, 10));
    let held = shared.hold(&Key::from(7), at(0)).unwrap();
    let runtime = scene.runtime().table("held", &shared, ServerData::None);
    let answer = runtime.answer(b"clear table held key 7", at(0));
    assert_eq!(answer.text(), "Entry currently in use, cannot remove\n\n");
    let answer = runtime.answer(b"clear table held; show table held key 7", at(0));
    assert!(
        answer.text().contains("key=7 use=1 exp=30000"),
        "{answer:?}"
    );
    drop(held);
    let answer = runtime.answer(b"clear table held; show table held key 7", at(0));
    assert_eq!(answer.text(), "\n\n");
}

#[test]
fn expired_entries_are_neither_shown_nor_counted() {
    let scene = Scene::new();
    scene.play(&[("set table be key 10.0.0.1", "")]);
    let empty = "# table: be, type: ip, size:1024, used:0\n\n";
    assert_eq!(scene.say("show table be", at(31_001)), empty);
}

#[test]
fn the_state_of_servers_has_the_columns_of_haproxy() {
    let scene = Scene::new();
    assert_eq!(
        scene.say(
            "disable server be/s1; set server be/s2 health down",
            at(2_500)
        ),
        "\n\n"
    );
    let answer = scene.say("show servers state be", at(7_000));
    let rows: Vec<_> = answer.lines().skip(2).collect();
    assert_eq!(
        rows,
        [
            "3 be 1 s1 127.0.1.1 0 1 1 1 5 1 0 0 0 0 0 0 - 18080 - 0 0 - - 0",
            "3 be 2 s2 127.0.1.2 0 0 10 10 5 1 0 0 0 0 0 0 - 18080 - 0 0 - - 0",
            "3 be 3 s3 127.0.1.3 0 5 1 1 7 1 0 0 8 0 0 0 - 18080 - 0 0 - - 0",
            "3 be 9 s4 - 2 0 1 1 7 1 0 2 0 0 0 1 app.internal 80 - 0 0 - - 0",
            "3 be 5 s5 - 2 0 1 1 7 1 0 2 0 0 0 0 - 0 - 0 0 - - 0",
            "",
        ]
    );
}

#[test]
fn weights_addresses_and_ids_are_read_as_haproxy_reads_them() {
    let changed = "IP changed from '127.0.1.1' to '127.0.1.7', port changed from '18080' to '81' \
        by 'stats socket command'";
    Scene::new().play(&[
        (
            "set server be/s2 weight 5%; get weight #3/#2",
            "\n0 (initial 10)",
        ),
        ("set weight be/s2 5x", "Trailing garbage in weight string"),
        ("set weight be/s2 -5%", "Relative weight must be positive."),
        ("get weight be", "Require 'backend/server'."),
        ("get weight #4/s1", "No such backend."),
        ("set server be/s1 addr 127.0.1.7 port 81", changed),
        (
            "set server be/s1 addr 127.0.1.7 port 65536",
            "no need to change the addr, problem converting port '65536' to an int \
             by 'stats socket command'",
        ),
        (
            "set server be/s5 addr 127.0.1.7",
            "Update for the current server address family is only supported through \
             configuration file by 'stats socket command'",
        ),
    ]);
}

/// What HAProxy 2.6.12 answers on a socket of level operator.
#[test]
fn operators_change_tables_and_look_at_servers_only() {
    let scene = Scene::new();
    let runtime = scene.runtime().level(Level::Operator);
    for (line, answer) in [
        ("set table be key 10.0.0.1", "\n"),
        ("clear table be key 10.0.0.1", "\n"),
        ("get weight be/s2", "10 (initial 10)\n\n"),
        ("set server be/s1 weight 5", "Permission denied\n\n"),
        ("set server", "Permission denied\n\n"),
        ("enable server be/nix", "Permission denied\n\n"),
        ("disable server be/s1", "Permission denied\n\n"),
        ("set weight be/s1 5", "Permission denied\n\n"),
        ("enable dynamic-cookie backend be", "Permission denied\n\n"),
        ("disable dynamic-cookie backend be", "Permission denied\n\n"),
        (
            "set dynamic-cookie-key backend be K",
            "Permission denied\n\n",
        ),
        (
            "disable server be/s1; get weight be/s1",
            "Permission denied\n\n1 (initial 1)\n\n",
        ),
    ] {
        let found = runtime.answer(line.as_bytes(), at(1_000));
        assert_eq!(found.text(), answer, "{line}");
    }
    let state = runtime.answer(b"show servers state be", at(1_000));
    let row = state.text().lines().nth(2).unwrap();
    assert!(row.starts_with("3 be 1 s1 127.0.1.1 2 0 1 1 "), "{row}");
}

#[test]
fn a_static_algorithm_takes_only_its_own_weights() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "127.0.1.1:80").weight(7))
        .balance_shared(selector("static-rr", None).unwrap())
        .build()
        .unwrap();
    let runtime = Runtime::new(at(0)).backend(ProxyId::Given(33), &backend);
    let answer = runtime.answer(b"set weight be/s1 5", at(0));
    assert!(
        answer
            .text()
            .starts_with("Backend is using a static LB algorithm")
    );
    let answer = runtime.answer(b"set weight be/s1 0; set weight #33/s1 100%", at(0));
    assert_eq!(answer.text(), "\n\n");
}

#[test]
fn dynamic_cookies_are_switched_and_get_another_key() {
    Scene::new().play(&[
        ("set dynamic-cookie-key backend be secret", ""),
        ("enable dynamic-cookie backend be", ""),
        ("disable dynamic-cookie backend #3", ""),
        (
            "set dynamic-cookie-key backend be",
            "String value expected.",
        ),
        (
            "enable dynamic-cookie backend",
            "A backend name is expected.",
        ),
        ("enable dynamic-cookie backend nope", "No such backend."),
    ]);
}

#[test]
fn commands_of_a_line_are_carried_out_when_they_are_asked_for() {
    let scene = Scene::new();
    let runtime = scene.runtime();
    let line = b"set table be key 192.0.2.1; set table be key 192.0.2.2; quit; clear table be";
    let mut answers = runtime.answers(line, at(0));
    assert_eq!(answers.next().unwrap().text(), "\n");
    assert_eq!(scene.tables[0].1.len(), 1);
    assert_eq!(answers.next().unwrap().text(), "\n");
    assert_eq!(answers.next().unwrap().wish(), Some(Wish::Quit));
    assert_eq!(answers.next(), None);
    assert_eq!(scene.tables[0].1.len(), 2);
}

#[test]
fn prompt_and_quit_are_wishes_and_quit_ends_the_line() {
    let scene = Scene::new();
    let answer = scene.runtime().answer(b"prompt", at(0));
    assert_eq!((answer.text(), answer.wish()), ("\n", Some(Wish::Prompt)));
    let answer = scene
        .runtime()
        .answer(b"show backend; quit; show backend", at(0));
    assert_eq!(
        (answer.text(), answer.wish()),
        ("# name\nbe\n\n", Some(Wish::Quit))
    );
}

/// What a recording's `T`, `E` and `0xPTR` stand for is left out on both sides.
fn normalised(line: &str) -> String {
    let words = line.split(' ').enumerate().map(|(index, word)| match word {
        word if word.starts_with("exp=") => "exp=E",
        word if word.starts_with("0x") => "0xPTR:",
        word if index == 9 && line.ends_with(" - 0 0 - - 0") => {
            assert!(word == "T" || word.parse::<u64>().is_ok());
            "T"
        }
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Tables and servers of a recorded configuration, as far as these cases use them.
fn scene_of(config: &str) -> Scene {
    let mut tables: Vec<(&'static str, StickTable, ServerData)> = Vec::new();
    let mut builder = Backend::builder("be");
    let mut proxy: &'static str = "";
    for words in config
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
    {
        match words[..] {
            ["backend", name] => proxy = String::from(name).leak(),
            ["stick-table", ref words @ ..] => {
                tables.push((proxy, recorded_table(words), ServerData::None));
            }
            ["stick", ..] => tables.last_mut().unwrap().2 = ServerData::IdAndKey,
            ["server", ref words @ ..] => builder = builder.server(recorded_server(words)),
            _ => {}
        }
    }
    let backend = builder.build().unwrap();
    Scene { backend, tables }
}

fn recorded_table(words: &[&str]) -> StickTable {
    let value = |name| {
        words
            .windows(2)
            .find(|pair| pair[0] == name)
            .map(|pair| pair[1])
    };
    let length = value("len").map_or(31, |text| text.parse().unwrap());
    let key_type = match value("type").unwrap() {
        "ip" => KeyType::Ip,
        "ipv6" => KeyType::Ipv6,
        "integer" => KeyType::Integer,
        "string" => KeyType::String(length),
        other => panic!("{other}"),
    };
    let number = |text: &str| {
        let factor = match text.as_bytes().last() {
            Some(b'k') => 1 << 10,
            Some(b'm') => 1 << 20,
            _ => 1,
        };
        text.trim_end_matches(['k', 'm', 's'])
            .parse::<u64>()
            .unwrap()
            * factor
    };
    let mut table = StickTable::builder(key_type).size(number(value("size").unwrap()));
    if words.contains(&"nopurge") {
        table = table.nopurge();
    }
    // All of these have seconds, or one minute, which nobody waits for.
    let expire = value("expire").map_or(0, number);
    table.expire(Duration::from_secs(expire)).build().unwrap()
}

fn recorded_server(words: &[&str]) -> Server {
    let mut server = Server::new(words[0], words[1]);
    let mut rest = words[2..].iter();
    while let Some(&word) = rest.next() {
        server = match word {
            "weight" => server.weight(rest.next().unwrap().parse().unwrap()),
            "backup" => server.backup(),
            "disabled" => server.admin_state(stickroute::AdminState::Maintenance),
            other => panic!("{other}"),
        };
    }
    server
}

/// HAProxy's purge gives up here, which ours does not.
const EVICTION: &str = "evict-03";
/// What the tables of this library do not store yet.
const COUNTERS: &str = " store ";
#[test]
fn recorded_commands_are_answered_as_recorded() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/stick_table.jsonl"
    );
    let text = fs::read_to_string(path).unwrap();
    let (mut cases, mut steps) = (0, 0);
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(recorded) = case["steps"].as_array() else {
            continue;
        };
        let id = case["id"].as_str().unwrap();
        let config = case["config"].as_str().unwrap();
        let is_only_commands = recorded.iter().all(|step| step["do"]["op"] == "cli");
        if recorded.is_empty() || !is_only_commands || id == EVICTION || config.contains(COUNTERS) {
            continue;
        }
        steps += play_recorded(id, &scene_of(config), recorded);
        cases += 1;
    }
    println!("{steps} commands of {cases} recorded cases compared");
    assert!(steps > 90, "{steps}");
}

fn play_recorded(id: &str, scene: &Scene, steps: &[Value]) -> usize {
    for (index, step) in steps.iter().enumerate() {
        let command = step["do"]["cmd"].as_str().unwrap();
        let expected = step["got"]["out"].as_array().unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|line| normalised(line.as_str().unwrap()))
            .collect();
        let answer = scene.say(command, at(10 * index as u64));
        let answer = answer.strip_suffix('\n').expect("an empty line ends it");
        let answer: Vec<_> = answer.lines().map(normalised).collect();
        assert_eq!(answer, expected, "{id}: {command}");
    }
    steps.len()
}

/// Everything there is to see, but how long ago.
fn everything(scene: &Scene) -> String {
    let tables = scene
        .tables
        .iter()
        .map(|(_, table, _)| format!("{:?}", table.entries(at(0))));
    format!("{:?}{}", scene.backend.farm(), tables.collect::<String>())
}

/// Words that commands are made of, and any bytes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let words = "show table clear set server servers state get weight enable disable backend \
        dynamic-cookie dynamic-cookie-key help key data.server_id data.server_key data.gpc0 eq gt \
        be ts ti t6 tb be/s1 be/s4 #3/#1 be/ / # ; \\ addr port health down ready maint drain 10% \
        256 -1 99999999999999999999 1.2.3.4 ::1 abc +5 % <<";
    let words: Vec<_> = words.split_whitespace().collect();
    let part = prop_oneof![
        9 => prop::sample::select(words).prop_map(|word| format!("{word} ").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..5),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_line_panics_and_each_answer_ends_with_an_empty_line(line in line()) {
        let scene = Scene::new();
        let answer = scene.runtime().answer(&line, at(5));
        if answer.wish() != Some(Wish::Quit) {
            prop_assert!(answer.text() == "\n" || answer.text().ends_with("\n\n"));
        }
        for (_, table, _) in &scene.tables {
            prop_assert!(table.used() <= table.size());
        }
    }

    #[test]
    fn noise_changes_nothing(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let scene = Scene::new();
        let before = everything(&scene);
        let _ = scene.runtime().answer(&line, at(5));
        prop_assert_eq!(everything(&scene), before);
    }
}

#[test]
fn a_line_of_a_megabyte_does_nothing() {
    let scene = Scene::new();
    let before = everything(&scene);
    let mut line = b"disable server be/s1;".repeat(50_000);
    let answer = scene.runtime().answer(&line, at(5));
    assert!(answer.text().starts_with("Line too long"), "{answer:?}");
    line.truncate(2_100);
    line[2_000] = 0;
    let answer = scene.runtime().answer(&line, at(5));
    assert!(answer.text().starts_with("Zero byte"), "{answer:?}");
    assert_eq!(everything(&scene), before);
}
