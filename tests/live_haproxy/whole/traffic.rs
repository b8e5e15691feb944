//! What clients do, by chance: the same for the same seed.

use std::net::Ipv4Addr;

use crate::generator::Random;

use super::plan::Plan;
use super::servers::{DO, STEP};
use super::talk::{Act, Answer, Curl, SIDE, Talk};

/// How many clients there are.
const CLIENTS: usize = 5;

/// The cookies of every client, as the answers of HAProxy set them.
#[derive(Clone, Debug, Default)]
pub(super) struct Jars([Vec<(String, String)>; CLIENTS]);

impl Jars {
    /// What a browser makes of an answer.
    pub(super) fn fill(&mut self, client: usize, answer: &Answer) {
        let jar = &mut self.0[client];
        for cookie in answer.values("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            jar.retain(|(kept, _)| kept != name);
            if !cookie.contains("1970") && !value.is_empty() {
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn line(&self, client: usize) -> Option<String> {
        let pairs = self.0[client].iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// What one client does.
#[derive(Clone, Debug)]
pub(super) enum Visit {
    Talk(Talk),
    Curl(Curl),
}

/// A visit, who makes it, and the names of its requests.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) visit: Visit,
    pub(super) requests: Vec<String>,
}

/// Makes visits.
#[derive(Debug)]
pub(super) struct Traffic<'p> {
    plan: &'p Plan,
    frontends: usize,
    requests: usize,
    /// No server fails.
    pub(super) is_quiet: bool,
}

/// A request before it is bytes.
struct Request {
    method: String,
    name: String,
    target: String,
    version: &'static str,
    fields: Vec<String>,
    body: Option<Vec<u8>>,
    is_chunked: bool,
}

impl<'p> Traffic<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            frontends: plan.listen().len(),
            requests: 0,
            is_quiet: true,
        }
    }

    pub(super) fn visit(&mut self, random: &mut Random, jars: &Jars) -> Client {
        let number = random.below(CLIENTS);
        let mut client = Client {
            number,
            visit: Visit::Talk(Talk {
                source: Ipv4Addr::new(127, 0, 0, 11 + number as u8),
                frontend: random.below(self.frontends),
                acts: Vec::new(),
            }),
            requests: Vec::new(),
        };
        if self.plan.is_desk {
            self.desk(random, &mut client);
        } else if !self.plan.is_timed && random.percent(15) {
            self.curl(random, &mut client);
        } else {
            self.talk(random, jars, &mut client);
        }
        client
    }

    fn name(&mut self, client: &mut Client) -> String {
        self.requests += 1;
        let name = format!("{SIDE}{}", self.requests);
        client.requests.push(name.clone());
        name
    }

    fn talk(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) {
        let acts = match random.below(12) {
            0..4 => self.one(random, jars, client),
            4..7 => self.some(random, jars, client),
            7 => self.pipelined(random, jars, client),
            8 if !self.plan.is_whole => self.in_pieces(random, jars, client),
            // HAProxy says 400 or 502 if the server fails, by what it notices first.
            9 if self.is_quiet => self.half_closed(random, jars, client),
            9 | 10 if !self.plan.is_whole => self.expecting(random, jars, client),
            _ => self.upgraded(random, jars, client),
        };
        if let Visit::Talk(talk) = &mut client.visit {
            talk.acts = acts;
        }
    }

    fn one(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let mut request = self.request(random, jars, client);
        request.closes();
        vec![Act::Send(request.bytes()), request.hear()]
    }

    /// One after the other on one connection.
    fn some(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let count = 2 + random.below(3);
        let requests = (1..=count).map(|number| {
            let mut request = self.request(random, jars, client).kept();
            if number < count {
                // How long connections of HTTP/1.0 are kept is listed.
                request.version = "HTTP/1.1";
            }
            request
        });
        let acts = requests.map(|request| [Act::Send(request.bytes()), request.hear()]);
        acts.collect::<Vec<_>>().concat()
    }

