//! What the pieces of an HTTP/1 message look like, and where they end.

use hyper::Uri;

/// A length that nobody sends; hyper knows of none above.
pub(super) const LONGEST_BODY: u64 = 1 << 62;

/// The length of the first head in `bytes`, with the empty line at its end.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    end_from(bytes, 0)
}

/// The same, if it has been looked for in so many bytes already.
pub(super) fn end_from(bytes: &[u8], seen: usize) -> Option<usize> {
    // It ends with an empty line, of which some bytes may have been there.
    let mut at = seen.saturating_sub(3);
    loop {
        at += bytes[at..].iter().position(|byte| *byte == b'\n')? + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// The size of a chunk, without its extensions.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(digits.count());
    let is_end = matches!(rest.trim_ascii_start(), [] | [b';', ..]);
    if digits.is_empty() || !is_end || rest.contains(&b'\r') {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?;
    let size = u64::from_str_radix(number, 16).ok();
    size.filter(|size| *size <= LONGEST_BODY)
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    let is_in_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_in_token)
}

pub(super) fn is_in_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

pub(super) fn is_target(method: &[u8], target: &[u8]) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~?=&%+".contains(byte);
    if target.starts_with(b"/") && target.iter().all(is_usual) {
        // Nothing in it that anybody could read in another way.
        return method != b"CONNECT";
    }
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    if !target.iter().all(is_plain) {
        return false;
    }
    let Ok(uri) = Uri::try_from(target) else {
        return false;
    };
    match method {
        b"CONNECT" => !target.starts_with(b"/") && uri.port().is_some(),
        _ => target.starts_with(b"/") || target == b"*" || uri.scheme().is_some(),
    }
}

/// The host that a target names, without a user's name.
pub(super) fn authority<'t>(method: &[u8], target: &'t [u8]) -> Option<&'t [u8]> {
    let rest = match method {
        b"CONNECT" => target,
        _ if target.starts_with(b"/") => return None,
        _ => &target[target.windows(3).position(|three| three == b"://")? + 3..],
    };
    let ends = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let authority = &rest[..ends.unwrap_or(rest.len())];
    let user = authority.iter().rposition(|byte| *byte == b'@');
    Some(&authority[user.map_or(0, |at| at + 1)..])
}

/// The ports that HTTP has by itself make no difference.
pub(super) fn is_same_host(one: &[u8], other: &[u8]) -> bool {
    let bare = |host: &[u8]| {
        let text = String::from_utf8_lossy(host).to_ascii_lowercase();
        let stripped = text.strip_suffix(":80").or(text.strip_suffix(":443"));
        stripped.unwrap_or(&text).to_owned()
    };
    bare(one) == bare(other)
}
