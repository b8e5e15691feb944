//! A sticky reverse proxy in one file: tokio, hyper and this crate.
//!
//! ```text
//! cargo run --example minimal_proxy -- 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002
//! ```
//!
//! The servers are called `s1`, `s2` and so on, and the cookie `SRV` binds a client to
//! its server. Bodies are streamed in both directions; connections to clients and to
//! servers are kept alive. `examples/proxy` has what this one leaves out: the log, the
//! control port, HTTP/2, and care for idle connections that a server is just closing.

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use hyper::http::{StatusCode, Uri, Version, request::Parts};
use hyper::{Request, Response, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use stickroute::{
    Backend, CookiePolicy, Failure, HttpRequest, HttpResponse, Now, Redispatch, Retry, RetryPolicy,
    Selection, Server,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Connections to one server that wait for a request; the payload of that server.
#[derive(Clone, Default)]
struct Idle(Arc<Mutex<Vec<SendRequest<Incoming>>>>);

impl Idle {
    /// One that is still open.
    fn take(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.0.lock().ok()?;
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    /// Keeps a connection, once the response has been read from it.
    async fn keep(self, mut connection: SendRequest<Incoming>) {
        if connection.ready().await.is_ok()
            && let Ok(mut idle) = self.0.lock()
        {
            idle.push(connection);
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Err(error) = run(&arguments).await;
    eprintln!("minimal_proxy: {error}");
    ExitCode::from(2)
}

async fn run(arguments: &[String]) -> Result<Infallible, Box<dyn Error>> {
    let [listen, servers @ ..] = arguments else {
        return Err("usage: minimal_proxy LISTEN SERVER...".into());
    };
    let backend = Arc::new(backend(servers)?);
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {listen:?}: {error}"))?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, client) = listener.accept().await?;
        let backend = Arc::clone(&backend);
        let service = service_fn(move |request| answer(Arc::clone(&backend), request, client.ip()));
        let http = server::conn::http1::Builder::new();
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

fn backend(addresses: &[String]) -> Result<Backend<Idle>, stickroute::ConfigError> {
    let servers = addresses.iter().zip(1..).map(|(address, number)| {
        Server::new(format!("s{number}"), address.as_str())
            .cookie(format!("s{number}"))
            .payload(Idle::default())
    });
    Backend::builder("app")
        .servers(servers)
        .cookie(CookiePolicy::insert("SRV").indirect().nocache())
        .retry(RetryPolicy::new(3).redispatch(Redispatch::LAST_RETRY))
        .build()
}

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

async fn answer(
    backend: Arc<Backend<Idle>>,
    request: Request<Incoming>,
    client: IpAddr,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let response = forward(&backend, &parts, body, client).await;
    Ok(response.unwrap_or_else(|status| {
        let mut response = Response::new(Body::default());
        *response.status_mut() = status;
        response
    }))
}

/// The life of one request. An error is the status the client is answered with.
async fn forward(
    backend: &Backend<Idle>,
    parts: &Parts,
    body: Incoming,
    client: IpAddr,
) -> Result<Response<Body>, StatusCode> {
    let (mut connection, mut selection) = connect(backend, parts, client).await?;
    let request = outgoing(parts, body, &selection)?;
    let response = connection.send_request(request).await;
    let (mut parts, body) = response.map_err(|_| StatusCode::BAD_GATEWAY)?.into_parts();
    tokio::spawn(selection.server().payload().clone().keep(connection));

    let view = HttpResponse::from_parts(&parts);
    let edits = backend.respond(&mut selection, &view, Now::system());
    remove_hop_by_hop(&mut parts.headers);
    edits.apply(&mut parts.headers);
    parts.version = Version::HTTP_11;
    // The slot on the server is given back when hyper drops the body, at its end.
    let body = body.map_frame(move |frame| {
        let _held = &selection;
        frame
    });
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

/// Selects a server and connects to it or, while that fails, to the one the backend
/// names next. Nothing of the request has been sent by then.
async fn connect(
    backend: &Backend<Idle>,
    parts: &Parts,
    client: IpAddr,
) -> Result<(SendRequest<Incoming>, Selection<Idle>), StatusCode> {
    let view = || HttpRequest::from_parts(parts, Some(client));
    let selected = backend.select(&view(), Now::system());
    let mut selection = selected.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    loop {
        let server = selection.server();
        if let Some(idle) = server.payload().take() {
            return Ok((idle, selection));
        }
        if let Ok(connection) = open(&server.address().to_string()).await {
            return Ok((connection, selection));
        }
        let retry = backend.redispatch(selection, &view(), Failure::Refused, Now::system());
        let (next, pause) = match retry {
            Retry::Same { selection, pause } | Retry::Other { selection, pause } => {
                (selection, pause)
            }
            Retry::GiveUp(_) => return Err(StatusCode::SERVICE_UNAVAILABLE),
        };
        selection = next;
        sleep(pause).await;
    }
}

async fn open(address: &str) -> Result<SendRequest<Incoming>, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The request as the server gets it.
fn outgoing(
    parts: &Parts,
    body: Incoming,
    selection: &Selection<Idle>,
) -> Result<Request<Incoming>, StatusCode> {
    // Only CONNECT has no path.
    let target = parts.uri.path_and_query().cloned();
    let target = target.ok_or(StatusCode::NOT_IMPLEMENTED)?;
    let edits = selection.request_edits(&HttpRequest::from_parts(parts, None));
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = parts.headers.clone();
    edits.apply(parts.version, request.headers_mut());
    remove_hop_by_hop(request.headers_mut());
    Ok(request)
}

/// Removes what concerns one connection only (RFC 9110 section 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const ALWAYS: &str = "connection,keep-alive,proxy-connection,te,transfer-encoding,upgrade";
    let listed: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    let listed = listed.iter().filter_map(|value| value.to_str().ok());
    for name in listed.chain([ALWAYS]).flat_map(|list| list.split(',')) {
        headers.remove(name.trim());
    }
}
