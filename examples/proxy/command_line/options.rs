//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use crate::command_line::arguments::Arguments;
use crate::command_line::flags::Flags;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A sticky reverse proxy.

usage: proxy -f FILE [-f FILE]... [HAPROXY'S OPTION]...
       proxy [OPTION]...

The first runs HAProxy configurations: frontend, backend and listen sections, mode http
and tcp, cookies, stick tables and rules, stats sockets. What it cannot do is refused
with its place, exit status 1; what can be left undone (replication to
peers, agents) is told in warnings. Its options are those of HAProxy, as far as they go; the
others are refused, each with a reason.

  -f FILE                   a configuration file, or a folder: its files *.cfg, by name;
                            several are read one after the other
  -- FILE...                the same for all that follow
  -C FOLDER                 go there before any file is opened
  -L NAME                   the name of the local peer
  -n N                      connections at a time, instead of maxconn of global
  -c                        only check, and say whether it can be run
  -q                        say nothing; exit statuses have to do
  -V                        not so: say a little more
  -D                        go to the background once clients are served; what would be
                            printed from then on is lost
  -d, -db                   stay in the foreground whatever -D says; -d is -V, too
  -p FILE                   write the process id there once all sockets are open
  -sf PID...                take the place of these processes, with their sockets, and
                            tell them to end gently (SIGUSR1): no client is refused
  -st PID...                the same, but they are to hurry (SIGTERM)
  -v, -vv                   name and version; more of that

SIGUSR1: no one is let in any more, idle connections are closed, and requests and
connections under way take the time they need, or hard-stop-after. SIGTERM and SIGINT:
the same for at most 10 seconds; a second one ends the program at once.

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
  --help, -h                this text
";

/// How to run.
#[derive(Debug)]
pub(crate) struct Options {
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

impl Default for Options {
    fn default() -> Self {
        Self {
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

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Order {
    Help,
    /// `-v`, or `-vv` for more.
    Version {
        is_long: bool,
    },
    /// Configurations are run, or checked.
    Configured(Flags),
    /// A proxy for one backend.
    Plain(Options),
}

/// Reads the arguments behind the program's name.
pub(crate) fn parse(arguments: &[String]) -> Result<Order, String> {
    let mut rest = Arguments(arguments);
    let (mut flags, mut options) = (Flags::default(), Options::default());
    let (mut of_flags, mut of_options) = (None, None);
    while let Some(name) = rest.next() {
        match name {
            "--help" | "-h" => return Ok(Order::Help),
            "-v" | "-vv" => {
                let is_long = name == "-vv";
                return Ok(Order::Version { is_long });
            }
            _ if flags.set(name, &mut rest)? => of_flags = Some(name),
            _ => {
                options.set(name, &mut rest)?;
                of_options = Some(name);
            }
        }
    }
    let is_configured = !flags.files.paths.is_empty();
    match (of_flags, of_options) {
        (_, Some(name)) if is_configured => Err(format!("{name} has no place beside -f")),
        (Some(name), _) if !is_configured => Err(format!("{name} has no place without -f")),
        (Some(_), _) => Ok(Order::Configured(flags)),
        (None, _) => Ok(Order::Plain(options)),
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
