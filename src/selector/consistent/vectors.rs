//! What real HAProxy did with `hash-type consistent`, replayed.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::{ConsistentHash, PreserveAffinity, RingPlacement};
use crate::hash::{HashFunction, crc32};
use crate::message::{Request, first_header};
use crate::selector::vector_check::replay_file;
use crate::selector::{HashInput, Selector};

/// Requests that HAProxy sends through the ring of the backups although active servers
/// are usable again: a defect we do not share.
const CROSSRING: &str = "b-cons-fallback-crossring";

#[test]
fn recorded_choices_of_2_6_are_repeated() {
    let file = include_str!("../../../tests/vectors/balance.jsonl");
    assert_eq!(replay(file), (32, Vec::new()));
}

#[test]
fn recorded_choices_of_3_5_are_repeated() {
    let file = include_str!("../../../tests/vectors/balance_35.jsonl");
    assert_eq!(replay(file), (11, Vec::new()));
}

fn replay(file: &str) -> (usize, Vec<String>) {
    let shared: Vec<_> = file.lines().filter(|it| !it.contains(CROSSRING)).collect();
    replay_file(&shared.join("\n"), configured)
}

fn configured(config: &Value) -> Option<Arc<dyn Selector>> {
    let mut words = config["hash_type"].as_str()?.split(' ');
    if words.next() != Some("consistent") {
        return None;
    }
    let function = words.next().map(function);
    let decimal = function == Some(HashFunction::Decimal);
    let mut selector = ConsistentHash::new(input(config["balance"].as_str()?, decimal))
        .key(placement(&config["servers"][0]["hash_key"]))
        .balance_factor(config["hash_balance_factor"].as_u64().unwrap_or(0) as u32);
    if let Some(function) = function {
        selector = selector.function(function);
    }
    if words.next() == Some("avalanche") {
        selector = selector.avalanche(true);
    }
    if config["hash_preserve_affinity"] == "maxconn" {
        selector = selector.preserve_affinity(PreserveAffinity::MaxConnections);
    }
    Some(Arc::new(selector))
}

fn function(name: &str) -> HashFunction {
    match name {
        "sdbm" => HashFunction::Sdbm,
        "djb2" => HashFunction::Djb2,
        "wt6" => HashFunction::Wt6,
        "crc32" => HashFunction::Crc32,
        "none" => HashFunction::Decimal,
        other => panic!("{other}"),
    }
}

/// The key of the first server: all servers of a recorded case have the same.
fn placement(name: &Value) -> RingPlacement {
    match name.as_str() {
        None | Some("id") => RingPlacement::Id,
        Some("id32") => RingPlacement::Id32,
        Some("guid") => RingPlacement::Guid,
        Some("addr") => RingPlacement::Address,
        Some("addr-port") => RingPlacement::AddressPort,
        Some(other) => panic!("{other}"),
    }
}

fn input(line: &str, decimal: bool) -> HashInput {
    match line {
        "source" => HashInput::source(),
        "uri" => HashInput::uri().into(),
        "uri depth 2" => HashInput::uri().depth(2).into(),
        "uri whole" => HashInput::uri().whole().into(),
        "uri path-only" => HashInput::uri().path_only().into(),
        "url_param userid" => HashInput::url_param("userid"),
        "hdr(X-Key)" | "hdr(x-key)" => HashInput::header("x-key").into(),
        _ => expression(line, decimal),
    }
}

/// `balance hash EXPR` for the expressions that were recorded.
///
/// Integers are eight bytes, or decimal text where the function is `none`.
fn expression(line: &str, decimal: bool) -> HashInput {
    let line = line.to_owned();
    HashInput::custom(line.clone(), move |request, key| {
        let path = path(request);
        let mut number = |number: u64| match decimal {
            true => key(number.to_string().as_bytes()),
            false => key(&number.to_be_bytes()),
        };
        match (line.as_str(), request.source()) {
            ("hash path,crc32", _) => number(crc32(path).into()),
            ("hash path,length", _) => number(path.len() as u64),
            ("hash src", Some(IpAddr::V4(v4))) => key(&v4.octets()),
            ("hash src", Some(IpAddr::V6(v6))) => key(&v6.octets()),
            // In an expression, unlike in `balance hdr`, the last element counts.
            ("hash req.hdr(x-key),lower", _) => {
                if let Some(value) = first_header(request, "x-key") {
                    let last = value.rsplit(|&byte| byte == b',').next().unwrap();
                    key(&last.trim_ascii().to_ascii_lowercase());
                }
            }
            (other, _) => panic!("{other}"),
        }
    })
}

fn path(request: &dyn Request) -> &[u8] {
    let target = request.target();
    let end = target.iter().position(|&byte| byte == b'?');
    &target[..end.unwrap_or(target.len())]
}
