//! Log lines of HAProxy 2.6.12 and the values they were made of.

use std::time::Duration;

use super::*;
use crate::SimpleRequest;
use crate::cookie::{ClientCookie, ResponseCookie};

const ALL: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
    %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r| H=%H HM=%HM HP=%HP HPO=%HPO HQ=%HQ HU=%HU \
    HV=%HV ID=%ID T=%T Ta=%Ta Td=%Td Th=%Th Ti=%Ti Tl=%Tl Tq=%Tq Ts=%Ts Tt=%Tt Tu=%Tu U=%U \
    bi=%bi bp=%bp f=%f fi=%fi fp=%fp lc=%lc hrl=%hrl hsl=%hsl ms=%ms pid=%pid rt=%rt si=%si \
    sp=%sp sslc=%sslc sslv=%sslv t=%t trg=%trg trl=%trl ts=%ts q=%{+Q}HU x=%{+X}ci e=%{+E}HU \
    %[src] %{+Q}sslc %{+X}pid %{+X}[src] %{+Q}[src]";

fn request() -> SimpleRequest {
    SimpleRequest::new("GET", "/x?a=1").source("127.0.0.1".parse().unwrap())
}

fn served<'r>(request: &'r SimpleRequest, captures: &'r [Option<Vec<u8>>]) -> LogRecord<'r> {
    LogRecord {
        request: Some(request),
        version: "HTTP/1.1",
        status: Some(200),
        client: "127.0.0.1:56410".parse().ok(),
        frontend_address: "127.0.0.1:9300".parse().ok(),
        backend_source: "127.0.0.1:55082".parse().ok(),
        server_address: "127.0.0.1:9301".parse().ok(),
        frontend: "web",
        backend: Some("b"),
        server: Some("s1"),
        begun: Duration::from_millis(1_795_270_624_817),
        timers: LogTimers {
            request: Some(Duration::ZERO),
            queue: Some(Duration::ZERO),
            connect: Some(Duration::from_millis(2)),
            response: Some(Duration::from_millis(1)),
            total: Duration::from_millis(3),
            ..LogTimers::default()
        },
        bytes_read: 89,
        bytes_uploaded: 86,
        response_cookie: Some(b"S=a"),
        request_captures: captures,
        response_captures: &captures[2..],
        termination: Termination {
            cookies: Some((ClientCookie::None, ResponseCookie::Inserted)),
            ..Termination::default()
        },
        connections: 1,
        frontend_connections: 1,
        process_id: 2_891,
        host_name: "vm",
        ..LogRecord::default()
    }
}

fn line(format: &str, record: &LogRecord<'_>) -> String {
    let format = LogFormat::parse(format, Mode::Http).expect(format);
    String::from_utf8(format.line(record)).expect("it is ASCII")
}

#[test]
fn every_variable_is_written_as_haproxy_does() {
    let request = request();
    let captures = [Some(b"127.0.0.1:".to_vec()), None, Some(b"me".to_vec())];
    let record = LogRecord {
        request_captures: &captures[..2],
        ..served(&request, &captures)
    };
    let expected = "127.0.0.1:56410 [21/Nov/2026:14:17:04.817] web b/s1 0/0/2/1/3 200 89 - S=a \
        --NI 1/1/0/0/0 0/0 {127.0.0.1:|} {me} \"GET /x?a=1 HTTP/1.1\"| H=vm HM=GET HP=/x HPO=/x \
        HQ=?a=1 HU=/x?a=1 HV=HTTP/1.1 ID=- T=21/Nov/2026:14:17:04 +0000 Ta=3 Td=0 Th=0 Ti=0 \
        Tl=21/Nov/2026:14:17:04 +0000 Tq=0 Ts=1795270624 Tt=3 Tu=3 U=86 bi=127.0.0.1 bp=55082 \
        f=web fi=127.0.0.1 fp=9300 lc=0 hrl=127.0.0.1: - hsl=me ms=817 pid=2891 rt=0 \
        si=127.0.0.1 sp=9301 sslc=- sslv=- t=21/Nov/2026:14:17:04.817 \
        trg=21/Nov/2026:14:17:04 +0000 trl=21/Nov/2026:14:17:04 +0000 ts=-- q=\"/x?a=1\" \
        x=7F000001 e=/x?a=1 127.0.0.1 \"\" 0B4B 127.0.0.1 \"127.0.0.1\"";
    assert_eq!(line(ALL, &record), expected);
}

