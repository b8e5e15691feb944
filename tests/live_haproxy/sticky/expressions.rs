//! Random sample expressions and conditions.

use std::fmt::Write;

use super::configuration::Kind;
use crate::generator::Random;

/// What comes out of an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Integer,
    Address,
    Binary,
    Boolean,
}

/// When an expression is asked, which is what it can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Request,
    Response,
    /// In mode tcp.
    Connection,
}

use Type::{Address, Binary, Boolean, Integer, Text};

const REQUEST: &[(&str, Type)] = &[
    ("hdr(x-a)", Text),
    ("hdr(x-a)", Text),
    ("hdr(x-a,1)", Text),
    ("req.hdr(x-a,-2)", Text),
    ("req.hdr(x-b,2)", Text),
    ("req.fhdr(x-a)", Text),
    ("req.fhdr(X-B,1)", Text),
    ("cookie(sid)", Text),
    ("req.cook(sid)", Text),
    ("cook(SRV)", Text),
    ("url_param(u)", Text),
    ("urlp(u)", Text),
    ("path", Text),
    ("pathq", Text),
    ("query", Text),
    ("url", Text),
    ("base", Text),
    ("method", Text),
    ("base32+src", Binary),
    ("url32+src", Binary),
    ("base32", Integer),
    ("url32", Integer),
    ("hdr_cnt(x-a)", Integer),
    ("req.fhdr_cnt(x-a)", Integer),
    ("req.cook_cnt(sid)", Integer),
    ("hdr_val(x-n)", Integer),
    ("urlp_val(n)", Integer),
    ("int(7)", Integer),
    ("dst_port", Integer),
    ("src_port", Integer),
    ("str(one:two)", Text),
    ("ssl_fc", Boolean),
    ("src", Address),
    ("src", Address),
    ("src", Address),
    ("src,ipmask(24)", Address),
    ("src,ipmask(24,64)", Address),
    ("dst", Address),
    ("hdr_ip(x-ip)", Address),
    ("hdr_ip(x-ip,1)", Address),
    ("req.hdr_ip(x-ip),ipmask(16)", Address),
    ("hdr_ip(x-ip),ipmask(255.255.0.0,48)", Address),
];

const RESPONSE: &[(&str, Type)] = &[
    ("res.hdr(x-sess)", Text),
    ("res.hdr(x-sess)", Text),
    ("shdr(x-sess,1)", Text),
    ("res.fhdr(x-sess)", Text),
    ("res.cook(sess)", Text),
    ("res.cook(sess)", Text),
    ("scook(SRV)", Text),
    ("res.hdr_cnt(x-sess)", Integer),
    ("res.hdr_val(x-number)", Integer),
    ("status", Integer),
    ("res.hdr_ip(x-sess)", Address),
    ("src", Address),
    ("str(all)", Text),
];

const CONNECTION: &[(&str, Type)] = &[
    ("src", Address),
    ("src", Address),
    ("src,ipmask(24)", Address),
    ("src,ipmask(30,126)", Address),
    ("dst", Address),
    ("dst_port", Integer),
    ("src_port", Integer),
    ("int(3)", Integer),
    ("str(one:two)", Text),
    ("ssl_fc", Boolean),
];

const OF_TEXT: &[(&str, Type)] = &[
    ("lower", Text),
    ("lower", Text),
    ("upper", Text),
    ("field(1,:)", Text),
    ("field(2,:)", Text),
    ("field(-1,.)", Text),
    ("field(1,-,2)", Text),
    ("word(1,-)", Text),
    ("word(2,:-.)", Text),
    ("url_dec", Text),
    ("url_dec(1)", Text),
    ("url_enc", Text),
    ("hex", Text),
    ("base64", Text),
    ("bytes(0,4)", Binary),
    ("bytes(2)", Binary),
    ("ltrim(a)", Text),
    ("rtrim(a1)", Text),
    ("concat(-x)", Text),
    ("length", Integer),
    ("crc32(1)", Integer),
    ("crc32c", Integer),
    ("djb2", Integer),
    ("sdbm(1)", Integer),
    ("xxh32", Integer),
    ("wt6", Integer),
];

const OF_BINARY: &[(&str, Type)] = &[
    ("hex", Text),
    ("base64", Text),
    ("bytes(0,5)", Binary),
    ("length", Integer),
    ("crc32", Integer),
    ("xxh32(3)", Integer),
];

const OF_INTEGER: &[(&str, Type)] = &[
    ("add(3)", Integer),
    ("sub(5)", Integer),
    ("mod(7)", Integer),
    ("mul(3)", Integer),
    ("div(2)", Integer),
    ("and(255)", Integer),
    ("or(1)", Integer),
    ("xor(170)", Integer),
    ("neg", Integer),
    ("cpl", Integer),
    ("odd", Boolean),
    ("even", Boolean),
    ("bool", Boolean),
];

