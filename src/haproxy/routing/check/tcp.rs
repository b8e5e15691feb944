//! `option tcp-check` and its `tcp-check` lines.

use super::words::{Read, binary, nothing_more, plain, refused, value, wrong};
use super::{Words, connect, expect};
use crate::haproxy::config::{Finding, Word};
use crate::health::CheckSequence;

const EXPECTED: &str = "connect, send, send-lf, send-binary, expect or comment";

pub(super) fn read<'w>(
    lines: impl Iterator<Item = Words<'w>>,
) -> Result<CheckSequence, Vec<Finding>> {
    let (mut sequence, mut findings) = (CheckSequence::tcp(), Vec::new());
    // Whether a step was made without a connection of its own.
    let mut connects_first = None;
    for words in lines {
        let is_connect = words[1].is("connect");
        if !words[1].is("comment") && !*connects_first.get_or_insert(is_connect) && is_connect {
            let message = "expected as the first step, too, where it is a step at all";
            findings.push(wrong(&words[1], &message));
        }
        match step(sequence.clone(), &words[1], &words[2..]) {
            Ok(longer) => sequence = longer,
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() {
        Ok(sequence)
    } else {
        Err(findings)
    }
}

fn step(sequence: CheckSequence, keyword: &Word, words: Words<'_>) -> Read<CheckSequence> {
    Ok(match keyword.text() {
        "connect" => sequence.connect(connect::read(words)?),
        "send" => sequence.send(text(keyword, words, |word| Ok(word.bytes().to_vec()))?),
        "send-lf" => sequence.send(text(keyword, words, plain)?),
        "send-binary" => sequence.send(text(keyword, words, binary)?),
        "comment" => sequence.comment(value(keyword, words.first())?.text()),
        "expect" => sequence.expect(expect::read(expect::Kind::Tcp, keyword, words, None)?),
        _ => return Err(refused(keyword, EXPECTED)),
    })
}

/// `TEXT [comment TEXT]`. A step that sends never fails, so its comment is never told.
fn text(keyword: &Word, words: Words<'_>, read: impl Fn(&Word) -> Read<Vec<u8>>) -> Read<Vec<u8>> {
    let text = read(value(keyword, words.first())?)?;
    match words.get(1) {
        Some(word) if word.is("comment") => {
            value(word, words.get(2))?;
            nothing_more(words.get(3))?;
        }
        Some(word) => return Err(wrong(word, &"expected comment, or nothing more")),
        None => {}
    }
    Ok(text)
}
