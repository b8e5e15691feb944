//! `show stat` and `show info`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::csv::statistics_csv;
use super::statistics::{ProcessInfo, StatRow, StatServer, StatSubject};
use super::{Outcome, Refusal, Runtime, number, refused};
use crate::{AdminState, Now, OperationalState};

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    pub(super) fn show_stat(&self, words: &[&[u8]], now: Now) -> Outcome {
        let Some(statistics) = self.statistics else {
            return refused(NOT_KEPT);
        };
        let mut rows = statistics.rows(now);
        let filter = Filter::parse(words, &rows)?;
        if filter.hides_maintenance || filter.hides_down {
            count_running(&mut rows);
        }
        rows.retain(|row| filter.accepts(row));
        Ok(statistics_csv(&rows))
    }

    pub(super) fn show_info(&self, now: Now) -> Outcome {
        match self.statistics {
            Some(statistics) => Ok(info(&statistics.process(now))),
            None => refused(NOT_KEPT),
        }
    }
}

const NOT_KEPT: &str = "No statistics are kept.";

/// `show stat [{NAME|ID|-1} TYPES {ID|-1}] [up|no-maint]`
struct Filter {
    section: Option<u32>,
    /// 1 frontends, 2 backends, 4 servers, or sums of them.
    types: i64,
    /// Which server.
    server: Option<u32>,
    hides_maintenance: bool,
    hides_down: bool,
}

impl Filter {
    fn parse(words: &[&[u8]], rows: &[StatRow]) -> Result<Self, Refusal> {
        let mut filter = Self {
            section: None,
            types: -1,
            server: None,
            hides_maintenance: false,
            hides_down: false,
        };
        // HAProxy takes fewer than three words for no filter at all.
        let named = words.len() >= 3;
        if named && words[0] != b"-1" {
            let id = number::strict(words[0]);
            let is_named = |row: &&StatRow| match id {
                Some(id) => i64::from(row.section_id) == id,
                None => row.section.as_bytes() == words[0],
            };
            let found = rows.iter().find(is_named).ok_or("No such proxy.")?;
            filter.section = Some(found.section_id);
        }
        if named {
            filter.types = number::strict(words[1]).unwrap_or(0);
            let server = number::strict(words[2]).unwrap_or(0);
            filter.server = u32::try_from(server).ok();
        }
        for option in if named { &words[3..] } else { words } {
            match *option {
                b"no-maint" => filter.hides_maintenance = true,
                b"up" => filter.hides_down = true,
                b"typed" | b"json" => return refused("Only the CSV format is supported."),
                // HAProxy leaves out what it does not know.
                _ => {}
            }
        }
        Ok(filter)
    }

    fn accepts(&self, row: &StatRow) -> bool {
        if self.section.is_some_and(|id| id != row.section_id) {
            return false;
        }
        let StatSubject::Server(server) = &row.subject else {
            let kind = if matches!(row.subject, StatSubject::Backend(_)) {
                2
            } else {
                1
            };
            return self.types & kind != 0;
        };
        let is_meant = self.server.is_none_or(|id| id == server.id);
        let (in_maintenance, is_down) = (is_in_maintenance(server), is_down(server));
        let is_hidden = in_maintenance && (self.hides_maintenance || self.hides_down)
            || is_down && self.hides_down;
        self.types & 4 != 0 && is_meant && !is_hidden
    }
}

fn is_in_maintenance(server: &StatServer) -> bool {
    server.status.admin() == AdminState::Maintenance
}

fn is_down(server: &StatServer) -> bool {
    server.status.operational() == OperationalState::Stopped
}

/// Backends tell how many of their servers run.
fn count_running(rows: &mut [StatRow]) {
    let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for row in rows.iter_mut() {
        let (running, all) = counts.entry(row.section_id).or_default();
        match &mut row.subject {
            StatSubject::Server(server) => {
                *running += usize::from(!is_in_maintenance(server) && !is_down(server));
                *all += 1;
            }
            StatSubject::Backend(backend) => {
                backend.running = Some((*running, *all));
            }
            StatSubject::Frontend { .. } => {}
        }
    }
}

fn info(process: &ProcessInfo) -> String {
    let days = process.uptime / 86_400;
    let (hours, minutes) = (process.uptime / 3_600 % 24, process.uptime / 60 % 60);
    let seconds = process.uptime % 60;
    let numbers = [
        ("Uptime_sec", process.uptime),
        ("Maxconn", u64::from(process.max_connections.unwrap_or(0))),
        ("CurrConns", process.current_connections),
        ("CumConns", process.connections),
        ("CumReq", process.requests),
    ];
    let mut text = format!(
        "Name: {}\nVersion: {}\nNbthread: {}\nNbproc: 1\nProcess_num: 1\nPid: {}\n\
         Uptime: {days}d {hours}h{minutes:02}m{seconds:02}s\n",
        process.name, process.version, process.threads, process.pid
    );
    for (name, value) in numbers {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    let _ = writeln!(text, "node: {}", process.node);
    if !process.description.is_empty() {
        let _ = writeln!(text, "description: {}", process.description);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::csv::tests::rows;
    use super::*;

    #[derive(Debug)]
    struct Kept(Vec<StatRow>);

    impl super::super::Statistics for Kept {
        fn rows(&self, _: Now) -> Vec<StatRow> {
            self.0.clone()
        }

        fn process(&self, _: Now) -> ProcessInfo {
            ProcessInfo {
                name: "p".into(),
                uptime: 90_061,
                ..ProcessInfo::default()
            }
        }
    }

    #[test]
    fn rows_are_filtered_as_haproxy_filters_them() {
        let kept = Kept(rows());
        let now = Now::system();
        let runtime: Runtime<'_> = Runtime::new(now).statistics(&kept);
        let shown = |words: &str| {
            let answer = runtime.answer(format!("show stat {words}").as_bytes(), now);
            let lines = answer
                .text()
                .lines()
                .skip(1)
                .filter(|line| !line.is_empty());
            let names = lines.filter_map(|line| line.split(',').nth(1));
            names.collect::<Vec<_>>().join(" ")
        };
        let all = "FRONTEND s1 s2 s3 BACKEND";
        for (words, expected) in [
            ("", all),
            ("app", all),
            ("app 4", all),
            ("app 4 -1", "s1 s2 s3"),
            ("7 6 2", "s2 BACKEND"),
            ("-1 3 -1", "FRONTEND BACKEND"),
            ("no-maint", "FRONTEND s1 s2 BACKEND"),
            ("-1 4 -1 up", "s1 s2"),
            ("-1 7 0", "FRONTEND BACKEND"),
        ] {
            assert_eq!(shown(words), expected, "{words}");
        }
        for words in ["nope 4 -1", "0 4 -1"] {
            let answer = runtime.answer(format!("show stat {words}").as_bytes(), now);
            assert_eq!(answer.text(), "No such proxy.\n\n");
        }
    }

    #[test]
    fn the_process_is_told_and_without_statistics_there_is_nothing_to_tell() {
        let (kept, now) = (Kept(Vec::new()), Now::system());
        let runtime: Runtime<'_> = Runtime::new(now).statistics(&kept);
        let answer = runtime.answer(b"show info", now);
        assert!(
            answer
                .text()
                .contains("\nUptime: 1d 1h01m01s\nUptime_sec: 90061\n")
        );
        for command in [&b"show stat"[..], b"show info"] {
            let answer = Runtime::<()>::new(now).answer(command, now);
            assert_eq!(answer.text(), "No statistics are kept.\n\n");
        }
    }
}
