//! Promise: HAProxy's configurations are read as they stand, and what is wrong is told
//! with its place, all at once, whatever the input.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use stickroute::haproxy::{
    Configuration, ConfigurationReader, ErrorPage, Finding, FindingKind, Mode, Severity, Timeout,
};
use stickroute::hash::full_hash;
use stickroute::{ConsistentHashRing, Failure, Now, RingKey, SimpleRequest, StickAction};

fn findings(text: &str) -> Vec<String> {
    let result = Configuration::parse("f", text);
    let found = match &result {
        Ok(configuration) => configuration.findings(),
        Err(error) => error.findings(),
    };
    found.iter().map(ToString::to_string).collect()
}

fn errors(text: &str) -> Vec<String> {
    let error = Configuration::parse("f", text).expect_err(text);
    error.errors().map(ToString::to_string).collect()
}

/// A section around some lines of a backend.
fn backend(lines: &str) -> String {
    format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n\
         backend be\n{lines}\n server s1 10.0.0.1:80\n"
    )
}

#[test]
fn published_configurations_are_read_as_they_stand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs");
    let mut read = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "cfg") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let name = path.display().to_string();
        let configuration = Configuration::parse(&name, text).unwrap_or_else(|e| panic!("{e}"));
        assert!(configuration.findings().is_empty(), "{name}");
        assert_eq!(configuration.backends().count(), 1, "{name}");
        read += 1;
    }
    assert_eq!(read, 8);
}

#[test]
fn values_are_typed() {
    let text = "
global
 maxconn 100
 hard-stop-after 30s
 nbthread 2
 noreuseport
 stats socket /tmp/s mode 660 level admin
defaults base
 mode http
 retries 5
 option redispatch 2
 timeout connect 1500us
 timeout client 30s
 timeout server 1m
peers p
 peer a 127.0.0.1:1024
 table t type ip size 1k
frontend fe
 bind *:80,[::1]:81 accept-proxy name web
 acl static path_beg /img
 use_backend be-%[path] if static
 default_backend be
backend be
 default-server weight 20 inter 2s
 server s1 10.0.0.1:80 id 7 cookie a
 server s2 10.0.0.2:80 weight 5 backup disabled
 stick on hdr(x) lower table p/t unless { src 10.0.0.0/8 }
 option persist
 no option persist
";
    let configuration = Configuration::parse("f", text).unwrap();
    let global = &configuration.global;
    assert_eq!(global.maxconn.as_ref().unwrap().value, 100);
    let hard_stop = global.hard_stop_after.as_ref().unwrap().value;
    assert_eq!(hard_stop, Duration::from_secs(30));
    assert!(global.no_reuse_port);
    assert_eq!(global.threads.as_ref().unwrap().value, 2);
    assert_eq!(global.stats_sockets[0].mode, Some(0o660));
    let [front, back] = &configuration.proxies[..] else {
        panic!("two sections")
    };
    assert_eq!((front.mode, back.mode), (Mode::Http, Mode::Http));
    let bind = &front.frontend.binds[0];
    assert!(bind.accept_proxy && bind.addresses.value.len() == 2);
    assert!(front.frontend.use_backend[0].is_dynamic());
    assert_eq!(
        back.timeout(Timeout::Connect),
        Some(Duration::from_millis(2))
    );
    let servers = &back.backend.servers;
    assert_eq!(servers[0].settings.weight, Some(20));
    assert_eq!(servers[0].settings.id.as_ref().unwrap().value, 7);
    assert_eq!(servers[1].settings.weight, Some(5));
    assert!(servers[1].settings.backup && servers[1].settings.disabled);
    let stick = &back.backend.stick_rules[0];
    assert_eq!(stick.kind, StickAction::On);
    assert_eq!(stick.words.len(), 2);
    assert_eq!(stick.table.as_ref().unwrap().bytes(), b"p/t");
    assert!(stick.condition.as_ref().unwrap().is_negated());
    assert!(!back.is_on("persist"));
    assert_eq!(configuration.tables().next().unwrap().0, "p/t");
}

