//! What does it cost to find a cookie's value? P16 and P17: stickroute against a scan
//! by `split(';')` and against the `cookie` crate, for the last of 20 cookies in 4 kB
//! and for the first.

use std::hint::black_box;

use stickroute::cookie;
use stickroute_rivals::{Race, Target};

/// Twenty cookies, 4 kB in all, the session cookie at `position`.
fn header(position: usize) -> String {
    let cookies: Vec<String> = (0..20)
        .map(|index| {
            if index == position {
                "SRVID=app-server-07".to_owned()
            } else {
                format!("tracker_{index:02}={}", "0123456789abcdef".repeat(12))
            }
        })
        .collect();
    cookies.join("; ")
}

fn by_split<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split(';').find_map(|item| {
        let (found, value) = item.trim_start().split_once('=')?;
        (found == name).then_some(value)
    })
}

fn by_crate(header: &str, name: &str) -> Option<usize> {
    ::cookie::Cookie::split_parse(header)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().len())
}

fn race(what: &str, header: &str, against_split: Target, against_crate: Option<Target>) {
    // Prepared once, as a backend does with the name of its cookie.
    let name = cookie::Name::new(b"SRVID");
    let length = |value: Option<usize>| value.expect("the cookie is there") as u64;
    let times = Race::new()
        .contender("stickroute", |repeats| {
            (0..repeats)
                .map(|_| {
                    let value = name.values(black_box(header.as_bytes())).next();
                    length(value.map(<[u8]>::len))
                })
                .sum()
        })
        .contender("split", |repeats| {
            (0..repeats)
                .map(|_| length(by_split(black_box(header), "SRVID").map(str::len)))
                .sum()
        })
        .contender("cookie crate", |repeats| {
            (0..repeats)
                .map(|_| length(by_crate(black_box(header), "SRVID")))
                .sum()
        })
        .run();
    against_split.judge(&format!("{what} / split(';')"), times[0], times[1]);
    if let Some(target) = against_crate {
        target.judge(&format!("{what} / cookie crate"), times[0], times[2]);
    }
}

fn main() {
    let target = |id, ratio| Target { id, ratio };
    let last = header(19);
    println!("header of {} bytes", last.len());
    race(
        "last of 20",
        &last,
        target("P16", 0.25),
        Some(target("P16", 0.08)),
    );
    race("first of 20", &header(0), target("P17", 0.4), None);
}
