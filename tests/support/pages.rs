//! Answers that a configuration has for statuses, and rules that change requests, as
//! HAProxy 2.6.12 and `examples/proxy` follow them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::configuration::Folder;

/// The configuration around a server, with a frontend for `LISTEN`.
pub(crate) fn configuration(server: SocketAddr, folder: &Folder) -> String {
    let write = |name: &str, text: &str| {
        let path = folder.file(name);
        fs::write(&path, text).expect("the folder can be written to");
        path.display().to_string()
    };
    let old = "HTTP/1.0 503 Gone\r\nX-File: 50%\r\nContent-Type: text/old\r\n\r\nfile";
    let new = "HTTP/1.1 503 Gone\nX-File: own\nContent-Length: 3\n\nown";
    let (old, new) = (write("old.http", old), write("new.http", new));
    let text = write("text", "%[path] as it is");
    let filled = write("filled", "%[path] of %ci,\n100%%\n");
    let empty = write("empty", "");
    format!(
        "defaults\n mode http\n timeout client 2s\n timeout connect 1s\n timeout server 800ms\n \
         errorloc 502 http://x/502\n\
         http-errors all\n errorfile 404 {old}\n errorfile 404 {new}\n errorfile 410 {empty}\n \
         errorfile 401 {old}\n\
         frontend web\n bind LISTEN\n errorfile 503 {old}\n errorloc303 504 http://x/504\n \
         http-error status 403 content-type text/x lf-string 'no %[path]' hdr X-H %[method]\n \
         http-error status 429 content-type text/x file {text}\n \
         errorfile 401 {new}\n errorfiles all 404 410\n http-error status 421 hdr X-B %ci\n \
         errorfile 425 {new}\n http-error status 425 default-errorfiles\n \
         http-request deny if {{ path /deny }}\n \
         http-request deny status 403 if {{ path /deny-status }}\n \
         http-request deny deny_status 421 if {{ path /deny421 }}\n \
         http-request deny deny_status 425 if {{ path /deny425 }}\n \
         http-request deny deny_status 410 if {{ path /deny410 }}\n \
         http-request deny deny_status 401 errorfiles all if {{ path /deny401 }}\n \
         http-request deny deny_status 405 errorfiles all if {{ path /deny405 }}\n \
         http-request return errorfile {empty} if {{ path /return-nothing }}\n \
         http-request return status 404 errorfiles all if {{ path /return-all }}\n \
         http-request return status 299 content-type text/y lf-file {filled} hdr X-C %[path] if \
         {{ path /return-filled }}\n \
         http-request return content-type text/y if {{ path /return-type }}\n \
         http-request deny deny_status 500 if {{ path /deny500 }}\n \
         http-request deny deny_status 429 if {{ path /deny429 }}\n \
         http-request deny hdr X-D 1 if {{ path /deny-field }}\n \
         http-request deny errorfile {new} if {{ path /deny-file }}\n \
         http-request return status 403 if {{ path /return }}\n \
         http-request return status 405 default-errorfiles if {{ path /return-page }}\n \
         http-request set-path /x%[path] if {{ path /set-path }}\n \
         http-request set-pathq /x?q if {{ path /set-pathq }}\n \
         http-request set-query a=%[path] if {{ path /set-query }}\n \
         http-request set-uri http://other/x if {{ path /set-uri }}\n \
         http-request set-method FOO if {{ path /set-method }}\n \
         http-request set-src hdr(x-src) if {{ path /set-src }}\n \
         http-request set-header X-Src %[src] if {{ path /set-src }}\n \
         http-request redirect location %[req.hdr(none)] ignore-empty if {{ path_beg /to }}\n \
         http-request redirect location /l%[path] code 301 if {{ path /to-location }}\n \
         http-request redirect prefix /p append-slash drop-query code 308 set-cookie A=1 if \
         {{ path /to-prefix }}\n \
         http-request redirect scheme https append-slash if {{ path /to-scheme }}\n \
         redirect location %[path] set-cookie A clear-cookie B= code 303 if {{ path /to-line }}\n \
         http-response redirect location /r code 307 if {{ res.hdr(x-last) -m found }}\n \
         http-after-response set-header X-After 1\n \
         use_backend none if {{ path_beg /none }}\n use_backend own if {{ path /own }}\n \
         default_backend app\n\
         backend app\n server s {server}\n\
         backend none\n retries 0\n server s 127.0.0.1:1\n\
         backend own\n retries 0\n errorfile 503 {new}\n server s 127.0.0.1:1\n"
    )
}

