//! The PROXY protocol, versions 1 and 2: who the client of the proxy before this one is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use crate::client::stream::Ends;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;

/// What version 2 puts behind its signature, without addresses and extensions.
const LONGEST_BODY: usize = 16_384 - 16;

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection was closed before anything came.
    Nothing,
    /// Nothing came in time.
    Late,
    /// Not all of it came.
    Truncated,
    /// It is something else.
    Other,
    Invalid,
    /// It is about another protocol.
    Unhandled,
}

impl Fault {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "closed before its PROXY header",
            Self::Late => "its PROXY header did not come in time",
            Self::Truncated => "its PROXY header is not whole",
            Self::Other => "no PROXY header",
            Self::Invalid => "its PROXY header cannot be read",
            Self::Unhandled => "its PROXY header is about an unknown protocol",
        }
    }
}

/// Reads a header, and nothing behind it. `ends` are those of the connection itself, which
/// count when the other proxy speaks for itself or does not know its client, and become those
/// that the header tells.
///
/// # Errors
/// Anything but a whole and correct header within `limit`; the connection is to be closed.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    ends: &mut Ends,
    limit: Option<Duration>,
) -> Result<(), Fault> {
    let mut first = [0];
    let deadline = limit.map(|limit| Instant::now() + limit);
    let begun = within(deadline, stream.read_exact(&mut first)).await;
    if let Some(begun) = begun {
        begun.map_err(|_| Fault::Nothing)?;
    } else {
        return Err(Fault::Late);
    }
    let read = within(deadline, rest(stream, first[0], ends)).await;
    read.unwrap_or(Err(Fault::Truncated))
}

async fn within<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// Reads what follows the first byte.
async fn rest<S: AsyncRead + Unpin>(
    stream: &mut S,
    first_byte: u8,
    ends: &mut Ends,
) -> Result<(), Fault> {
    let mut start = vec![first_byte];
    while start.len() < SIGNATURE.len() {
        let is_either = SIGNATURE.starts_with(&start) || begins_line(&start);
        if !is_either {
            return Err(Fault::Other);
        }
        start.push(byte(stream).await?);
    }
    if start == SIGNATURE {
        return second(stream, ends).await;
    }
    if !begins_line(&start) {
        return Err(Fault::Other);
    }
    if let Some(known) = self::first(stream, &start).await? {
        *ends = known;
    }
    Ok(())
}

/// Whether version 1 begins so.
fn begins_line(start: &[u8]) -> bool {
    let word = b"PROXY ";
    let length = start.len().min(word.len());
    start[..length] == word[..length]
}

async fn byte<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u8, Fault> {
    stream.read_u8().await.map_err(|_| Fault::Truncated)
}

fn ends(source: SocketAddr, destination: SocketAddr) -> Ends {
    Ends {
        source: Some(source),
        destination: Some(destination),
    }
}

/// `PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n`
async fn first<S: AsyncRead + Unpin>(stream: &mut S, start: &[u8]) -> Result<Option<Ends>, Fault> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(Fault::Truncated);
        }
        line.push(byte(stream).await?);
    }
    let line = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| Fault::Invalid)?;
    if line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ") {
        return Ok(None);
    }
    let is_known = line.starts_with("PROXY TCP4 ") || line.starts_with("PROXY TCP6 ");
    if !is_known {
        return Err(Fault::Unhandled);
    }
    parse_line(line).map(Some).ok_or(Fault::Invalid)
}

fn parse_line(line: &str) -> Option<Ends> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "TCP4", from, to, from_port, to_port] => Some(ends(
            address::<Ipv4Addr>(from, from_port)?,
            address::<Ipv4Addr>(to, to_port)?,
        )),
        ["PROXY", "TCP6", from, to, from_port, to_port] => Some(ends(
            address::<Ipv6Addr>(from, from_port)?,
            address::<Ipv6Addr>(to, to_port)?,
        )),
        _ => None,
    }
}

fn address<I: FromStr + Into<IpAddr>>(ip: &str, port: &str) -> Option<SocketAddr> {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_number)?;
    let ip: I = ip.parse().ok()?;
    Some(SocketAddr::new(ip.into(), port))
}

