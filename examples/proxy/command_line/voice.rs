//! What the program says while it starts and ends, in HAProxy's manner.

use std::fmt::Display;

/// How much is said. HAProxy: `-V`, `-q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Not even why it cannot run: the exit status has to do.
    Quiet,
    #[default]
    Plain,
    /// How a place is taken over, too.
    Verbose,
}

impl Voice {
    /// Why it cannot run.
    pub(crate) fn alert(self, text: impl Display) {
        self.tell("ALERT", text);
    }

    pub(crate) fn warning(self, text: impl Display) {
        self.tell("WARNING", text);
    }

    pub(crate) fn notice(self, text: impl Display) {
        self.tell("NOTICE", text);
    }

    /// Only for those who want to know.
    pub(crate) fn detail(self, text: impl Display) {
        if self == Self::Verbose {
            self.notice(text);
        }
    }

    /// A line on stdout.
    pub(crate) fn say(self, text: impl Display) {
        if self != Self::Quiet {
            println!("{text}");
        }
    }

    fn tell(self, severity: &str, text: impl Display) {
        if self != Self::Quiet {
            eprintln!("[{severity}] {text}");
        }
    }
}
