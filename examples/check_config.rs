//! Checks HAProxy configurations as `haproxy -c` does, and shows what was understood.
//!
//! ```text
//! cargo run --example check_config -- examples/configs/*.cfg
//! ```
//!
//! Each file is a configuration of its own. The exit status is 1 if one is refused.

use std::process::ExitCode;

use stickroute::haproxy::{
    Configuration, ConfigurationError, ConfigurationReader, Finding, Proxy, Routing, Severity,
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
    tell(
        result
            .as_ref()
            .map_or_else(ConfigurationError::findings, |c| c.findings()),
    );
    // Building finds what is right and cannot be done, or not here.
    let built = result.and_then(|configuration| {
        let routing = configuration
            .build()
            .inspect_err(|error| tell(error.findings()))?;
        Ok((configuration, routing))
    });
    match built {
        Ok((configuration, routing)) => {
            println!("{path}: configuration is valid");
            summary(&configuration, &routing);
            true
        }
        Err(error) => {
            println!("{path}: {} error(s)", error.errors().count());
            false
        }
    }
}

fn tell(findings: &[Finding]) {
    for finding in findings {
        let severity = match finding.severity() {
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Error => "ALERT",
        };
        eprintln!("[{severity}] {finding}");
    }
}

fn summary(configuration: &Configuration, routing: &Routing) {
    for proxy in &configuration.proxies {
        println!(
            "  {} {} (mode {:?})",
            proxy.kind.keyword(),
            proxy.name.value,
            proxy.mode
        );
        frontend(proxy);
        for server in &proxy.backend.servers {
            println!("    server {} at {}", server.name, server.address.value);
        }
    }
    for section in &configuration.peers {
        println!(
            "  peers {} with {} peers",
            section.name.value,
            section.peers.len()
        );
    }
    for (name, table) in routing.tables() {
        println!(
            "  table {name} of {} keys of type {}",
            table.size(),
            table.key_type()
        );
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
