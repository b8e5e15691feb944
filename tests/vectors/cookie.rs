//! `cookie.jsonl`: one request and its response through a backend with a cookie.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use stickroute::{
    Address, AdminState, Backend, BackendBuilder, Choice, Condition, CookiePolicy, Failure,
    FieldEdit, Now, OperationalState, Redispatch, Refusal, Request, Response, Retry, RetryPolicy,
    SelectError, Selection, Selector, Server, ServerId, SimpleRequest, SimpleResponse,
};

use crate::report::{Comparison, Outcome, play_json};

#[test]
fn cookie_jsonl() {
    play_json("cookie.jsonl", play);
}

/// Chooses what HAProxy's algorithm chose.
///
/// A recording names the last choice only. Where a request without persistence was
/// moved, the choices before it fell on servers that refuse connections.
#[derive(Debug)]
struct Oracle {
    refusing: Mutex<VecDeque<String>>,
    last: Option<String>,
}

impl Oracle {
    fn of(case: &Value) -> Self {
        let expect = &case["expect"];
        let was_moved = expect["server"].is_null() && expect["redispatched"] == true;
        let choices = if was_moved {
            expect["retries"].as_u64()
        } else {
            None
        };
        let servers = case["config"]["servers"].as_array().expect("servers");
        let refusing = servers.iter().filter(|server| server["reachable"] == false);
        let names = refusing.map(|server| server["name"].as_str().expect("name").to_owned());
        Self {
            refusing: Mutex::new(names.take(choices.unwrap_or(0) as usize).collect()),
            last: expect["lb_server"].as_str().map(str::to_owned),
        }
    }
}

impl Selector for Oracle {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let next = self.refusing.lock().expect("one thread").pop_front();
        let Some(name) = next.as_ref().or(self.last.as_ref()) else {
            // No other choice was recorded: the same server again.
            return choice.avoid();
        };
        let mut servers = choice.farm().servers().iter();
        servers.position(|server| server.name() == name)
    }
}

/// Everything a case says about what happened.
struct Observed {
    server: Option<String>,
    last_server: Option<String>,
    status: u64,
    forwarded: Option<Vec<String>>,
    set_cookie: Vec<String>,
    cache_control: Vec<String>,
    states: [&'static str; 2],
    retries: u64,
    redispatched: bool,
}

fn play(case: &Value) -> Outcome {
    let now = now_of(case);
    let request = request_of(&case["request"]);
    let backend = match backend_of(case) {
        Ok(backend) => backend,
        Err(error) => return Outcome::Different(error),
    };
    compare(&observe(case, &backend, &request, now), &case["expect"])
}

fn now_of(case: &Value) -> Now {
    let wall = case["now_unix"].as_u64().expect("now_unix");
    Now::new(Duration::from_secs(5), Duration::from_secs(wall))
}

/// Vectors hold bytes as ISO-8859-1 characters.
fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("a string");
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).expect("ISO-8859-1"))
        .collect()
}

/// Whoever parses a message removes the blanks around a value (RFC 9110 section 5.5).
fn trimmed(value: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte));
    let end = value.iter().rposition(|byte| !blank(byte));
    start
        .zip(end)
        .map_or(Vec::new(), |(start, end)| value[start..=end].to_vec())
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn request_of(request: &Value) -> SimpleRequest {
    let start = SimpleRequest::new(bytes(&request["method"]), "/");
    pairs(&request["headers"]).fold(start, |request, (name, value)| request.header(name, value))
}

fn response_of(case: &Value) -> SimpleResponse {
    let status = case["server_status"].as_u64().expect("server_status");
    pairs(&case["server_response_headers"]).fold(
        SimpleResponse::new(status as u16),
        |response, (name, value)| response.header(name, value),
    )
}

fn pairs(headers: &Value) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let headers = headers.as_array().expect("a list of headers").iter();
    headers.map(|pair| (text(&bytes(&pair[0])), trimmed(&bytes(&pair[1]))))
}

fn backend_of(case: &Value) -> Result<Backend, String> {
    let config = &case["config"];
    let directive = config["cookie"].as_str().expect("config.cookie");
    let directive = directive.strip_prefix("cookie ").expect("the keyword");
    let policy = CookiePolicy::from_directive(directive).map_err(|error| error.to_string())?;
    let builder = Backend::builder("be")
        .servers(
            config["servers"]
                .as_array()
                .expect("servers")
                .iter()
                .map(server_of),
        )
        .cookie(policy.policy)
        .balance(Oracle::of(case))
        .retry(retry_of(config));
    let builder = rules_of(config, builder);
    builder.build().map_err(|error| error.to_string())
}

