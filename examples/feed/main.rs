//! News that survives a lost connection: the topic keeps messages, and a client that comes back with the last id that it saw
//! gets exactly what it missed. An `EventSource` sends that id by itself, a long poll with the header of its last answer.
//!
//! ```text
//! curl -N '127.0.0.1:8080/news?transport=sse'      # stays open; every event has an id
//! curl -d 'rain' 127.0.0.1:8080/news               # from a second terminal; now cut the first with Ctrl-C, and
//! curl -d 'sleet' 127.0.0.1:8080/news              # "0 are listening"
//! curl -d 'snow' 127.0.0.1:8080/news
//!
//! id=255dda750e78-000000000001                     # the last one that the first terminal showed
//! curl -N -H "Last-Event-ID: $id" '127.0.0.1:8080/news?transport=sse'    # behind the event `hold`, then it stays open:
//!     id: 255dda750e78-000000000002
//!     data: sleet
//!
//!     id: 255dda750e78-000000000003
//!     data: snow
//!
//! curl -i "127.0.0.1:8080/news?last_event_id=$id"  # by long polling: "sleet", and the id for the next poll, which
//!     last-event-id: 255dda750e78-000000000002     # gets "snow"; the one after that waits
//! curl -H 'Accept: application/x-ndjson' "127.0.0.1:8080/news?last_event_id=$id"    # both at once, as lines
//! ```
//!
//! With an id from before a restart, or one so old that a later message is gone, the server cannot know what the client
//! missed. It tells the client (a *resync*), which then loads its state anew and goes on from the new id.
//!
//! ```text
//! curl -N '127.0.0.1:8080/news?transport=sse&last_event_id=0123456789ab-000000000001'
//!     id: 255dda750e78-000000000003
//!     event: resync
//!     data: missed
//! curl -i '127.0.0.1:8080/news?last_event_id=0123456789ab-000000000001'   # 204 at once, `abeyance-resync: true`
//! ```

use abeyance::{Hub, Retention, Server, Suspend, suspend};
use axum::Router;
use axum::routing::post;

#[suspend(path = "/news", transports = [sse, long_poll])]
async fn news() -> Suspend {
    // A new client gets what is published from now on. With `join_with_history` it would get all that is kept.
    Suspend::new().join("news")
}

/// An ordinary route at the same path: it gets each `POST` without the token of a hold.
async fn publish(hub: Hub, text: String) -> String {
    format!("{} are listening\n", hub.publish("news", text))
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() -> Server {
    // Keeps 100 messages. The defaults apply too: 1 MiB, 10 minutes.
    let keep = Retention::new().count(100);
    Server::new().topic("news", keep).fallback(Router::new().route("/news", post(publish)))
}
