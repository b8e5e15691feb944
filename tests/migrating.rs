//! The tables of `docs/migrating.md` say what is so: every text that is said to be read is
//! read, and every text that is said to be refused is refused.

#![cfg(feature = "haproxy")]

use stickroute::haproxy::Configuration;

const PAGE: &str = include_str!("../docs/migrating.md");

/// The rows with a text, a place in Rust and a verdict.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let haproxy = PAGE
        .split("\n## ")
        .find(|part| part.starts_with("From HAProxy"));
    let lines = haproxy.expect("there is such a part").lines();
    lines.filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", text, _, verdict, ""] = cells[..] else {
            return None;
        };
        let text = text.strip_prefix('`')?.strip_suffix('`')?;
        Some((text, verdict))
    })
}

/// A configuration in which the line can stand.
fn configuration(line: &str) -> String {
    let mut others = String::new();
    if !line.starts_with("server") {
        others.push_str(" server s1 10.0.0.1:80\n");
    }
    if line.contains("dynamic") && line.starts_with("cookie") {
        others.push_str(" dynamic-cookie-key secret\n");
    }
    if line.starts_with("dynamic-cookie-key") {
        others.push_str(" cookie SRV insert dynamic\n");
    }
    if line.starts_with("stick ") {
        others.push_str(" stick-table type string len 64 size 100\n");
    }
    if line.starts_with("http-check") {
        others.push_str(" option httpchk\n");
    }
    if line.starts_with("tcp-check") {
        others.push_str(" option tcp-check\n");
    }
    if line.contains("check") && !line.starts_with("server") {
        others.push_str(" server checked 10.0.0.3:80 check\n");
    }
    if line.contains("hash-balance-factor") || line.contains("affinity") {
        others.push_str(" balance source\n hash-type consistent\n");
    }
    format!(
        "backend other\n stick-table type ip size 100\n server s1 10.0.0.2:80\n\
         backend app\n mode http\n{others} {line}\n"
    )
}

#[test]
fn what_the_tables_say_is_so() {
    let mut checked = [0, 0];
    for (text, verdict) in rows() {
        let read = Configuration::parse("page", configuration(text));
        let built = read.and_then(|configuration| configuration.build().map(drop));
        match (verdict, built) {
            ("yes", built) => {
                checked[0] += 1;
                assert!(built.is_ok(), "{text}: {}", built.unwrap_err());
            }
            (verdict, built) if verdict.starts_with("refused") => {
                checked[1] += 1;
                assert!(built.is_err(), "{text}");
            }
            (verdict, _) => panic!("{text}: {verdict}"),
        }
    }
    println!("{} texts are read, {} are refused", checked[0], checked[1]);
    assert!(checked[0] > 50 && checked[1] > 2, "{checked:?}");
}
