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
//! * `options.rs`, `flags.rs`, `arguments.rs`: the command line; `voice.rs`: what is said;
//! * `daemon.rs`: the way to the background;
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
//! * `sockets.rs`, `listener.rs`: accept clients;
//! * `graceful.rs`: the end; `handover.rs`: sockets go to the next process;
//! * `stream.rs`, `client.rs`, `proxy_protocol.rs`: who the client is, and how long it may be
//!   silent;
//! * `wire.rs`, `head.rs`: which bytes are a request;
//! * `forward.rs`: the life of one request; `tcp.rs`, `inspect.rs`, `relay.rs`: that of
//!   one connection in mode tcp;
//! * `filters.rs`, `target.rs`, `forwardfor.rs`, `answer.rs`, `pages.rs`: rules on messages,
//!   and answers of the proxy's own;
//! * `queue.rs`: a slot on a server, waited for if there is none;
//! * `pool.rs`: connections to one server, the payload of that server;
//! * `headers.rs`, `body.rs`: what a proxy takes off and puts on, and what it waits for;
//! * `tunnel.rs`: what is no HTTP any more;
//! * `exchange.rs`: holds the server's slot until the response has ended, then feeds
//!   `log/`, which says how and where, and `statistics/`.
//!
//! Beside them, `statistics/` counts and shows, `control.rs` is the operator's port, with
//! HAProxy's runtime commands, `upkeep.rs` removes what has expired, and `checks.rs` asks
//! servers how they are.

mod answer;
mod arguments;
mod body;
mod checks;
mod client;
mod config;
mod control;
mod daemon;
mod demo;
mod exchange;
mod fault;
mod filters;
mod flags;
mod forward;
mod forwardfor;
mod graceful;
mod handover;
mod head;
mod headers;
mod honour;
mod inspect;
mod listener;
mod log;
mod network;
mod options;
mod pages;
mod pool;
mod proxy_protocol;
mod queue;
mod relay;
mod replay;
mod rule_words;
mod rules;
mod serve;
mod setup;
mod site;
mod sockets;
mod statistics;
mod stream;
mod target;
mod tcp;
mod told;
mod tunnel;
mod upkeep;
mod voice;
mod wire;
mod words;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use control::Control;
use flags::{Background, Flags};
use graceful::{Guests, Orders};
use listener::Door;
use options::{Options, Order};
use site::{Back, Front};
use sockets::{Descriptors, Listener};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match options::parse(&arguments) {
        Ok(Order::Help) => print!("{}", options::HELP),
        Ok(Order::Version { is_long }) => print!("{}", version(is_long)),
        Ok(Order::Configured(flags)) => return follow(&flags, &arguments),
        Ok(Order::Plain(mut options)) => {
            let served = start(run(&mut options));
            return served.unwrap_or_else(|error| refuse(&error));
        }
        Err(problem) => return refuse(&problem),
    }
    ExitCode::SUCCESS
}

/// Runs a configuration. The exit status is HAProxy's: 1 if it cannot be run.
fn follow(flags: &Flags, arguments: &[String]) -> ExitCode {
    let voice = flags.files.voice;
    let followed = match flags.background {
        Background::Begins if !flags.is_check => {
            daemon::start(arguments, voice).map_err(|error| error.to_string())
        }
        _ => load(flags),
    };
    followed.unwrap_or_else(|error| {
        voice.alert(error);
        ExitCode::FAILURE
    })
}

fn load(flags: &Flags) -> Result<ExitCode, String> {
    if let Some(folder) = &flags.folder {
        std::env::set_current_dir(folder).map_err(|error| format!("-C {folder}: {error}"))?;
    }
    let Ok(loaded) = config::load(&flags.files) else {
        // Why has been told.
        return Ok(ExitCode::FAILURE);
    };
    if flags.is_check {
        if loaded.has_warnings {
            flags.files.voice.say("Warnings were found.");
        }
        flags.files.voice.say("Configuration file is valid");
        return Ok(ExitCode::SUCCESS);
    }
    let descriptors = Descriptors::of(&loaded.configuration).map_err(|error| error.to_string())?;
    if flags.background == Background::Is {
        daemon::leave_terminal().map_err(|error| format!("-D: {error}"))?;
    }
    start(serve::run(loaded, descriptors, flags))
}

fn start(served: impl Future<Output = Result<(), Box<dyn Error>>>) -> Result<ExitCode, String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let served = runtime.block_on(served);
    served.map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn refuse(problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("proxy: {problem}");
    eprintln!("proxy: see --help");
    ExitCode::FAILURE
}

fn version(is_long: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let short = format!("stickroute proxy version {version}\n");
    if !is_long {
        return short;
    }
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{short}Configurations of HAProxy 2.6.12\nBuild: {build}, {system}, {processor}\n")
}

async fn run(options: &mut Options) -> Result<(), Box<dyn Error>> {
    let mut orders = Orders::new()?;
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
    let (guests, guest) = Guests::new();
    if let Some(control) = control {
        let about = Control::plain(Arc::clone(&backend));
        let listener = Arc::new(Listener::tcp(control));
        tokio::spawn(control::serve(listener, about, guest.clone()));
    }
    let back = Back::plain(backend, options.connect_timeout);
    let door = Door {
        listener: Arc::new(Listener::tcp(listener)),
        front: Arc::new(Front::plain(Arc::new(back))),
        accepts_proxy: false,
        rooms: Vec::new(),
    };
    tokio::spawn(door.open(guest));
    guests.see_out(&mut orders, None).await;
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
