//! Random requests and events, the same for the same seed.

use std::net::Ipv4Addr;

use crate::hex;
use crate::origin::{ANSWER, GATE, HANG_UP};

/// A small generator of random numbers (SplitMix64): repeatable, and good enough.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A request and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) source: Ipv4Addr,
    pub(crate) bytes: Vec<u8>,
}

/// Values of the cookie that clients were given, for some of them to come back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(Vec<Vec<u8>>);

impl Jar {
    /// Takes note of a `Set-Cookie` value.
    pub(crate) fn fill(&mut self, set_cookie: &[u8]) {
        let value = set_cookie.strip_prefix(b"SID=");
        let value = value.and_then(|rest| rest.split(|byte| *byte == b';').next());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.0.push(value.to_vec());
        }
    }

    fn take(&self, random: &mut Random) -> Option<&[u8]> {
        // Mostly a recent one, as clients have.
        let recent = self.0.len().saturating_sub(8);
        let kept = &self.0[recent..];
        (!kept.is_empty()).then(|| kept[random.below(kept.len())].as_slice())
    }
}

/// A request at a time in UNIX seconds.
pub(crate) fn request(random: &mut Random, jar: &Jar, now: u64) -> Request {
    let method = random.one_of(&[
        "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "post",
    ]);
    let path = random.below(50);
    let mut bytes = format!("{method} /{path} HTTP/1.1\r\nHost: live.test\r\n").into_bytes();
    for _ in 0..random.one_of(&[0, 1, 1, 1, 1, 1, 1, 2, 2, 3]) {
        cookie_field(random, jar, now, &mut bytes);
    }
    let answer = answer(random);
    bytes.extend(format!("{ANSWER}: {answer}\r\nConnection: close\r\n").bytes());
    let body = match method {
        "POST" | "PUT" | "post" if random.percent(30) => CHUNKED,
        "POST" | "PUT" | "post" => SIZED,
        _ => "\r\n",
    };
    bytes.extend(body.bytes());
    let source = Ipv4Addr::new(127, 0, random.below(3) as u8, 1 + random.below(20) as u8);
    Request { source, bytes }
}

/// A request without a body or a cookie, whose answer waits at this gate.
pub(crate) fn held(random: &mut Random, gate: u64) -> Request {
    let path = random.below(50);
    let answer = hex::encode(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n");
    let bytes = format!(
        "GET /{path} HTTP/1.1\r\nHost: live.test\r\n{ANSWER}: {answer}\r\n\
         {GATE}: {gate}\r\nConnection: close\r\n\r\n"
    );
    Request {
        source: Ipv4Addr::LOCALHOST,
        bytes: bytes.into_bytes(),
    }
}

const SIZED: &str = "Content-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

fn cookie_field(random: &mut Random, jar: &Jar, now: u64, out: &mut Vec<u8>) {
    out.extend(random.one_of(&[&b"Cookie:"[..], b"cookie:", b"COOKIE:"]));
    out.extend(random.one_of(&[&b" "[..], b" ", b"", b"  ", b"\t"]));
    let mut value = Vec::new();
    for item in 0..random.one_of(&[0, 1, 1, 1, 2, 2, 3, 4]) {
        if item > 0 {
            value.extend(random.one_of(SEPARATORS));
        }
        cookie_item(random, jar, now, &mut value);
    }
    value.extend(random.one_of(&[&b""[..], b"", b"", b";", b"; ", b" ", b","]));
    let last = value.iter().rfind(|byte| !b" \t".contains(byte));
    if value.contains(&b'$') && last.is_some_and(|byte| b";,".contains(byte)) {
        // HAProxy 2.6 looks beyond the end of a field for a `$`, and finds one at times;
        // see docs/differences.md.
        value.extend(b"bare");
    }
    out.extend(value);
    out.extend(b"\r\n");
}

const SEPARATORS: &[&[u8]] = &[
    b"; ", b"; ", b"; ", b";", b", ", b",", b" ;  ", b"\t,", b";;",
];

fn cookie_item(random: &mut Random, jar: &Jar, now: u64, out: &mut Vec<u8>) {
    if random.percent(65) {
        out.extend(random.one_of(&[&b"SID"[..], b"SID", b"SID", b"SID", b"SID", b"sid", b"SIDX"]));
        out.extend(equals(random));
        value(random, jar, now, out);
        return;
    }
    out.extend(random.one_of(&[
        &b"lang=en"[..],
        b"theme = dark",
        b"q=\"a;b, SID=c1\"",
        b"open=\"SID=c1; x",
        b"esc=\"\\\";SID=c1\"",
        b"SID",
        b"",
        b"=v",
        b"$Path=/",
        b"$Version=1",
        b"$Domain = x",
        b"\xe9t\xe9=\x80\xff",
        b"bare",
        b"XSID=c1",
    ]));
}

fn equals(random: &mut Random) -> &'static [u8] {
    random.one_of(&[&b"="[..], b"=", b"=", b"=", b" = ", b"\t=", b"=  "])
}

