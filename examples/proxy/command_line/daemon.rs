//! A program in the background.
//!
//! A process with threads cannot be doubled, and only `unsafe` code could double one that
//! has none yet. So the program is started anew, by itself: the first process waits until
//! the second one serves, and tells how that went with its exit status.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::command_line::voice::Voice;

/// The first argument of the process in the background; the others are repeated.
pub(crate) const ARGUMENT: &str = "--in-background";

/// The last line that is printed, once clients are served.
pub(crate) const READY: &str = "ready";

/// Starts the program in the background, and waits until it serves or fails.
pub(crate) fn start(arguments: &[String], voice: Voice) -> io::Result<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(ARGUMENT)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            voice.say(&line);
            if line == READY {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let code = child.wait()?.code();
    Ok(code.map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}

/// Leaves the terminal, so that it does not take the program along when it is closed.
pub(crate) fn leave_terminal() -> io::Result<()> {
    setsid()?;
    Ok(())
}

/// Says that clients are served, and from then on nothing: nobody may listen any more.
pub(crate) fn detach() -> io::Result<()> {
    println!("{READY}");
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    Ok(())
}
