//! A sticky reverse proxy: what HAProxy does for `mode http` with cookies, around this
//! crate, which takes every decision about routing.
//!
//! ```text
//! cargo run --example proxy              # three demo servers, and curl lines to try
//! cargo run --example proxy -- -f FILE   # a configuration of HAProxy's
//! cargo run --example proxy -- --help    # all options
//! ```
//!
//! The rooms, in the order a request passes them. Each is a folder, and its `mod.rs` is the map
//! of its files; the five in bold are the afternoon, and `http/forward.rs` its first ten
//! minutes.
//!
//! * `command_line/`: what the program was asked to do;
//! * `configuration/`: from the files of `-f` to a [`Routing`](stickroute::haproxy::Routing),
//!   and what this program does not do, which it says;
//! * **`service/`**: `site.rs` says what there is to serve, `listener.rs` accepts clients,
//!   `graceful.rs` and `handover.rs` let them go; `control.rs` is the operator's port;
//! * **`client/`**: who the client is, which of its bytes are a request, how long it may be
//!   silent;
//! * **`http/`**: `forward.rs` is the life of one request, with all that the crate is asked on
//!   the way; around it the rules on messages and the proxy's own answers;
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
use std::process::ExitCode;

use tokio::runtime::Builder;

use command_line::daemon;
use command_line::flags::{Background, Flags};
use command_line::options::{self, Order};
use service::sockets::Descriptors;
use service::{plain, serve};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match options::parse(&arguments) {
        Ok(Order::Help) => print!("{}", options::HELP),
        Ok(Order::Version { is_long }) => print!("{}", version(is_long)),
        Ok(Order::Configured(flags)) => return follow(&flags, &arguments),
        Ok(Order::Plain(mut options)) => {
            let served = start(None, plain::run(&mut options));
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
    let threads = &loaded.configuration.global.threads;
    let threads = threads.as_ref().map(|threads| threads.value as usize);
    start(threads, serve::run(loaded, descriptors, flags))
}

/// Runs on so many threads; `None` is as many as there are processors.
fn start(
    threads: Option<usize>,
    served: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<ExitCode, String> {
    let mut builder = match threads {
        // Nothing has to be told to another thread then.
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let served = runtime.block_on(served);
    // Whoever is still served is cut off, and told of.
    drop(runtime);
    log::standard::see_out();
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
