//! The answer to a check, as far as it has come.

/// So much of an answer is looked at. HAProxy: `tune.bufsize`.
const MOST: usize = 16_384;

/// What can be said of an answer.
pub(super) struct Answer {
    pub(super) status: u32,
    /// What is behind the status.
    pub(super) reason: String,
    /// Names and values of the fields.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// What has come of the body.
    pub(super) body: Vec<u8>,
    /// No more comes, or no more of it is looked at.
    pub(super) is_whole: bool,
}

/// How far an answer can be read.
pub(super) enum Parsed {
    More,
    Invalid,
    Answer(Answer),
}

/// How long a body is said to be.
#[derive(Clone, Copy)]
enum Length {
    UntilTheEnd,
    Of(u64),
    Chunked,
}

impl Answer {
    pub(super) fn parse(bytes: &[u8], ended: bool) -> Parsed {
        let is_full = bytes.len() >= MOST;
        let mut rest = &bytes[..bytes.len().min(MOST)];
        while let Some(next) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) {
            rest = next;
        }
        let Some((head, body)) = split_head(rest) else {
            return if ended || is_full {
                Parsed::Invalid
            } else {
                Parsed::More
            };
        };
        let mut lines = head.split(|byte| *byte == b'\n').map(without_end);
        let status = lines.next().and_then(status);
        let fields: Option<Vec<_>> = lines.map(field).collect();
        let Some(((status, reason), fields)) = status.zip(fields) else {
            return Parsed::Invalid;
        };
        let Some(length) = length(&fields) else {
            return Parsed::Invalid;
        };
        let (body, is_complete) = decoded(body, length);
        Parsed::Answer(Self {
            status,
            reason,
            fields,
            body,
            is_whole: is_complete || ended || is_full,
        })
    }
}

/// The lines before the empty one, and what is behind it.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let end = from + memchr::memchr(b'\n', &bytes[from..])? + 1;
        if from > 0 && without_end(&bytes[from..end - 1]).is_empty() {
            return Some((&bytes[..from - 1], &bytes[end..]));
        }
        from = end;
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The number in `HTTP/1.1 200 OK`, of however many digits, and the words behind it.
fn status(line: &[u8]) -> Option<(u32, String)> {
    let version = line.strip_prefix(b"HTTP/")?;
    let [major, b'.', minor, b' ', rest @ ..] = version else {
        return None;
    };
    let mut words = rest.trim_ascii_start().splitn(2, |byte| *byte == b' ');
    let number = words.next()?;
    let reason = words.next().unwrap_or_default().trim_ascii();
    let reason = String::from_utf8_lossy(reason).into_owned();
    let is_version = major.is_ascii_digit() && minor.is_ascii_digit();
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(number).ok()?;
    let number = text.parse().ok().filter(|_| is_version && is_number)?;
    Some((number, reason))
}

/// The name and the value of a field, `None` if it is none.
fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_name = !name.is_empty() && name.iter().copied().all(is_token);
    is_name.then(|| (name.to_ascii_lowercase(), value.to_vec()))
}

/// What the fields say about the body, `None` if they say nonsense.
fn length(fields: &[(Vec<u8>, Vec<u8>)]) -> Option<Length> {
    let mut length = Length::UntilTheEnd;
    for (name, value) in fields {
        if name == b"transfer-encoding" {
            length = Length::Chunked;
        } else if name == b"content-length" {
            let digits = std::str::from_utf8(value).ok()?;
            let number = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
            if !matches!(length, Length::Chunked) {
                length = Length::Of(number);
            }
        }
    }
    Some(length)
}

/// The body as it was before it was sent, and whether it has come to its end.
fn decoded(bytes: &[u8], length: Length) -> (Vec<u8>, bool) {
    match length {
        Length::UntilTheEnd => (bytes.to_vec(), false),
        Length::Of(length) => {
            let here = bytes
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            (bytes[..here].to_vec(), here as u64 == length)
        }
        Length::Chunked => dechunked(bytes),
    }
}

fn dechunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = memchr::memchr(b'\n', bytes) {
        let line = without_end(&bytes[..end]);
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(size.trim_ascii()).unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).unwrap_or(0);
        if size == 0 {
            // The last one, or nothing that could be read on.
            return (body, true);
        }
        let chunk = &bytes[end + 1..];
        let here = chunk.len().min(size);
        body.extend(&chunk[..here]);
        let rest = &chunk[here..];
        bytes = rest
            .strip_prefix(b"\r\n")
            .or(rest.strip_prefix(b"\n"))
            .unwrap_or(rest);
        if bytes.is_empty() {
            break;
        }
    }
    (body, false)
}

/// Whether a byte may be part of a method or of a field's name.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
