//! A sticky reverse proxy: what HAProxy does for `mode http` with cookies, around this
//! crate, which takes every decision about routing.
//!
//! ```text
//! cargo run --example proxy              # three demo servers, and curl lines to try
//! cargo run --example proxy -- --help    # all options
//! ```
//!
//! The files, in the order a request meets them:
//!
//! * `options.rs`: the command line;
//! * `setup.rs`: from its texts to a [`Backend`](stickroute::Backend);
//! * `listener.rs`: accepts clients, and stops gracefully;
//! * `forward.rs`: the life of one request;
//! * `pool.rs`: connections to one server, the payload of that server;
//! * `headers.rs`: what a proxy takes off and puts on;
//! * `exchange.rs`: holds the server's slot until the response has ended, then logs;
//! * `control.rs`: the operator's port, with HAProxy's runtime commands;
//! * `demo.rs`: servers to play with.

mod control;
mod demo;
mod exchange;
mod forward;
mod headers;
mod listener;
mod options;
mod pool;
mod setup;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;

use forward::Proxy;
use options::Options;

fn main() -> ExitCode {
    let mut options = match options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => return refuse(&problem),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    match runtime.block_on(run(&mut options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
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
        tokio::spawn(control::serve(control, Arc::clone(&backend)));
    }
    let proxy = Proxy::new(backend, options.connect_timeout);
    listener::serve(listener, Arc::new(proxy)).await?;
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
