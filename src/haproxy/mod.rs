//! HAProxy's configuration texts.
//!
//! The words mean what they mean to HAProxy: the same server for the same request.
//! A text HAProxy refuses is refused here too; a few that it accepts without looking,
//! like a number with letters after it or words after the last one it knows, are
//! refused as well, for they are mistakes.

mod balance;
mod error;

pub use balance::selector;
pub use error::DirectiveError;
