//! Cookie persistence: HAProxy's `cookie` directive as pure functions over bytes.
//!
//! Nothing here knows a farm or chooses a server. A [`CookiePolicy`] says what is
//! wanted; the functions below do it to one header field at a time:
//!
//! | step of a request | here |
//! |---|---|
//! | read the persistence cookies | [`Name::values`], [`ClientState::observe`] |
//! | clean the `Cookie` fields before forwarding | [`edit_request`] |
//! | treat the server's own `Set-Cookie` | [`edit_response`] |
//! | send a cookie of our own | [`must_insert`], [`insertion`], [`is_cacheable`] |
//!
//! An edit is a [`FieldEdit`]; bytes are allocated only when a field really changes.
//!
//! ```
//! use stickroute::cookie::{self, CookiePolicy, FieldEdit};
//!
//! let header = b"lang=en; SRV=s2; theme=dark";
//! assert_eq!(cookie::value(header, b"SRV"), Some(&b"s2"[..]));
//!
//! let policy = CookiePolicy::from(CookiePolicy::insert("SRV").indirect());
//! let edit = cookie::edit_request(&policy, header);
//! assert_eq!(edit, FieldEdit::Replace(b"lang=en; theme=dark".to_vec()));
//! ```

mod builder;
mod cacheability;
mod date;
mod directive;
mod dynamic;
mod edit;
mod find;
mod finding;
mod items;
mod policy;
mod problem;
mod set_cookie;
mod sight;
mod state;

pub use builder::{CookieBuilder, mode};
pub use cacheability::is_cacheable;
pub use date::{Dates, Stamp};
pub use directive::{CookieDirective, CookieDirectiveError};
pub use dynamic::{dynamic_identifier, identifier_of};
pub use edit::{FieldEdit, edit_request};
pub use find::{Name, Values, value};
pub use finding::{DirectiveFinding, DirectiveReason};
pub(crate) use items::trim;
pub use items::{Item, ItemKind, Items, items};
pub use policy::{CookieMode, CookiePolicy};
pub use problem::CookieProblem;
pub use set_cookie::{Insertion, edit_response, insertion, must_insert};
pub use state::{ClientCookie, ClientState, Match, ResponseCookie};
