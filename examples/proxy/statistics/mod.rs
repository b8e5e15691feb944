//! What the proxy counts, and the page that shows it.
//!
//! * `counters.rs`: the numbers of one frontend, backend or server;
//! * `ledger.rs`: those of all sections of a configuration;
//! * `account.rs`: what one request adds to them, at its end;
//! * `report.rs`: the rows of HAProxy's `show stat`, from the numbers and from the states
//!   the library knows;
//! * `page.rs`: the page of a section (`stats` lines); `gate.rs`: who may see it;
//! * `form.rs`: what its buttons do; `secret.rs`: that nobody else presses them;
//! * `view.rs`, `facts_view.rs`, `table_view.rs`, `html.rs`, `style.css`: how it looks.

pub(crate) mod account;
pub(crate) mod counters;
mod facts_view;
mod form;
mod gate;
mod html;
pub(crate) mod ledger;
pub(crate) mod page;
mod report;
mod secret;
mod table_view;
mod view;
