//! The files that are tables of a function: hashes, dynamic cookies, directives.

use std::net::IpAddr;

use serde_json::Value;
use stickroute::hash::{HashFunction, full_hash};
use stickroute::{Backend, CookiePolicy, Server, cookie};

use crate::report::{Comparison, Outcome, play_csv, play_json};

#[test]
fn hash_functions_csv() {
    play_csv("hash_functions.csv", |fields| {
        let (function, key) = (fields[0], from_hex(fields[1]));
        let expected: u32 = fields[2].parse().expect("a number");
        let mut comparison = Comparison::default();
        match hash(function, &key) {
            Some(hash) => comparison.check("hash", &hash, &expected),
            None => return Outcome::NotYet(format!("function {function}")),
        }
        comparison.outcome()
    });
}

fn hash(function: &str, key: &[u8]) -> Option<u32> {
    if let Some(function) = function.strip_suffix("+avalanche") {
        return hash(function, key).map(full_hash);
    }
    let function = match function {
        "sdbm" => HashFunction::Sdbm,
        "djb2" => HashFunction::Djb2,
        "wt6" => HashFunction::Wt6,
        "crc32" => HashFunction::Crc32,
        "full_hash" => {
            let input = key.try_into().expect("four bytes");
            return Some(full_hash(u32::from_be_bytes(input)));
        }
        _ => return None,
    };
    Some(function.hash(key))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Through a whole backend, so that key, address and policy meet as they do in use.
#[test]
fn dynamic_cookie_csv() {
    play_csv("dynamic_cookie.csv", |fields| {
        let ip: IpAddr = fields[0].parse().expect("an address");
        let port: i32 = fields[1].parse().expect("a port");
        let (key, expected) = (fields[2], fields[3]);
        let mut comparison = Comparison::default();
        let computed = cookie::dynamic_identifier(key.as_bytes(), ip, port);
        comparison.check("value", &computed.escape_ascii().to_string().as_str(), &expected);
        if let Ok(port) = u16::try_from(port) {
            let backend: Backend = Backend::builder("be")
                .server(Server::new("s", std::net::SocketAddr::new(ip, port)))
                .cookie(CookiePolicy::insert("S").dynamic())
                .dynamic_cookie_key(key)
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
                parsed.warnings.iter().map(|w| w.reason()).collect(),
            ),
            Err(error) => (
                "error",
                error.problems().iter().map(|p| p.reason()).collect(),
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
