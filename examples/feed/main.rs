//! News that no lost connection loses: what is published meanwhile is kept, and whoever comes back with the last id it
//! saw gets exactly what it missed. `EventSource` does so by itself, a long poll with the header of its last answer.
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
//! With an id of another start of the server, or one so old that something after it is forgotten, nobody can say what
//! was missed. A client is told so (a *resync*) and loads anew what it shows; the news goes on behind the new id.
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
    // A newcomer gets what is published from now on; `join_with_history` would give it all that is kept.
    Suspend::new().join("news")
}

/// An ordinary route, at the same path: a `POST` without the token of a hold comes here.
async fn publish(hub: Hub, text: String) -> String {
    format!("{} are listening\n", hub.publish("news", text))
}

#[abeyance::main(listen = "127.0.0.1:8080")]
async fn main() -> Server {
    // Whatever is reached first: the last 100, 1 MiB, 10 minutes.
    let keep = Retention::new().count(100);
    Server::new().topic("news", keep).fallback(Router::new().route("/news", post(publish)))
}
