//! The files that are tables of a function: hashes, dynamic cookies, directives.

use std::net::IpAddr;

use serde_json::Value;
use stickroute::hash::{self, HashFunction, full_hash};
use stickroute::{Backend, CookiePolicy, Server, cookie};

use crate::report::{Comparison, play_csv, play_json};

#[test]
fn hash_functions_csv() {
    play_csv("hash_functions.csv", |fields| {
        let expected: u64 = fields[2].parse().expect("a number");
        let mut comparison = Comparison::default();
        comparison.check("hash", &hash_of(fields[0], &from_hex(fields[1])), &expected);
        comparison.outcome()
    });
}

/// A function by its name in the recordings: `xxh64 seed=0x1f`, `sdbm+avalanche`.
fn hash_of(function: &str, key: &[u8]) -> u64 {
    if let Some((function, seed)) = function.split_once(" seed=") {
        let seed = number(seed);
        return match function {
            "xxh32" => hash::xxh32(key, seed as u32).into(),
            "xxh64" => hash::xxh64(key, seed),
            other => panic!("function {other:?}"),
        };
    }
    let (function, avalanche) = match function.strip_suffix("+avalanche") {
        Some(function) => (function, true),
        None => (function, false),
    };
    let hash = match function {
        "sdbm" => HashFunction::Sdbm.hash(key),
        "djb2" => HashFunction::Djb2.hash(key),
        "wt6" => HashFunction::Wt6.hash(key),
        "crc32" => HashFunction::Crc32.hash(key),
        "crc32c" => hash::crc32c(key),
        "full_hash" => full_hash(u32::from_be_bytes(key.try_into().expect("four bytes"))),
        other => panic!("function {other:?}"),
    };
    if avalanche { full_hash(hash) } else { hash }.into()
}

fn number(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.expect("a number")
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Through a whole backend, so that key, address and policy meet as they do in use.
#[test]
fn dynamic_cookie_csv() {
    play_csv("dynamic_cookie.csv", |fields| {
        let ip: IpAddr = fields[0].parse().expect("an address");
        let port: i32 = fields[1].parse().expect("a port");
        // A key may hold commas; what stands before and behind it cannot.
        let (&expected, key) = fields[2..].split_last().expect("a cookie");
        let key = key.join(",");
        let mut comparison = Comparison::default();
        let computed = cookie::dynamic_identifier(key.as_bytes(), ip, port);
        comparison.check(
            "value",
            &computed.escape_ascii().to_string().as_str(),
            &expected,
        );
        if let Ok(port) = u16::try_from(port) {
            let backend: Backend = Backend::builder("be")
                .server(Server::new("s", std::net::SocketAddr::new(ip, port)))
                .cookie(CookiePolicy::insert("S").dynamic())
                .dynamic_cookie_key(key.as_str())
                .build()
                .expect("a good configuration");
            let selection = backend
                .select(
                    &stickroute::SimpleRequest::new("GET", "/"),
                    stickroute::Now::system(),
                )
                .expect("a server");
            comparison.check(
                "identifier",
                &selection.server().cookie(),
                &Some(expected.as_bytes()),
            );
        }
        comparison.outcome()
    });
}

#[test]
fn cookie_config_jsonl() {
    play_json("cookie_config.jsonl", |case| {
        let line = case["line"].as_str().expect("line");
        let text = line.strip_prefix("cookie").expect("the keyword");
        let (result, mut reasons) = match CookiePolicy::from_directive(text) {
            Ok(parsed) if parsed.warnings.is_empty() => ("ok", Vec::new()),
            Ok(parsed) => (
                "warning",
                parsed
                    .warnings
                    .iter()
                    .map(|finding| finding.reason().code())
                    .collect(),
            ),
            Err(error) => (
                "error",
                error
                    .findings()
                    .iter()
                    .map(|finding| finding.reason().code())
                    .collect(),
            ),
        };
        reasons.sort_unstable();
        let mut expected = strings(&case["reasons"]);
        expected.sort_unstable();
        let mut comparison = Comparison::default();
        comparison.check("result", &Some(result), &case["result"].as_str());
        comparison.check("reasons", &reasons, &expected);
        comparison.outcome()
    });
}

fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("text")).collect()
}
