//! Puts one backend into service, as the options of the command line describe it.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::command_line::options::Options;
use crate::command_line::setup;
use crate::service::control::{self, Control};
use crate::service::demo;
use crate::service::graceful::{Guests, Orders};
use crate::service::listener::Door;
use crate::service::site::{Back, Front};
use crate::service::sockets::Listener;

/// Serves one backend, or the demo if no server is named, until it is told to stop.
pub(crate) async fn run(options: &mut Options) -> Result<(), Box<dyn Error>> {
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
