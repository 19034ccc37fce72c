//! Extractors, contexts of every kind, and what users do with functions and modules.
#![deny(warnings)]

use std::cell::Cell;

use abeyance::extract::{ClientIp, LastEventId, Path, Query, State};
use abeyance::{Disconnect, End, Ended, Held, Hub, Lifecycle, Message, Refusal, Resume, Suspend, suspend};

#[derive(serde::Deserialize)]
struct Who {
    nick: String,
}

#[derive(Clone)]
struct Db;

struct Seat {
    nick: String,
    said: Cell<u32>,
}

impl Lifecycle for Seat {
    async fn on_suspend(&mut self, held: &Held) {
        let _ = held.send("welcome");
    }
    async fn on_message(&mut self, held: &Held, message: Message) {
        self.said.set(self.said.get() + 1);
        std::future::ready(()).await;
        held.publish("all", message);
    }
    async fn on_resume(mut self, _: &Ended, cause: Resume) {
        self.nick.push_str(cause.as_str());
    }
    async fn on_disconnect(self, ended: &Ended, cause: Disconnect) {
        ended.publish("all", format!("{}: {cause}", self.nick));
    }
}

/// A hook as a plain function.
struct ByHand;

impl Lifecycle for ByHand {
    fn on_end(self, _: &Ended, _: End) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

struct Generic<T>(T);

impl<T: Send + 'static> Lifecycle for Generic<T> {
    async fn on_end(self, _: &Ended, _: End) {
        drop(self.0);
    }
}

type Renamed = State<Db>;

#[suspend(path = "/rooms/{room}")]
async fn enter(
    Path(room): Path<String>,
    Query(Who { nick }): Query<Who>,
    State(_db): Renamed,
    hub: Hub,
    ClientIp(ip): ClientIp,
    last: LastEventId,
) -> Result<Suspend<Seat>, Refusal> {
    if ip.is_loopback() && last.0.is_none() {
        return Err(Refusal::forbidden(format!("{} are held", hub.held_count())));
    }
    Ok(Suspend::with(Seat { nick, said: Cell::new(0) }).join(room))
}

#[suspend]
async fn by_hand(mut names: Result<Path<Vec<String>>, Refusal>) -> Suspend<ByHand> {
    names = names.map(|_| Path(Vec::new()));
    drop(names);
    Suspend::with(ByHand)
}

#[suspend(path = "/one")]
#[suspend(path = "/two")]
async fn twice() -> Suspend<Generic<Box<dyn Fn() + Send>>> {
    Suspend::with(Generic(Box::new(|| ())))
}

#[suspend]
async fn driven() -> Suspend {
    Suspend::new()
        .timeout(None)
        .heartbeat(std::time::Duration::from_secs(5))
        .drive(|held| async move {
            loop {
                let _ = held.send("tick");
                std::future::ready(()).await;
            }
        })
}

#[suspend]
async fn fallible() -> Suspend {
    Suspend::new().try_drive(|held| async move {
        let number: u32 = "7".parse()?;
        let _ = held.send(number.to_string());
        Ok(())
    })
}

mod twins {
    use super::*;

    #[suspend(path = "/twins")]
    pub async fn twins() -> Suspend {
        Suspend::new()
    }
}

mod shadowed {
    //! Names of the prelude that mean something else here.
    #![allow(dead_code, non_camel_case_types)]

    pub struct Option;
    pub struct Result;
    pub struct String;
    pub struct Some;
    pub struct Ok;
    pub mod core {}
    pub mod std {}

    #[abeyance::suspend(max_suspended = 3, path = "/shadowed")]
    async fn parts(states: abeyance::extract::LastEventId) -> abeyance::Suspend {
        let _ = states;
        abeyance::Suspend::new()
    }
}

macro_rules! endpoint {
    ($name:ident, $path:literal, $count:expr, $type:ty) => {
        #[suspend(path = $path, max_suspended = $count, timeout = "5s")]
        async fn $name(Path(it): Path<$type>) -> Suspend {
            Suspend::new().join(it)
        }
    };
}

endpoint!(generated, "/generated/{it}", 7, String);

#[suspend(path = "/absent")]
#[cfg(any())]
async fn absent(missing: Missing) -> Suspend {
    Suspend::new()
}

mod server {
    /// The body may fail, and need not be `Send`.
    #[abeyance::main]
    #[allow(dead_code)]
    async fn main() -> Result<(), std::io::Error> {
        let _held = std::rc::Rc::new(super::twins::twins().await);
        std::future::ready(()).await;
        Ok(())
    }
}

// The program is run, and must not serve.
fn main() {}
