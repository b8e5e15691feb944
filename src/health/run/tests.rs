use super::*;
use OperationalState::Running;

/// Plays a server: what it says when a connection stands, and after each thing sent; an
/// answer that ends with `!` ends the connection. Gives all that was sent, and the end.
fn play(sequence: &CheckSequence, says: &[&str]) -> (String, String) {
    let mut run = sequence.start(Running);
    let (mut sent, mut said) = (Vec::new(), says.iter());
    let mut left = false;
    loop {
        match run.next() {
            CheckWish::Connect(_) => {
                sent.extend(b"C ");
                left = true;
            }
            CheckWish::Send(bytes) => {
                sent.extend(bytes);
                sent.push(b' ');
                left = true;
            }
            CheckWish::Read if left => {
                left = false;
                let Some(text) = said.next() else { continue };
                let open = text.strip_suffix('!');
                run.received(open.unwrap_or(text).as_bytes());
                if open.is_some() {
                    run.ended();
                }
            }
            CheckWish::Read => return (told(sent), shown(&run.timed_out(false))),
            CheckWish::Done(report) => return (told(sent), shown(&report)),
        }
    }
}

fn told(sent: Vec<u8>) -> String {
    String::from_utf8(sent).unwrap().trim_end().to_owned()
}

fn shown(report: &CheckReport) -> String {
    format!("{} {}", report.status(), report.info())
}

fn tcp() -> CheckSequence {
    CheckSequence::tcp()
}

// All of HAProxy 2.6.12.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn sequences_end_as_in_haproxy() {
    let x = || Expect::text("x");
    for (sequence, says, expected) in [
        (CheckSequence::connection(), &[][..], "L4OK "),
        (tcp(), &[], "L4OK "),
        (tcp().connect(CheckConnect::new()), &[], "L4OK (tcp-check)"),
        (tcp().send("a"), &[], "L7OK (tcp-check)"),
        (tcp().send("a").expect(x()), &["yxy"], "L7OK (tcp-check)"),
        (
            tcp().send("a").expect(x()),
            &["y"],
            "L7TOUT  at step 2 of tcp-check (expect string 'x')",
        ),
        (
            tcp().send("a").expect(x()),
            &["y!"],
            "L7RSP TCPCHK did not match content 'x' at step 2",
        ),
        (
            tcp().send("a").expect(x()),
            &["!"],
            "L7RSP TCPCHK got an empty response at step 2",
        ),
        (
            tcp().send("a").expect(x().not()),
            &["x"],
            "L7RSP TCPCHK matched unwanted content 'x' at step 2",
        ),
        (
            tcp().send("a").expect(x().not()),
            &["y!"],
            "L7OK (tcp-check)",
        ),
        (
            tcp().send("a").expect(x().not()),
            &["y"],
            "L7TOUT  at step 2 of tcp-check (expect string 'x')",
        ),
        (
            tcp().send("a").expect(x().least(1)),
            &["y"],
            "L7RSP TCPCHK did not match content 'x' at step 2",
        ),
        (
            tcp().send("a").expect(x().least(5)),
            &["x"],
            "L7TOUT  at step 2 of tcp-check (expect string 'x')",
        ),
        (
            tcp().send("a").expect(x().least(5)),
            &["x!"],
            "L7OK (tcp-check)",
        ),
        (
            tcp().comment("dd").send("a").expect(x().comment("cc")),
            &["y"],
            "L7TOUT  at step 3 of tcp-check (expect string 'x') comment: 'cc'",
        ),
        (
            tcp().send("a").expect(x().comment("cc")),
            &["y!"],
            "L7RSP TCPCHK did not match content 'x' at step 2 comment: cc",
        ),
        (
            tcp()
                .send("a")
                .expect(x().comment("cc").fails_as(CheckStatus::WrongStatus)),
            &["!"],
            "L7STS TCPCHK got an empty response at step 2 comment: 'cc'",
        ),
        (
            tcp().send("a").expect(x().on_error("bad").comment("cc")),
            &["y!"],
            "L7RSP bad comment: cc",
        ),
        (
            tcp().send("a").expect(x().on_success("yes")),
            &["x"],
            "L7OK yes",
        ),
        (
            tcp().send("a").expect(x().on_success("yes")).send("b"),
            &["x"],
            "L7OK (tcp-check)",
        ),
        (
            tcp().send("a").expect(x().passes_as(CheckStatus::Leaving)),
            &["x"],
            "L7OKC (tcp-check)",
        ),
        (
            tcp()
                .send("a")
                .expect(x().times_out_as(CheckStatus::Layer6Timeout)),
            &["y"],
            "L6TOUT  at step 2 of tcp-check (expect string 'x')",
        ),
        (
            tcp().send("a").expect(Expect::bytes("+Q")),
            &["+P"],
            "L7TOUT  at step 2 of tcp-check (expect binary '+Q')",
        ),
        (
            tcp().send("a").expect(Expect::bytes("+Q")),
            &["+P!"],
            "L7RSP TCPCHK did not match content (binary) at step 2",
        ),
    ] {
        assert_eq!(play(&sequence, says).1, expected, "{sequence:?} {says:?}");
    }
}

