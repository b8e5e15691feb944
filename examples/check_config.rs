//! Checks HAProxy configurations as `haproxy -c` does, and shows what was understood.
//!
//! ```text
//! cargo run --example check_config -- examples/configs/*.cfg
//! ```
//!
//! Each file is a configuration of its own. The exit status is 1 if one is refused.

use std::process::ExitCode;

use stickroute::haproxy::{
    Configuration, ConfigurationError, ConfigurationReader, Proxy, Severity,
};

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        eprintln!("usage: check_config FILE...");
        return ExitCode::FAILURE;
    }
    let refused = paths.iter().filter(|path| !check(path)).count();
    if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Checks one file; false if it is refused.
fn check(path: &str) -> bool {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return false;
        }
    };
    // The library reads no environment: the program hands it over.
    let reader = ConfigurationReader::new().environment(|name| std::env::var(name).ok());
    let result = reader.file(path, text).read();
    for finding in result
        .as_ref()
        .map_or_else(ConfigurationError::findings, |c| c.findings())
    {
        let severity = match finding.severity() {
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Error => "ALERT",
        };
        eprintln!("[{severity}] {finding}");
    }
    match result {
        Ok(configuration) => {
            println!("{path}: configuration is valid");
            summary(&configuration);
            true
        }
        Err(error) => {
            println!("{path}: {} error(s)", error.errors().count());
            false
        }
    }
}

fn summary(configuration: &Configuration) {
    for proxy in &configuration.proxies {
        println!(
            "  {} {} (mode {:?})",
            proxy.kind.keyword(),
            proxy.name.value,
            proxy.mode
        );
        frontend(proxy);
        if proxy.kind.is_backend() {
            backend(configuration, proxy);
        }
    }
    for section in &configuration.peers {
        println!(
            "  peers {} with {} peers",
            section.name.value,
            section.peers.len()
        );
    }
    for (name, arguments) in configuration.tables() {
        let words: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        println!("  table {name}: {}", words.join(" "));
    }
}

fn frontend(proxy: &Proxy) {
    for bind in &proxy.frontend.binds {
        for address in &bind.addresses.value {
            println!("    listens on {address}");
        }
    }
    for rule in &proxy.frontend.use_backend {
        println!("    may use {}", rule.target);
    }
    if let Some(name) = &proxy.frontend.default_backend {
        println!("    uses {name}");
    }
}

fn backend(configuration: &Configuration, proxy: &Proxy) {
    for server in &proxy.backend.servers {
        println!("    server {} at {}", server.name, server.address.value);
    }
    match configuration.backend(&proxy.name.value) {
        Ok(builder) => match builder.build() {
            Ok(_) => println!("    can be routed to"),
            Err(error) => println!("    cannot be routed to: {error}"),
        },
        Err(error) => println!("    cannot be routed to: {error}"),
    }
}
