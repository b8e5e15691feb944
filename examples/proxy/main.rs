//! A sticky reverse proxy: what HAProxy does for `mode http` with cookies, around this
//! crate, which takes every decision about routing.
//!
//! ```text
//! cargo run --example proxy              # three demo servers, and curl lines to try
//! cargo run --example proxy -- -f FILE   # a configuration of HAProxy's
//! cargo run --example proxy -- --help    # all options
//! ```
//!
//! The files. What there is to serve:
//!
//! * `options.rs`: the command line;
//! * `setup.rs`: from its texts to a [`Backend`](stickroute::Backend);
//! * `config.rs`: from the files of `-f` to a [`Routing`](stickroute::haproxy::Routing),
//!   with `rules.rs`, `rule_words.rs`, `words.rs` and `network.rs`; `honour.rs`, `told.rs`
//!   and `fault.rs` say what is not done;
//! * `site.rs`: frontends and backends, wherever they come from;
//! * `serve.rs`: puts a configuration into service;
//! * `demo.rs`: servers to play with.
//!
//! In the order a client meets them:
//!
//! * `sockets.rs`, `listener.rs`: accept clients, and stop gracefully;
//! * `stream.rs`, `proxy_protocol.rs`: who the client is, and how long it may be silent;
//! * `forward.rs`: the life of one request; `tcp.rs`, `inspect.rs`, `relay.rs`: that of
//!   one connection in mode tcp;
//! * `filters.rs`, `forwardfor.rs`, `answer.rs`: rules on messages, and answers of the
//!   proxy's own;
//! * `queue.rs`: a slot on a server, waited for if there is none;
//! * `pool.rs`: connections to one server, the payload of that server;
//! * `headers.rs`, `body.rs`: what a proxy takes off and puts on, and what it waits for;
//! * `exchange.rs`: holds the server's slot until the response has ended, then logs.
//!
//! Beside them, `statistics` counts and shows, `control.rs` is the operator's port, with HAProxy's runtime commands, and
//! `upkeep.rs` removes what has expired.

mod answer;
mod body;
mod config;
mod control;
mod demo;
mod exchange;
mod fault;
mod filters;
mod forward;
mod forwardfor;
mod headers;
mod honour;
mod inspect;
mod listener;
mod network;
mod options;
mod pool;
mod proxy_protocol;
mod queue;
mod relay;
mod rule_words;
mod rules;
mod serve;
mod setup;
mod site;
mod sockets;
mod statistics;
mod stream;
mod tcp;
mod told;
mod upkeep;
mod words;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use control::Control;
use listener::Door;
use options::{Files, Options};
use site::{Back, Front};
use sockets::Listener;

fn main() -> ExitCode {
    let mut options = match options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => return refuse(&problem),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    if !options.files.paths.is_empty() {
        return follow(&runtime, &options.files);
    }
    match runtime.block_on(run(&mut options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// Runs a configuration. The exit status is HAProxy's: 1 if it cannot be run.
fn follow(runtime: &Runtime, files: &Files) -> ExitCode {
    let Ok(loaded) = config::load(files) else {
        // Why has been told.
        return ExitCode::FAILURE;
    };
    if files.is_check {
        println!("Configuration file is valid");
        return ExitCode::SUCCESS;
    }
    match runtime.block_on(serve::run(loaded)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[ALERT] {error}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("proxy: {problem}");
    eprintln!("proxy: see --help");
    ExitCode::from(2)
}

async fn run(options: &mut Options) -> Result<(), Box<dyn Error>> {
    let is_demo = options.servers.is_empty();
    if is_demo {
        options.servers = demo::start().await?;
        options.cookie.get_or_insert_with(|| demo::COOKIE.into());
    }
    let backend = Arc::new(setup::backend(options)?);
    let listener = bind(options.listen).await?;
    let control = match options.admin {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    greet(&listener, control.as_ref(), is_demo)?;
    if let Some(control) = control {
        let about = Control::plain(Arc::clone(&backend));
        tokio::spawn(control::serve(Listener::Tcp(control), about));
    }
    let back = Back::plain(backend, options.connect_timeout);
    let door = Door {
        listener: Listener::Tcp(listener),
        front: Arc::new(Front::plain(Arc::new(back))),
        accepts_proxy: false,
        rooms: Vec::new(),
    };
    listener::serve(vec![door]).await?;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn greet(
    listener: &TcpListener,
    control: Option<&TcpListener>,
    is_demo: bool,
) -> std::io::Result<()> {
    let url = format!("http://{}", listener.local_addr()?);
    println!("{url}");
    if let Some(control) = control {
        println!("control {}", control.local_addr()?);
    }
    if is_demo {
        println!("{}", demo::hints(&url));
    }
    Ok(())
}
