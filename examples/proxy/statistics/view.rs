//! The page as a person reads it: what there is, how much of it, and how requests found
//! their way.

use stickroute::haproxy::{Mode, StatRow, StatServer, StatSubject, Statistics};
use stickroute::{AdminState, Now, OperationalState, Reason, Status};

use super::counters::REASONS;
use super::facts_view::{backend, fact, frontend, of_limit};
use super::form::Outcome;
use super::html::Html;
use super::ledger::{BackNumbers, Section};
use super::page::Page;
use super::{report, table_view};
use crate::service::site::Site;

pub(super) const STYLE: &str = include_str!("style.css");

/// What was asked for.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Whether the page has buttons.
    pub(super) is_admin: bool,
    /// What has become of the last button.
    pub(super) outcome: Option<&'a str>,
    /// Whether the browser asks again by itself.
    pub(super) refreshes: bool,
}

/// Everything about one page while it is written.
struct View<'v> {
    page: &'v Page,
    site: &'v Site,
    is_admin: bool,
    now: Now,
    html: Html,
}

/// Writes the page.
pub(super) fn page(page: &Page, site: &Site, asked: &Asked<'_>, now: Now) -> String {
    let mut view = View {
        page,
        site,
        is_admin: asked.is_admin,
        now,
        html: Html::default(),
    };
    view.head();
    if let Some(outcome) = asked.outcome.and_then(Outcome::parse) {
        view.notice(outcome);
    }
    view.html.raw("<main>");
    for section in page.sections(site) {
        view.section(section);
    }
    let tables = site.routing.tables();
    let tables: Vec<_> = tables.filter(|(name, _)| page.covers(name)).collect();
    table_view::tables(&tables, page.shows.legends, now, &mut view.html);
    view.foot(asked.refreshes);
    view.html.into_string()
}

