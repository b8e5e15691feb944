//! A sticky reverse proxy: what HAProxy does for `mode http` with cookies, around this
//! crate, which takes every decision about routing.
//!
//! ```text
//! cargo run --example proxy              # three demo servers, and curl lines to try
//! cargo run --example proxy -- -f FILE   # a configuration of HAProxy's
//! cargo run --example proxy -- --help    # all options
//! ```
//!
//! The rooms, in the order a request passes them. Each is a folder, and its first file says
//! what it is for; the five in bold are the afternoon.
//!
//! * `command_line/`: what the program was asked to do;
//! * `configuration/`: from the files of `-f` to a [`Routing`](stickroute::haproxy::Routing),
//!   and what this program does not do, which it says;
//! * **`service/`**: `site.rs` says what there is to serve, `listener.rs` accepts clients,
//!   `graceful.rs` and `handover.rs` let them go; `control.rs` is the operator's port;
//! * **`client/`**: who the client is, which of its bytes are a request, how long it may be
//!   silent;
//! * **`http/`**: `forward.rs` is the life of one request, with the crate's `select`,
//!   `redispatch` and `respond`; beside it the rules on messages and the proxy's own answers;
//! * **`tcp/`**: the life of one connection in mode tcp;
//! * **`server/`**: slots, connections to servers, health checks, and the exchange that holds
//!   a slot until the response has ended;
//! * `log/`: one line of each exchange; `statistics/`: counts, and the page that shows them.

mod client;
mod command_line;
mod configuration;
mod http;
mod log;
mod server;
mod service;
mod statistics;
mod tcp;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use command_line::daemon;
use command_line::flags::{Background, Flags};
use command_line::options::{self, Options, Order};
use configuration::setup;
use service::control::{self, Control};
use service::graceful::{Guests, Orders};
use service::listener::Door;
use service::site::{Back, Front};
use service::sockets::{Descriptors, Listener};
use service::{demo, serve};

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
    let Ok(loaded) = configuration::load(&flags.files) else {
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
        name: String::new(),
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
