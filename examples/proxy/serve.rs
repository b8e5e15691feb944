//! Puts a configuration into service: its sockets, and what watches over its tables.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use stickroute::Now;
use stickroute::haproxy::{Bind, Configuration, Level, Mode};

use crate::config::{Loaded, room};
use crate::control::{self, Control, Subject};
use crate::listener::{self, Door};
use crate::site::{Front, Site};
use crate::sockets;
use crate::upkeep;

/// HAProxy's, where the configuration says nothing.
const STATS_TIMEOUT: Duration = Duration::from_secs(10);
const STATS_MAXCONN: u32 = 10;

/// Listens everywhere, says where, and serves until it is told to stop.
pub(crate) async fn run(loaded: Loaded) -> Result<(), Box<dyn Error>> {
    let Loaded {
        configuration,
        site,
        fronts,
    } = loaded;
    let limit = configuration.global.maxconn.as_ref();
    let everywhere = room(limit.map_or(0, |limit| limit.value));
    let mut doors = Vec::new();
    for (front, binds) in &fronts {
        for bind in binds {
            let rooms = [room(bind.maxconn.unwrap_or(0)), Arc::clone(&everywhere)];
            for listener in sockets::open(bind).await? {
                doors.push(Door {
                    listener,
                    front: Arc::clone(front),
                    accepts_proxy: bind.accept_proxy,
                    rooms: rooms.to_vec(),
                });
            }
        }
    }
    let controls = controls(&configuration, &site).await?;
    for door in &doors {
        println!("{}", address(&door.front, &door.listener.name()?));
    }
    for (listener, _) in &controls {
        println!("stats: {}", listener.name()?);
    }
    println!("ready");
    for (listener, control) in controls {
        tokio::spawn(control::serve(listener, control));
    }
    tokio::spawn(upkeep::run(site));
    listener::serve(doors).await?;
    Ok(())
}

fn address(front: &Front, name: &str) -> String {
    let scheme = match front.mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    };
    format!("{}: {scheme}://{name}", front.name)
}

async fn controls(
    configuration: &Configuration,
    site: &Arc<Site>,
) -> Result<Vec<(sockets::Listener, Control)>, String> {
    let global = &configuration.global;
    let timeout = global.stats_timeout.as_ref();
    let maxconn = global.stats_maxconn.as_ref();
    let control = Control {
        subject: Subject::Site(Arc::clone(site)),
        started: Now::system(),
        level: Level::Operator,
        timeout: Some(timeout.map_or(STATS_TIMEOUT, |limit| limit.value)),
        room: room(maxconn.map_or(STATS_MAXCONN, |limit| limit.value)),
    };
    let mut controls = Vec::new();
    for bind in &global.stats_sockets {
        let level = level(bind);
        for listener in sockets::open(bind).await? {
            let control = Control {
                level,
                ..control.clone()
            };
            controls.push((listener, control));
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
