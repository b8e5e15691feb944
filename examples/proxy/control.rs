//! The operator's control port: lines in, answers out.
//!
//! An empty line is the answer to an order that was carried out, and ends every other
//! answer.

use std::fmt::Write;
use std::io;
use std::sync::Arc;

use stickroute::{
    AdminState, Backend, FarmServer, OperationalState, UpdateError, Weight, WeightChange,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::pool::Pool;

/// More than any session of an operator needs.
const MOST_BYTES: u64 = 1 << 20;

/// Takes orders until the program ends.
pub(crate) async fn serve(listener: TcpListener, backend: Arc<Backend<Pool>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { converse(stream, &backend).await });
    }
}

async fn converse(mut stream: TcpStream, backend: &Backend<Pool>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader.take(MOST_BYTES)).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = execute(backend, &line);
        let is_order = !matches!(answer, Err(Problem::NoOrder));
        let text = answer.unwrap_or_else(|problem| problem.text());
        writer.write_all(format!("{text}\n").as_bytes()).await?;
        // A browser that was lured here sends HTTP, with orders in the body perhaps.
        if !is_order {
            break;
        }
    }
    Ok(())
}

/// Why an order was not carried out.
enum Problem {
    /// The line is no order at all.
    NoOrder,
    /// An argument is wrong; this is what is expected.
    Expected(&'static str),
    /// The backend has another name.
    Backend(String),
    /// The library refuses.
    Refused(UpdateError),
}

impl Problem {
    fn text(&self) -> String {
        match self {
            Self::NoOrder => "expected: set server ..., or: show servers\n".into(),
            Self::Expected(words) => format!("expected {words}\n"),
            Self::Backend(found) => format!("no backend {found:?}\n"),
            Self::Refused(error) => format!("{error}\n"),
        }
    }
}

fn execute(backend: &Backend<Pool>, line: &str) -> Result<String, Problem> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["show", "servers"] => Ok(table(backend)),
        ["set", "server", server, what, value] => {
            let server = server_name(backend, server)?;
            set(backend, server, what, value).map(|()| String::new())
        }
        _ => Err(Problem::NoOrder),
    }
}

/// The server of `BACKEND/NAME` or `NAME`.
fn server_name<'a>(backend: &Backend<Pool>, text: &'a str) -> Result<&'a str, Problem> {
    match text.split_once('/') {
        None => Ok(text),
        Some((name, server)) if name == backend.name() => Ok(server),
        Some((name, _)) => Err(Problem::Backend(name.into())),
    }
}

fn set(backend: &Backend<Pool>, server: &str, what: &str, value: &str) -> Result<(), Problem> {
    let done = match what {
        "state" => backend.set_admin_state(server, admin_state(value)?),
        "health" => backend.set_operational_state(server, health(value)?),
        "weight" => backend.set_weight(server, weight(value)?),
        _ => return Err(Problem::Expected("state, health or weight")),
    };
    done.map_err(Problem::Refused)
}

fn admin_state(word: &str) -> Result<AdminState, Problem> {
    match word {
        "ready" => Ok(AdminState::Ready),
        "drain" => Ok(AdminState::Drain),
        "maint" => Ok(AdminState::Maintenance),
        _ => Err(Problem::Expected("ready, drain or maint")),
    }
}

fn health(word: &str) -> Result<OperationalState, Problem> {
    match word {
        "up" => Ok(OperationalState::Running),
        "stopping" => Ok(OperationalState::Stopping),
        "down" => Ok(OperationalState::Stopped),
        _ => Err(Problem::Expected("up, stopping or down")),
    }
}

fn weight(word: &str) -> Result<WeightChange, Problem> {
    let percent = word.strip_suffix('%').map(str::parse);
    let change = match percent {
        Some(percent) => percent.ok().map(WeightChange::PercentOfConfigured),
        None => word
            .parse()
            .ok()
            .and_then(Weight::new)
            .map(WeightChange::To),
    };
    change.ok_or(Problem::Expected("a weight from 0 to 256, or a percentage"))
}

fn table(backend: &Backend<Pool>) -> String {
    let mut text = String::from(
        "name        id address                state       health   weight in-flight\n",
    );
    for server in backend.farm().servers() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row(server));
    }
    text
}

fn row(server: &FarmServer) -> String {
    let status = server.status();
    format!(
        "{:<10} {:>3} {:<22} {:<11} {:<8} {:>6} {:>9}{}",
        server.name(),
        server.id().get(),
        server.address().to_string(),
        format!("{:?}", status.admin()).to_lowercase(),
        format!("{:?}", status.operational()).to_lowercase(),
        status.weight().get(),
        server.in_flight(),
        if server.is_backup() { " backup" } else { "" },
    )
}
