//! The part of the command line that HAProxy has, too.

use rustix::process::{Pid, Signal};

use crate::command_line::arguments::Arguments;
use crate::command_line::daemon;
use crate::command_line::voice::Voice;
use crate::service::handover::Predecessor;

/// How a configuration is put into service.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) files: Files,
    pub(crate) is_check: bool,
    pub(crate) background: Background,
    pub(crate) pid_file: Option<String>,
    /// Where files are looked for.
    pub(crate) folder: Option<String>,
    pub(crate) predecessors: Vec<Predecessor>,
}

/// Configuration files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) paths: Vec<String>,
    pub(crate) local_peer: Option<String>,
    /// 0 is what the configuration says.
    pub(crate) maxconn: u32,
    pub(crate) voice: Voice,
}

/// Which part in going to the background the process has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Background {
    /// It stays where it is.
    #[default]
    No,
    /// The same, whatever else is said.
    Never,
    /// It starts the other one.
    Begins,
    /// It is the other one.
    Is,
}

/// Arguments of HAProxy's that are refused, by the beginnings of their names, and why. The
/// first that fits counts.
const REFUSED: [(&str, &str); 18] = [
    (
        "-x",
        "-sf and -st ask the processes they name for their sockets",
    ),
    ("-W", "there is no master process; -D and -sf do without"),
    (
        "-S",
        "there is no master process; see stats socket in the configuration",
    ),
    (
        "-m",
        "memory is the affair of ulimit, or of a control group",
    ),
    ("-N", "expected maxconn in the section defaults"),
    ("-cc", "expected .if in the configuration"),
    ("-de", "how events are waited for is up to the runtime"),
    ("-dp", "how events are waited for is up to the runtime"),
    ("-dk", "how events are waited for is up to the runtime"),
    ("-dS", "splice is never used"),
    ("-dG", "names are always asked of the operating system"),
    ("-dR", "expected noreuseport in the section global"),
    (
        "-dr",
        "names are looked up when servers are connected to, which may fail",
    ),
    ("-dV", "servers are not spoken to by TLS"),
    ("-dM", "memory is never handed out uncleared"),
    ("-dW", "-c tells warnings on stdout"),
    (
        "-dD",
        "everything that can be told about a configuration always is",
    ),
    ("-d", "this program has nothing of the kind"),
];

impl Flags {
    /// Follows an argument; false if it is none of HAProxy's.
    pub(crate) fn set(&mut self, name: &str, rest: &mut Arguments<'_>) -> Result<bool, String> {
        match name {
            "-f" => self.files.paths.push(rest.text(name)?),
            "--" => {
                while let Some(path) = rest.next() {
                    self.files.paths.push(path.to_owned());
                }
            }
            "-c" => self.is_check = true,
            "-L" => self.files.local_peer = Some(rest.text(name)?),
            "-V" => self.files.voice = Voice::Verbose,
            // In any order, as in HAProxy.
            "-q" if self.files.voice == Voice::Verbose => {}
            "-q" => self.files.voice = Voice::Quiet,
            "-p" => self.pid_file = Some(rest.text(name)?),
            "-C" => self.folder = Some(rest.text(name)?),
            // 0 is as good as none, in HAProxy, too.
            "-n" => self.files.maxconn = rest.read(name, "a number")?,
            "-sf" => self.follow(name, Signal::USR1, rest)?,
            "-st" => self.follow(name, Signal::TERM, rest)?,
            _ => return self.place(name),
        }
        Ok(true)
    }

    /// In the foreground, which counts more, or in the background.
    fn place(&mut self, name: &str) -> Result<bool, String> {
        self.background = match (name, self.background) {
            ("-d" | "-db", _) | ("-D", Background::Never) => Background::Never,
            ("-D", Background::No) => Background::Begins,
            ("-D", is) => is,
            (daemon::ARGUMENT, _) => Background::Is,
            _ => return refuse(name),
        };
        if name == "-d" {
            self.files.voice = Voice::Verbose;
        }
        Ok(true)
    }

    fn follow(
        &mut self,
        name: &str,
        order: Signal,
        rest: &mut Arguments<'_>,
    ) -> Result<(), String> {
        // Nobody is as good as somebody: scripts ask the file of -p, which may be empty.
        while let Some(text) = rest.next_if(|text| !text.starts_with('-')) {
            let number = text.parse().ok().filter(|number: &i32| *number > 0);
            let process = number.and_then(Pid::from_raw);
            let process =
                process.ok_or_else(|| format!("{name} {text:?}: expected process ids"))?;
            self.predecessors.push(Predecessor { process, order });
        }
        Ok(())
    }
}

fn refuse(name: &str) -> Result<bool, String> {
    let reason = REFUSED.iter().find(|(begin, _)| name.starts_with(begin));
    match reason {
        Some((_, reason)) => Err(format!("{name} is not supported: {reason}")),
        None => Ok(false),
    }
}
