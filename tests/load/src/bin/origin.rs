//! A server that says who it is and whose request it answers.
//!
//!     origin NAME PORT
//!
//! `/` is a small answer, `/10k` one of 10 kB, `/think` comes after a while, `/slow` begins
//! at once and ends after a while. What fills a body is the first letter of the session, so
//! that bytes of one answer in another are seen. It ends with its input.

use std::error::Error;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::exit;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// How long an answer is waited for, or the rest of it.
const WHILE: Duration = Duration::from_millis(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, port] = &arguments[..] else {
        return Err("expected NAME PORT".into());
    };
    let name: &'static str = name.clone().leak();
    let socket = TcpSocket::new_v4()?;
    // The one before may have left connections behind.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)))?;
    // However the keeper ends: nobody is left behind.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        exit(0);
    });
    let listener = socket.listen(4096)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // The client may go at any moment.
            let _ = serve(stream, name).await;
        });
    }
}

async fn serve(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut heard = Vec::with_capacity(4096);
    loop {
        while let Some(length) = length(&heard) {
            answer(&mut stream, name, &heard[..length]).await?;
            heard.drain(..length);
        }
        if stream.read_buf(&mut heard).await? == 0 {
            return Ok(());
        }
    }
}

/// That of the first request, if it is whole.
fn length(heard: &[u8]) -> Option<usize> {
    let head = heard.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let body = field(&heard[..head], b"content-length:");
    let body = body.map_or(Some(0), |value| {
        std::str::from_utf8(value).ok()?.parse().ok()
    })?;
    (heard.len() >= head + body).then_some(head + body)
}

fn field<'r>(head: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

async fn answer(stream: &mut TcpStream, name: &str, request: &[u8]) -> io::Result<()> {
    let mut words = request.split(|byte| *byte == b' ');
    let target = words.nth(1).unwrap_or_default();
    let session = field(request, b"x-session:").unwrap_or(b"-");
    let size = if target == b"/10k" { 10_240 } else { 64 };
    let mut text = format!("HTTP/1.1 200 OK\r\nx-server: {name}\r\nx-session: ").into_bytes();
    text.extend_from_slice(session);
    text.extend_from_slice(format!("\r\ncontent-length: {size}\r\n\r\n").as_bytes());
    text.resize(text.len() + size, session[session.len() - 1]);
    match target {
        b"/think" => sleep(WHILE).await,
        b"/slow" => {
            let first = text.len() - size / 2;
            stream.write_all(&text[..first]).await?;
            sleep(WHILE).await;
            return stream.write_all(&text[first..]).await;
        }
        _ => {}
    }
    stream.write_all(&text).await
}
