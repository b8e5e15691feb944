//! Sets of bytes in brackets.

use super::PatternError;
use super::syntax::{Done, Syntax, written};

/// One thing in brackets.
enum Item {
    Byte(u8),
    /// Several bytes with a name, as the crate writes them.
    Set(String),
}

const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Reads what is behind a `[`.
pub(super) fn read(syntax: &mut Syntax<'_>) -> Done {
    let open = syntax.at - 1;
    syntax.out.push('[');
    if syntax.skip(b"^") {
        syntax.out.push('^');
    }
    // A bracket that closes nothing yet is itself.
    let mut is_first = true;
    loop {
        if !is_first && syntax.skip(b"]") {
            syntax.out.push(']');
            return Ok(());
        }
        is_first = false;
        let from = syntax.at;
        let first = item(syntax, open)?;
        let is_range = matches!(syntax.rest(), [b'-', next, ..] if *next != b']');
        if !is_range {
            syntax.out.push_str(&first.text());
            continue;
        }
        syntax.at += 1;
        let last = item(syntax, open)?;
        match (first, last) {
            (Item::Byte(first), Item::Byte(last)) if first <= last => {
                let range = format!("{}-{}", written(first), written(last));
                syntax.out.push_str(&range);
            }
            _ => {
                let found = &syntax.text[from..syntax.at];
                let expected = "a range from a byte to one that is not before it";
                return Err(PatternError::unexpected(from, found, expected));
            }
        }
    }
}

impl Item {
    fn text(&self) -> String {
        match self {
            Self::Byte(byte) => written(*byte),
            Self::Set(text) => text.clone(),
        }
    }
}

fn item(syntax: &mut Syntax<'_>, open: usize) -> Result<Item, PatternError> {
    let from = syntax.at;
    let Some(byte) = syntax.next() else {
        let found = &syntax.text[open..];
        return Err(PatternError::unexpected(open, found, "a ] behind it"));
    };
    match (byte, syntax.peek()) {
        (b'[', Some(b':' | b'.' | b'=')) => Ok(named(syntax, from)?.unwrap_or(Item::Byte(b'['))),
        (b'\\', Some(next)) => {
            syntax.at += 1;
            escape(syntax, from, next)
        }
        (byte, _) => Ok(Item::Byte(byte)),
    }
}

fn escape(syntax: &mut Syntax<'_>, from: usize, byte: u8) -> Result<Item, PatternError> {
    match byte {
        b'd' | b'D' | b's' | b'S' | b'w' | b'W' => Ok(Item::Set(format!("\\{}", byte as char))),
        b'b' => Ok(Item::Byte(0x08)),
        byte => Ok(Item::Byte(syntax.escaped(from, byte)?)),
    }
}

/// `[:name:]`, `[:^name:]`; `None` for a bracket that begins nothing of that kind.
fn named(syntax: &mut Syntax<'_>, from: usize) -> Result<Option<Item>, PatternError> {
    let kind = syntax.rest()[0];
    let inside = &syntax.rest()[1..];
    let end = memchr::memmem::find(inside, &[kind, b']']);
    let is_name = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'^';
    let Some(name) = end
        .map(|end| &inside[..end])
        .filter(|it| it.iter().all(is_name))
    else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(name).into_owned();
    syntax.at += name.len() + 3;
    let known = NAMES.contains(&name.strip_prefix('^').unwrap_or(&name));
    if kind != b':' || !known {
        return Err(syntax.refuse(from, "this set is"));
    }
    Ok(Some(Item::Set(format!("[:{name}:]"))))
}