#[test]
fn every_error_is_told_in_one_line_with_its_place() {
    let text = "
frontend fe
 bind nowhere
 default_backend ba
backend be
 balnce roundrobin
 server s1 10.0.0.1:80 wieght 3 maxconn x
 server s1 10.0.0.2:80
 timeout connect 25d
 use-server s9 if TRUE
";
    let found = errors(text);
    let expected = [
        ("f:3:7: 'nowhere'", "expected IP:PORT"),
        ("f:4:18: 'ba'", "did you mean 'be'?"),
        ("f:6:2: 'balnce'", "did you mean 'balance'?"),
        ("f:7:24: 'wieght'", "did you mean 'weight'?"),
        ("f:7:41: 'x'", "a whole number from 0 to 2147483647"),
        ("f:8:9: 's1'", "is at f:7:9"),
        ("f:9:18: '25d'", "up to 2147483647 ms"),
        ("f:10:13: 's9'", "no server in this section"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (place, text)) in found.iter().zip(expected) {
        assert!(found.starts_with(place), "{found} is not at {place}");
        assert!(found.contains(text), "{text} is not in {found}");
        assert_eq!(found.lines().count(), 1);
    }
}

#[test]
fn keywords_without_effect_are_named_in_one_warning() {
    let text = format!(
        "global\n daemon\n tune.bufsize 3\n cpu-map 1 0\n{}",
        backend(" description app")
    );
    let found = findings(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with("cpu-map, daemon, description, tune.bufsize"),
        "{found:?}"
    );
}

#[test]
fn what_is_not_supported_is_refused_and_told_apart() {
    for line in [
        " dispatch 10.0.0.1:80",
        " server s2 10.0.0.2:80 ssl",
        " server-template s 3 h:80",
        " option transparent",
        "resolvers r\n nameserver a 1.2.3.4:53",
        " filter compression",
        "userlist u",
    ] {
        let error = Configuration::parse("f", backend(line)).unwrap_err();
        let kinds: Vec<_> = error.errors().map(Finding::kind).collect();
        assert_eq!(kinds, [FindingKind::NotSupported], "{line}");
    }
}

#[test]
fn what_can_be_written_instead_is_told() {
    for (line, expected) in [
        (" dispatch 10.0.0.1:80", "expected server NAME ADDRESS"),
        (" monitor-net 10.0.0.0/8", "or monitor-uri"),
        (" reqadd X-A:\\ b", "expected http-request add-header"),
        (" contimeout 5000", "expected timeout connect"),
        (" appsession S len 52 timeout 3h", "stick store-response"),
        (" option forceclose", "expected option httpclose"),
        (" server s2 h:80 resolvers r", "looked up by the system"),
        ("resolvers r\nbackend c", "looked up by the system"),
        ("global\n nbproc 4\nbackend c", "expected nbthread"),
        (
            " server s2 10.0.0.2:80 ssl verify none",
            "before them that ends it",
        ),
    ] {
        let found = errors(&backend(line));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn what_changes_all_unix_sockets_is_not_ignored() {
    let found = errors("global\n unix-bind prefix /run/ mode 600\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("f:2:2: 'unix-bind': not supported; expected mode, user"));
}

#[test]
fn conditions_are_not_blamed_for_an_acl_that_cannot_be_read() {
    let text = "frontend f\n mode http\n timeout client 1s\n bind :80\n acl a nosuch(1)\n \
                use_backend b if a\n use_backend b if !a or c\nbackend b\n mode http\n";
    assert_eq!(
        errors(text),
        [
            "f:5:8: 'nosuch(1)': there is no fetch \"nosuch\"",
            "f:7:25: 'c': there is no ACL \"c\"",
        ]
    );
}

#[test]
fn a_target_for_monitors_is_of_mode_http() {
    let text = "frontend f\n mode http\n timeout client 1s\n bind :80\n monitor-uri /up\n";
    let configuration = Configuration::parse("f", text).unwrap();
    let target = configuration.proxies[0].frontend.monitor_uri.as_ref();
    assert_eq!(target.and_then(|word| word.as_str()), Some("/up"));
    let text = text.replace("mode http", "mode tcp");
    let configuration = Configuration::parse("f", &*text).unwrap();
    assert!(configuration.proxies[0].frontend.monitor_uri.is_none());
    let found = findings(&text);
    assert_eq!(
        found,
        ["f:5:14: '/up': monitor-uri has no effect: frontend 'f' is not in mode http"]
    );
    let found = errors(&text.replace("/up", "/up /down"));
    assert!(found[0].starts_with("f:5:18: '/down'"), "{found:?}");
}

#[test]
fn lines_about_error_pages_are_handed_over_with_those_of_the_defaults() {
    let text = "
http-errors pages
 errorfile 403 /etc/403.http
defaults
 errorfile 503 /etc/503.http
frontend f
 errorloc303 502 http://x/
 http-error status 403 content-type text/x string 'no if yes'
 errorfiles pages
backend b
";
    let configuration = Configuration::parse("f", text).unwrap();
    let [front, back] = &configuration.proxies[..] else {
        panic!("{:?}", configuration.proxies);
    };
    let [of_all, location, reply, files] = &front.error_pages[..] else {
        panic!("{:?}", front.error_pages);
    };
    assert!(matches!(of_all, ErrorPage::File(page) if page.status.value == 503));
    let is_303 = |page: &ErrorPage| matches!(page, ErrorPage::Location { how: 303, .. });
    assert!(is_303(location));
    assert!(matches!(reply, ErrorPage::Reply(reply) if reply.status == 403));
    assert!(matches!(files, ErrorPage::Files { section, .. } if section.to_string() == "pages"));
    assert_eq!(back.error_pages, std::slice::from_ref(of_all));
    let pages = &configuration.http_errors[0];
    assert_eq!(pages.file(403).unwrap().to_string(), "/etc/403.http");
    let error = Configuration::parse("f", "frontend f\n errorfile\n").unwrap_err();
    assert!(error.to_string().contains("expected a status"), "{error}");
}

#[test]
fn the_last_defaults_count_unless_another_is_named() {
    let text = "
defaults a
 mode http
 cookie A insert attr x
defaults
 mode tcp
backend one
 timeout connect 1
backend two from a
 cookie B prefix attr y
defaults from a
 retries 7
backend three
";
    let configuration = Configuration::parse("f", text).unwrap();
    let [one, two, three] = &configuration.proxies[..] else {
        panic!("three sections")
    };
    assert_eq!(
        (one.mode, two.mode, three.mode),
        (Mode::Tcp, Mode::Http, Mode::Http)
    );
    assert!(one.backend.cookie.is_none());
    let cookie = &two.backend.cookie.as_ref().unwrap().value;
    assert_eq!(cookie.name(), b"B");
    assert_eq!(cookie.attrs().collect::<Vec<_>>(), [b"x", b"y"]);
    assert_eq!(three.backend.retries.as_ref().unwrap().value, 7);
}

#[test]
fn blocks_and_variables_follow_the_caller() {
    let text = "
global
 setenv MODE http
 presetenv MODE tcp
.if defined(TLS) && !feature(PLAIN)
 garbage
.elif version_atleast(2.6)
 maxconn \"${MAX-50}\"
.else
 garbage
.endif
.notice \"hello there\"
listen l
 mode \"$MODE\"
";
    let configuration = ConfigurationReader::new()
        .feature("PLAIN")
        .environment(|name| (name == "MAX").then(|| "60".to_owned()))
        .file("a", text)
        .file("b", "listen m\n maxconn 9\n")
        .read()
        .unwrap();
    assert_eq!(configuration.global.maxconn.as_ref().unwrap().value, 60);
    let [one, two] = &configuration.proxies[..] else {
        panic!("two sections")
    };
    assert_eq!(one.mode, Mode::Http);
    assert_eq!(two.frontend.maxconn.as_ref().unwrap().value, 9);
    let notice = &configuration.findings()[0];
    assert_eq!(notice.severity(), Severity::Notice);
    assert_eq!(notice.message(), "hello there");
}

#[test]
fn a_section_ends_with_its_file_and_defaults_go_on() {
    let files = |second: &str| {
        ConfigurationReader::new()
            .file("a", "defaults\n mode http\nbackend one\n")
            .file("b", second)
            .read()
    };
    let error = files(" fullconn 9\n").unwrap_err();
    assert_eq!(error.findings()[0].kind(), FindingKind::Misplaced);
    let configuration = files("backend two\n").unwrap();
    assert_eq!(configuration.proxies[1].mode, Mode::Http);
}

#[test]
fn wrong_blocks_are_refused() {
    for text in [
        ".endif\n",
        ".else\n",
        ".elif 1\n",
        ".if 1\n",
        ".if foo\n.endif\n",
        ".foo\n",
        ".if 1\n.else\n.else\n.endif\n",
        ".if 1\n.endif x\n.endif\n",
        ".alert stop\n",
    ] {
        assert!(!errors(text).is_empty());
    }
    assert!(Configuration::parse("f", ".if 0\n.if garbage(\n.endif\n.endif\n").is_ok());
}

#[test]
fn what_names_something_else_is_checked() {
    for (lines, text) in [
        (" stick on src", "there is no stick table of this name"),
        (
            " stick match src table t",
            "there is no stick table of this name",
        ),
        (
            " stick-table type ip size 1 peers p",
            "there is no peers section of this name",
        ),
        (" server s2 10.0.0.2:80 track s9", "no such server"),
        (
            " server s2 10.0.0.2:80 id 3\n server s3 10.0.0.3:80 id 3",
            "server with this id",
        ),
        ("listen be", "another section"),
        ("listen l\n bind :80\n default_backend l", "leads back"),
        (
            "listen l\n bind :80\n use_backend zz if TRUE",
            "no backend or listen section",
        ),
    ] {
        let found = errors(&backend(lines));
        assert!(found.iter().any(|found| found.contains(text)), "{found:?}");
    }
}

#[test]
fn misplaced_lines_are_warned_about_and_left_out() {
    let text = backend(
        " bind :80\n default_backend x\nfrontend fe\n bind :80\n cookie S insert\n stick on src\nbackend b2",
    );
    let error = Configuration::parse("f", text.clone()).unwrap_err();
    assert_eq!(
        error.errors().count(),
        1,
        "an unknown backend is one even where it has no effect"
    );
    let configuration =
        Configuration::parse("f", text.replace(" default_backend x\n", "")).unwrap();
    assert_eq!(configuration.findings().len(), 3);
    let [be, fe, _] = &configuration.proxies[..] else {
        panic!("three sections")
    };
    assert!(be.frontend.binds.is_empty());
    assert!(fe.backend.cookie.is_none() && fe.backend.stick_rules.is_empty());
}

#[test]
fn backends_are_built_from_sections() {
    let text = backend(
        " cookie SRV insert indirect\n balance source\n hash-type consistent\n \
         hash-balance-factor 150\n server s2 10.0.0.2:80 cookie b disabled",
    );
    let configuration = Configuration::parse("f", text).unwrap();
    let routing = configuration.build().unwrap();
    let backend = routing.backend("be").unwrap();
    let request = SimpleRequest::new("GET", "/").header("Cookie", "SRV=b");
    let selection = backend.select(&request, Now::system()).unwrap();
    assert_eq!(selection.server().name(), "s1");
    assert!(routing.backend("nowhere").is_none());
}

#[test]
fn every_algorithm_of_2_6_makes_a_backend() {
    for (line, debug) in [
        ("balance leastconn", "LeastConnections"),
        ("balance first", "FirstFree"),
        (
            "balance random(3)\n hash-balance-factor 120",
            "percent: 120",
        ),
        ("balance random", "Random"),
        ("balance static-rr", "StaticRoundRobin"),
        ("balance roundrobin", "RoundRobin"),
        ("balance rdp-cookie", "MapHash"),
    ] {
        let configuration = Configuration::parse("f", backend(&format!(" {line}"))).unwrap();
        let routing = configuration.build().unwrap();
        let backend = routing.backend("be").unwrap();
        assert!(format!("{backend:?}").contains(debug), "{backend:?}");
    }
}

#[test]
fn a_seed_decides_what_is_drawn_in_each_backend() {
    let servers = " server a 10.0.0.1:80\n server b 10.0.0.2:80\n server c 10.0.0.3:80";
    let text = format!("defaults\n balance random\nbackend one\n{servers}\nbackend two\n{servers}");
    let configuration = Configuration::parse("f", text).unwrap();
    let picks = |name: &str, seed: u64| -> Vec<String> {
        let routing = configuration.routing().seed(seed).build().unwrap();
        let backend = routing.backend(name).unwrap();
        let request = SimpleRequest::new("GET", "/");
        let select = |_| backend.select(&request, Now::system()).unwrap();
        let name = |selection: stickroute::Selection| selection.server().name().to_owned();
        (0..40).map(select).map(name).collect()
    };
    assert_eq!(picks("one", 5), picks("one", 5));
    assert_ne!(picks("one", 5), picks("one", 6));
    assert_ne!(picks("one", 5), picks("two", 5));
}

#[test]
fn what_a_backend_cannot_do_yet_is_not_ignored() {
    for line in [" server s2 :80", " server s2 10.0.0.2:80 redir http://h"] {
        let configuration = Configuration::parse("f", backend(line)).unwrap();
        let error = configuration.build().unwrap_err().to_string();
        assert!(error.contains("not supported yet"), "{error}");
    }
}

#[test]
fn slow_starts_are_as_the_lines_say() {
    let text = "backend be\n default-server slowstart 1500ms\n server s1 10.0.0.1:80\n \
                server s2 10.0.0.1:80 slowstart 0\n server s3 10.0.0.1:80 slowstart 1m disabled";
    let routing = Configuration::parse("f", text).unwrap().build().unwrap();
    let at = |seconds| Now::new(Duration::from_secs(seconds), Duration::ZERO);
    let runtime = routing.runtime(at(0));
    for server in ["s1", "s2"] {
        let _ = runtime.answer(format!("disable server be/{server}").as_bytes(), at(1));
    }
    for server in ["s1", "s2", "s3"] {
        let _ = runtime.answer(format!("enable server be/{server}").as_bytes(), at(2));
    }
    let states = |seconds| -> Vec<String> {
        let shown = runtime
            .answer(b"show servers state be", at(seconds))
            .into_text();
        let rows = shown.lines().skip(2).filter(|line| !line.is_empty());
        let words = rows.map(|row| row.split(' ').collect::<Vec<_>>());
        words.map(|row| format!("{} {}", row[5], row[7])).collect()
    };
    assert_eq!(states(3), ["1 1", "2 1", "1 1"]);
    assert_eq!(states(4), ["2 1", "2 1", "1 1"]);
    assert_eq!(states(62), ["2 1", "2 1", "2 1"]);
    let weight = runtime.answer(b"get weight be/s3", at(62)).into_text();
    assert_eq!(weight, "1 (initial 1)\n\n");
}

#[test]
fn each_server_has_its_own_place_on_the_ring() {
    let text = "backend be\n balance source\n hash-type consistent\n server s1 10.0.0.1:80\n \
                server s2 10.0.0.2:80 hash-key addr\n server s3 10.0.0.3:80 hash-key id32";
    let routing = Configuration::parse("f", text).unwrap().build().unwrap();
    let backend = routing.backend("be").unwrap();
    let mut ring = ConsistentHashRing::new();
    ring.set(1, RingKey::id(1), 16).unwrap();
    ring.set(2, RingKey::address([10, 0, 0, 2].into()), 16)
        .unwrap();
    ring.set(3, RingKey::id32(3), 16).unwrap();
    for source in (0..500).map(|n: u32| Ipv4Addr::from_bits(n * 8_123_457)) {
        let request = SimpleRequest::new("GET", "/").source(source.into());
        let selection = backend.select(&request, Now::system()).unwrap();
        let expected = ring.lookup(full_hash(source.to_bits()));
        assert_eq!(Some(selection.server().id().get()), expected);
    }
}

#[test]
fn affinity_ends_where_hash_preserve_affinity_says() {
    // How many of eight requests of one client stay with their server, slots and queue.
    let stay = |affinity: &str, limits: &str| {
        let text = format!(
            "backend be\n balance source\n hash-type consistent\n \
             hash-preserve-affinity {affinity}\n default-server {limits}\n \
             server s1 10.0.0.1:80\n server s2 10.0.0.2:80"
        );
        let routing = Configuration::parse("f", text).unwrap().build().unwrap();
        let backend = routing.backend("be").unwrap();
        let request = SimpleRequest::new("GET", "/").source([10, 9, 8, 7].into());
        let admit = |_| backend.admit(&request, Now::system());
        let _kept: Vec<_> = (0..8).map(admit).collect();
        let on = |name| backend.server(name).map(|it| it.in_flight() + it.queued());
        let mut counts = ["s1", "s2"].map(|name| on(name).unwrap());
        counts.sort_unstable();
        counts
    };
    assert_eq!(stay("always", "maxconn 2"), [0, 8]);
    assert_eq!(stay("maxqueue", "maxconn 2"), [0, 8]);
    assert_eq!(stay("maxqueue", "maxqueue 2"), [0, 8]);
    assert_eq!(stay("maxqueue", "maxconn 2 maxqueue 3"), [3, 5]);
    assert_eq!(stay("maxqueue", "maxconn 1 maxqueue 1"), [2, 2]);
    assert_eq!(stay("maxconn", "maxconn 2")[0], 2);
}

#[test]
fn retries_are_for_the_failures_of_the_line() {
    let retried = |text: &str| {
        let text = format!("{text}backend be\n retries 1\n server s1 10.0.0.1:80");
        let routing = Configuration::parse("f", text).unwrap().build().unwrap();
        let backend = routing.backend("be").unwrap();
        let selection = backend.select(&SimpleRequest::default(), Now::system());
        let selection = selection.unwrap();
        let failures = [
            Failure::Refused,
            Failure::EmptyResponse,
            Failure::Status(404),
            Failure::Status(503),
        ];
        failures.map(|failure| backend.may_retry(&selection, failure))
    };
    assert_eq!(retried(""), [true, false, false, false]);
    let defaults = |line: &str| retried(&format!("defaults\n retry-on {line}\n"));
    assert_eq!(defaults("none"), [false; 4]);
    assert_eq!(defaults("404 503"), [false, false, true, true]);
    assert_eq!(defaults("all-retryable-errors"), [true, true, false, true]);
    assert_eq!(
        defaults("503\n retry-on empty-response"),
        [false, true, false, false]
    );
    for (line, place, expected) in [
        ("none 503", "2:11", "expected none on a line of its own"),
        ("503 none", "2:15", "expected none on a line of its own"),
        (
            "503 200",
            "2:15",
            "expected one or more of conn-failure, empty-response",
        ),
        (
            "'503 504'",
            "2:11",
            "expected one or more of conn-failure, empty-response",
        ),
        (
            "",
            "2:",
            "expected one or more of conn-failure, empty-response",
        ),
    ] {
        let error = Configuration::parse("f", format!("defaults\n retry-on {line}\n"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("f:{place}")), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let error = Configuration::parse("f", "frontend f\n bind :1\n retry-on 503");
    assert!(error.is_ok_and(|it| it.proxies[0].backend.retry_on.is_none()));
}

/// So many sessions and so many who wait, of that many requests which stay.
fn admitted(text: &str, requests: u64) -> (u32, u32) {
    let configuration = Configuration::parse("f", text).unwrap();
    let routing = configuration.build().unwrap();
    let backend = routing.backend("be").unwrap();
    let request = SimpleRequest::new("GET", "/");
    let admit = |n| backend.admit(&request, Now::new(Duration::from_secs(n), Duration::ZERO));
    let admitted: Vec<_> = (0..requests).map(admit).collect();
    let server = backend.server("s1").unwrap();
    let counts = (server.in_flight(), server.queued() + backend.queued());
    assert!(admitted.iter().filter(|it| it.is_ok()).count() as u32 == counts.0 + counts.1);
    counts
}

#[test]
fn limits_and_queues_are_as_the_lines_say() {
    let text = |words: &str| format!("backend be\n balance source\n server s1 10.0.0.1:80 {words}");
    assert_eq!(admitted(&text(""), 5), (5, 0));
    assert_eq!(admitted(&text("maxconn 2"), 5), (2, 3));
    assert_eq!(admitted(&text("maxconn 2 maxqueue 1"), 5), (2, 1));
}

#[test]
fn there_are_1_to_64_threads() {
    let threads = |word: &str| {
        let text = format!("global\n nbthread {word}\n");
        let configuration = Configuration::parse("f", text).ok()?;
        Some(configuration.global.threads?.value)
    };
    assert_eq!((threads("1"), threads("64")), (Some(1), Some(64)));
    for word in ["", "0", "65", "-1", "x", "2 3"] {
        assert_eq!(threads(word), None, "{word}");
    }
}

// Observed on HAProxy 2.6.12 with three requests.
#[test]
fn fullconn_is_a_tenth_of_what_the_frontends_let_in_unless_it_is_given() {
    let text = |global: &str, fe: &str, be: &str| {
        format!(
            "global\n{global}\nfrontend fe\n default_backend be\n{fe}\n\
             backend be\n{be}\n server s1 10.0.0.1:80 minconn 1 maxconn 10\n"
        )
    };
    let other =
        " maxconn 50\n use_backend be if TRUE\nfrontend two\n use_backend be if FALSE\n maxconn ";
    for (global, fe, be, expected) in [
        ("", " maxconn 100", "", (3, 0)),
        ("", " maxconn 101", "", (1, 2)),
        (" maxconn 100", "", "", (3, 0)),
        (" maxconn 110", "", "", (1, 2)),
        (" maxconn 200", " maxconn 0", "", (1, 2)),
        ("", &format!("{other}50"), "", (3, 0)),
        ("", &format!("{other}51"), "", (1, 2)),
        ("", " maxconn 200", " fullconn 10", (3, 0)),
        ("", " maxconn 200", " fullconn 0", (1, 2)),
    ] {
        let text = text(global, fe, be);
        assert_eq!(admitted(&text, 3), expected, "{text}");
    }
    let configuration = Configuration::parse("f", text("", "", "")).unwrap();
    let error = configuration.build().unwrap_err().to_string();
    assert!(
        error.contains("f:8:9: 's1': minconn without fullconn"),
        "{error}"
    );
}

// Observed on HAProxy 2.6.12: `-n` and what `fullconn` is by default.
#[test]
fn a_limit_of_the_caller_takes_the_place_of_that_in_the_text() {
    let text = |fe: &str| {
        format!(
            "global\n maxconn 3000\nfrontend fe\n default_backend be\n{fe}\n\
             backend be\n server s1 10.0.0.1:80 minconn 1 maxconn 10\n"
        )
    };
    let admitted = |limit: u32, fe: &str| {
        let reader = ConfigurationReader::new().max_connections(limit);
        let read = reader.file("f", text(fe)).read().unwrap();
        let global = read.global.maxconn.as_ref().unwrap().value;
        let routing = read.build().unwrap();
        let backend = routing.backend("be").unwrap();
        let request = SimpleRequest::new("GET", "/");
        let now = Now::system();
        let admitted: Vec<_> = (0..3).map(|_| backend.admit(&request, now)).collect();
        (
            global,
            admitted.iter().filter(|it| it.is_ok()).count(),
            backend.queued() + backend.server("s1").unwrap().queued(),
        )
    };
    assert_eq!(admitted(100, ""), (100, 3, 0));
    assert_eq!(admitted(110, ""), (110, 3, 2));
    assert_eq!(admitted(110, " maxconn 100"), (110, 3, 0));
    assert_eq!(admitted(0, ""), (3000, 3, 2));
}

/// Reads a text and fails if it takes much longer than a linear pass would.
fn in_time(text: String) -> Vec<String> {
    let begin = Now::system().mono();
    let result = Configuration::parse("f", text);
    let found = match &result {
        Ok(configuration) => configuration.findings(),
        Err(error) => error.findings(),
    };
    let shown = found.iter().take(3).map(ToString::to_string).collect();
    let taken = Now::system().mono().saturating_sub(begin);
    assert!(taken < Duration::from_secs(60), "{taken:?}");
    shown
}

#[test]
fn huge_inputs_end_in_time() {
    let long = in_time(format!("global\n #{}\n", "a".repeat(50_000_000)));
    assert!(long[0].contains("the line is too long"), "{long:?}");
    let words = in_time(format!("global\n{}\n", " a".repeat(500_000)));
    assert!(words[0].contains("too many words"), "{words:?}");
    let nested = in_time(".if 1\n".repeat(100_000));
    assert!(nested[0].contains("at most 100 nested"), "{nested:?}");
    let text = format!("backend b\n{}", " foo\n".repeat(1_000_000));
    let error = Configuration::parse("f", text).unwrap_err();
    assert_eq!(error.findings().len(), 10_001);
    assert!(error.findings()[10_000].message().starts_with("not read"));
    in_time(format!(
        "backend b\n{}",
        " cookie S insert attr x\n".repeat(20_000)
    ));
    in_time("backend b\n".repeat(50_000));
    let mut servers = "defaults\n default-server".to_owned();
    for option in ["agent-addr", "addr", "agent-send", "redir", "init-addr"] {
        let _ = write!(servers, " {option} {}", "x".repeat(100_000));
    }
    servers.push_str("\nbackend b\n");
    for number in 0..20_000 {
        let _ = writeln!(servers, " server s{number} 10.0.0.1:80");
    }
    let found = in_time(servers);
    assert!(
        found.iter().any(|found| found.contains("inherit too much")),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Configuration::parse("f", text);
    }

    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(word(), 0..120)) {
        if let Ok(configuration) = Configuration::parse("f", words.join("")) {
            let _ = configuration.build();
        }
    }
}

/// Words of configurations, with blanks and line feeds.
fn word() -> impl Strategy<Value = String> {
    let words: Vec<String> = "global\n,defaults\n,defaults ,frontend ,backend ,listen ,peers ,be \
        ,be\n,fe\n,\n ,\n, from ,bind ,:80 ,server ,s1 ,s2 ,10.0.0.1:80 ,weight ,cookie ,id ,3 ,0 \
        ,-1 ,x ,\" ,' ,\\ ,# ,$,\"${A-b}\" ,mode ,http\n,tcp\n,balance ,source\n,hash-type \
        ,consistent\n,stick ,on ,src ,table ,if ,unless ,TRUE\n,stick-table ,type ,ip ,size ,1k\n\
        ,option ,redispatch ,persist\n,no ,default ,timeout ,connect ,1s\n,use_backend \
        ,default_backend ,use-server ,acl ,http-request ,deny ,tcp-request ,content ,peer ,track \
        ,default-server ,\n.if ,\n.else\n,\n.endif\n,1\n,defined(A)\n,! ,( ,) ,insert ,attr ,retries "
        .split(',')
        .map(str::to_owned)
        .collect();
    proptest::sample::select(words)
}