#[test]
fn a_request_that_was_not_valid_leaves_blanks() {
    let record = LogRecord {
        status: Some(400),
        client: "127.0.0.1:56472".parse().ok(),
        frontend: "web",
        begun: Duration::from_millis(1_795_270_626_257),
        termination: Termination {
            cause: Cause::Proxy,
            phase: Phase::Request,
            cookies: None,
        },
        connections: 2,
        frontend_connections: 2,
        ..LogRecord::default()
    };
    let expected = "127.0.0.1:56472 [21/Nov/2026:14:17:06.257] web web/<NOSRV> -1/-1/-1/-1/0 \
        400 0 - - PR-- 2/2/0/0/0 0/0 \"<BADREQ>\"";
    assert_eq!(LogFormat::http().line(&record), expected.as_bytes());
    let format = "HM=%HM HP=%HP HPO=%HPO HQ=%HQ HV=%HV Td=%Td Tq=%Tq bi=%bi bp=%bp sp=%sp hrl=%hrl";
    let expected = "HM=<BADREQ> HP=<BADREQ> HPO=<BADREQ> HQ=<BADREQ> HV=<BADREQ> Td=-1 Tq=-1 \
        bi=- bp=- sp=- hrl=";
    assert_eq!(line(format, &record), expected);
}

#[test]
fn the_usual_formats_are_those_of_haproxy() {
    let request = SimpleRequest::new("GET", "/x");
    let begun = Duration::from_millis(1_795_270_700_803);
    let mut record = LogRecord {
        begun,
        ..served(&request, &[None, None, None])
    };
    record.request_captures = &[];
    record.response_captures = &[];
    record.response_cookie = None;
    record.termination = Termination::default();
    record.timers.connect = Some(Duration::ZERO);
    record.timers.response = Some(Duration::ZERO);
    record.timers.total = Duration::ZERO;
    let common = r#"127.0.0.1 - - [21/Nov/2026:14:18:20 +0000] "GET /x HTTP/1.1" 200 89 "" "" 56410 803 "web" "b" "s1" 0 0 0 0 0 ---- 1 1 0 0 0 0 0 "" "" "#;
    let line = |format: LogFormat| String::from_utf8(format.line(&record)).unwrap();
    assert_eq!(line(LogFormat::common()), common);
    let tcp = "127.0.0.1:56410 [21/Nov/2026:14:18:20.803] web b/s1 0/0/0 89 -- 1/1/0/0/0 0/0";
    assert_eq!(line(LogFormat::tcp()), tcp);
    for (mode, end) in [(Mode::Http, "HTTP"), (Mode::Tcp, "TCP")] {
        let expected = format!("Connect from 127.0.0.1:56410 to 127.0.0.1:9300 (web/{end})");
        assert_eq!(line(LogFormat::connection(mode)), expected);
    }
}

#[test]
fn what_clients_send_is_encoded() {
    let uri = "/!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u{80}";
    let request = SimpleRequest::new("GET", uri);
    let mut header: Vec<u8> = (0x20..0x7f).collect();
    header.extend([0x80, 0xff, b'\t']);
    let captures = [Some(header)];
    let record = LogRecord {
        request: Some(&request),
        version: "HTTP/1.1",
        request_captures: &captures,
        ..LogRecord::default()
    };
    let expected = "{ !#22#23$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`\
        abcdefghijklmnopqrstuvwxyz#7B#7C#7D~#80#FF#09}";
    assert_eq!(line("%hr", &record), expected);
    let expected = "/!#22#23$%&'()*+,-./:;<=>?@[\\]^_`{|}~#C2#80";
    assert_eq!(line("%HU", &record), expected);
    let escaped = "\"/!#22#23$%&'()*+,-./:;<=>?@[\\\\\\]^_`{|}~#C2#80\"";
    assert_eq!(line("%{+Q,+E}HU", &record), escaped);
    assert_eq!(line("%{+Q}[bin(612262)]", &record), "\"a\"b\"");
    assert_eq!(line("%{+E}[bin(612262)]", &record), "a\\\"b");
    assert_eq!(line("%[bin(0a4a)]", &record), "#0AJ");
}