fn value(random: &mut Random, jar: &Jar, now: u64, out: &mut Vec<u8>) {
    if let Some(kept) = jar.take(random).filter(|_| random.percent(35)) {
        out.extend(kept);
        return;
    }
    out.extend(random.one_of(&[
        &b"c1"[..],
        b"c1",
        b"c2",
        b"c3",
        b"c4",
        b"zz",
        b"C1",
        b"",
        b"\"c1\"",
        b"c1 x",
        b"\xff\x80",
    ]));
    match random.below(10) {
        0..4 => {}
        4..6 => out.extend(random.one_of(&[&b"~app"[..], b"~", b"~a~b", b"~\"q;r\"", b"~\xe9"])),
        6..8 => dated(random, now, out, 1),
        8 => dated(random, now, out, 2),
        _ => out.extend(random.one_of(&[
            &b"|"[..],
            b"|junk",
            b"||",
            b"|AAA=A",
            b"|gAAAA",
            b"|x|AAAAB|",
        ])),
    }
}

/// So many dates, none within a few seconds of a limit, where the two proxies' clocks
/// could disagree.
fn dated(random: &mut Random, now: u64, out: &mut Vec<u8>, dates: usize) {
    const OFFSETS: [i64; 11] = [
        -20, -20, -300, -1_000, -1_750, -1_850, -20_000, -28_700, -29_000, 3_600, 90_000,
    ];
    for _ in 0..dates {
        let seconds = now.wrapping_add_signed(random.one_of(&OFFSETS));
        out.push(b'|');
        out.extend(date(seconds));
    }
}

/// Five characters, as HAProxy writes dates.
fn date(seconds: u64) -> [u8; 5] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    [24, 18, 12, 6, 0].map(|shift| DIGITS[((seconds / 4) >> shift) as usize & 63])
}

/// What the server is to answer.
fn answer(random: &mut Random) -> String {
    if random.percent(2) {
        return HANG_UP.into();
    }
    let status = random.one_of(&[
        "200 OK",
        "200 OK",
        "200 OK",
        "200 OK",
        "204 No Content",
        "302 Found",
        "301 Moved",
        "304 Not Modified",
        "404 Not Found",
        "500 Oops",
        "503 Busy",
        "206 Partial",
    ]);
    let mut head = format!("HTTP/1.1 {status}\r\n").into_bytes();
    if !status.starts_with("204") && !status.starts_with("304") {
        head.extend(b"Content-Length: 3\r\n");
    }
    for _ in 0..random.one_of(&[0, 0, 0, 1, 1, 2, 3]) {
        head.extend(b"Set-Cookie: ");
        head.extend(random.one_of(SET_COOKIES));
        head.extend(b"\r\n");
    }
    for _ in 0..random.one_of(&[0, 0, 1, 1, 2]) {
        head.extend(random.one_of(CACHE_FIELDS));
        head.extend(b"\r\n");
    }
    hex::encode(&head)
}

const SET_COOKIES: &[&[u8]] = &[
    b"SID=app; Path=/",
    b"SID=app",
    b"SID=c1|AAAAB",
    b"SID=",
    b"SID = spaced ; Path = /",
    b"SID=\"a;b\"; HttpOnly",
    b"SID",
    b"SID=a, SID=b",
    b"sid=lower",
    b"lang = en ; Path=/",
    b"x=1, SID=2",
    b"=v",
    b"\xe9=\xff",
    b"SID=\xff\x80; Secure",
];

const CACHE_FIELDS: &[&[u8]] = &[
    b"Cache-Control: max-age=60",
    b"Cache-Control: public",
    b"Cache-Control: private, max-age=9",
    b"Cache-Control: no-store",
    b"Cache-Control: no-cache=\"set-cookie\", max-age=5",
    b"Cache-Control: PUBLIC, s-maxage=7",
    b"Pragma: no-cache",
    b"ETag: \"v1\"",
    b"Expires: Thu, 01 Jan 2032 00:00:00 GMT",
    b"Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT",
];

/// Something that happens between two requests, to one server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// `set server ... ` with these words.
    Order(&'static str),
    /// The server refuses connections.
    Refuse,
    /// It accepts them again.
    Listen,
}

/// An event; servers are in service more often than not.
pub(crate) fn event(random: &mut Random) -> Event {
    match random.below(10) {
        0..2 => Event::Refuse,
        2..5 => Event::Listen,
        _ => Event::Order(random.one_of(&[
            "state ready",
            "state ready",
            "state ready",
            "state drain",
            "state maint",
            "health up",
            "health up",
            "health stopping",
            "health down",
            "weight 1",
            "weight 5",
            "weight 0",
            "weight 100%",
            "weight 50%",
        ])),
    }
}