impl View<'_> {
    fn head(&mut self) {
        let process = self.site.process(self.now);
        let shows = &self.page.shows;
        let html = &mut self.html;
        html.raw("<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>Statistics");
        if let Some(node) = &shows.node {
            html.raw(" of ").text(node);
        }
        html.raw(
            "</title><meta name=viewport content=\"width=device-width, initial-scale=1\">\
             <meta name=color-scheme content=\"light dark\"><link rel=icon href=\"data:,\">\
             <link rel=stylesheet href=\"",
        );
        html.text(&self.page.prefix);
        html.raw(";css\"></head><body><header><h1>Statistics");
        if let Some(node) = &shows.node {
            html.raw(" <span class=of>of ").text(node).raw("</span>");
        }
        html.raw("</h1>");
        if let Some(description) = &shows.description {
            html.raw("<p>").text(description).raw("</p>");
        }
        html.raw("<dl class=facts>");
        fact(html, "Running for", |html| html.time(process.uptime));
        if shows.version {
            fact(html, "Version", |html| html.text(&process.version));
        }
        fact(html, "Process", |html| html.text(process.pid));
        fact(html, "Clients now", |html| {
            of_limit(html, process.current_connections, process.max_connections)
        });
        fact(html, "Connections", |html| html.number(process.connections));
        fact(html, "Requests", |html| html.number(process.requests));
        html.raw("</dl></header>");
    }

    fn foot(&mut self, refreshes: bool) {
        let prefix = &self.page.prefix;
        let html = &mut self.html;
        html.raw("</main><footer><a href=\"").text(prefix);
        html.raw(";csv\">All numbers as CSV</a>");
        if let Some(seconds) = self.page.refresh {
            html.raw(" · <a href=\"").text(prefix);
            html.raw(if refreshes {
                ";norefresh\">Stop loading anew every "
            } else {
                "\">Load anew every "
            });
            html.time(seconds).raw("</a>");
        }
        html.raw("</footer></body></html>\n");
    }

    fn notice(&mut self, outcome: Outcome) {
        let (class, text) = match outcome {
            Outcome::Done => ("good", "✓ Done."),
            Outcome::Partly => ("bad", "! Done for some of the servers only."),
            Outcome::Nothing => ("bad", "! Nothing was chosen, and nothing was done."),
            Outcome::Wrong => (
                "bad",
                "✕ Nothing was done: no such server or no such action.",
            ),
            Outcome::Denied => ("bad", "✕ Nothing was done: you may look, and not change."),
        };
        self.html
            .raw("<p role=status class=\"notice ")
            .text(class)
            .raw("\">")
            .text(text);
        self.html
            .raw(" <a href=\"")
            .text(&self.page.prefix)
            .raw("\">Close</a></p>");
    }

    fn section(&mut self, section: &Section) {
        let rows = report::rows_of(self.site, section, self.now);
        let html = &mut self.html;
        html.raw("<section><h2>").text(&section.name);
        html.raw(" <span class=of>")
            .text(kind(section))
            .raw("</span></h2>");
        for row in &rows {
            if let StatSubject::Frontend { session_limit } = &row.subject {
                frontend(html, row, *session_limit);
            }
        }
        let Some(numbers) = &section.back else {
            html.raw("</section>");
            return;
        };
        let servers = rows.iter().filter_map(|row| match &row.subject {
            StatSubject::Server(server) => Some((row, server)),
            _ => None,
        });
        let servers: Vec<_> = servers.collect();
        if !servers.is_empty() {
            self.servers(section, &servers);
            if let Some(row) = rows.last() {
                backend(&mut self.html, row);
            }
            self.routing(numbers);
        }
        self.html.raw("</section>");
    }

    fn servers(&mut self, section: &Section, servers: &[(&StatRow, &StatServer)]) {
        self.html.raw(
            "<table class=servers><thead><tr><th rowspan=2 scope=col>Server<th rowspan=2 \
             scope=col>State<th rowspan=2 scope=col class=n>Weight<th rowspan=2 scope=col \
             class=n>Share<th colspan=3 scope=colgroup>Sessions<th rowspan=2 scope=col \
             class=n>Queue<th colspan=2 scope=colgroup>Bytes<th colspan=4 \
             scope=colgroup>Trouble<th rowspan=2 scope=col class=n>Last used",
        );
        if self.is_admin {
            self.html.raw("<th rowspan=2 scope=col>Change to");
        }
        self.html.raw("</tr><tr>");
        for name in [
            "now", "most", "all", "in", "out", "5xx", "errors", "retries", "moved",
        ] {
            self.html.raw("<th scope=col class=n>").text(name);
        }
        self.html.raw("</tr></thead><tbody>");
        let all = servers.iter().map(|(row, _)| row.counts.sessions).sum();
        for (row, server) in servers {
            self.server(section, row, server, all);
        }
        self.html.raw("</tbody></table>");
    }

    fn server(&mut self, section: &Section, row: &StatRow, server: &StatServer, all: u64) {
        let counts = &row.counts;
        self.name(server);
        let html = &mut self.html;
        cell(html, "State", |html| state(html, server));
        cell(html, "Weight", |html| html.text(server.status.weight()));
        cell(html, "Share", |html| html.share(counts.sessions, all));
        cell(html, "Sessions now", |html| {
            of_limit(html, counts.current, server.session_limit)
        });
        let most = counts.most.max(counts.current);
        cell(html, "Most at a time", |html| html.number(most));
        cell(html, "Sessions", |html| html.number(counts.sessions));
        cell(html, "Queue", |html| html.number(server.queued.into()));
        cell(html, "Bytes in", |html| html.bytes(counts.bytes_in));
        cell(html, "Bytes out", |html| html.bytes(counts.bytes_out));
        let errors = counts.connection_errors + counts.response_errors + counts.server_aborts;
        for (name, count) in [
            ("Answers 5xx", counts.responses[4]),
            ("Errors", errors),
            ("Retries", counts.retries),
            ("Moved", counts.redispatches),
        ] {
            cell(html, name, |html| html.number(count));
        }
        cell(html, "Last used", |html| match server.last_session {
            Some(seconds) => html.time(seconds),
            None => html.raw("<span class=none>never</span>"),
        });
        if self.is_admin {
            self.buttons(section, server);
        }
        self.html.raw("</tr>");
    }

    fn name(&mut self, server: &StatServer) {
        let html = &mut self.html;
        html.raw("<tr><th scope=row class=name>").text(&server.name);
        if server.is_backup {
            html.raw(" <span class=tag>backup</span>");
        }
        if self.page.shows.legends {
            html.raw("<span class=legend>").text(&server.address);
            html.raw("</span><span class=legend>id ").text(server.id);
            if let Some(cookie) = &server.cookie {
                html.raw(" · cookie ").text(cookie);
            }
            html.raw("</span>");
        }
        html.raw("</th>");
    }

    fn buttons(&mut self, section: &Section, server: &StatServer) {
        let html = &mut self.html;
        html.raw("<td class=change><form method=post action=\"")
            .text(&self.page.prefix);
        html.raw("\"><input type=hidden name=token value=\"");
        html.text(self.site.ledger.secret.as_str());
        html.raw("\"><input type=hidden name=b value=\"")
            .text(&section.name);
        html.raw("\"><input type=hidden name=s value=\"")
            .text(&server.name)
            .raw("\">");
        for (state, action, says) in [
            (AdminState::Ready, "ready", "Take new clients: "),
            (
                AdminState::Drain,
                "drain",
                "Keep the clients, take no new ones: ",
            ),
            (AdminState::Maintenance, "maint", "Take no client at all: "),
        ] {
            html.raw("<button name=action value=")
                .text(action)
                .raw(" title=\"");
            html.text(says).text(&server.name).raw("\"");
            if server.status.admin() == state {
                html.raw(" disabled");
            }
            html.raw(">").text(action).raw("</button>");
        }
        html.raw("</form></td>");
    }

    fn routing(&mut self, numbers: &BackNumbers) {
        let html = &mut self.html;
        let counts = numbers.counters.reasons();
        let all = counts.iter().sum();
        html.raw("<h3>How requests were routed</h3>");
        if all == 0 {
            html.raw("<p class=none>None so far.</p>");
            return;
        }
        html.raw("<table class=routing><tbody>");
        for (reason, count) in REASONS.into_iter().zip(counts) {
            if count == 0 && !is_in_use(reason, numbers) {
                continue;
            }
            html.raw("<tr><th scope=row>").text(label(reason, numbers));
            html.raw("</th><td class=n>")
                .number(count)
                .raw("</td><td>")
                .share(count, all);
            html.raw("</td></tr>");
        }
        html.raw("</tbody></table>");
    }
}

