//! The PROXY protocol, versions 1 and 2: who the client of the proxy before this one is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::client::stream::Ends;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;

/// More than any sender puts into a header of version 2.
const LONGEST_BODY: usize = 4096;

/// Reads a header, and nothing behind it. `ends` are those of the connection itself,
/// which count when the other proxy speaks for itself or does not know its client.
///
/// # Errors
/// Anything but a whole and correct header; the connection is to be closed.
/// [`reason`] says what it was.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S, ends: Ends) -> io::Result<Ends> {
    let mut start = [0; SIGNATURE.len()];
    let count = stream.read(&mut start).await?;
    if count == 0 {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    stream.read_exact(&mut start[count..]).await?;
    let known = if start == SIGNATURE {
        second(stream).await?
    } else {
        first(stream, &start).await?
    };
    Ok(known.unwrap_or(ends))
}

/// What is told of a client whose header cannot be read.
pub(crate) fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionAborted => "closed before its PROXY header",
        io::ErrorKind::UnexpectedEof => "closed within its PROXY header",
        io::ErrorKind::InvalidData => "no PROXY header, or none that can be read",
        io::ErrorKind::TimedOut => "its PROXY header did not come in time",
        _ => "its connection broke before its PROXY header",
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY header")
}

fn ends(source: SocketAddr, destination: SocketAddr) -> Ends {
    Ends {
        source: Some(source),
        destination: Some(destination),
    }
}

/// `PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n`
async fn first<S: AsyncRead + Unpin>(stream: &mut S, start: &[u8]) -> io::Result<Option<Ends>> {
    if !start.starts_with(b"PROXY ") {
        return Err(malformed());
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| malformed())?;
    if line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ") {
        return Ok(None);
    }
    parse_line(line).map(Some).ok_or_else(malformed)
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

async fn second<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<Ends>> {
    let (order, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST_BODY {
        return Err(malformed());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    match (order, family) {
        // LOCAL: the other proxy speaks for itself, to see whether this one is alive.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => parse_addresses::<4>(&body).map(Some).ok_or_else(malformed),
        (0x21, 0x21) => parse_addresses::<16>(&body).map(Some).ok_or_else(malformed),
        // PROXY about something that is neither TCP over IPv4 nor over IPv6.
        _ => Err(malformed()),
    }
}

/// Two addresses, two ports, and extensions that are of no use here.
fn parse_addresses<const N: usize>(body: &[u8]) -> Option<Ends>
where
    [u8; N]: Into<IpAddr>,
{
    let (from, rest) = body.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let (to_port, _) = rest.split_first_chunk::<2>()?;
    Some(ends(
        SocketAddr::new((*from).into(), u16::from_be_bytes(*from_port)),
        SocketAddr::new((*to).into(), u16::from_be_bytes(*to_port)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ends = Ends {
        source: None,
        destination: None,
    };

    /// What is read, and what is left of the bytes.
    fn read_from(bytes: &[u8]) -> Result<(Ends, usize), io::ErrorKind> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let mut left = bytes;
        let found = runtime.block_on(read(&mut left, HERE));
        found
            .map(|ends| (ends, left.len()))
            .map_err(|error| error.kind())
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
        body.extend([3, 0, 1, 9]);
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
        let refused = Err(io::ErrorKind::InvalidData);
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            &long,
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x31, &[0; 216]),
            &v2(0x21, 0x00, b""),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; LONGEST_BODY + 1]),
        ] {
            let shown = bytes.escape_ascii();
            assert_eq!(read_from(bytes), refused, "{shown}");
        }
        let cut = Err(io::ErrorKind::UnexpectedEof);
        assert_eq!(read_from(b""), Err(io::ErrorKind::ConnectionAborted));
        for bytes in [
            &b"PROXY TCP4 1.2.3.4"[..],
            b"P",
            &SIGNATURE,
            &v2(0x21, 0x11, &[0; 12])[..20],
        ] {
            assert_eq!(read_from(bytes), cut, "{}", bytes.escape_ascii());
        }
    }
}
