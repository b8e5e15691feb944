//! Rules on the first bytes of a connection: after which of them HAProxy and
//! `examples/proxy -f` know what to do.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::rules::{haproxy, ours};
use crate::support;
use crate::support::configuration::Folder;

/// What has become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waits,
    /// The server was reached.
    Passes,
    Closed,
}

use Fate::{Closed, Passes, Waits};

/// Named ACLs, a condition under which a connection is rejected, two pieces, and what is
/// known after the first, after both, and when nothing more comes after the first.
type Case = (
    &'static [&'static str],
    &'static str,
    [&'static [u8]; 2],
    [Fate; 3],
);

const LETTERS: [&[u8]; 2] = [b"AB", b"CDEF"];
const RDP: &[u8] = b"\x03\0\0\0\0\xe0\0\0\0\0\0Cookie: mstshash=alice\r\n";

#[rustfmt::skip]
const CASES: &[Case] = &[
    (&["a wait_end"], "if a", LETTERS, [Waits, Waits, Closed]),
    (&["a wait_end"], "if !a", LETTERS, [Waits, Waits, Passes]),
    (&["a req.len gt 3", "a wait_end"], "if a", LETTERS, [Waits, Closed, Closed]),
    (&["a req.len gt 3"], "if !a", LETTERS, [Waits, Passes, Closed]),
    (&["a req.payload(0,4) -m str ABCD"], "if a", LETTERS, [Waits, Closed, Passes]),
    (&["a req.payload(0,4) -m str ABCD"], "unless a", LETTERS, [Waits, Passes, Closed]),
    (&["a always_true,bool,not"], "if a", LETTERS, [Passes; 3]),
    (&["a req.payload(0,4) -m found", "a src 127.0.0.1"], "if a", LETTERS, [Closed; 3]),
    (&[], "if WAIT_END", LETTERS, [Waits, Waits, Closed]),
    (&[], "if FALSE WAIT_END", LETTERS, [Passes; 3]),
    (&[], "if WAIT_END FALSE", LETTERS, [Waits, Waits, Passes]),
    (&[], "if WAIT_END or TRUE", LETTERS, [Closed; 3]),
    (&[], "unless FALSE WAIT_END", LETTERS, [Closed; 3]),
    (&[], "if { req.len lt 3 }", LETTERS, [Closed; 3]),
    (&[], "if { req.len 6 }", LETTERS, [Waits, Closed, Passes]),
    (&[], "if !{ req.payload(0,2) -m str XX }", LETTERS, [Closed; 3]),
    (&[], "if { req.payload(0,0) -m beg XX }", LETTERS, [Waits, Waits, Passes]),
    (&[], "if { req.payload(0,2) -m str XX } WAIT_END", LETTERS, [Passes; 3]),
    (&[], "if { req.payload_lv(0,1) -m str abc }", [b"\x03ab", b"cd"], [Waits, Closed, Passes]),
    (&[], "if { req.payload_lv(0,1) -m found }", [b"\0ab", b"cd"], [Passes; 3]),
    (&[], "if !{ req.ssl_hello_type 1 }", LETTERS, [Closed; 3]),
    (&[], "if { req.ssl_hello_type 1 }", [b"\x16\x03\x01\0\x04", b"\x01\0\0\0"], [Waits, Closed, Passes]),
    (&[], "if !{ req.ssl_hello_type 1 }", [b"\x16\x02\x01\0\x04", b"\x01\0\0\0"], [Waits, Closed, Closed]),
    (&[], "if { req.ssl_hello_type 9 }", [b"\x17\x04\x01\0\x04\x09", b"\0\0\0"], [Waits, Closed, Passes]),
    (&[], "if !RDP_COOKIE", [RDP.split_at(25).0, RDP.split_at(25).1], [Waits, Passes, Closed]),
    (&[], "if !RDP_COOKIE", [b"HELLO WORLD", b", THIS IS NO RDP"], [Waits, Closed, Closed]),
    (&[], "if { req.rdp_cookie(other) -m found }", [RDP.split_at(24).0, b"hash="], [Waits, Passes, Passes]),
    (&[], "if { req.rdp_cookie_cnt 0 }", [b"AB", b"CD"], [Waits, Waits, Passes]),
];

#[test]
#[ignore = "runs a real HAProxy"]
fn verdicts_come_after_the_same_bytes() {
    let server = greeter();
    let folders = ["inspections-theirs", "inspections-ours"].map(Folder::new);
    let (theirs, text) = listeners("1h");
    let _haproxy = haproxy(&text, &folders[0], server);
    let (ours_at, text) = listeners("1h");
    let _ours = ours(&text, &folders[1], server);
    thread::scope(|scope| {
        for (who, places) in [("HAProxy", theirs), ("the example", ours_at)] {
            for (place, case) in places.into_iter().zip(CASES) {
                scope.spawn(move || follow(who, place, case));
            }
        }
    });
}

