//! What queues are locked and counted with: the model checker's own under a model.

#[cfg(not(crossbeam_loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(crossbeam_loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(crossbeam_loom)]
pub(crate) use self::modelled::Mutex;
#[cfg(crossbeam_loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(crossbeam_loom)]
mod modelled {
    /// A lock without poisoning.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model ends with the first panic")
        }
    }
}
