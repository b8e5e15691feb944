//! Commands about backends.

use super::{DONE, NumberedBackend, Outcome, Refusal, Runtime, number, refused, word};
use crate::UpdateError;

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    /// The backend of a name or `#id`, if there is one.
    pub(super) fn find_backend(&self, word: &[u8]) -> Option<&NumberedBackend<'_, P>> {
        let id = number::id(word);
        self.backends.iter().find(|known| match id {
            Some(id) => known.id.get() == id,
            None => known.name.as_bytes() == word,
        })
    }

    pub(super) fn show_backend(&self) -> String {
        let mut text = String::from("# name\n");
        for known in &self.backends {
            text.push_str(known.name);
            text.push('\n');
        }
        text
    }

    pub(super) fn switch_dynamic_cookies(&self, words: &[&[u8]], on: bool) -> Outcome {
        let Some(backend) = self.named_backend(words)?.backend else {
            return DONE;
        };
        outcome(backend.update(|change| {
            change.set_dynamic_cookies(on);
            Ok(())
        }))
    }

    pub(super) fn set_dynamic_cookie_key(&self, words: &[&[u8]]) -> Outcome {
        let backend = self.named_backend(words)?.backend;
        let key = word(words, 1);
        if key.is_empty() {
            return refused("String value expected.");
        }
        match backend {
            Some(backend) => outcome(backend.update(|change| change.set_dynamic_cookie_key(key))),
            None => DONE,
        }
    }

    fn named_backend(&self, words: &[&[u8]]) -> Result<&NumberedBackend<'_, P>, Refusal> {
        let name = word(words, 0);
        if name.is_empty() {
            return refused("A backend name is expected.");
        }
        self.find_backend(name).ok_or("No such backend.".into())
    }
}

/// The answer to a change.
pub(super) fn outcome(done: Result<(), UpdateError>) -> Outcome {
    match done {
        Ok(()) => DONE,
        Err(UpdateError::UnknownServer { .. }) => refused("No such server."),
        Err(UpdateError::StaticWeight { .. }) => refused(
            "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.",
        ),
        Err(error) => refused(error.to_string()),
    }
}
