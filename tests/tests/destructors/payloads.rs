//! The payload of a panic may panic itself when it is dropped. Each guard survives that, too.

use std::panic::panic_any;
use std::time::Duration;

use abeyance::{Disconnect, Message, Transport};
use abeyance_tests::test_server::TestServer;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use tokio::time::sleep;

use crate::fixture::{close, server_with, start, try_out};
use crate::hostile_value::{HostileValues, Kind};

/// A payload that panics when it is dropped, with another that does.
struct Bomb(usize);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

fn explode<T>() -> T {
    panic_any(Bomb(3))
}

/// Every hold of this server fails, and is told so.
async fn fails(server: TestServer, values: HostileValues, transports: &[Transport], say: bool) {
    for (count, transport) in (1..).zip(transports) {
        let mut client = server.hold(*transport).await;
        if say {
            client.send("hello").await;
        }
        assert_eq!(server.nth_end(count).await.end, Disconnect::Failed.into(), "{transport:?}");
        client.end().await;
    }
    close(server, values).await;
}

#[test]
fn in_on_suspend() {
    try_out(Kind::Calls, async |values| {
        let server = start(
            server_with(&values).on_suspend(|held| async move {
                if held.path() == "/hold" {
                    explode()
                }
            }),
            &values,
        );
        fails(server, values, Transport::ALL, false).await;
    });
}

#[test]
fn in_on_message() {
    try_out(Kind::Calls, async |values| {
        let server = start(server_with(&values).on_message(|_, _| async { explode() }), &values);
        fails(server, values, &[Transport::Sse, Transport::Stream, Transport::WebSocket], true).await;
    });
}

#[test]
fn in_a_driver() {
    try_out(Kind::Calls, async |values| {
        let shape = |hold: abeyance::Suspend<_>| {
            hold.drive(|_| async {
                sleep(Duration::from_secs(1)).await;
                explode()
            })
        };
        let server = start(server_with(&values).hold(shape), &values);
        fails(server, values, Transport::ALL, false).await;
    });
}

#[test]
fn in_what_makes_a_driver() {
    try_out(Kind::Calls, async |values| {
        let shape = |hold: abeyance::Suspend<_>| hold.drive(|_| -> std::future::Ready<()> { explode() });
        let server = start(server_with(&values).hold(shape), &values);
        fails(server, values, Transport::ALL, false).await;
    });
}

/// An error that says nothing without a panic, nor goes without one.
#[derive(Debug)]
struct Wrong(#[expect(dead_code, reason = "only its destructor counts")] Bomb);

impl std::fmt::Display for Wrong {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        explode()
    }
}

impl std::fmt::Debug for Bomb {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        explode()
    }
}

impl std::error::Error for Wrong {}

#[test]
fn in_the_error_of_a_driver() {
    try_out(Kind::Calls, async |values| {
        let shape = |hold: abeyance::Suspend<_>| hold.try_drive(|_| async { Err(Wrong(Bomb(3)).into()) });
        let server = start(server_with(&values).hold(shape), &values);
        fails(server, values, Transport::ALL, false).await;
    });
}

#[test]
fn in_an_end_hook() {
    try_out(Kind::Calls, async |values| {
        let server = start(
            server_with(&values).on_end(|ended, _| async move {
                if ended.path() == "/hold" {
                    sleep(Duration::from_secs(1)).await;
                    explode()
                }
            }),
            &values,
        );
        for transport in Transport::ALL.iter().copied() {
            drop(server.hold(transport).await);
        }
        abeyance_tests::test_server::until("the hooks", || server.hub.stats().hooks_failed == 4).await;
        close(server, values).await;
    });
}

#[test]
fn in_the_function() {
    try_out(Kind::Calls, async |values| {
        let server = start(server_with(&values).function(|_| async { explode() }), &values);
        for transport in Transport::ALL.iter().copied() {
            assert_eq!(server.request(transport).refused().await.head.status, 500);
        }
        close(server, values).await;
    });
}

#[test]
fn in_the_fallback() {
    try_out(Kind::Calls, async |values| {
        let router = Router::new().route("/panics", get(|| async { explode::<()>() }));
        let server = start(server_with(&values).server(|server| server.fallback(router)), &values);
        let mut reader = server.dial();
        for _ in 0..3 {
            // On one connection: it lives on.
            reader.write("GET /panics HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(reader.answer().await.expect("an answer").head.status, 500);
        }
        drop(reader);
        close(server, values).await;
    });
}

#[test]
fn in_what_makes_a_scheduled_message() {
    try_out(Kind::Calls, async |values| {
        let server = start(server_with(&values), &values);
        let make = || -> Message { explode() };
        server.hub.publish_every_with(Duration::from_secs(1), "room", make).unwrap().detach();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(server.hub.scheduled(), 0);
        close(server, values).await;
    });
}

/// Bytes whose destructor panics with one.
struct Body;

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        b"x"
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        explode()
    }
}

#[test]
fn in_a_destructor() {
    try_out(Kind::Calls, async |values| {
        let server = start(server_with(&values), &values);
        for topic in ["kept/a", "kept/a", "aged/a", "aged/a", "aged/b", "empty"] {
            server.hub.publish(topic, Bytes::from_owner(Body));
        }
        let message = Bytes::from_owner(Body);
        server.hub.publish_after(Duration::from_secs(1), "room", message).unwrap().detach();
        sleep(Duration::from_secs(5)).await;
        close(server, values).await;
    });
}