async fn second<S: AsyncRead + Unpin>(stream: &mut S, ends: &mut Ends) -> Result<(), Fault> {
    let mut fixed = [0; 4];
    let read = stream.read_exact(&mut fixed).await;
    read.map_err(|_| Fault::Truncated)?;
    let [order, family, high, low] = fixed;
    if order >> 4 != 2 {
        return Err(Fault::Other);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BODY {
        return Err(Fault::Truncated);
    }
    let mut body = vec![0; length];
    let read = stream.read_exact(&mut body).await;
    read.map_err(|_| Fault::Truncated)?;
    let (known, extensions) = match (order, family) {
        // LOCAL: the other proxy speaks for itself, to see whether this one is alive.
        (0x20, _) => return Ok(()),
        (0x21, 0x11) => parse_addresses::<4>(&body).ok_or(Fault::Invalid)?,
        (0x21, 0x21) => parse_addresses::<16>(&body).ok_or(Fault::Invalid)?,
        // PROXY about something that is neither TCP over IPv4 nor over IPv6.
        _ => return Err(Fault::Invalid),
    };
    *ends = known;
    let start = length - extensions.len();
    let whole = [&SIGNATURE[..], &fixed, &body].concat();
    let is_right = check_extensions(whole, SIGNATURE.len() + fixed.len() + start);
    is_right.then_some(()).ok_or(Fault::Invalid)
}

/// Two addresses, two ports, and what is behind them.
fn parse_addresses<const N: usize>(body: &[u8]) -> Option<(Ends, &[u8])>
where
    [u8; N]: Into<IpAddr>,
{
    let (from, rest) = body.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let (to_port, rest) = rest.split_first_chunk::<2>()?;
    let known = ends(
        SocketAddr::new((*from).into(), u16::from_be_bytes(*from_port)),
        SocketAddr::new((*to).into(), u16::from_be_bytes(*to_port)),
    );
    Some((known, rest))
}

/// The extension that is a checksum of all of the header.
const CHECKSUM: u8 = 3;

/// Whether extensions, which are of no use here, are as long as they say, and a checksum
/// among them is right.
fn check_extensions(mut header: Vec<u8>, start: usize) -> bool {
    let mut at = start;
    while at < header.len() {
        let Some(&[kind, high, low]) = header[at..].first_chunk::<3>() else {
            return false;
        };
        at += 3;
        let end = at + usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = header.get(at..end) else {
            return false;
        };
        if kind == CHECKSUM {
            let Ok(told) = value.try_into().map(u32::from_be_bytes) else {
                return false;
            };
            // It is counted as if it was zero.
            header[at..end].fill(0);
            if crc32c(&header) != told {
                return false;
            }
            header[at..end].copy_from_slice(&told.to_be_bytes());
        }
        at = end;
    }
    true
}

/// CRC-32C (RFC 9260 appendix A), bit by bit: headers are short, and few have it.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ends = Ends {
        source: None,
        destination: None,
    };

    /// What is read, and what is left of the bytes.
    fn read_from(bytes: &[u8]) -> Result<(Ends, usize), Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let (mut left, mut ends) = (bytes, HERE);
        runtime.block_on(read(&mut left, &mut ends, None))?;
        Ok((ends, left.len()))
    }

    fn some(source: &str, destination: &str) -> Ends {
        ends(source.parse().unwrap(), destination.parse().unwrap())
    }

    fn v2(order: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([order, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn lines_of_version_1_name_both_ends_and_leave_what_follows() {
        let v4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\nGET /";
        let expected = some("192.0.2.7:50000", "198.51.100.1:443");
        assert_eq!(read_from(v4), Ok((expected, 5)));
        let v6 = b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n";
        assert_eq!(read_from(v6), Ok((some("[2001:db8::7]:1", "[::1]:2"), 0)));
        for unknown in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN a b 1 2\r\n"] {
            assert_eq!(read_from(unknown), Ok((HERE, 0)));
        }
    }

    #[test]
    fn headers_of_version_2_name_both_ends_and_leave_what_follows() {
        let mut body = vec![192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 1, 0xbb];
        let expected = some("192.0.2.7:50000", "198.51.100.1:443");
        assert_eq!(read_from(&v2(0x21, 0x11, &body)), Ok((expected, 0)));
        // An extension behind the addresses, and the request behind the header.
        body.extend([4, 0, 1, 9]);
        let mut bytes = v2(0x21, 0x11, &body);
        bytes.extend(b"GET /");
        assert_eq!(read_from(&bytes), Ok((expected, 5)));

        let mut body = [0; 36];
        (body[15], body[31], body[33], body[35]) = (1, 2, 3, 4);
        let expected = some("[::1]:3", "[::2]:4");
        assert_eq!(read_from(&v2(0x21, 0x21, &body)), Ok((expected, 0)));
        for local in [v2(0x20, 0, b""), v2(0x20, 0x11, &[9; 12])] {
            assert_eq!(read_from(&local), Ok((HERE, 0)));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat();
        let extended = |extension: &[u8]| v2(0x21, 0x11, &[&[0; 12], extension].concat());
        for (bytes, fault) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], Fault::Other),
            (b"PROXIED\r\n", Fault::Other),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", Fault::Invalid),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Fault::Invalid),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Fault::Invalid),
            (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Fault::Invalid),
            (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Fault::Unhandled),
            (&long, Fault::Truncated),
            (&v2(0x11, 0x11, &[0; 12]), Fault::Other),
            (&v2(0x21, 0x11, &[0; 11]), Fault::Invalid),
            (&v2(0x21, 0x21, &[0; 35]), Fault::Invalid),
            (&v2(0x21, 0x31, &[0; 216]), Fault::Invalid),
            (&v2(0x21, 0x00, b""), Fault::Invalid),
            (&v2(0x22, 0x11, &[0; 12]), Fault::Invalid),
            (&extended(&[4, 0]), Fault::Invalid),
            (&extended(&[4, 0, 2, 0]), Fault::Invalid),
            (&extended(&[3, 0, 4, 0, 0, 0, 0]), Fault::Invalid),
            (&v2(0x21, 0x11, &[0; LONGEST_BODY + 1]), Fault::Truncated),
            (b"", Fault::Nothing),
            (b"PROXY TCP4 1.2.3.4", Fault::Truncated),
            (&SIGNATURE, Fault::Truncated),
            (&v2(0x21, 0x11, &[0; 12])[..20], Fault::Truncated),
        ] {
            assert_eq!(read_from(bytes), Err(fault), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_checksum_is_that_of_the_header_without_it() {
        // RFC 9260 has no example; this one is in every table of such sums.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut header = v2(0x21, 0x11, &[&[0; 12][..], &[3, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c(&header).to_be_bytes();
        let place = header.len() - 4;
        header[place..].copy_from_slice(&sum);
        assert!(read_from(&header).is_ok());
    }
}