fn server_of(server: &Value) -> Server {
    let name = server["name"].as_str().expect("name");
    let address = match server.get("addr").and_then(Value::as_str) {
        Some(ip) => {
            let port = server["port"].as_u64().expect("port") as u16;
            Address::Ip((ip.parse::<std::net::IpAddr>().expect("addr"), port).into())
        }
        None => Address::Unix(format!("/{name}").into()),
    };
    let weight = server["weight"].as_u64().expect("weight") as u32;
    let mut built = Server::new(name, address).weight(weight);
    if server["cookie"].is_string() {
        built = built.cookie(bytes(&server["cookie"]));
    }
    if server["backup"] == true {
        built = built.backup();
    }
    match server["state"].as_str().expect("state") {
        "up" => built,
        "down" => built.operational_state(OperationalState::Stopped),
        "stopping" => built.operational_state(OperationalState::Stopping),
        "drain" => built.admin_state(AdminState::Drain),
        "maint" | "disabled" => built.admin_state(AdminState::Maintenance),
        other => panic!("state {other:?}"),
    }
}

fn retry_of(config: &Value) -> RetryPolicy {
    let retries = config["retries"].as_u64().expect("retries") as u32;
    let redispatch = match config["redispatch"].as_i64() {
        Some(interval) => Redispatch::Interval(interval as i32),
        None => Redispatch::Off,
    };
    RetryPolicy::new(retries).redispatch(redispatch)
}

fn rules_of(config: &Value, mut builder: BackendBuilder) -> BackendBuilder {
    let is = |flag: &str| config[flag] == true;
    if is("persist") {
        builder = builder.persist();
    }
    if is("force_persist") {
        builder = builder.force_persist(Condition::always());
    }
    if is("ignore_persist") {
        builder = builder.ignore_persist(Condition::always());
    }
    if let Some(name) = config["use_server"].as_str() {
        builder = builder.use_server(name, Condition::always());
    }
    if let Some(name) = config["stick_match"].as_str() {
        let found = position_of(config, name);
        let id = ServerId::new(found as u32 + 1).expect("an id");
        builder = builder.lookup(move |_| Some(id));
    }
    if let Some(key) = config["dynamic_cookie_key"].as_str() {
        builder = builder.dynamic_cookie_key(key);
    }
    builder
}

fn position_of(config: &Value, name: &str) -> usize {
    let mut servers = config["servers"].as_array().expect("servers").iter();
    servers
        .position(|server| server["name"] == name)
        .expect("a server of this name")
}

fn observe(case: &Value, backend: &Backend, request: &SimpleRequest, now: Now) -> Observed {
    let mut observed = Observed {
        server: None,
        last_server: None,
        status: 503,
        forwarded: None,
        set_cookie: Vec::new(),
        cache_control: Vec::new(),
        states: ["none", "none"],
        retries: 0,
        redispatched: false,
    };
    let selection = match backend.select(request, now) {
        Ok(selection) => selection,
        Err(error) => return observed.refused(&error),
    };
    if selection.reason() != stickroute::Reason::Balance {
        observed.server = Some(selection.server().name().to_owned());
    }
    match connect(case, backend, request, selection, now, &mut observed) {
        Err(error) => observed.refused(&error),
        Ok(selection) => observed.answered(case, backend, request, selection, now),
    }
}

/// Tries until a server accepts the connection or the policy gives up.
fn connect(
    case: &Value,
    backend: &Backend,
    request: &SimpleRequest,
    mut selection: Selection,
    now: Now,
    observed: &mut Observed,
) -> Result<Selection, SelectError> {
    loop {
        let name = selection.server().name().to_owned();
        let config = &case["config"];
        let server = &config["servers"][position_of(config, &name)];
        observed.last_server = Some(name);
        observed.retries = selection.retries().into();
        observed.redispatched = selection.is_redispatched();
        if server["reachable"] == true {
            return Ok(selection);
        }
        selection = match backend.redispatch(selection, request, Failure::Refused, now) {
            Retry::Same { selection, .. } | Retry::Other { selection, .. } => selection,
            Retry::GiveUp(error) => return Err(error),
        };
    }
}