#[test]
#[ignore = "runs a real HAProxy"]
fn verdicts_at_the_end_of_the_delay_are_the_same() {
    let server = greeter();
    for delay in ["200ms", "0"] {
        let folders = ["delays-theirs", "delays-ours"].map(Folder::new);
        let (theirs, text) = listeners(delay);
        let _haproxy = haproxy(&text, &folders[0], server);
        let (ours_at, text) = listeners(delay);
        let _ours = ours(&text, &folders[1], server);
        for ((theirs, ours), case) in theirs.into_iter().zip(ours_at).zip(CASES) {
            let fates = [theirs, ours].map(|place| fate(&connect(place), false));
            assert_eq!(fates[1], fates[0], "{delay}: {case:?}");
            assert_ne!(fates[1], Waits, "{delay}: {case:?}");
        }
    }
}

/// A condition under which the connection is rejected, and what is known when the server has
/// said `22`, and when it has said `220 ` after a byte of the client.
const ANSWERS: [(&str, [Fate; 2]); 4] = [
    ("unless a", [Waits, Passes]),
    ("if { res.payload(0,2) -m str 21 }", [Passes; 2]),
    ("if { res.len gt 3 }", [Waits, Closed]),
    ("if FALSE or WAIT_END", [Waits, Waits]),
];

#[test]
#[ignore = "runs a real HAProxy"]
fn answers_of_servers_are_looked_at_piece_by_piece() {
    let server = two_pieces();
    for (condition, expected) in ANSWERS {
        let text = format!(
            "\nlisten l\n bind LISTEN\n mode tcp\n server s SERVER\n timeout connect 10s\n \
             timeout client 2h\n timeout server 2h\n acl a res.payload(0,3) -m str 220\n \
             tcp-response inspect-delay 1h\n tcp-response content reject {condition}\n"
        );
        let folders = ["answers-theirs", "answers-ours"].map(Folder::new);
        let (theirs, _haproxy) = haproxy(&text, &folders[0], server);
        let (ours, _ours) = ours(&text, &folders[1], server);
        for place in [theirs, ours] {
            let mut stream = connect(place);
            let first = fate(&stream, expected[0] == Waits);
            assert_eq!(first, expected[0], "{place} {condition}: first piece");
            if first == Waits {
                stream.write_all(b"x").unwrap();
                let both = fate(&stream, expected[1] == Waits);
                assert_eq!(both, expected[1], "{place} {condition}: both pieces");
            }
        }
    }
}

/// A server that says the rest when it has heard something.
fn two_pieces() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // A proxy that goes away is its own affair.
                let _ = stream.write_all(b"22");
                if matches!(stream.read(&mut [0]), Ok(1)) {
                    let _ = stream.write_all(b"0 ");
                }
                let _ = stream.read(&mut [0]);
            });
        }
    });
    address
}

/// A listener for each case, and one that tells that they are there.
fn listeners(delay: &str) -> (Vec<SocketAddr>, String) {
    let mut text = "\ndefaults\n mode tcp\n timeout connect 10s\n timeout client 2h\n \
                    timeout server 2h\nlisten up\n bind LISTEN\n server s SERVER\n"
        .to_owned();
    let mut places = Vec::new();
    for (number, (acls, condition, ..)) in CASES.iter().enumerate() {
        let place = support::free_address();
        let _ = write!(text, "listen l{number}\n bind {place}\n server s SERVER\n");
        let _ = writeln!(text, " tcp-request inspect-delay {delay}");
        for acl in *acls {
            let _ = writeln!(text, " acl {acl}");
        }
        let _ = writeln!(text, " tcp-request content reject {condition}");
        places.push(place);
    }
    (places, text)
}

fn follow(who: &str, place: SocketAddr, (acls, condition, pieces, expected): &Case) {
    let [first, both, end] = *expected;
    let told = format!("{who}, {acls:?} {condition}");
    let mut stream = connect(place);
    stream.write_all(pieces[0]).unwrap();
    assert_eq!(fate(&stream, first == Waits), first, "{told}: first piece");
    if first == Waits {
        stream.write_all(pieces[1]).unwrap();
        assert_eq!(fate(&stream, both == Waits), both, "{told}: both pieces");
    }
    let mut stream = connect(place);
    stream.write_all(pieces[0]).unwrap();
    // It may have been closed already.
    let _ = stream.shutdown(Shutdown::Write);
    assert_eq!(fate(&stream, false), end, "{told}: end");
}

fn connect(place: SocketAddr) -> TcpStream {
    TcpStream::connect(place).unwrap()
}

/// Waits long for something to happen, or for a moment if nothing should.
fn fate(mut stream: &TcpStream, is_short: bool) -> Fate {
    let limit = if is_short { 300 } else { 30_000 };
    let limit = Duration::from_millis(limit);
    stream.set_read_timeout(Some(limit)).unwrap();
    match stream.read(&mut [0]) {
        Ok(1..) => Passes,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Waits,
        _ => Closed,
    }
}

/// A server that speaks first, and stays.
fn greeter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut guests = Vec::new();
        for mut stream in listener.incoming().flatten() {
            // A proxy that goes away is its own affair.
            let _ = stream.write_all(b"S");
            guests.push(stream);
        }
    });
    address
}