/// The key of a rule, of a type that the table can be asked with.
pub(crate) fn key(random: &mut Random, kind: Kind, stage: Stage) -> String {
    loop {
        let (text, found) = expression(random, stage);
        let is_usable = match kind {
            Kind::Ip | Kind::Ipv6 => match found {
                Address => true,
                Text => text.contains("x-ip") || text.contains("x-sess") || random.percent(10),
                Integer => random.percent(20),
                Binary | Boolean => false,
            },
            Kind::Integer => found != Binary,
            Kind::Text(_) | Kind::Binary(_) => true,
        };
        if is_usable {
            return text;
        }
    }
}

fn expression(random: &mut Random, stage: Stage) -> (String, Type) {
    let fetches = match stage {
        Stage::Request => REQUEST,
        Stage::Response => RESPONSE,
        Stage::Connection => CONNECTION,
    };
    let (text, mut found) = random.one_of(fetches);
    let mut text = text.to_owned();
    let converters = random.one_of(&[0, 0, 0, 1, 1, 2]);
    for _ in 0..converters {
        let fitting = match found {
            Text => OF_TEXT,
            Binary => OF_BINARY,
            Integer => OF_INTEGER,
            Address | Boolean => break,
        };
        let (converter, result) = random.one_of(fitting);
        text.push(',');
        text.push_str(converter);
        found = result;
    }
    (text, found)
}

const OF_REQUEST: &[&str] = &[
    "hdr(x-a) -m found",
    "hdr(x-a) a b alpha:beta",
    "hdr(x-b) -i ALPHA",
    "hdr_beg(x-a) a",
    "hdr_sub(x-b) o",
    "hdr_len(x-a) gt 3",
    "hdr_cnt(x-a) ge 2",
    "hdr_val(x-n) gt 3",
    "path_beg /p1",
    "path /p2 /P1",
    "path_end x",
    "url_param(u) -m found",
    "url_param(u) a",
    "cook(sid) -m found",
    "cook(sid),lower -m beg a",
    "src 198.51.100.0/29",
    "src 2001:db8::/126 198.51.100.9",
    "hdr_ip(x-ip) 10.0.0.0/8",
    "src,ipmask(30) 198.51.100.4",
    "method POST",
    "method GET",
    "req.cook_cnt(sid) eq 1",
];

const OF_RESPONSE: &[&str] = &[
    "status 200",
    "status 400:599",
    "res.hdr(x-sess) -m found",
    "res.hdr(x-sess) a b",
    "res.hdr_cnt(x-sess) gt 1",
    "res.cook(sess) -m found",
    "src 198.51.100.0/29",
];

const OF_CONNECTION: &[&str] = &[
    "src 198.51.100.0/29",
    "src 198.51.100.8/30 2001:db8::1",
    "src 2001:db8::/126 198.51.100.9",
    "src,ipmask(30) 198.51.100.4",
    "src_port gt 500",
    "dst_port 80",
    "dst 127.0.0.1 ::1",
];

/// `acl` lines of a section: so many names, some of them twice.
pub(super) fn acls(random: &mut Random, stage: Stage) -> (Vec<String>, String) {
    let names = (0..random.below(4)).map(|number| format!("acl{number}"));
    let names: Vec<String> = names.collect();
    let mut lines = String::new();
    for name in &names {
        for _ in 0..random.one_of(&[1, 1, 2]) {
            let _ = writeln!(lines, "    acl {name} {}", random.one_of(criteria(stage)));
        }
    }
    (names, lines)
}

/// `if` or `unless` and what is behind it, or nothing.
pub(super) fn maybe(random: &mut Random, acls: &[String], stage: Stage) -> String {
    if random.percent(60) {
        return String::new();
    }
    condition(random, acls, stage)
}

/// `if` or `unless` and what is behind it.
pub(super) fn condition(random: &mut Random, acls: &[String], stage: Stage) -> String {
    let groups = random.one_of(&[1, 1, 1, 2, 3]);
    let groups: Vec<String> = (0..groups)
        .map(|_| {
            let terms = random.one_of(&[1, 1, 2, 3]);
            let terms = (0..terms).map(|_| term(random, acls, stage));
            terms.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let keyword = random.one_of(&["if", "if", "unless"]);
    let or = random.one_of(&[" or ", " || "]);
    format!(" {keyword} {}", groups.join(or))
}

fn term(random: &mut Random, acls: &[String], stage: Stage) -> String {
    let not = random.one_of(&["", "", "", "!"]);
    let criterion = |random: &mut Random| format!("{not}{{ {} }}", random.one_of(criteria(stage)));
    if stage == Stage::Response {
        // Values of the request are gone by then, and so are those of ACLs about it.
        return criterion(random);
    }
    match random.below(10) {
        0 if stage == Stage::Request => {
            format!("{not}{}", random.one_of(&["TRUE", "METH_GET", "METH_POST"]))
        }
        1..5 if !acls.is_empty() => format!("{not}{}", acls[random.below(acls.len())]),
        _ => criterion(random),
    }
}

fn criteria(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Request => OF_REQUEST,
        Stage::Response => OF_RESPONSE,
        Stage::Connection => OF_CONNECTION,
    }
}
