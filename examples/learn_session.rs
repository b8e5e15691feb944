//! Learns a session id from a response and sends later requests of the session back to the
//! server that holds it: what a gateway in front of MCP or LLM servers needs.
//!
//! ```text
//! cargo run --example learn_session
//! ```
//!
//! The server names the session in a response header; clients send it back in a request
//! header of the same name. A session whose server is gone is answered with an error, not
//! with some other server that knows nothing of it. No network: the messages are made up.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use stickroute::{
    AdminState, Backend, Fetch, KeyType, Now, Reason, Request, Server, SimpleRequest,
    SimpleResponse, StickRule, StickTable,
};

const SESSION: &str = "mcp-session-id";

/// What the gateway does with a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The server that gets it, and why.
    Routed(String, Reason),
    /// The session it names is unknown, or its server is gone: 404 tells the client to
    /// begin a new one.
    SessionLost,
}

fn main() -> Result<(), Box<dyn Error>> {
    let sessions = StickTable::builder(KeyType::String(64))
        .size(100_000)
        .expire(Duration::from_secs(30 * 60))
        // Clients choose what they send: a real gateway gives a random number here.
        .hash_seed(0x5eed)
        .build()?;
    let gateway: Backend = Backend::builder("mcp")
        .server(Server::new("gpu1", "10.0.0.1:8080"))
        .server(Server::new("gpu2", "10.0.0.2:8080"))
        .stick_table(Arc::new(sessions))
        .stick(StickRule::matching(Fetch::header(SESSION)))
        .stick(StickRule::store_response(Fetch::response_header(SESSION)))
        .build()?;

    show(
        "a first request is balanced",
        &handle(&gateway, None, Some("s-17"))?,
    );
    let back = handle(&gateway, Some("s-17"), None)?;
    assert_eq!(back, Answer::Routed("gpu1".into(), Reason::StickTable));
    show("its session comes back", &back);
    show("another session", &handle(&gateway, None, Some("s-18"))?);

    gateway.set_admin_state("gpu1", AdminState::Drain)?;
    let drained = handle(&gateway, Some("s-17"), None)?;
    assert_eq!(drained, back);
    show("its server is drained: still served", &drained);

    gateway.set_admin_state("gpu1", AdminState::Maintenance)?;
    let lost = handle(&gateway, Some("s-17"), None)?;
    assert_eq!(lost, Answer::SessionLost);
    show("its server is gone", &lost);
    let unknown = handle(&gateway, Some("s-99"), None)?;
    assert_eq!(unknown, Answer::SessionLost);
    show("a session nobody knows", &unknown);
    Ok(())
}

/// Routes a request that may name a session; the server may begin one in its response.
fn handle(
    gateway: &Backend,
    session: Option<&str>,
    begun: Option<&str>,
) -> Result<Answer, Box<dyn Error>> {
    let mut request = SimpleRequest::new("POST", "/mcp");
    if let Some(session) = session {
        request = request.header(SESSION, session);
    }
    let mut selection = gateway.select(&request, Now::system())?;
    if names_session(&request) && selection.reason() != Reason::StickTable {
        // Dropped, the selection gives its slot back; no server sees the request.
        return Ok(Answer::SessionLost);
    }
    let mut response = SimpleResponse::new(200);
    if let Some(session) = begun {
        response = response.header(SESSION, session);
    }
    let _ = gateway.respond(&mut selection, &response, Now::system());
    let server = selection.server().name().to_owned();
    Ok(Answer::Routed(server, selection.reason()))
}

fn names_session(request: &dyn Request) -> bool {
    Fetch::from(Fetch::header(SESSION))
        .on_request(request)
        .is_some()
}

fn show(what: &str, answer: &Answer) {
    match answer {
        Answer::Routed(server, reason) => println!("{what}: {server} by {reason}"),
        Answer::SessionLost => println!("{what}: 404, begin a new session"),
    }
}
