//! The servers of the rows, which remember what came to them.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use super::connection::Connection;
use super::row::{Row, Step};
use crate::support::wire;

/// What came to a server, by the numbers of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached(Arc<Mutex<HashMap<usize, Vec<String>>>>);

impl Reached {
    fn note(&self, number: usize, text: String) {
        let mut all = self.0.lock().expect("nobody panics");
        all.entry(number).or_default().push(text);
    }

    pub(super) fn of(&self, number: usize) -> Vec<String> {
        let all = self.0.lock().expect("nobody panics");
        all.get(&number).cloned().unwrap_or_default()
    }

    pub(super) fn forget(&self, number: usize) {
        self.0.lock().expect("nobody panics").remove(&number);
    }
}

/// Starts a server for all rows.
pub(super) fn start(rows: Arc<Vec<Row>>) -> (SocketAddr, Reached) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    let reached = Reached::default();
    let noted = reached.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (rows, reached) = (Arc::clone(&rows), noted.clone());
            thread::spawn(move || serve(Connection::new(stream), &rows, &reached));
        }
    });
    (address, reached)
}

fn serve(mut connection: Connection, rows: &[Row], reached: &Reached) {
    while let Some(request) = Request::read(&mut connection, rows) {
        let Some(steps) = &request.steps else {
            reached.note(request.row, request.told.clone());
            if !request.answer_well(&mut connection) {
                return;
            }
            continue;
        };
        reached.note(request.row, request.told.clone());
        connection.heard.clear();
        if !steps.iter().all(|step| connection.act(step)) {
            return;
        }
        if steps.last() == Some(&Step::Hear) {
            let rest = connection.heard.escape_ascii();
            return reached.note(request.row, format!("then {:?}", rest.to_string()));
        }
        // What has come meanwhile was told of, or belongs to nobody.
        connection.heard.clear();
    }
}

/// One that a server has got.
#[derive(Debug)]
struct Request {
    row: usize,
    /// The last part of its path.
    name: String,
    is_head: bool,
    body: Vec<u8>,
    /// How it looks, body included.
    told: String,
    /// What the row says about it; `None` is nothing.
    steps: Option<Vec<Step>>,
}

impl Request {
    fn read(connection: &mut Connection, rows: &[Row]) -> Option<Self> {
        let is_raw = loop {
            let row = row_of(&connection.heard).and_then(|row| rows.get(row));
            match row {
                Some(row) if row.is_raw() => break true,
                _ if wire::find(&connection.heard, b"\r\n\r\n").is_some() => break false,
                _ if !connection.more() => return None,
                _ => {}
            }
        };
        let end = wire::find(&connection.heard, b"\r\n\r\n").map(|end| end + 4);
        let end = end.filter(|_| !is_raw).unwrap_or(connection.heard.len());
        let rest = connection.heard.split_off(end);
        let head = std::mem::replace(&mut connection.heard, rest);
        let row = row_of(&head)?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let name = name_of(&head);
        let steps = rows[row].server.clone().filter(|_| name != "last");
        let mut request = Self {
            row,
            is_head: head.starts_with("HEAD "),
            body: Vec::new(),
            told: if is_raw { head.clone() } else { plain(&head) },
            steps,
            name,
        };
        let is_early = request
            .steps
            .as_ref()
            .is_some_and(|steps| steps.first() == Some(&Step::Early));
        if !is_raw && !is_early && !request.name.starts_with("early") && request.name != "never" {
            request.read_body(connection, &head);
        }
        Some(request)
    }

    fn read_body(&mut self, connection: &mut Connection, head: &str) {
        let is_framed = wire::field(head, "transfer-encoding").is_some()
            || wire::field(head, "content-length").is_some();
        if !is_framed {
            return;
        }
        let is_whole = loop {
            let mut rest = &connection.heard[..];
            let (body, is_whole) = wire::body(head, &mut rest);
            self.body = body;
            if is_whole {
                let trailers = wire::find(rest, b"\r\n\r\n").map_or(rest, |end| &rest[end + 4..]);
                connection.heard = trailers.to_vec();
                break true;
            }
            if !connection.more() {
                break false;
            }
        };
        let cut = if is_whole { "" } else { "~" };
        self.told = format!("{} {}{cut}", self.told, short(&self.body));
        if !is_whole {
            // Nobody is there to be answered.
            self.steps = Some(vec![Step::Close]);
        }
    }

    /// Whether another request may follow.
    fn answer_well(&self, connection: &mut Connection) -> bool {
        let name = &self.name;
        if name.starts_with("early") {
            connection.send(&answer(b"ok", "", false));
            if name == "early" {
                connection.hear_all();
            }
            return false;
        }
        if name == "never" {
            connection.hear_all();
            return false;
        }
        let known = wire::ANSWERS.iter().find(|(known, _)| known == name);
        let mark = if name == "last" {
            "X-Last: yes\r\n"
        } else {
            ""
        };
        let body = if self.body.is_empty() {
            b"ok"
        } else {
            &self.body[..]
        };
        let own = answer(body, mark, self.is_head);
        connection.send(known.map_or(&own, |(_, answer)| answer));
        !name.starts_with("cut")
    }
}

fn answer(body: &[u8], mark: &str, is_head: bool) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{mark}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), if is_head { b"" } else { body }].concat()
}

/// The number of the row that the bytes name: `/row12/`.
fn row_of(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let (number, _) = text.split_once("/row")?.1.split_once('/')?;
    number.parse().ok()
}

fn name_of(head: &str) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The first line and the fields, in a form in which the order and the case of names make no
/// difference, nor what is about this connection alone.
fn plain(head: &str) -> String {
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    let mut fields: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| format!("{}:{}", name.to_ascii_lowercase(), value.trim()))
        .filter(|line| !line.starts_with("connection:"))
        .collect();
    fields.sort();
    // Ours says HTTP/1.1 to servers.
    let first = first
        .rsplit_once(" HTTP/")
        .map_or(&*first, |(words, _)| words);
    let text = format!("{first} {}", fields.join(" "));
    short(text.as_bytes())
}

/// Long texts by their lengths.
pub(super) fn short(bytes: &[u8]) -> String {
    if bytes.len() > 2_000 {
        return format!("({} bytes)", bytes.len());
    }
    bytes.escape_ascii().to_string()
}
