//! Hostile bytes, tunnels and pages of HAProxy and of `examples/proxy -f`, with the same
//! configuration and before the same server: both do what the tables say.

use std::net::SocketAddr;

use crate::program::Program;
use crate::support::configuration::Folder;
use crate::support::{free_address, pages, reuse, tunnel, wire};

fn listeners() -> [SocketAddr; 2] {
    [free_address(), free_address()]
}

fn text(text: &str, listen: [SocketAddr; 2], folder: &Folder) -> String {
    let socket = folder.file("stats.sock");
    let text = text.replace("LISTEN", &listen[0].to_string());
    let text = text.replace("PROXIED", &listen[1].to_string());
    format!("global\n stats socket {}\n{text}", socket.display())
}

#[test]
#[ignore = "runs a real HAProxy"]
fn hostile_bytes_come_to_what_the_table_says() {
    let [ours, theirs] = [Folder::new("wire-ours"), Folder::new("wire-haproxy")];
    let [at_ours, at_theirs] = [listeners(), listeners()];
    let plain = wire::configuration(wire::serve());
    let (to_theirs, to_ours) = (
        text(&plain, at_theirs, &theirs),
        text(&plain, at_ours, &ours),
    );
    let _haproxy = Program::haproxy(&to_theirs, &theirs, &[], at_theirs.into());
    let _ours = Program::ours(&to_ours, &ours, &[], at_ours.into());
    let [listen, proxied] = at_theirs;
    let wrong = wire::failures(listen, proxied, |row| row.haproxy);
    assert!(wrong.is_empty(), "HAProxy:\n{}", wrong.join("\n"));
    let [listen, proxied] = at_ours;
    let wrong = wire::failures(listen, proxied, wire::Row::ours);
    assert!(wrong.is_empty(), "the example:\n{}", wrong.join("\n"));
}

#[test]
#[ignore = "runs a real HAProxy"]
fn tunnels_are_carried_by_both() {
    let [ours, theirs] = [Folder::new("tunnel-ours"), Folder::new("tunnel-haproxy")];
    let [at_ours, at_theirs] = [listeners(), listeners()];
    let plain = tunnel::configuration(tunnel::serve());
    let (to_theirs, to_ours) = (
        text(&plain, at_theirs, &theirs),
        text(&plain, at_ours, &ours),
    );
    let _haproxy = Program::haproxy(&to_theirs, &theirs, &[], at_theirs[..1].into());
    let _ours = Program::ours(&to_ours, &ours, &[], at_ours[..1].into());
    tunnel::check(at_theirs[0], 50);
    tunnel::check(at_ours[0], 1);
}

#[test]
#[ignore = "runs a real HAProxy"]
fn pages_and_targets_are_those_of_the_configuration() {
    let [ours, theirs] = [Folder::new("pages-ours"), Folder::new("pages-haproxy")];
    let [at_ours, at_theirs] = [listeners(), listeners()];
    let plain = pages::configuration(wire::serve(), &ours);
    let (to_theirs, to_ours) = (
        text(&plain, at_theirs, &theirs),
        text(&plain, at_ours, &ours),
    );
    let _haproxy = Program::haproxy(&to_theirs, &theirs, &[], at_theirs[..1].into());
    let _ours = Program::ours(&to_ours, &ours, &[], at_ours[..1].into());
    let mut wrong = Vec::new();
    for (path, answer) in pages::CASES {
        for (name, at) in [("HAProxy", at_theirs[0]), ("the example", at_ours[0])] {
            let found = pages::ask(at, path);
            if found != answer {
                wrong.push(format!("{name}, {path}: {found:?} instead of {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "runs a real HAProxy"]
fn connections_to_servers_are_shared_as_asked() {
    let [ours, theirs] = [Folder::new("reuse-ours"), Folder::new("reuse-haproxy")];
    let [at_ours, at_theirs] = [listeners(), listeners()];
    let plain = reuse::configuration(reuse::serve());
    let [to_theirs, to_ours] = [(at_theirs, &theirs), (at_ours, &ours)]
        .map(|(at, folder)| text(&plain, at, folder).replace("CLOSING", &at[1].to_string()));
    let _haproxy = Program::haproxy(&to_theirs, &theirs, &[], at_theirs.into());
    let _ours = Program::ours(&to_ours, &ours, &[], at_ours.into());
    reuse::check(at_theirs[0], at_theirs[1]);
    reuse::check(at_ours[0], at_ours[1]);
}
