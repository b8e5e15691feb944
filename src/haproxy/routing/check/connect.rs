//! `http-check connect` and `tcp-check connect`.

use super::Words;
use super::words::{Read, not_supported, value, wrong};
use crate::haproxy::config::Word;
use crate::health::CheckConnect;

const EXPECTED: &str = "not supported; expected default, port, addr, linger, send-proxy, \
                        proto h1 or comment";

/// `[default] [port N] [addr IP] [linger] [send-proxy] [proto h1] [comment TEXT]`.
pub(super) fn read(words: Words<'_>) -> Read<CheckConnect> {
    let mut connect = CheckConnect::new();
    let mut words = words.iter();
    while let Some(name) = words.next() {
        let mut value = || value(name, words.next());
        connect = match name.text() {
            "default" => connect,
            "linger" => connect.linger(),
            "send-proxy" => connect.send_proxy(),
            "port" => connect.port(port(value()?)?),
            "addr" => {
                let word = value()?;
                let ip = word.text().parse();
                connect.ip(ip.map_err(|_| not_supported(word, "expected an IP address"))?)
            }
            "comment" => connect.comment(value()?.text()),
            "proto" => {
                let word = value()?;
                if !word.is("h1") {
                    return Err(not_supported(word, EXPECTED));
                }
                connect
            }
            "ssl" | "sni" | "alpn" | "via-socks4" => return Err(not_supported(name, EXPECTED)),
            _ => return Err(wrong(name, &EXPECTED.replace("not supported; ", ""))),
        };
    }
    Ok(connect)
}

fn port(word: &Word) -> Read<u16> {
    let port = word.text().parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| {
        let message = "not supported; expected a port from 1 to 65535";
        not_supported(word, message)
    })
}
