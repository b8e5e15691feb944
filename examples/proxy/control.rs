//! The operator's control port: lines in, answers out, as on HAProxy's `stats socket`.
//!
//! It is closed after one line, unless that was `prompt`. So a browser that was lured here
//! and sends HTTP, with commands in the body perhaps, gets no further than its first line.

use std::io;
use std::sync::Arc;

use stickroute::haproxy::{ProxyId, Runtime, Wish};
use stickroute::{Backend, Now};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::pool::Pool;

/// More than any session of an operator needs.
const MOST_BYTES: u64 = 1 << 20;

/// What HAProxy would call this backend: it counts itself and the frontend first.
const PROXY: ProxyId = ProxyId::Counted(3);

/// Takes commands until the program ends.
pub(crate) async fn serve(listener: TcpListener, backend: Arc<Backend<Pool>>) {
    let started = Now::system();
    while let Ok((stream, _)) = listener.accept().await {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { converse(stream, started, &backend).await });
    }
}

async fn converse(mut stream: TcpStream, started: Now, backend: &Backend<Pool>) -> io::Result<()> {
    let runtime = Runtime::new(started).backend(PROXY, backend);
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader.take(MOST_BYTES));
    let mut line = Vec::new();
    let mut has_prompt = false;
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let answer = runtime.answer(&line, Now::system());
        writer.write_all(answer.text().as_bytes()).await?;
        has_prompt ^= answer.wish() == Some(Wish::Prompt);
        if !has_prompt || answer.wish() == Some(Wish::Quit) {
            break;
        }
        writer.write_all(b"> ").await?;
        line.clear();
    }
    Ok(())
}
