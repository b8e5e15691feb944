//! To whom a Unix socket belongs. HAProxy: `user`, `uid`, `group` and `gid` of `bind` and
//! `stats socket`.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use stickroute::haproxy::Bind;

/// Numbers of a user and a group; `None` is whom this program runs as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

/// A name that stands for no number, and the option it is behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NobodyOfThatName {
    pub(crate) option: &'static str,
    pub(crate) name: String,
    pub(crate) file: &'static str,
}

impl Owner {
    /// The one that a line names, by number or else by name.
    pub(crate) fn of(bind: &Bind) -> Result<Self, NobodyOfThatName> {
        let find = |number: &str, option, file| {
            let text = |option| bind.options.get(option)?.as_ref()?.as_str();
            if let Some(number) = text(number) {
                return Ok(number.parse().ok());
            }
            let named = |name: &str| {
                number_of(name, file).ok_or_else(|| NobodyOfThatName {
                    option,
                    name: name.to_owned(),
                    file,
                })
            };
            text(option).map(named).transpose()
        };
        Ok(Self {
            user: find("uid", "user", "/etc/passwd")?,
            group: find("gid", "group", "/etc/group")?,
        })
    }

    /// Gives it a socket.
    pub(crate) fn take(self, path: &Path) -> io::Result<()> {
        if self == Self::default() {
            return Ok(());
        }
        chown(path, self.user, self.group)
    }
}

/// The number of a user or a group in `/etc/passwd` or `/etc/group`.
fn number_of(name: &str, file: &str) -> Option<u32> {
    number_in(name, &fs::read(file).ok()?)
}

fn number_in(name: &str, text: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(text);
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_meant = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_meant)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_the_number_behind_them() {
        let text = b"root:x:0:0:r:/root:/bin/sh\n\xff:x:3\nweb:x:102:105::/:/x\nodd:x\n";
        assert_eq!(number_in("root", text), Some(0));
        assert_eq!(number_in("web", text), Some(102));
        assert_eq!(number_in("we", text), None);
        assert_eq!(number_in("odd", text), None);
        assert_eq!(number_in("", text), None);
    }
}