fn kind(section: &Section) -> String {
    let mode = match section.mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    };
    let Some(numbers) = &section.back else {
        return format!("frontend · {mode}");
    };
    let kind = if section.front.is_some() {
        "listen"
    } else {
        "backend"
    };
    let cookie = numbers.cookie.as_ref();
    let cookie = cookie.map_or_else(String::new, |name| format!(" · cookie {name}"));
    format!("{kind} · {mode} · {}{cookie}", numbers.algorithm)
}

/// Whether the configuration has what it takes; the rest need not be read.
fn is_in_use(reason: Reason, numbers: &BackNumbers) -> bool {
    match reason {
        Reason::Cookie => numbers.cookie.is_some(),
        Reason::StickTable => numbers.sticks,
        Reason::Balance => true,
        _ => false,
    }
}

fn label(reason: Reason, numbers: &BackNumbers) -> &'static str {
    match reason {
        Reason::Cookie => "Cookie",
        Reason::StickTable => "Stick table",
        Reason::UseServer => "use-server",
        Reason::Lookup => "Lookup",
        Reason::Balance if numbers.is_hash() => "Hash",
        Reason::Balance => "Balanced",
        Reason::Redispatch => "Redispatched",
        _ => "Otherwise",
    }
}

/// A cell, which says on a narrow screen what it is.
fn cell(html: &mut Html, name: &'static str, value: impl FnOnce(&mut Html) -> &mut Html) {
    let is_text = matches!(name, "State" | "Share");
    html.raw(if is_text { "<td" } else { "<td class=n" });
    html.raw(" data-name=\"").raw(name).raw("\">");
    value(html).raw("</td>");
}

/// A sign and a word: colour is never the only mark.
fn state<'h>(html: &'h mut Html, server: &StatServer) -> &'h mut Html {
    let (class, sign, word) = state_of(server.status);
    html.raw("<span class=\"state ")
        .raw(class)
        .raw("\"><i aria-hidden=true>")
        .raw(sign);
    html.raw("</i> ").raw(word).raw("</span>")
}

fn state_of(status: Status) -> (&'static str, &'static str, &'static str) {
    match (status.admin(), status.operational()) {
        (AdminState::Maintenance, _) => ("maint", "■", "maint"),
        (_, OperationalState::Stopped) => ("down", "✕", "down"),
        (AdminState::Drain, _) => ("drain", "◐", "drain"),
        (AdminState::Ready, OperationalState::Stopping) => ("drain", "◔", "stopping"),
        (AdminState::Ready, OperationalState::Starting) => ("up", "◔", "starting"),
        (AdminState::Ready, OperationalState::Running) => ("up", "●", "up"),
    }
}