impl Observed {
    fn refused(mut self, error: &SelectError) -> Self {
        assert!(
            !matches!(error.refusal(), Refusal::Selector { .. }),
            "{error}"
        );
        self.states[0] = client_state(error.client_cookie());
        self
    }

    fn answered(
        mut self,
        case: &Value,
        backend: &Backend,
        request: &SimpleRequest,
        mut selection: Selection,
        now: Now,
    ) -> Self {
        let response = response_of(case);
        let edits = selection.request_edits(request);
        let fields = edits.cookie_fields().iter().enumerate();
        let sent = values_of_request(request, "cookie");
        self.forwarded = Some(edited(sent, fields));
        let edits = backend.respond(&mut selection, &response, now);
        let fields = edits.set_cookie_fields().iter();
        let sent = values_of_response(&response, "set-cookie");
        self.set_cookie = edited(sent, fields.map(|(index, edit)| (*index, edit)));
        self.set_cookie.extend(edits.set_cookie().map(text));
        self.cache_control = edited(
            values_of_response(&response, "cache-control"),
            std::iter::empty(),
        );
        self.cache_control
            .extend(edits.cache_control().map(str::to_owned));
        self.status = response.status().into();
        self.states = [
            client_state(selection.client_cookie()),
            response_state(selection.response_cookie()),
        ];
        self
    }
}

fn values_of_request(message: &SimpleRequest, name: &str) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    message.visit_headers(name, &mut |value| {
        values.push(value.to_vec());
        std::ops::ControlFlow::Continue(())
    });
    values
}

fn values_of_response(message: &SimpleResponse, name: &str) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    message.visit_headers(name, &mut |value| {
        values.push(value.to_vec());
        std::ops::ControlFlow::Continue(())
    });
    values
}

fn edited<'e>(
    values: Vec<Vec<u8>>,
    edits: impl Iterator<Item = (usize, &'e FieldEdit)>,
) -> Vec<String> {
    let mut values: Vec<_> = values.into_iter().map(Some).collect();
    for (index, edit) in edits {
        match edit {
            FieldEdit::Keep => {}
            FieldEdit::Remove => values[index] = None,
            FieldEdit::Replace(bytes) => values[index] = Some(bytes.clone()),
        }
    }
    values.iter().flatten().map(|value| text(value)).collect()
}

fn client_state(state: stickroute::ClientCookie) -> &'static str {
    match state.letter() {
        'N' => "none",
        'I' => "invalid",
        'D' => "down",
        'V' => "valid",
        'E' => "expired",
        'O' => "old",
        'U' => "unused",
        other => panic!("letter {other:?}"),
    }
}

fn response_state(state: stickroute::ResponseCookie) -> &'static str {
    match state.letter() {
        'N' => "none",
        'P' => "found",
        'D' => "deleted",
        'I' => "inserted",
        'R' => "replaced",
        'U' => "updated",
        other => panic!("letter {other:?}"),
    }
}

fn compare(got: &Observed, expect: &Value) -> Outcome {
    let name = |field: &str| expect[field].as_str().map(str::to_owned);
    let list = |field: &str| -> Option<Vec<String>> {
        let values = expect[field].as_array()?.iter();
        Some(
            values
                .map(|value| value.as_str().expect("text").to_owned())
                .collect(),
        )
    };
    let mut comparison = Comparison::default();
    comparison.check("server", &got.server, &name("server"));
    comparison.check("final server", &got.last_server, &name("final_server"));
    comparison.check("status", &Some(got.status), &expect["status"].as_u64());
    comparison.check("Cookie", &got.forwarded, &list("forwarded_cookie_headers"));
    comparison.check(
        "Set-Cookie",
        &Some(&got.set_cookie),
        &list("client_set_cookie").as_ref(),
    );
    comparison.check(
        "Cache-Control",
        &Some(&got.cache_control),
        &list("client_cache_control").as_ref(),
    );
    // A purely passive policy logs no states.
    for (index, field) in ["client_cookie_state", "response_cookie_state"]
        .into_iter()
        .enumerate()
    {
        if let Some(expected) = expect[field].as_str() {
            comparison.check(field, &got.states[index], &expected);
        }
    }
    comparison.check("retries", &Some(got.retries), &expect["retries"].as_u64());
    comparison.check(
        "redispatched",
        &Some(got.redispatched),
        &expect["redispatched"].as_bool(),
    );
    comparison.outcome()
}
