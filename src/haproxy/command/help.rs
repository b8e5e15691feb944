//! What commands there are.

use std::fmt::Write;

/// A command: the words that make it, what comes behind them, and what it does.
struct Entry {
    words: &'static str,
    arguments: &'static str,
    does: &'static str,
}

const fn entry(words: &'static str, arguments: &'static str, does: &'static str) -> Entry {
    Entry {
        words,
        arguments,
        does,
    }
}

const COMMANDS: [Entry; 19] = [
    entry(
        "clear table",
        "<table> [<filter>]*",
        "remove entries (filter: data or key)",
    ),
    entry(
        "disable dynamic-cookie backend",
        "<bk>",
        "stop computing cookie values",
    ),
    entry("disable health", "<bk>/<srv>", "stop checking a server"),
    entry(
        "disable server",
        "<bk>/<srv>",
        "put a server into maintenance",
    ),
    entry(
        "enable dynamic-cookie backend",
        "<bk>",
        "compute cookie values of servers",
    ),
    entry("enable health", "<bk>/<srv>", "check a server again"),
    entry(
        "enable server",
        "<bk>/<srv>",
        "put a server back into service",
    ),
    entry(
        "get weight",
        "<bk>/<srv>",
        "tell current and configured weight",
    ),
    entry(
        "set dynamic-cookie-key backend",
        "<bk> <k>",
        "change the secret of dynamic cookies",
    ),
    entry(
        "set server",
        "<bk>/<srv> [opts]",
        "change state, health, weight, addresses",
    ),
    entry(
        "set table",
        "<table> key <k> [data.* <v>]*",
        "create or change an entry",
    ),
    entry(
        "set weight",
        "<bk>/<srv> <w>",
        "change a weight (also: set server)",
    ),
    entry("show backend", "", "list the backends"),
    entry("show info", "", "tell what is known of the process"),
    entry(
        "show servers conn",
        "[<backend>]",
        "list the sessions under way on servers",
    ),
    entry(
        "show servers state",
        "[<backend>]",
        "list the states of servers",
    ),
    entry(
        "show stat",
        "[<bk> <types> <srv>] [up|no-maint]",
        "list what has been counted, as CSV",
    ),
    entry(
        "show table",
        "<table> [<filter>]*",
        "list tables, or entries of one (filter: data or key)",
    ),
    entry(
        "shutdown sessions server",
        "<bk>/<srv>",
        "end the sessions under way on a server",
    ),
];

const ALWAYS: [Entry; 3] = [
    entry(
        "help",
        "[<command>]",
        "list all commands, or those like this one",
    ),
    entry("prompt", "", "switch the prompt on or off"),
    entry("quit", "", "close the connection"),
];

/// The answer to `help`.
pub(super) fn help(words: &[&[u8]]) -> String {
    let like: Vec<_> = matching(words);
    let listed = if like.is_empty() && words.is_empty() {
        COMMANDS.iter().collect()
    } else {
        like
    };
    list("The following commands are valid at this level:\n", &listed)
}

/// The answer to anything else.
pub(super) fn unknown(words: &[&[u8]]) -> String {
    let like = matching(words);
    if like.is_empty() {
        let all: Vec<_> = COMMANDS.iter().collect();
        return list(
            "Unknown command. Please enter one of the following commands only:\n",
            &all,
        );
    }
    let header = "Unknown command, but maybe one of the following ones is a better match:\n";
    list(header, &like)
}

fn list(header: &str, entries: &[&Entry]) -> String {
    let mut text = String::from(header);
    for entry in entries.iter().copied().chain(&ALWAYS) {
        let usage = format!("{} {}", entry.words, entry.arguments);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {usage:<40}: {}", entry.does);
    }
    text
}

/// The commands that have most in common with these words, if there are any: more words
/// that begin alike are better.
fn matching(words: &[&[u8]]) -> Vec<&'static Entry> {
    let score = |entry: &Entry| {
        let own = entry.words.split(' ').zip(words);
        own.take_while(|(own, word)| begins_alike(own.as_bytes(), word))
            .count()
    };
    let best = COMMANDS.iter().map(score).max().unwrap_or(0);
    let is_best = |entry: &&Entry| best > 0 && score(entry) == best;
    COMMANDS.iter().filter(is_best).collect()
}

/// Whether the first three letters agree, or all if there are fewer.
fn begins_alike(own: &[u8], word: &[u8]) -> bool {
    let length = word.len().min(own.len()).min(3);
    length > 0 && own[..length].eq_ignore_ascii_case(&word[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_answered_with_the_ones_like_it() {
        let answer = unknown(&[b"show", b"tabel"]);
        let expected = [
            "Unknown command, but maybe one of the following ones is a better match:",
            "  show table <table> [<filter>]*          : list tables, or entries of one (filter: data or key)",
            "  help [<command>]                        : list all commands, or those like this one",
            "  prompt                                  : switch the prompt on or off",
            "  quit                                    : close the connection",
            "",
        ];
        assert_eq!(answer, expected.join("\n"));
    }

    #[test]
    fn nonsense_is_answered_with_all_commands() {
        for words in [&[][..], &[&b"\xff\xfe"[..]], &[b"POST", b"/"]] {
            let answer = unknown(words);
            assert!(answer.starts_with("Unknown command. Please"), "{answer}");
            assert_eq!(answer.lines().count(), COMMANDS.len() + ALWAYS.len() + 1);
        }
        assert_eq!(
            unknown(&[]).lines().count(),
            COMMANDS.len() + ALWAYS.len() + 1
        );
    }

    #[test]
    fn help_lists_all_commands_or_those_asked_for() {
        assert_eq!(help(&[]).lines().count(), COMMANDS.len() + ALWAYS.len() + 1);
        assert_eq!(
            help(&[b"set", b"server"]).lines().count(),
            1 + 1 + ALWAYS.len()
        );
        assert_eq!(help(&[b"quit"]).lines().count(), 1 + ALWAYS.len());
    }
}
