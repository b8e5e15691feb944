//! What of both sides must be equal.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::plan::with_ports;
use super::servers::Seen;
use super::talk::Answer;

/// What the ports of a configuration are on one side.
pub(super) type Ports = BTreeMap<u16, SocketAddr>;

/// An answer as it is compared.
pub(super) fn answer(answer: &Answer, ports: &Ports) -> Answer {
    let mut answer = answer.clone();
    written(&mut answer.fields, ports);
    let is_own_page = !answer.is_served() && answer.body.starts_with(b"<html>");
    // How long a body is and when it ends is for each connection to say.
    let mut left_out = vec![
        "connection",
        "keep-alive",
        "transfer-encoding",
        "date",
        "content-length",
    ];
    if is_own_page || (!answer.is_served() && answer.status >= 400) {
        left_out.extend(["content-length", "content-type", "cache-control"]);
    }
    let is_left_out = |name: &str| left_out.contains(&name);
    answer.fields.retain(|(name, _)| !is_left_out(name));
    if is_own_page {
        // HAProxy's words are its own.
        answer.body.clear();
    }
    answer
}

/// Ports of one side are those of the configuration again.
fn written(fields: &mut [(String, String)], ports: &Ports) {
    let known = |port: u16| {
        let mut ports = ports.iter();
        let known = ports.find(|(_, moved)| moved.port() == port);
        known.map(|(written, _)| *written)
    };
    for (_, value) in fields {
        let is_port = value.parse().ok().and_then(known);
        *value = match is_port {
            Some(port) => port.to_string(),
            None => with_ports(value, known),
        };
    }
}

/// What servers received, as it is compared.
pub(super) fn seen(seen: &Seen, ports: &Ports) -> Seen {
    let mut seen = seen.clone();
    written(&mut seen.fields, ports);
    let left_out = [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
    ];
    seen.fields
        .retain(|(name, _)| !left_out.contains(&name.as_str()));
    seen
}

/// A line of a log without ports, dates and times.
pub(super) fn line(line: &str) -> String {
    let line = line.trim_end();
    let priority = line.split_inclusive('>').next().unwrap_or_default();
    let text = line.split_once("]: ").unwrap_or((line, line)).1;
    let mut groups = 0;
    let words = text.split(' ').map(|word| self::word(word, &mut groups));
    let mut words: Vec<_> = words.collect();
    if words.len() > 10 && words[9].starts_with("SC") && !words[10].ends_with("/0") {
        // Whether a connection counts that was lost before a retry depends, in HAProxy, on
        // when it notices that the next one is refused.
        "TIMES".clone_into(&mut words[4]);
    }
    if words.len() > 10 && is_own(&words) {
        "BYTES".clone_into(&mut words[6]);
        // How much of the body has come before the answer.
        let words = words.iter_mut();
        let sent = words.filter(|word| word.starts_with("U="));
        sent.for_each(|word| "U=BYTES".clone_into(word));
    }
    format!("{priority} {}", words.join(" "))
}

/// Whether a line of `httplog` is about an answer of the proxy's own, whose words differ.
fn is_own(words: &[String]) -> bool {
    let flags = words[9].as_bytes();
    let is_broken = flags[0] != b'-' && flags[1] != b'D';
    words[3].contains("<NOSRV>") || is_broken
}

fn word(word: &str, groups: &mut usize) -> String {
    if word.starts_with('[') && word.ends_with(']') {
        return "[DATE]".to_owned();
    }
    if let Some((address, port)) = word.rsplit_once(':')
        && address.starts_with("127.0.0.")
        && port.parse::<u16>().is_ok()
    {
        return format!("{address}:PORT");
    }
    let numbers: Vec<_> = word.split('/').collect();
    let is_numbers = numbers.iter().all(|number| number.parse::<i64>().is_ok());
    if numbers.len() < 3 || !is_numbers {
        return word.to_owned();
    }
    *groups += 1;
    let last = numbers.len() - 1;
    let masked = numbers.iter().enumerate().map(|(at, number)| {
        // Of times, that there is none is told; of connections, the retries.
        let is_kept = match *groups {
            1 => *number == "-1",
            _ => at == last,
        };
        if is_kept { number } else { "N" }
    });
    masked.collect::<Vec<_>>().join("/")
}

/// The bits of an administrative state that keep checks away.
pub(super) const MAINTENANCE: u8 = 0x01 | 0x02 | 0x04 | 0x20;

/// Words of a line of `show servers state`: times are left out, and what is only known while
/// a check is on its way.
pub(super) fn state(line: &str) -> String {
    const TIME: usize = 9;
    const RESULT: usize = 11;
    const CHECKS: std::ops::RangeInclusive<usize> = 10..=13;
    const CHECK_STATE: usize = 13;
    let admin = line.split(' ').nth(6).and_then(|word| word.parse().ok());
    // A check that was on its way when maintenance began may still count in HAProxy.
    let is_in_maintenance = admin.is_some_and(|admin: u8| admin & MAINTENANCE != 0);
    let words = line.split(' ').enumerate().map(|(at, word)| match at {
        TIME | RESULT => "*".to_owned(),
        at if is_in_maintenance && CHECKS.contains(&at) => "*".to_owned(),
        CHECK_STATE => (word.parse::<u8>().unwrap_or(0) & !1).to_string(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What differs, a line for each.
pub(super) fn difference<T: PartialEq + std::fmt::Debug>(
    what: &str,
    theirs: &[T],
    ours: &[T],
) -> Option<String> {
    if theirs == ours {
        return None;
    }
    let parts = (0..theirs.len().max(ours.len())).map(|at| {
        let [theirs, ours] = [theirs.get(at), ours.get(at)];
        match theirs == ours {
            // There are many of them.
            true if what == "log" => String::new(),
            true => format!("  both:    {theirs:?}\n"),
            false => format!("  HAProxy: {theirs:?}\n  ours:    {ours:?}\n"),
        }
    });
    Some(format!("{what}:\n{}", parts.collect::<String>()))
}
