//! First bytes of protocols that carry an identifier of their own.

/// A connection request of RDP with a cookie: TPKT, X.224, then the text.
pub(crate) fn rdp(cookie: &str) -> Vec<u8> {
    let cookie = format!("Cookie: {cookie}\r\n");
    let length = 11 + cookie.len() as u8;
    let headers = [3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
    [&headers, cookie.as_bytes()].concat()
}

/// The first message of a TLS client that wants to go on with a session, or of one
/// without any.
pub(crate) fn client_hello(session: &[u8]) -> Vec<u8> {
    // One suite, no compression.
    hello(1, session, &[0, 2, 0, 0x2f, 1, 0])
}

/// The answer of a TLS server, which names the session.
pub(crate) fn server_hello(session: &[u8]) -> Vec<u8> {
    hello(2, session, &[0, 0x2f, 0])
}

fn hello(kind: u8, session: &[u8], rest: &[u8]) -> Vec<u8> {
    const VERSION: [u8; 2] = [3, 3];
    let random = [0x55; 32];
    let length = [session.len() as u8];
    let body = [&VERSION[..], &random, &length, session, rest].concat();
    let handshake = [&[kind, 0], &two(body.len())[..], &body].concat();
    [&[22, 3, 1], &two(handshake.len())[..], &handshake].concat()
}

fn two(length: usize) -> [u8; 2] {
    (length as u16).to_be_bytes()
}
