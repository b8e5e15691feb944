//! `.if` blocks, and the lines that only say something.

use super::condition::{self, Facts};
use super::finding::{Finding, FindingKind, Severity};
use super::line::Line;
use super::suggest::expected_one_of;

/// Blocks within blocks, as in HAProxy.
const DEEPEST: usize = 100;

const DIRECTIVES: [&str; 8] = [
    ".if", ".elif", ".else", ".endif", ".notice", ".warning", ".alert", ".diag",
];

/// What becomes of the lines of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Branch {
    /// Its lines count.
    Taken,
    /// They do not; a later branch may.
    Pending,
    /// They do not, nor do those of later branches.
    Done,
}

#[derive(Debug)]
struct Block {
    branch: Branch,
    has_else: bool,
}

/// The blocks that are open at a line.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    open: Vec<Block>,
    /// Blocks beyond the deepest, whose ends are still awaited.
    too_deep: usize,
}

impl Blocks {
    /// Whether lines count here.
    pub(super) fn is_active(&self) -> bool {
        self.too_deep == 0 && self.open.iter().all(|block| block.branch == Branch::Taken)
    }

    /// Closes all blocks; true if there were any.
    pub(super) fn close_all(&mut self) -> bool {
        let had_any = !self.open.is_empty();
        *self = Self::default();
        had_any
    }

    /// Follows a line that begins with a dot.
    pub(super) fn follow(&mut self, line: &Line, facts: &Facts<'_>) -> Option<Finding> {
        let word = &line.words[0];
        let result = match word.text() {
            ".if" => self.begin(line, facts),
            ".elif" => self.otherwise_if(line, facts),
            ".else" => no_argument(line).and_then(|()| self.otherwise(line)),
            ".endif" => no_argument(line).and_then(|()| self.end(line)),
            ".notice" | ".warning" | ".alert" | ".diag" if !self.is_active() => Ok(()),
            ".notice" | ".diag" => Err(message(line, Severity::Notice)),
            ".warning" => Err(message(line, Severity::Warning)),
            ".alert" => Err(message(line, Severity::Error)),
            text => Err(Finding::error(
                FindingKind::Block,
                word,
                expected_one_of(text, &DIRECTIVES),
            )),
        };
        result.err()
    }

    fn begin(&mut self, line: &Line, facts: &Facts<'_>) -> Result<(), Finding> {
        if self.open.len() >= DEEPEST {
            self.too_deep += 1;
            let message = format!("expected at most {DEEPEST} nested .if");
            return Err(Finding::error(FindingKind::Block, &line.words[0], message));
        }
        // Conditions are only looked at where their result counts.
        let result = if self.is_active() {
            condition::holds(&line.words[1..], facts)
        } else {
            Ok(false)
        };
        self.open.push(Block {
            branch: branch_of(result == Ok(true)),
            has_else: false,
        });
        result.map(drop).map_err(|reason| refused(line, reason))
    }

    fn otherwise_if(&mut self, line: &Line, facts: &Facts<'_>) -> Result<(), Finding> {
        let block = self.innermost(line)?;
        if block.branch == Branch::Taken {
            block.branch = Branch::Done;
        }
        let is_pending = block.branch == Branch::Pending;
        let (_, outer) = self.open.split_last().expect("it is innermost");
        if is_pending && outer.iter().all(|block| block.branch == Branch::Taken) {
            let result = condition::holds(&line.words[1..], facts);
            let holds = result.map_err(|reason| refused(line, reason))?;
            self.innermost(line)?.branch = branch_of(holds);
        }
        Ok(())
    }

    fn otherwise(&mut self, line: &Line) -> Result<(), Finding> {
        let block = self.innermost(line)?;
        block.has_else = true;
        block.branch = match block.branch {
            Branch::Pending => Branch::Taken,
            Branch::Taken | Branch::Done => Branch::Done,
        };
        Ok(())
    }

    fn end(&mut self, line: &Line) -> Result<(), Finding> {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return Ok(());
        }
        match self.open.pop() {
            Some(_) => Ok(()),
            None => Err(lone(line)),
        }
    }

    /// The block that a further branch belongs to.
    fn innermost(&mut self, line: &Line) -> Result<&mut Block, Finding> {
        match self.open.last_mut() {
            None => Err(lone(line)),
            Some(block) if block.has_else => {
                let message = "not allowed after .else; expected .endif";
                Err(Finding::error(FindingKind::Block, &line.words[0], message))
            }
            Some(block) => Ok(block),
        }
    }
}

fn branch_of(holds: bool) -> Branch {
    if holds {
        Branch::Taken
    } else {
        Branch::Pending
    }
}

fn lone(line: &Line) -> Finding {
    Finding::error(
        FindingKind::Block,
        &line.words[0],
        "there is no .if before it",
    )
}

fn refused(line: &Line, reason: String) -> Finding {
    let word = line.words.get(1).unwrap_or(&line.end);
    Finding::error(FindingKind::Block, word, reason)
}

fn no_argument(line: &Line) -> Result<(), Finding> {
    let extra = line.words.get(1);
    extra.map_or(Ok(()), |word| {
        let message = "expected nothing more on this line";
        Err(Finding::error(FindingKind::Block, word, message))
    })
}

/// What the author of the file wants to be told.
fn message(line: &Line, severity: Severity) -> Finding {
    if let Some(extra) = line.words.get(2) {
        let message = "expected one message; put it in quotes if it has blanks";
        return Finding::error(FindingKind::Block, extra, message);
    }
    let text = line.words.get(1).map(ToString::to_string);
    Finding {
        severity,
        ..Finding::error(
            FindingKind::Message,
            &line.words[0],
            text.unwrap_or_default(),
        )
    }
}