#[test]
fn flags_change_some_values_only() {
    let request = request();
    let record = LogRecord {
        retries: 2,
        redispatched: true,
        is_tls: true,
        ..served(&request, &[None, None, None])
    };
    let format = "%{+X}cp %{+X}pid %{+X}ST %{+X}Ts %{+X}rt %{+X}ms %{+X}B %{+Q}ST %{+Q}si \
        %{+Q}tsc %{+Q}Ta %{+Q}HM %{+Q}ID %{+Q}[int(5)] %[str()] %{+Q}hr %rc %ft";
    let expected = "DC5A 0B4B 200 6B01A7E0 0000 817 89 200 \"127.0.0.1\" --NI 3 \"GET\" \"\" \
        \"5\" - \"{||}\" +2 web~";
    assert_eq!(line(format, &record), expected);
    assert_eq!(line("%{+Q}o %s%{-Q}b  x%%y", &record), "\"s1\"b x%y");
}

#[test]
fn arguments_of_rules_have_no_dashes_and_keep_their_blanks() {
    let request = SimpleRequest::new("GET", "/a\"b").header("X", "1");
    let mut record = LogRecord {
        request: Some(&request),
        version: "HTTP/1.1",
        frontend: "web",
        ..LogRecord::default()
    };
    assert_eq!(line("%HQ|%{+Q}HQ", &record), "|\"\"");
    let format = "%HU|%s|%b|%ST|%bi|%ID|%hr|%Tr|%[hdr(x)]  %[hdr(none)]|%{+Q}[hdr(none)]";
    let format = LogFormat::argument(format, Mode::Http).unwrap();
    let expected = "/a#22b|<NOSRV>|web|-1||||-1|1  |\"\"";
    assert_eq!(format.text(&record), expected.as_bytes());
    record.backend = Some("be");
    let text = LogFormat::argument("%b", Mode::Http).unwrap().text(&record);
    assert_eq!(text, b"be");
}

#[test]
fn addresses_of_a_unix_socket_have_a_name() {
    let record = LogRecord::default();
    assert_eq!(
        line("%ci %{+Q}fi %si %{+X}ci", &record),
        "unix \"unix\" - unix"
    );
    let record = LogRecord {
        client: "[2001:db8::1]:80".parse().ok(),
        ..record
    };
    let expected = "2001:db8::1 20010DB8000000000000000000000001";
    assert_eq!(line("%ci %{+X}ci", &record), expected);
}

#[test]
fn what_haproxy_refuses_is_refused() {
    let refused = |format: &str, mode| LogFormat::parse(format, mode).unwrap_err().to_string();
    for (format, expected) in [
        ("a%sX", "character 2: there is no variable %sX"),
        ("%{+Q s", "character 1: expected flags"),
        ("100%", "character 4: % begins nothing"),
        ("%5s", "character 1: % begins nothing"),
        ("%{+Q}%", "character 1: % begins nothing"),
        ("%[src", "character 1: nothing closes"),
        ("ab%[path]", "character 3: a log sees neither"),
        ("%[src]%[res.hdr(x)]", "character 7: a log sees neither"),
        ("%[hdr(x)]", "character 1: a log sees neither"),
    ] {
        let error = refused(format, Mode::Http);
        assert!(error.starts_with(expected), "{format}: {error}");
    }
    let error = refused("%ci %r %tsc", Mode::Tcp);
    assert_eq!(error, "character 1: %r is about HTTP; expected mode http");
    assert!(LogFormat::parse("%ts %B %tsc %ST", Mode::Tcp).is_ok());
    for format in [
        "%ci_%cp",
        "%{+Q, +E}s",
        "%{}s",
        "%s[src]",
        "%[src,lower]%[method]",
    ] {
        assert!(LogFormat::parse(format, Mode::Http).is_ok(), "{format}");
    }
}

// Observed on HAProxy 2.6.12 with `option logasap`.
#[test]
fn what_may_still_grow_has_a_plus() {
    let request = request();
    let mut record = served(&request, &[None, None, None]);
    record.is_unfinished = true;
    let found = line("%Tt %Ta %Tu %Td %B %U %ST %Tr %{+X}Tt %{+Q}B", &record);
    assert_eq!(found, "+3 +3 +3 0 +89 86 200 1 +3 +89");
}
