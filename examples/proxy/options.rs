//! The command line.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A sticky reverse proxy.

usage: proxy -f FILE [-f FILE]... [-L NAME] [-c]
       proxy [OPTION]...

The first runs HAProxy configurations: frontend, backend and listen sections, mode http
and tcp, cookies, stick tables and rules, stats sockets. What it cannot do is refused
with its place, exit status 1; what can be left undone (health checks, replication to
peers) is told in warnings.

  -f FILE                   a configuration file; several are read as one
  -L NAME                   the name of the local peer
  -c                        only check, and say whether it can be run

The second is a proxy for one backend.

Without --server it starts three demo servers of its own. Texts in quotes are
HAProxy's words.

  --listen ADDRESS          where clients connect; default 127.0.0.1:0, a free port
  --server 'NAME ADDRESS [cookie X] [weight N] [id N] [maxconn N] [backup] [disabled]'
                            a server; repeat it for each one
  --cookie 'SRV insert indirect nocache'
                            persistence by cookie; default none, in the demo as here
  --dynamic-cookie-key KEY  the secret of 'dynamic' cookies
  --balance 'roundrobin'    how sessions without persistence are spread
  --hash-type 'consistent'  how hashes find a server
  --retries N               further attempts to connect; default 3
  --redispatch [N]          another server on every N-th retry; default -1, the last
  --persist                 follow cookies to servers that are down, too
  --allbackups              use all backups at once
  --connect-timeout MS      default 5000; the pause before a retry is at most this
                            and at most a second
  --admin ADDRESS           a control port, on a loopback address only, for HAProxy's
                            runtime commands about backend app: help lists them
  --help                    this text
";

/// How to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) files: Files,
    pub(crate) listen: SocketAddr,
    pub(crate) servers: Vec<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) dynamic_cookie_key: Option<String>,
    pub(crate) balance: Option<String>,
    pub(crate) hash_type: Option<String>,
    pub(crate) retries: u32,
    pub(crate) redispatch: Option<i32>,
    pub(crate) persist: bool,
    pub(crate) all_backups: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) admin: Option<SocketAddr>,
}

/// Configuration files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) paths: Vec<String>,
    pub(crate) local_peer: Option<String>,
    pub(crate) is_check: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            files: Files::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            servers: Vec::new(),
            cookie: None,
            dynamic_cookie_key: None,
            balance: None,
            hash_type: None,
            retries: 3,
            redispatch: None,
            persist: false,
            all_backups: false,
            connect_timeout: Duration::from_secs(5),
            admin: None,
        }
    }
}

/// Reads the arguments behind the program's name; `None` when they ask for help.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let arguments: Vec<String> = arguments.collect();
    let mut rest = Arguments(&arguments);
    let mut options = Options::default();
    let mut of_backend = None;
    while let Some(name) = rest.next() {
        match name {
            "--help" => return Ok(None),
            "-f" => options.files.paths.push(rest.text(name)?),
            "-c" => options.files.is_check = true,
            "-L" => options.files.local_peer = Some(rest.text(name)?),
            _ => {
                options.set(name, &mut rest)?;
                of_backend = Some(name);
            }
        }
    }
    let is_configured = !options.files.paths.is_empty();
    match of_backend {
        Some(name) if is_configured => Err(format!("{name} has no place beside -f")),
        _ if !is_configured && options.files.is_check => Err("-c has no place without -f".into()),
        _ if !is_configured && options.files.local_peer.is_some() => {
            Err("-L has no place without -f".into())
        }
        _ => Ok(Some(options)),
    }
}

impl Options {
    fn set(&mut self, name: &str, rest: &mut Arguments<'_>) -> Result<(), String> {
        match name {
            "--listen" => self.listen = rest.read(name, "IP:PORT")?,
            "--server" => self.servers.push(rest.text(name)?),
            "--cookie" => self.cookie = Some(rest.text(name)?),
            "--dynamic-cookie-key" => self.dynamic_cookie_key = Some(rest.text(name)?),
            "--balance" => self.balance = Some(rest.text(name)?),
            "--hash-type" => self.hash_type = Some(rest.text(name)?),
            "--retries" => self.retries = rest.read(name, "a number")?,
            "--redispatch" => self.redispatch = Some(rest.number().unwrap_or(-1)),
            "--persist" => self.persist = true,
            "--allbackups" => self.all_backups = true,
            "--connect-timeout" => {
                self.connect_timeout = Duration::from_millis(rest.read(name, "milliseconds")?);
            }
            "--admin" => self.admin = Some(loopback(rest.read(name, "IP:PORT")?)?),
            _ => return Err(format!("unknown option {name:?}")),
        }
        Ok(())
    }
}

/// Whoever reaches the control port may do anything, so only this machine may.
fn loopback(address: SocketAddr) -> Result<SocketAddr, String> {
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "--admin {address}: expected a loopback address, such as 127.0.0.1:9999"
    ))
}

/// Arguments not read yet.
struct Arguments<'a>(&'a [String]);

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn text(&mut self, option: &str) -> Result<String, String> {
        let text = self.next().map(str::to_owned);
        text.ok_or_else(|| format!("{option} expects a text behind it"))
    }

    fn read<T: FromStr>(&mut self, option: &str, expected: &str) -> Result<T, String> {
        let text = self.text(option)?;
        text.parse()
            .map_err(|_| format!("{option} {text:?}: expected {expected}"))
    }

    /// The next argument if it is a number; otherwise it is left alone.
    fn number(&mut self) -> Option<i32> {
        let number = self.0.first()?.parse().ok()?;
        self.next();
        Some(number)
    }
}
