use proptest::prelude::*;

use super::*;

/// What comes out, byte by byte or all at once, which must be the same.
fn through(bytes: &[u8]) -> Result<String, Refusal> {
    let mut at_once = Wire::new();
    at_once.feed(bytes);
    let mut slow = Wire::new();
    for byte in bytes {
        slow.feed(&[*byte]);
    }
    let out = |wire: &mut Wire| {
        let plain: Vec<u8> = wire.take(usize::MAX).collect();
        (plain, wire.refusal())
    };
    let (expected, found) = (out(&mut at_once), out(&mut slow));
    assert_eq!(expected.1, found.1, "{}", bytes.escape_ascii());
    if expected.1.is_none() {
        assert_eq!(expected.0, found.0, "{}", bytes.escape_ascii());
    }
    // What comes together with a fault goes no further.
    assert!(found.0.starts_with(&expected.0), "{}", bytes.escape_ascii());
    match expected.1 {
        Some(refusal) => Err(refusal),
        None => Ok(String::from_utf8(expected.0).unwrap()),
    }
}

#[test]
fn heads_are_written_in_one_way() {
    let plain = "GET /x HTTP/1.1\r\nHost: h\r\nX: a   b\r\n\r\n";
    for head in [
        "GET /x HTTP/1.1\r\nHost: h\r\nX: a   b\r\n\r\n",
        "\r\n\n\r\nGET /x HTTP/1.1\nHost:h\nX:\t a   b \n\n",
        "GET   /x\tHTTP/3.0\r\nHost: h\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    ] {
        assert_eq!(through(head.as_bytes()), Ok(plain.into()), "{head}");
    }
}

#[test]
fn bodies_end_where_they_say() {
    let sized = "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET /y HTTP/1.1\r\n\r\n";
    assert_eq!(through(sized.as_bytes()), Ok(sized.into()));
    let head = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let next = "GET /y HTTP/1.1\r\n\r\n";
    for body in [
        "a;x=y\r\n0123456789\r\n0\r\n\r\n",
        "000A \n0123456789\n0\nX: 1\n X Y\n\n",
    ] {
        let found = through(format!("{head}{body}{next}").as_bytes());
        let plain = format!("{head}a\r\n0123456789\r\n0\r\n\r\n{next}");
        assert_eq!(found, Ok(plain), "{body}");
    }
    for body in [
        "zz\r\n",
        "\r\n",
        "0x2\r\n",
        "2\r\nabX",
        "fffffffffffffffff\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\n: 1\r\n\r\n",
    ] {
        let found = through(format!("{head}{body}").as_bytes());
        assert_eq!(found, Err(Refusal::Malformed), "{body}");
    }
}

#[test]
fn what_follows_a_request_for_a_tunnel_waits() {
    let head = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    for is_tunnel in [true, false] {
        let mut wire = Wire::new();
        wire.feed(&[head, &b"(bytes)"[..]].concat());
        assert_eq!(wire.take(usize::MAX).count(), head.len());
        assert!(wire.is_undecided());
        wire.decide(is_tunnel);
        wire.feed(b"\r\n\r\n");
        let rest: Vec<u8> = wire.take(usize::MAX).collect();
        if is_tunnel {
            assert_eq!(rest, b"(bytes)\r\n\r\n");
        } else {
            assert_eq!(wire.refusal(), Some(Refusal::Malformed));
        }
    }
}

#[test]
fn the_second_version_goes_through_as_it_is() {
    let bytes = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    assert_eq!(through(&bytes).unwrap().as_bytes(), bytes);
}

#[test]
fn ends_and_delays_are_faults_within_a_request_only() {
    let after = |bytes: &[u8], happens: fn(&mut Wire)| {
        let mut wire = Wire::new();
        wire.feed(bytes);
        happens(&mut wire);
        wire.refusal()
    };
    let whole = b"GET / HTTP/1.1\r\n\r\n";
    let body = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na";
    assert_eq!(after(b"", Wire::end), Some(Refusal::Short));
    assert_eq!(after(b"GE", Wire::end), Some(Refusal::Short));
    assert_eq!(after(b"\r\n", Wire::end), Some(Refusal::Short));
    assert_eq!(after(whole, Wire::end), None);
    assert_eq!(after(body, Wire::end), Some(Refusal::Cut));
    let refused: fn(&mut Wire) = |wire| {
        wire.decide(false);
        wire.end();
    };
    let tunnel = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    assert_eq!(after(tunnel, refused), None);
    assert_eq!(
        after(&[&tunnel[..], b"GE"].concat(), refused),
        Some(Refusal::Short)
    );
    assert_eq!(after(b"", Wire::expire), Some(Refusal::Late));
    assert_eq!(after(b"GE", Wire::expire), Some(Refusal::Late));
    assert_eq!(after(whole, Wire::expire), None);
    assert_eq!(after(body, Wire::expire), None);
}

proptest! {
    #[test]
    fn it_makes_no_difference_how_bytes_are_cut(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..30),
    ) {
        let bytes: Vec<u8> = parts.concat();
        let _ = through(&bytes);
    }

    #[test]
    fn what_is_handed_on_is_handed_on_as_it_is(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..30),
    ) {
        let mut wire = Wire::new();
        wire.feed(&parts.concat());
        let once: Vec<u8> = wire.take(usize::MAX).collect();
        let mut wire = Wire::new();
        wire.feed(&once);
        let twice: Vec<u8> = wire.take(usize::MAX).collect();
        prop_assert_eq!(once.escape_ascii().to_string(), twice.escape_ascii().to_string());
    }
}

const PARTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /x HTTP/1.1\n",
    b"CONNECT h:80 HTTP/1.1\r\n",
    b"GET http://h/ HTTP/1.0\r\n",
    b"Host: h\r\n",
    b"X: 1\r\n",
    b" folded\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"3\r\n",
    b"0\r\n",
    b"abc",
    b"\0",
];

#[test]
fn no_head_is_endless() {
    let long = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; LONGEST_HEAD][..]].concat();
    assert_eq!(through(&long), Err(Refusal::Malformed));
}
