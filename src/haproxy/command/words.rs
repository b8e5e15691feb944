//! From a line to commands and their words.

/// The words of one command.
pub(super) type Command = Vec<Vec<u8>>;

/// The longest line of runtime commands in bytes, its end not counted: what fits
/// HAProxy's buffer.
pub const MAX_LINE: usize = 16_383;

/// The commands of a line, at least one of them, or why nothing of it is done.
pub(super) fn commands(line: &[u8]) -> Result<Vec<Command>, &'static str> {
    let line = without_end(line);
    if line.len() > MAX_LINE {
        return Err("Line too long: nothing was done. Expected at most 16383 bytes.");
    }
    if line.contains(&0) {
        return Err("Zero byte in line: nothing was done.");
    }
    let mut reader = Reader::default();
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b';' => reader.end_command(),
            b' ' | b'\t' => reader.end_word(),
            b'\\' => reader.push(bytes.next().unwrap_or(byte)),
            _ => reader.push(byte),
        }
    }
    reader.end_command();
    Ok(reader.commands)
}

/// The line without the line break it may end with.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[derive(Default)]
struct Reader {
    commands: Vec<Command>,
    words: Command,
    word: Vec<u8>,
}

impl Reader {
    fn push(&mut self, byte: u8) {
        self.word.push(byte);
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.commands.push(std::mem::take(&mut self.words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &[u8]) -> Vec<Vec<String>> {
        let text = |word: &Vec<u8>| word.escape_ascii().to_string();
        let commands = commands(line).unwrap();
        commands
            .iter()
            .map(|words| words.iter().map(text).collect())
            .collect()
    }

    #[test]
    fn blanks_separate_words_and_semicolons_commands() {
        assert_eq!(
            split(b" a\t b;c ;; d\r\n"),
            [&["a", "b"][..], &["c"], &[], &["d"]]
        );
        assert_eq!(split(b""), [&[""; 0]]);
    }

    #[test]
    fn a_backslash_takes_the_next_byte_as_it_is() {
        assert_eq!(split(br"a\ b\;c \n\\ \"), [["a b;c", r"n\\", r"\\"]]);
    }

    #[test]
    fn a_line_that_is_too_long_or_has_a_zero_byte_is_refused_whole() {
        let mut line = vec![b'x'; MAX_LINE];
        line.push(b'\n');
        assert!(commands(&line).is_ok());
        line.insert(0, b'x');
        assert!(commands(&line).unwrap_err().starts_with("Line too long"));
        assert!(
            commands(b"show table\0")
                .unwrap_err()
                .starts_with("Zero byte")
        );
    }
}
