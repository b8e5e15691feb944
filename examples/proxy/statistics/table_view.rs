//! Stick tables on the page: how full they are, and what was touched last.

use std::sync::Arc;
use std::time::Duration;

use stickroute::{Now, StickTable, TableEntry};

use super::html::Html;

/// All entries of larger tables are not looked at for the sake of a page.
const MOST_LISTED: usize = 10_000;

/// So many are shown.
const SHOWN: usize = 10;

/// `keys` says whether the keys of entries may be shown: they are about clients.
pub(super) fn tables(tables: &[(&str, &Arc<StickTable>)], keys: bool, now: Now, html: &mut Html) {
    if tables.is_empty() {
        return;
    }
    html.raw(
        "<section><h2>Stick tables</h2><table class=tables><thead><tr><th scope=col>Table<th \
         scope=col>Key<th scope=col class=n>Used<th scope=col class=n>Size<th \
         scope=col>Filled<th scope=col class=n>Expire after<th scope=col class=n>Idle, \
         least<th scope=col class=n>Idle, most</tr></thead><tbody>",
    );
    let listed: Vec<_> = tables.iter().map(|(_, table)| listed(table, now)).collect();
    for ((name, table), entries) in tables.iter().zip(&listed) {
        row(name, table, entries, html);
    }
    html.raw("</tbody></table>");
    for ((name, _), entries) in tables.iter().zip(&listed).filter(|_| keys) {
        latest(name, entries, html);
    }
    html.raw("</section>");
}

/// The entries and how long nobody has touched them, the latest first.
type Listed<'t> = Vec<(Option<Duration>, TableEntry<'t>)>;

fn listed(table: &StickTable, now: Now) -> Listed<'_> {
    if table.used() > MOST_LISTED {
        return Vec::new();
    }
    let idle = |entry: &TableEntry<'_>| {
        let left = entry.entry.expires_in()?;
        Some(table.expire()?.saturating_sub(left))
    };
    let entries = table.entries(now).into_iter();
    let mut entries: Listed<'_> = entries.map(|entry| (idle(&entry), entry)).collect();
    entries.sort_by_key(|(idle, _)| *idle);
    entries
}

fn row(name: &str, table: &StickTable, entries: &Listed<'_>, html: &mut Html) {
    let (used, size) = (table.used() as u64, table.size() as u64);
    html.raw("<tr><th scope=row class=name>").text(name);
    html.raw("</th><td data-name=Key>").text(table.key_type());
    html.raw("</td><td class=n data-name=Used>").number(used);
    html.raw("</td><td class=n data-name=Size>").number(size);
    html.raw("</td><td data-name=Filled>").share(used, size);
    html.raw("</td><td class=n data-name=\"Expire after\">");
    time(table.expire(), html);
    html.raw("</td><td class=n data-name=\"Idle, least\">");
    time(entries.first().and_then(|(idle, _)| *idle), html);
    html.raw("</td><td class=n data-name=\"Idle, most\">");
    time(entries.last().and_then(|(idle, _)| *idle), html);
    html.raw("</td></tr>");
}

fn time(time: Option<Duration>, html: &mut Html) {
    match time {
        Some(time) => html.time(time.as_secs()),
        None => html.raw("<span class=none>–</span>"),
    };
}

fn latest(name: &str, entries: &Listed<'_>, html: &mut Html) {
    if entries.is_empty() {
        return;
    }
    html.raw("<details><summary>Touched last in ").text(name);
    html.raw(
        "</summary><table class=entries><thead><tr><th scope=col>Key<th scope=col>Server<th \
         scope=col class=n>Held by<th scope=col class=n>Idle<th scope=col class=n>Expires \
         in</tr></thead><tbody>",
    );
    for (idle, shown) in entries.iter().take(SHOWN) {
        html.raw("<tr><td class=key data-name=Key>")
            .text(&shown.key);
        html.raw("</td><td data-name=Server>");
        match (shown.entry.server_key(), shown.entry.server_id()) {
            (Some(name), _) => html.text(name),
            (None, 0) => html.raw("<span class=none>–</span>"),
            (None, id) => html.raw("id ").text(id),
        };
        html.raw("</td><td class=n data-name=\"Held by\">")
            .text(shown.uses);
        html.raw("</td><td class=n data-name=Idle>");
        time(*idle, html);
        html.raw("</td><td class=n data-name=\"Expires in\">");
        time(shown.entry.expires_in(), html);
        html.raw("</td></tr>");
    }
    html.raw("</tbody></table></details>");
}