/// Requests, and what is answered: the status, the fields but for that of the length, and
/// the body, which is left out of pages that each proxy has in its own words.
pub(crate) const CASES: [(&str, &str); 35] = [
    (
        "/deny",
        "403 content-type: text/x, x-after: 1, x-h: GET: no /deny",
    ),
    (
        "/deny500",
        "500 cache-control: no-cache, content-type: text/html, x-after: 1",
    ),
    (
        "/deny429",
        "429 content-type: text/x, x-after: 1: %[path] as it is",
    ),
    ("/to-location", "301 location: /l/to-location, x-after: 1"),
    (
        "/to-prefix?q",
        "308 location: /p/to-prefix/, set-cookie: A=1; path=/;, x-after: 1",
    ),
    (
        "/to-scheme?q",
        "302 cache-control: no-cache, location: https://h/to-scheme?q/, x-after: 1",
    ),
    (
        "/to-line",
        "303 cache-control: no-cache, location: %[path], set-cookie: B=; path=/; Max-Age=0;, x-after: 1",
    ),
    (
        "/to-nowhere",
        "200 x-after: 1: GET /to-nowhere host: h x-src: 192.0.2.9",
    ),
    (
        "/last",
        "307 cache-control: no-cache, location: /r, x-after: 1",
    ),
    ("/deny-status", "403 x-after: 1"),
    ("/deny421", "421 x-after: 1, x-b: 127.0.0.1"),
    (
        "/deny425",
        "425 cache-control: no-cache, content-type: text/html, x-after: 1",
    ),
    ("/deny410", " "),
    (
        "/deny401",
        "503 content-type: text/old, x-after: 1, x-file: 50%: file",
    ),
    ("/deny405", "405 x-after: 1"),
    ("/return-nothing", " "),
    ("/return-all", "503 x-after: 1, x-file: own: own"),
    (
        "/return-filled",
        "299 content-type: text/y, x-after: 1, x-c: /return-filled: /return-filled of 127.0.0.1,\n100%\n",
    ),
    ("/return-type", "200 x-after: 1"),
    ("/deny-field", "403 x-after: 1, x-d: 1"),
    ("/deny-file", "503 x-after: 1, x-file: own: own"),
    ("/return", "403 x-after: 1"),
    (
        "/return-page",
        "405 cache-control: no-cache, content-type: text/html, x-after: 1",
    ),
    (
        "/none",
        "503 content-type: text/old, x-after: 1, x-file: 50%: file",
    ),
    ("/own", "503 x-after: 1, x-file: own: own"),
    (
        "/cut-silent",
        "302 cache-control: no-cache, location: http://x/502, x-after: 1",
    ),
    (
        "/never",
        "303 cache-control: no-cache, location: http://x/504, x-after: 1",
    ),
    (
        "/echo",
        "200 x-after: 1: GET /echo host: h x-src: 192.0.2.9",
    ),
    (
        "/set-path?q",
        "200 x-after: 1: GET /x/set-path?q host: h x-src: 192.0.2.9",
    ),
    (
        "/set-pathq?r",
        "200 x-after: 1: GET /x?q host: h x-src: 192.0.2.9",
    ),
    (
        "/set-query?r",
        "200 x-after: 1: GET /set-query?a=/set-query host: h x-src: 192.0.2.9",
    ),
    (
        "/set-uri?r",
        "200 x-after: 1: GET http://other/x host: other x-src: 192.0.2.9",
    ),
    (
        "/set-method",
        "200 x-after: 1: FOO /set-method host: h x-src: 192.0.2.9",
    ),
    (
        "/set-src",
        "200 x-after: 1: GET /set-src host: h x-src: 192.0.2.9",
    ),
    (
        "/none/else",
        "503 content-type: text/old, x-after: 1, x-file: 50%: file",
    ),
];

/// Asks for a path, with a source to be set.
pub(crate) fn ask(listen: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(listen).expect("it listens");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Src: 192.0.2.9\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is answered");
    shown(&answer)
}

fn shown(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.get(9..12).unwrap_or_default();
    let mut fields: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| format!("{}:{value}", name.to_ascii_lowercase()))
        .filter(|field| !field.starts_with("content-length:") && !field.starts_with("connection:"))
        .collect();
    fields.sort();
    let body = if body.starts_with("<html>") { "" } else { body };
    let colon = if body.is_empty() { "" } else { ": " };
    format!("{status} {}{colon}{body}", fields.join(", "))
}
