//! Three small servers to play with: each says who it is and counts its visits.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The cookie of the demo.
pub(crate) const COOKIE: &str = "SRV insert indirect nocache";

/// Starts the servers on free ports and returns their `--server` texts.
pub(crate) async fn start() -> io::Result<Vec<String>> {
    let mut servers = Vec::new();
    for number in 1..=3 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let name = format!("app{number}");
        servers.push(format!("{name} {address} cookie a{number}"));
        tokio::spawn(serve(listener, name));
    }
    Ok(servers)
}

/// What to try.
pub(crate) fn hints(url: &str) -> String {
    format!(
        "# With a cookie jar a client stays where it is:\n\
         curl -s -b jar.txt -c jar.txt '{url}/?[1-6]'\n\
         # Without, each request goes to the next server:\n\
         curl -s '{url}/?[1-6]'\n\
         # Ctrl-C stops."
    )
}

async fn serve(listener: TcpListener, name: String) {
    let name: Arc<str> = name.into();
    let visits = Arc::new(AtomicU64::new(0));
    while let Ok((stream, _)) = listener.accept().await {
        let (name, visits) = (Arc::clone(&name), Arc::clone(&visits));
        let service = service_fn(move |_| ready(Ok::<_, Infallible>(page(&name, &visits))));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn page(name: &str, visits: &AtomicU64) -> Response<Full<Bytes>> {
    let visit = visits.fetch_add(1, Relaxed) + 1;
    let text = format!("{name} answers, its visit number {visit}\n");
    Response::new(Full::from(text))
}
