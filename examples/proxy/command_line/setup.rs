//! From the texts of the command line to a backend.

use std::error::Error;
use std::time::Duration;

use stickroute::{AdminState, Backend, CookiePolicy, Redispatch, RetryPolicy, Server, haproxy};

use crate::command_line::options::Options;
use crate::server::pool::Pool;

/// Builds the backend and prints its warnings.
pub(crate) fn backend(options: &Options) -> Result<Backend<Pool>, Box<dyn Error>> {
    let mut builder = Backend::builder("app").retry(retry_policy(options));
    for words in &options.servers {
        builder = builder.server(server(words).map_err(|e| format!("--server {words:?}: {e}"))?);
    }
    if let Some(line) = &options.cookie {
        builder = builder.cookie(cookie(line)?);
    }
    if let Some(key) = &options.dynamic_cookie_key {
        builder = builder.dynamic_cookie_key(key.as_str());
    }
    let balance = options.balance.as_deref().unwrap_or_default();
    let selector = haproxy::selector(balance, options.hash_type.as_deref())?;
    builder = builder.balance_shared(selector);
    if options.persist {
        builder = builder.persist();
    }
    if options.all_backups {
        builder = builder.all_backups();
    }
    let backend = builder.build()?;
    for warning in backend.warnings() {
        eprintln!("proxy: warning: {warning}");
    }
    Ok(backend)
}

fn cookie(line: &str) -> Result<CookiePolicy, Box<dyn Error>> {
    let directive = CookiePolicy::from_directive(line)?;
    for warning in &directive.warnings {
        eprintln!("proxy: warning: --cookie {line:?}: {warning}");
    }
    Ok(directive.policy)
}

fn retry_policy(options: &Options) -> RetryPolicy {
    let redispatch = options
        .redispatch
        .map_or(Redispatch::Off, Redispatch::Interval);
    RetryPolicy::new(options.retries)
        .redispatch(redispatch)
        .pause(options.connect_timeout.min(Duration::from_secs(1)))
}

/// `NAME ADDRESS [cookie X] [weight N] [id N] [maxconn N] [backup] [disabled]`
fn server(line: &str) -> Result<Server<Pool>, String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(address)) = (words.next(), words.next()) else {
        return Err("expected a name and an address".into());
    };
    let mut server = Server::new(name, address).payload(Pool::default());
    while let Some(word) = words.next() {
        server = match word {
            "backup" => server.backup(),
            "disabled" => server.admin_state(AdminState::Maintenance),
            "cookie" => server.cookie(words.next().ok_or("cookie expects an identifier")?),
            "weight" => server.weight(number(word, words.next())?),
            "id" => server.id(number(word, words.next())?),
            "maxconn" => server.max_connections(number(word, words.next())?),
            _ => return Err(format!("unknown word {word:?}")),
        };
    }
    Ok(server)
}

fn number(word: &str, text: Option<&str>) -> Result<u32, String> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{word} expects a number"))
}
