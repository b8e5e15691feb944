//! Puts a configuration into service: its sockets, and what watches over its tables.

use std::error::Error;
use std::fs;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use stickroute::Now;
use stickroute::haproxy::{Bind, Level, Mode};

use crate::command_line::daemon;
use crate::command_line::flags::{Background, Flags};
use crate::configuration::{Loaded, room};
use crate::server::checks;
use crate::service::control::{self, Control, Subject};
use crate::service::graceful::{Guest, Guests, Orders};
use crate::service::handover::{self, Sockets};
use crate::service::listener::Door;
use crate::service::site::Front;
use crate::service::sockets::{Descriptors, Listener, Opener};
use crate::service::upkeep;

/// HAProxy's, where the configuration says nothing.
const STATS_TIMEOUT: Duration = Duration::from_secs(10);
const STATS_MAXCONN: u32 = 10;

/// Listens everywhere, says where, takes the place of those who served before, and serves
/// until it is told to stop.
pub(crate) async fn run(
    loaded: Loaded,
    descriptors: Descriptors,
    flags: &Flags,
) -> Result<(), Box<dyn Error>> {
    // From the moment on when its process id is known it may be told to stop.
    let mut orders = Orders::new()?;
    let global = &loaded.configuration.global;
    let limit = global.hard_stop_after.as_ref().map(|limit| limit.value);
    let mut opener = Opener {
        handed_over: Sockets::of(&flags.predecessors, |text| flags.files.voice.notice(text)),
        descriptors,
        reuse_port: !global.no_reuse_port,
    };
    let doors = doors(&loaded, &mut opener).await?;
    let controls = controls(&loaded, &mut opener).await?;
    // Nobody listens any more on what is left in it.
    drop(opener);
    let (guests, guest) = Guests::new();
    announce(&doors, &controls, flags, &guest)?;
    for door in doors {
        tokio::spawn(door.open(guest.clone()));
    }
    for (listener, control) in controls {
        tokio::spawn(control::serve(listener, control, guest.clone()));
    }
    drop(guest);
    checks::start(&loaded.site);
    tokio::spawn(upkeep::run(loaded.site));
    replace(flags);
    match flags.background {
        Background::Is => daemon::detach()?,
        _ => flags.files.voice.say(daemon::READY),
    }
    guests.see_out(&mut orders, limit).await;
    Ok(())
}

/// Says where it listens, and to whom it may concern who does. Whatever can fail is behind
/// it when the first client is let in.
fn announce(
    doors: &[Door],
    controls: &[(Arc<Listener>, Control)],
    flags: &Flags,
    guest: &Guest,
) -> Result<(), Box<dyn Error>> {
    let voice = flags.files.voice;
    for door in doors {
        voice.say(address(&door.front, &door.listener.name()?));
    }
    for (listener, _) in controls {
        voice.say(format_args!("stats: {}", listener.name()?));
    }
    let of_doors = doors.iter().map(|door| &door.listener);
    let listeners = of_doors.chain(controls.iter().map(|(listener, _)| listener));
    let listeners = listeners.map(Arc::downgrade).collect();
    if let Err(error) = handover::offer(listeners, guest.clone()) {
        voice.warning(format_args!("sockets cannot be handed over: {error}"));
    }
    if let Some(file) = &flags.pid_file {
        let written = fs::write(file, format!("{}\n", process::id()));
        written.map_err(|error| format!("-p {file}: {error}"))?;
    }
    Ok(())
}

/// Tells those whose place is taken to leave.
fn replace(flags: &Flags) {
    let voice = flags.files.voice;
    for predecessor in &flags.predecessors {
        let process = predecessor.process;
        match predecessor.dismiss() {
            Ok(()) => voice.detail(format_args!("process {process} is told to stop")),
            Err(error) => voice.warning(format_args!("process {process} goes on: {error}")),
        }
    }
}

async fn doors(loaded: &Loaded, opener: &mut Opener) -> Result<Vec<Door>, String> {
    let limit = loaded.configuration.global.maxconn.as_ref();
    let everywhere = room(limit.map_or(0, |limit| limit.value));
    let mut doors = Vec::new();
    for (front, binds) in &loaded.fronts {
        let mut number = 0;
        for bind in binds {
            let rooms = [room(bind.maxconn.unwrap_or(0)), Arc::clone(&everywhere)];
            for listener in opener.open(bind).await? {
                number += 1;
                let name = bind.name.as_ref().map(ToString::to_string);
                doors.push(Door {
                    name: name.unwrap_or_else(|| number.to_string()),
                    listener: Arc::new(listener),
                    front: Arc::clone(front),
                    accepts_proxy: bind.accept_proxy,
                    rooms: rooms.to_vec(),
                });
            }
        }
    }
    Ok(doors)
}

fn address(front: &Front, name: &str) -> String {
    let scheme = match front.mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    };
    format!("{}: {scheme}://{name}", front.name)
}

async fn controls(
    loaded: &Loaded,
    opener: &mut Opener,
) -> Result<Vec<(Arc<Listener>, Control)>, String> {
    let global = &loaded.configuration.global;
    let timeout = global.stats_timeout.as_ref();
    let maxconn = global.stats_maxconn.as_ref();
    let control = Control {
        subject: Subject::Site(Arc::clone(&loaded.site)),
        started: Now::system(),
        level: Level::Operator,
        timeout: Some(timeout.map_or(STATS_TIMEOUT, |limit| limit.value)),
        room: room(maxconn.map_or(STATS_MAXCONN, |limit| limit.value)),
    };
    let mut controls = Vec::new();
    for bind in &global.stats_sockets {
        let level = level(bind);
        for listener in opener.open(bind).await? {
            let control = Control {
                level,
                ..control.clone()
            };
            controls.push((Arc::new(listener), control));
        }
    }
    Ok(controls)
}

/// `user` has been refused.
fn level(bind: &Bind) -> Level {
    match bind.level.as_ref().and_then(|word| word.as_str()) {
        Some("admin") => Level::Admin,
        _ => Level::Operator,
    }
}