    fn pipelined(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let count = 2 + random.below(2);
        let mut bytes = Vec::new();
        let mut acts = Vec::new();
        for _ in 0..count {
            let mut request = self.request(random, jars, client).kept();
            request.version = "HTTP/1.1";
            if !self.is_quiet {
                // Whether HAProxy goes on when a server fails depends on how much of the
                // body it still has.
                "GET".clone_into(&mut request.method);
                request.body = None;
            }
            bytes.extend(request.bytes());
            acts.push(request.hear());
        }
        acts.insert(0, Act::Send(bytes));
        acts
    }

    fn in_pieces(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let mut request = self.request(random, jars, client);
        request.closes();
        let bytes = request.bytes();
        let size = bytes.len().div_ceil(2 + random.below(5));
        let pieces = bytes.chunks(size);
        let pieces = pieces.map(|piece| [Act::Send(piece.to_vec()), Act::Pause]);
        let mut acts = pieces.collect::<Vec<_>>().concat();
        acts.push(request.hear());
        acts
    }

    fn half_closed(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let request = self.request(random, jars, client);
        vec![Act::Send(request.bytes()), Act::CloseHalf, request.hear()]
    }

    /// `Expect: 100-continue`. The body follows without an answer, as it may.
    fn expecting(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let mut request = self.request(random, jars, client);
        request.version = "HTTP/1.1";
        "POST".clone_into(&mut request.method);
        request.body = Some(vec![b'e'; 1 + random.below(2_000)]);
        request.fields.push("Expect: 100-continue".to_owned());
        // In HAProxy a long answer in chunks now and then ends behind its first 15 kB.
        let is_long = |field: &String| field.starts_with(DO) && field.contains("size=");
        request.fields.retain(|field| !is_long(field));
        request.closes();
        let bytes = request.bytes();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("there is a head") + 4);
        vec![
            Act::Send(head.to_vec()),
            Act::Pause,
            Act::Send(body.to_vec()),
            request.hear(),
        ]
    }

    /// No HTTP any more.
    fn upgraded(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Vec<Act> {
        let mut request = self.request(random, jars, client);
        "GET".clone_into(&mut request.method);
        request.version = "HTTP/1.1";
        request.body = None;
        let lines = ["Connection: Upgrade", "Upgrade: echo"];
        request.fields.extend(lines.map(str::to_owned));
        vec![
            Act::Send(request.bytes()),
            Act::HearSwitch,
            Act::Send(b"something else".to_vec()),
            Act::HearBytes(14),
            Act::CloseHalf,
            Act::HearRest,
        ]
    }

    fn request(&mut self, random: &mut Random, jars: &Jars, client: &mut Client) -> Request {
        let any = |random: &mut Random, of: &[String]| of[random.below(of.len())].clone();
        let method = any(random, &self.plan.methods);
        let mut request = Request {
            name: self.name(client),
            target: any(random, &self.plan.targets),
            version: if random.percent(8) {
                "HTTP/1.0"
            } else {
                "HTTP/1.1"
            },
            fields: Vec::new(),
            body: None,
            is_chunked: false,
            method,
        };
        if matches!(request.method.as_str(), "POST" | "PUT") {
            let size = [0, 1, 100, 5_000, 40_000][random.below(5)];
            request.body = Some((0..size).map(|at| b'a' + (at % 23) as u8).collect());
            request.is_chunked = random.percent(30) && request.version == "HTTP/1.1";
        }
        if request.version == "HTTP/1.0" && random.percent(50) {
            request.fields.push("Connection: keep-alive".to_owned());
        }
        self.cookies(random, jars, client.number, &mut request);
        if !self.plan.fields.is_empty() && random.percent(70) {
            for _ in 0..=random.below(2) {
                request.fields.push(any(random, &self.plan.fields));
            }
        }
        self.order(random, &mut request);
        if request.version == "HTTP/1.0" {
            // They know no chunks, and get some from HAProxy.
            let is_chunked = |field: &String| field.starts_with(DO) && field.contains("chunked");
            request.fields.retain(|field| !is_chunked(field));
        }
        request
    }

    fn cookies(&self, random: &mut Random, jars: &Jars, client: usize, request: &mut Request) {
        let made_up = &self.plan.cookies;
        if !made_up.is_empty() && random.percent(20) {
            let cookie = &made_up[random.below(made_up.len())];
            let line = ["", "a=b; ", "theme=dark;"][random.below(3)];
            let end = ["", "; c=d", ";x"][random.below(3)];
            request.fields.push(format!("Cookie: {line}{cookie}{end}"));
        } else if let Some(line) = jars.line(client).filter(|_| random.percent(90)) {
            let other = if random.percent(30) { "; lang=en" } else { "" };
            request.fields.push(format!("Cookie: {line}{other}"));
        }
    }

    /// What the server is to do.
    fn order(&self, random: &mut Random, request: &mut Request) {
        let mut words = Vec::new();
        let answers = &self.plan.answers;
        if !answers.is_empty() && random.percent(40) {
            words.push(answers[random.below(answers.len())].clone());
        }
        let word = match random.below(20) {
            0 => "chunked",
            1 => "size=30000",
            2 => "size=30000|chunked",
            3 => "status=404",
            4 => "status=304",
            5 => "status=503",
            6 => "Cache-Control: max-age=60",
            7 => "open",
            _ => "",
        };
        words.push(word.to_owned());
        let line = words.join("|");
        if line.len() > 1 {
            request.fields.push(format!("{DO}: {line}"));
        }
    }

    fn curl(&mut self, random: &mut Random, client: &mut Client) {
        let jars = Jars::default();
        let request = self.request(random, &jars, client);
        let mut arguments = vec![
            format!("-HHost: www.example.org"),
            "-A".into(),
            "curl".into(),
        ];
        arguments.push(format!("-H{STEP}: {}", request.name));
        for field in &request.fields {
            let is_own = field.starts_with("Cookie") || field.starts_with("Connection");
            if !is_own {
                // An empty value is written with a semicolon.
                let empty = field.strip_suffix(": ").map(|name| format!("{name};"));
                arguments.push(format!("-H{}", empty.as_ref().unwrap_or(field)));
            }
        }
        match (request.method.as_str(), request.body) {
            ("HEAD", _) => arguments.push("-I".into()),
            (_, Some(body)) => {
                arguments.push("--data-binary".into());
                arguments.push(String::from_utf8_lossy(&body).into_owned());
                arguments.extend(["-X".into(), request.method]);
            }
            (method, None) => arguments.extend(["-X".into(), method.into()]),
        }
        let is_plain = !arguments.iter().any(|text| text.contains("chunked"));
        if random.percent(10) && is_plain {
            arguments.push("--http1.0".into());
        }
        let Visit::Talk(talk) = &client.visit else {
            return;
        };
        client.visit = Visit::Curl(Curl {
            source: talk.source,
            frontend: talk.frontend,
            target: request.target,
            arguments,
        });
    }

    /// The first packet of an RDP client.
    fn desk(&mut self, random: &mut Random, client: &mut Client) {
        let cookies = &self.plan.cookies;
        let cookie = &cookies[random.below(cookies.len())];
        let cookie = format!("Cookie: {cookie}\r\n");
        let length = 11 + cookie.len() as u8;
        let head = [3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
        let packet = [&head, cookie.as_bytes()].concat();
        if let Visit::Talk(talk) = &mut client.visit {
            talk.acts = vec![Act::Send(packet), Act::HearRest];
        }
    }
}

impl Request {
    fn closes(&mut self) {
        if self.version == "HTTP/1.1" {
            self.fields.push("Connection: close".to_owned());
        }
    }

    /// With an answer of which the proxies agree that another one may follow.
    fn kept(mut self) -> Self {
        self.fields
            .retain(|field| !field.starts_with(DO) || !field.ends_with("open"));
        self
    }

    fn hear(&self) -> Act {
        Act::Hear {
            is_head: self.method == "HEAD",
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{} {} {}\r\nHost: www.example.org\r\n{STEP}: {}\r\n",
            self.method, self.target, self.version, self.name
        );
        for field in &self.fields {
            text.extend([field, "\r\n"]);
        }
        let Some(body) = &self.body else {
            return (text + "\r\n").into_bytes();
        };
        if !self.is_chunked {
            let length = body.len().to_string();
            text.extend(["Content-Length: ", &length, "\r\n\r\n"]);
            return [text.as_bytes(), body].concat();
        }
        text.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut bytes = text.into_bytes();
        for part in body.chunks(3_000) {
            bytes.extend(format!("{:x}\r\n", part.len()).bytes());
            bytes.extend_from_slice(part);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }
}