#[test]
fn what_has_come_counts_until_something_is_sent() {
    let ready = || Expect::text("ready");
    let twice = tcp().expect(ready()).expect(Expect::text("dy")).send("a");
    assert_eq!(
        play(&twice, &["ready"]),
        ("C a".into(), "L7OK (tcp-check)".into())
    );
    let again = tcp().expect(ready()).send("a").expect(ready());
    let end = "L7TOUT  at step 3 of tcp-check (expect string 'ready')";
    assert_eq!(play(&again, &["ready", "b"]), ("C a".into(), end.into()));
}

#[test]
fn a_connection_that_fails_is_told_with_its_step() {
    let fails = |sequence: CheckSequence| {
        let mut run = sequence.start(Running);
        assert!(matches!(run.next(), CheckWish::Connect(_)));
        assert!(
            run.timed_out(true)
                .info()
                .ends_with(run.not_connected("").info())
        );
        run.not_connected("Refused").info().to_owned()
    };
    let (new, port) = (CheckConnect::new(), CheckConnect::new().port(1));
    for (sequence, expected) in [
        (CheckSequence::connection(), "Refused"),
        (CheckSequence::http().connect(port.clone()), "Refused"),
        (tcp(), "Refused at initial connection step of tcp-check"),
        (
            tcp().send("a"),
            "Refused at initial connection step of tcp-check",
        ),
        (
            tcp().connect(new),
            "Refused at step 1 of tcp-check (connect)",
        ),
        (
            tcp().connect(port.comment("here")),
            "Refused at step 1 of tcp-check (connect port 1) comment: 'here'",
        ),
    ] {
        assert_eq!(fails(sequence), expected);
    }
}

#[test]
fn requests_follow_each_other_on_new_connections() {
    let request = |uri: &str| crate::health::HttpCheck::new().uri(uri).unwrap();
    let leaving = Expect::default()
        .passes_as(CheckStatus::Leaving)
        .on_success("one");
    let two = CheckSequence::http()
        .connect(CheckConnect::new())
        .request(request("/a").expect(leaving).disable_on_404())
        .connect(CheckConnect::new())
        .request(request("/b"));
    let good = "HTTP/1.0 200 OK\r\n\r\n!";
    let (sent, end) = play(&two, &[good, good]);
    let expected = "C OPTIONS /a HTTP/1.0\r\n\r\n C OPTIONS /b HTTP/1.0\r\n\r\n";
    assert_eq!(
        (sent.as_str(), end.as_str()),
        (expected.trim_end(), "L7OK ")
    );
    let (_, end) = play(&two, &[good, "HTTP/1.0 500 Oh\r\n\r\n!"]);
    assert_eq!(end, "L7STS Oh");
    let (sent, end) = play(&two, &["HTTP/1.0 404 Oh\r\n\r\n!", good]);
    assert_eq!((sent.matches('C').count(), end.as_str()), (1, "L7OKC "));
}

#[test]
fn no_more_is_kept_of_an_answer_than_counts() {
    let sequence = tcp().send("a").expect(Expect::text("x"));
    let mut run = sequence.start(Running);
    while run.next() != CheckWish::Read {}
    run.received(&[b'y'; 10_000]);
    assert_eq!(run.next(), CheckWish::Read);
    run.received(&[b'x'; 10_000]);
    assert!(matches!(run.next(), CheckWish::Done(_)));
    assert_eq!(run.received.len(), MOST);
}
