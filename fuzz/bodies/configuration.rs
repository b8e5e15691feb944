//! The text of a configuration, and the backends it describes.

use stickroute::haproxy::{Configuration, ConfigurationReader, Finding, Routing, Severity};
use stickroute::{Now, SimpleRequest};

pub(crate) fn check(text: &[u8]) {
    let environment = |name: &str| match name {
        "A" => Some("a b".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let reader = ConfigurationReader::new().environment(environment);
    match reader.local_peer("lb1").file("f", text).read() {
        Ok(configuration) => {
            check_findings(configuration.findings());
            assert!(
                configuration
                    .findings()
                    .iter()
                    .all(|f| f.severity() < Severity::Error)
            );
            check_values(&configuration);
        }
        Err(error) => {
            check_findings(error.findings());
            assert!(error.errors().next().is_some());
        }
    }
}

/// Sorted, each on one line, with a place in the text.
fn check_findings(findings: &[Finding]) {
    assert!(findings.is_sorted_by_key(Finding::location));
    for finding in findings {
        assert!(!finding.to_string().contains(char::is_control));
        assert!(finding.location().line() > 0 && finding.location().column() > 0);
    }
}

/// What has no effect is left out, names are unique, and backends build or say why not.
fn check_values(configuration: &Configuration) {
    for proxy in &configuration.proxies {
        assert!(proxy.kind.is_backend() || proxy.backend.servers.is_empty());
        assert!(proxy.kind.is_frontend() || proxy.frontend.binds.is_empty());
    }
    let mut names: Vec<_> = configuration
        .backends()
        .map(|proxy| &proxy.name.value)
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    match configuration.build() {
        Ok(routing) => check_routing(&routing),
        Err(error) => check_findings(error.findings()),
    }
}

/// Every request is led to a section that exists, and is answered.
fn check_routing(routing: &Routing) {
    let request = SimpleRequest::new("GET", "/a?b=c").header("Host", "h");
    for frontend in routing.frontends() {
        let backend = frontend
            .route(&request)
            .and_then(|name| routing.backend(name));
        if let Some(backend) = backend {
            drop(backend.select(&request, Now::system()));
        }
    }
}
