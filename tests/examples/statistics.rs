//! The statistics of `examples/proxy`: numbers beside real requests, the page, and who
//! may press its buttons.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::client::exchange;
use crate::configured::{Service, TIMEOUTS};
use crate::server::{bytes, serve};
use crate::support::configuration::{Folder, ask};
use crate::support::{eventually, free_address};

/// A server that answers `/404` with status 404, and so on.
fn by_path() -> SocketAddr {
    serve(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let status: u16 = path.trim_start_matches('/').parse().unwrap_or(200);
        bytes(&format!(
            "HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nhello"
        ))
    })
}

/// A row of `show stat`, by the names of the columns.
type Row = BTreeMap<String, String>;

fn rows(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines();
    let names = lines.next().and_then(|line| line.strip_prefix("# "));
    let names: Vec<_> = names.expect("it has names").split(',').collect();
    let row = |line: &str| {
        let cells = names.iter().zip(line.split(','));
        let cells = cells.filter(|(_, value)| !value.is_empty());
        cells
            .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
            .collect()
    };
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

/// Some cells of a row.
fn cells(csv: &str, name: &str, columns: &[&str]) -> String {
    let (section, of) = name.split_once('/').unwrap();
    let rows = rows(csv);
    let is_meant = |row: &&Row| row["pxname"] == section && row["svname"] == of;
    let row = rows.iter().find(is_meant).expect("there is such a row");
    let cell = |column: &&str| row.get(*column).map_or("", String::as_str);
    columns.iter().map(cell).collect::<Vec<_>>().join(" ")
}

/// Two servers, one of them out of reach, behind a cookie, a table and rules.
fn shop(name: &str) -> Service {
    let text = format!(
        "global\n stats socket FOLDER/stats.sock level admin\n\
         frontend web\n bind LISTEN\n maxconn 50\n http-request deny if {{ path /denied }}\n \
         http-request return status 200 if {{ path /own }}\n default_backend app\n\
         backend app\n balance roundrobin\n cookie SRV insert indirect nocache\n retries 2\n \
         option redispatch\n stick-table type string len 64 size 1k expire 10m\n \
         stick on hdr(x-user)\n stats uri /st\n stats show-legends\n stats scope app\n \
         stats admin if {{ hdr(x-role) admin }}\n \
         server s1 {} cookie c1 maxconn 20\n server gone 127.0.0.1:1 cookie d weight 0\n",
        by_path()
    );
    Service::start(name, &text)
}

#[test]
fn what_happens_is_counted() {
    let shop = shop("counted");
    let socket = shop.folder.file("stats.sock");
    for (path, fields) in [
        ("/", ""),
        ("/404", ""),
        ("/500", ""),
        ("/", "Cookie: SRV=c1\r\n"),
        ("/", "X-User: u1\r\n"),
        ("/", "X-User: u1\r\n"),
        ("/", "Cookie: SRV=d\r\n"),
        ("/denied", ""),
        ("/own", ""),
    ] {
        shop.get(path, fields);
    }
    let requests = "req_tot hrsp_2xx hrsp_4xx hrsp_5xx";
    let requests: Vec<_> = requests.split(' ').collect();
    let csv = || ask(&socket, "show stat");
    let all_ended = || cells(&csv(), "web/FRONTEND", &["req_tot", "scur"]) == "9 0";
    assert!(eventually(all_ended), "{}", csv());
    let csv = csv();
    let told = |row: &str, columns: &[&str]| cells(&csv, row, columns);
    assert_eq!(told("web/FRONTEND", &requests), "9 6 2 1");
    let ours = ["stot", "dreq", "intercepted", "slim", "status"];
    assert_eq!(told("web/FRONTEND", &ours), "9 1 1 50 OPEN");
    assert_eq!(told("app/BACKEND", &requests), "7 5 1 1");
    assert_eq!(told("app/s1", &requests), "7 5 1 1");
    let routes = ["stot", "lbtot", "wretr", "wredis", "econ", "eresp"];
    assert_eq!(told("app/BACKEND", &routes), "7 5 1 1 0 0");
    assert_eq!(told("app/s1", &routes), "7 5 0 0 0 0");
    assert_eq!(told("app/gone", &routes), "2 0 1 1 0 0");
    let page = shop.get("/st", "");
    for (how, count) in [
        ("Cookie", 1),
        ("Stick table", 1),
        ("Balanced", 4),
        ("Redispatched", 1),
    ] {
        let row = format!("<th scope=row>{how}</th><td class=n>{count}</td>");
        assert!(page.contains(&row), "{how}: {page}");
    }
    let info = ask(&socket, "show info");
    assert!(info.starts_with("Name: stickroute\n"), "{info}");
    assert!(info.contains("\nCumReq: 1"), "{info}");
}

#[test]
fn bytes_are_counted_both_ways_and_those_who_leave_too() {
    let shop = shop("bytes");
    let socket = shop.folder.file("stats.sock");
    let body = "x".repeat(50_000);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n",
        body.len()
    );
    exchange(shop.listen, &head, &body);
    let bytes = || {
        let text = cells(&ask(&socket, "show stat"), "app/s1", &["bin", "bout"]);
        let (sent, received) = text.split_once(' ').expect("two numbers");
        (sent.parse().unwrap_or(0), received.parse().unwrap_or(0))
    };
    assert!(eventually(|| bytes().0 > 0));
    let (sent, received): (u64, u64) = bytes();
    assert!((50_040..50_200).contains(&sent), "{sent}");
    assert!((40..400).contains(&received), "{received}");

    let mut client = TcpStream::connect(shop.listen).unwrap();
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(b"\r\nx").unwrap();
    let sessions = || cells(&ask(&socket, "show stat"), "app/s1", &["scur", "cli_abrt"]);
    assert!(eventually(|| sessions() == "1 0"), "{}", sessions());
    drop(client);
    assert!(eventually(|| sessions() == "0 1"), "{}", sessions());
}

