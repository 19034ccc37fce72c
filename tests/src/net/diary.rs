//! What the application was told, in the order in which it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use abeyance::{End, Ended, Held, HoldId, Lifecycle, Message};

use super::PATIENCE;

/// Shared by the contexts of a test and the test.
#[derive(Clone, Debug, Default)]
pub struct Diary(Arc<(Mutex<Pages>, Condvar)>);

/// What stands in a diary.
#[derive(Debug, Default)]
pub struct Pages {
    /// How often a function ran.
    pub functions: usize,
    /// Which holds' `on_suspend` ran.
    pub suspended: Vec<HoldId>,
    /// How many drivers have begun: what is published before that is still kept back.
    pub opened: usize,
    /// What peers said.
    pub heard: Vec<Message>,
    /// Which end hooks ran.
    pub ends: Vec<(End, Ended)>,
}

/// A context that writes everything down.
#[derive(Debug)]
pub struct Witness(Diary);

impl Diary {
    /// Notes that a function runs, and makes the context that it holds with.
    pub fn witness(&self) -> Witness {
        self.write(|pages| pages.functions += 1);
        Witness(self.clone())
    }

    /// Notes that a driver has begun.
    pub fn opened(&self) {
        self.write(|pages| pages.opened += 1);
    }

    /// Reads what stands there now.
    pub fn read<T>(&self, look: impl FnOnce(&Pages) -> T) -> T {
        look(&self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `look` finds what it looks for.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&Pages) -> Option<T>) -> T {
        let (pages, turned) = &*self.0;
        let mut found = None;
        let pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
        let (pages, _) = turned
            .wait_timeout_while(pages, PATIENCE, |pages| {
                found = look(pages);
                found.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        found.unwrap_or_else(|| panic!("waited in vain for: {what}; {pages:?}"))
    }

    /// Waits for the end of the hold whose client had this address, and checks that it was told once.
    #[track_caller]
    pub fn end_of(&self, client: SocketAddr) -> (End, Ended) {
        let end = self.wait(&format!("the end of {client}"), |pages| {
            pages.ends.iter().find(|(_, ended)| ended.peer() == client).cloned()
        });
        let count =
            self.read(|pages| pages.ends.iter().filter(|(_, known)| known.id() == end.1.id()).count());
        assert_eq!(count, 1, "an end is told once");
        end
    }

    fn write(&self, note: impl FnOnce(&mut Pages)) {
        note(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }
}

impl Lifecycle for Witness {
    async fn on_suspend(&mut self, held: &Held) {
        self.0.write(|pages| pages.suspended.push(held.id()));
    }

    async fn on_message(&mut self, _: &Held, message: Message) {
        self.0.write(|pages| pages.heard.push(message));
    }

    async fn on_end(self, ended: &Ended, end: End) {
        self.0.write(|pages| pages.ends.push((end, ended.clone())));
    }
}
