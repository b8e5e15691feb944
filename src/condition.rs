//! Questions about a request, on which rules depend.

use std::fmt;
use std::sync::Arc;

use crate::message::Request;

/// When a rule applies: a question about the request.
///
/// ```
/// use stickroute::{Condition, Request};
///
/// let always = Condition::always();
/// let images = Condition::when(|request| request.target().starts_with(b"/img/"));
/// # let _ = (always, images);
/// ```
#[derive(Clone)]
pub struct Condition(Option<Arc<Question>>);

type Question = dyn Fn(&dyn Request) -> bool + Send + Sync;

impl Condition {
    /// Holds for every request.
    pub fn always() -> Self {
        Self(None)
    }

    /// Holds when `question` answers true.
    pub fn when(question: impl Fn(&dyn Request) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(question)))
    }

    pub(crate) fn is_always(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it holds for this request.
    pub fn holds(&self, request: &dyn Request) -> bool {
        self.0.as_ref().is_none_or(|question| question(request))
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Condition::always()",
            Some(_) => "Condition::when(..)",
        })
    }
}