#[test]
fn connections_in_mode_tcp_are_counted() {
    let text = format!(
        "global\n stats socket FOLDER/stats.sock\n\
         listen raw\n mode tcp\n bind LISTEN\n \
         tcp-request content reject if {{ src 127.0.0.7 }}\n server t {}\n",
        by_path()
    );
    let service = Service::start("tcp-counted", &text);
    let socket = service.folder.file("stats.sock");
    service.get("/", "");
    let columns = ["stot", "bin", "bout", "hrsp_2xx", "lbtot", "scur"];
    let told = |row: &str| cells(&ask(&socket, "show stat"), row, &columns);
    // The request is 46 bytes long, the answer 42.
    assert!(
        eventually(|| told("raw/t") == "1 46 42  1 0"),
        "{}",
        told("raw/t")
    );
    assert_eq!(told("raw/FRONTEND"), "1 46 42   0");
}

#[test]
fn the_page_needs_no_script_and_is_in_no_frame() {
    let shop = shop("page");
    let page = shop.get("/st", "");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    for field in [
        "cache-control: no-cache",
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'self';",
        "x-frame-options: DENY",
        "referrer-policy: same-origin",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    for word in ["<script", " style=", " onclick", "web <span"] {
        assert!(!body.contains(word), "{word}: {body}");
    }
    assert!(body.contains("<h2>app <span"), "{body}");
    assert!(!body.contains("<form"), "no buttons for everybody");
    let style = shop.get("/st;css", "");
    assert!(style.contains("content-type: text/css") && style.contains("prefers-color-scheme"));
    let csv = shop.get("/st;csv", "");
    let text = csv.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(rows(text).len(), 3, "s1, gone and the backend: {csv}");
    assert!(text.starts_with("# pxname,svname,qcur,"), "{csv}");
    let other = shop.get("/other", "");
    assert!(other.ends_with("hello"), "{other}");
}

#[test]
fn what_clients_say_is_escaped() {
    let shop = shop("escaped");
    shop.get("/", "X-User: <script>alert('x')</script>\"\r\n");
    let page = shop.get("/st", "");
    let key = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;";
    assert!(page.contains(key), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn names_and_passwords_are_asked_for() {
    let text = format!(
        "listen l\n bind LISTEN\n stats enable\n stats realm The\\ \\\"shop\\\"\n stats auth u:p:q\n \
         stats auth v:w\n stats refresh 7\n stats hide-version\n server s {}\n",
        by_path()
    );
    let service = Service::start("auth", &text);
    let get = |fields: &str| service.get("/haproxy?stats", fields);
    let refused = get("");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let challenge = "www-authenticate: Basic realm=\"The \\\"shop\\\"\"";
    assert!(refused.contains(challenge), "{refused}");
    // u:p, u:p:q with another scheme, u, and u:p:q with more behind it.
    for sent in [
        "Basic dTpw",
        "Digest dTpwOnE=",
        "Basic dQ==",
        "Basic dTpwOnEx",
        "Basic",
    ] {
        let answer = get(&format!("Authorization: {sent}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 401"), "{sent}: {answer}");
    }
    for sent in ["Basic dTpwOnE=", "basic djp3"] {
        let answer = get(&format!("Authorization: {sent}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{sent}: {answer}");
        assert!(answer.contains("refresh: 7\r\n"), "{answer}");
        assert!(!answer.contains(env!("CARGO_PKG_VERSION")), "{answer}");
    }
    for path in ["/haproxy?stats;csv", "/haproxy?stats;css"] {
        assert!(service.get(path, "").starts_with("HTTP/1.1 401"), "{path}");
    }
    assert!(service.get("/haproxy", "").ends_with("hello"));
}

#[test]
fn rules_say_who_may_see_the_page() {
    let text = format!(
        "listen l\n bind LISTEN\n stats uri /st\n stats http-request deny if {{ hdr(x) d }}\n \
         stats http-request allow if {{ hdr(x) a }}\n stats http-request auth realm R\n \
         server s {}\n",
        by_path()
    );
    let service = Service::start("rules", &text);
    for (fields, status) in [("X: d\r\n", 403), ("X: a\r\n", 200), ("", 401)] {
        let answer = service.get("/st", fields);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

/// Presses a button, and gives back status and `Location`.
fn press(shop: &Service, form: &str, fields: &str) -> String {
    let head = format!(
        "POST /st HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{fields}",
        form.len()
    );
    let answer = exchange(shop.listen, &head, form);
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "));
    format!("{} {}", &answer[9..12], location.unwrap_or_default())
}

const ADMIN: &str = "X-Role: admin\r\n";

fn token(shop: &Service) -> String {
    let page = shop.get("/st", ADMIN);
    let behind = page
        .split_once("name=token value=\"")
        .expect("it has forms")
        .1;
    behind.split('"').next().unwrap_or_default().to_owned()
}

fn state(shop: &Service) -> String {
    let csv = ask(&shop.folder.file("stats.sock"), "show stat");
    cells(&csv, "app/s1", &["status"])
}

#[test]
fn buttons_change_the_states_of_servers() {
    let shop = shop("buttons");
    let token = token(&shop);
    for (order, location, after) in [
        ("b=app&s=s1&action=drain", "DONE", "DRAIN"),
        ("b=app&s=s1&action=maint", "DONE", "MAINT"),
        ("b=app&s=s1&s=nobody&action=ready", "PART", "no check"),
        ("b=app&s=nobody&action=drain", "ERRP", "no check"),
        ("b=nowhere&s=s1&action=drain", "ERRP", "no check"),
        ("b=app&s=s1&action=shutdown", "ERRP", "no check"),
        ("b=app&action=drain", "NONE", "no check"),
        ("", "NONE", "no check"),
    ] {
        let form = format!("token={token}&{order}");
        let same = format!("{ADMIN}Origin: http://h\r\nSec-Fetch-Site: same-origin\r\n");
        let expected = format!("303 /st;st={location}");
        assert_eq!(press(&shop, &form, &same), expected, "{order}");
        assert_eq!(state(&shop), after, "{order}");
    }
    let page = shop.get("/st;st=DONE", ADMIN);
    assert!(page.contains("role=status class=\"notice good\""), "{page}");
    // Servers of other tables are not told with all the rest, and changes are by POST.
    let get = format!("/st;st=DONE?token={token}&b=app&s=s1&action=drain");
    assert!(shop.get(&get, ADMIN).starts_with("HTTP/1.1 200"));
    assert_eq!(state(&shop), "no check");
}

#[test]
fn buttons_of_others_do_nothing() {
    let shop = shop("forged");
    let token = token(&shop);
    let order = "b=app&s=s1&action=maint";
    let form = format!("token={token}&{order}");
    assert_eq!(press(&shop, &form, ""), "303 /st;st=DENY", "no admin");
    let wrong = format!("token={}&{order}", "0".repeat(token.len()));
    for forged in [order, "token=&b=app&s=s1&action=maint", &wrong, &form[..60]] {
        assert_eq!(press(&shop, forged, ADMIN), "403 ", "{forged}");
    }
    for field in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://h:81",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let fields = format!("{ADMIN}{field}\r\n");
        assert_eq!(press(&shop, &form, &fields), "403 ", "{field}");
    }
    let long = format!("{form}&x={}", "x".repeat(20_000));
    assert_eq!(press(&shop, &long, ADMIN), "413 ");
    assert_eq!(state(&shop), "no check", "nothing has changed");
}

/// A real HAProxy, which ends with this value.
pub(crate) struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl HaProxy {
    pub(crate) fn start(text: &str, folder: &Folder) -> Self {
        let file = folder.file("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("haproxy");
        command
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stderr(Stdio::null());
        let child = command.spawn().expect("haproxy is installed");
        let socket = folder.file("haproxy.sock");
        let started = Self(child);
        assert!(eventually(|| socket.exists()), "{text}");
        started
    }
}

/// Both proxies get this.
fn both(servers: &[SocketAddr; 2]) -> String {
    format!(
        "frontend web\n bind LISTEN\n maxconn 500\n http-request deny if {{ path /denied }}\n \
         default_backend app\n\
         backend app\n balance roundrobin\n fullconn 100\n cookie SRV insert indirect nocache\n \
         retries 2\n option redispatch\n \
         server s1 {} cookie c1 weight 10 maxconn 20 maxqueue 5\n \
         server s2 {} cookie c2 weight 10\n server gone 127.0.0.1:1 cookie d weight 0\n \
         server spare 127.0.0.1:2 backup\n server off [::1]:3 disabled\n\
         listen raw\n mode tcp\n bind OTHER\n maxconn 50\n fullconn 9\n balance leastconn\n \
         server t {}\n server u /nowhere/x\n\
         backend empty\n id 77\n fullconn 1\n",
        servers[0], servers[1], servers[0]
    )
}

fn traffic(web: SocketAddr, raw: SocketAddr) {
    for (path, cookie) in [
        ("/", ""),
        ("/", "c1"),
        ("/404", "c2"),
        ("/500", "c1"),
        ("/301", "c2"),
        ("/", "d"),
        ("/", "zz"),
        ("/denied", ""),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nCookie: SRV={cookie}\r\n");
        exchange(web, &head, "");
    }
    let mut stream = TcpStream::connect(raw).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
}

#[test]
#[ignore = "runs a real HAProxy"]
fn rows_are_those_of_a_real_haproxy() {
    let text = both(&[by_path(), by_path()]);
    let other = free_address();
    let socket = "global\n stats socket FOLDER/stats.sock level admin\n";
    let own = socket.to_owned() + &text.replace("OTHER", &other.to_string());
    let service = Service::start("beside", &own);
    let folder = Folder::new("beside-haproxy");
    let (web, raw) = (free_address(), free_address());
    let its = socket.replace(
        "FOLDER/stats.sock",
        &folder.file("haproxy.sock").display().to_string(),
    );
    let its = its + TIMEOUTS + &text.replace("LISTEN", &web.to_string());
    let _haproxy = HaProxy::start(&its.replace("OTHER", &raw.to_string()), &folder);
    let its = |line: &str| ask(&folder.file("haproxy.sock"), line);
    let ours = |line: &str| ask(&service.folder.file("stats.sock"), line);
    traffic(service.listen, other);
    traffic(web, raw);
    for line in [
        "show stat app 2 -1",
        "show stat -1 4 2",
        "show stat 77 7 -1",
        "set server app/s1 state drain",
        "show stat app 4 1",
        "set server app/s1 state ready",
        "set server app/s2 health stopping; set server app/spare health down",
        "show stat -1 7 -1 up",
        "show stat no-maint",
        "show stat nobody 1 1",
        "show stat",
    ] {
        let same = || differences(&ours(line), &its(line)).is_none();
        assert!(
            eventually(same),
            "{line}: {:?}",
            differences(&ours(line), &its(line))
        );
    }
    let info = ours("show info");
    for name in info.lines().filter_map(|line| line.split_once(':')) {
        assert!(
            its("show info").contains(&format!("{}:", name.0)),
            "{}",
            name.0
        );
    }
}

/// The first difference: our cells are all there with the same value, but for times, and
/// for the bytes of answers, which are of each one's own making where a proxy answers.
pub(crate) fn differences(ours: &str, its: &str) -> Option<String> {
    let header = |text: &str| text.lines().next().map(str::to_owned);
    if header(ours) != header(its) {
        return Some(format!("{:?} {:?}", header(ours), header(its)));
    }
    if !ours.starts_with('#') {
        return None;
    }
    let (ours, its) = (rows(ours), rows(its));
    if ours.len() != its.len() {
        return Some(format!("{} and {} rows", ours.len(), its.len()));
    }
    ours.iter().zip(&its).find_map(|(ours, its)| {
        let mut cells = ours.iter();
        let other = cells.find(|(name, value)| match (name.as_str(), its.get(*name)) {
            // A client may come before the end of the last one has been seen.
            ("lastchg" | "lastsess" | "smax", Some(_)) => false,
            ("bout", Some(bytes)) => !are_near(value, bytes),
            (_, found) => found != Some(value),
        });
        let row = format!("{}/{}", ours["pxname"], ours["svname"]);
        other.map(|(name, value)| format!("{row} {name}: {value}, not {:?}", its.get(name)))
    })
}

fn are_near(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (one.parse::<u64>(), other.parse::<u64>()) else {
        return false;
    };
    one.abs_diff(other) * 4 <= one.max(other) || one.abs_diff(other) < 200
}

#[test]
fn those_who_wait_are_counted() {
    let slow = serve(|_| {
        thread::sleep(Duration::from_millis(400));
        bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let text = format!(
        "global\n stats socket FOLDER/stats.sock\n\
         listen l\n bind LISTEN\n timeout queue 5s\n server s {slow} maxconn 1\n"
    );
    let service = Service::start("queued", &text);
    let listen = service.listen;
    let get = move || exchange(listen, "GET / HTTP/1.1\r\nHost: h\r\n", "");
    let clients: Vec<_> = (0..3).map(|_| thread::spawn(get)).collect();
    for client in clients {
        assert!(client.join().unwrap().starts_with("HTTP/1.1 200"));
    }
    let csv = || ask(&service.folder.file("stats.sock"), "show stat");
    let columns = ["stot", "scur", "smax", "qcur", "qmax", "qlimit"];
    let told = |row: &str| cells(&csv(), row, &columns);
    assert!(
        eventually(|| told("l/BACKEND") == "3 0 3 0 2 "),
        "{}",
        csv()
    );
    assert_eq!(told("l/s"), "3 0 1 0 0 ");
}

#[test]
#[ignore = "runs a real HAProxy"]
fn the_page_answers_as_that_of_a_real_haproxy() {
    let text = format!(
        "listen shop\n bind LISTEN\n http-request deny if {{ path /st/no }}\n stats uri /st\n \
         stats refresh 5\n stats realm A\\ B\n stats auth u:p\n stats admin if {{ hdr(x) a }}\n \
         server s {}\n",
        by_path()
    );
    let service = Service::start("page-beside", &text);
    let folder = Folder::new("page-haproxy");
    let listen = free_address();
    let socket = folder.file("haproxy.sock");
    let global = format!("global\n stats socket {}\n", socket.display());
    let its = global + TIMEOUTS + &text.replace("LISTEN", &listen.to_string());
    let _haproxy = HaProxy::start(&its, &folder);
    let user = "Authorization: Basic dTpw\r\n";
    for (line, fields) in [
        ("GET /st", ""),
        ("GET /st", "Authorization: Basic eDp5\r\n"),
        ("GET /st", user),
        ("HEAD /st", user),
        ("GET /st;csv", user),
        ("GET /st?x;norefresh;csv;y", user),
        ("GET /status/x", user),
        ("GET /st/no", user),
        ("GET /xst", user),
        ("PUT /st", user),
        ("OPTIONS /st", user),
        ("POST /st", user),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n{fields}");
        let seen = |address| outline(&exchange(address, &request, ""));
        assert_eq!(seen(service.listen), seen(listen), "{line} {fields}");
    }
}

/// What matters to who asks for the page.
fn outline(answer: &str) -> Vec<String> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let names = ["www-authenticate", "refresh", "location", "cache-control"];
    let is_named = |line: &&str| names.iter().any(|name| line.starts_with(name));
    let mut fields: Vec<_> = lines.filter(is_named).map(str::to_owned).collect();
    fields.sort();
    fields.insert(0, status.unwrap_or_default().to_owned());
    // Refusals of rules are texts of each one's own.
    if fields[0] == "403" {
        fields.truncate(1);
    }
    fields
}
