//! What a function gives with its hold: the context, a driver, replies, a header; held and ended, or refused after the
//! function said yes.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::test_server::until;
use axum::Router;
use axum::routing::get;
use tokio::time::sleep;

use crate::fixture::{close, dropped, server_with, start};
use crate::hostile_value::HostileValues;

/// How many values one hold has, but for its header, whose value is copied in the function.
const EACH: usize = 4;

async fn of_a_hold(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for transport in Transport::ALL.iter().copied() {
        let client = server.request(transport).path("/charged").hold().await;
        drop(client);
        until("the end", || server.hub.held_count() == 0).await;
    }
    dropped(&values, 4 * (EACH + 1)).await;
    close(server, values).await;
}

async fn of_holds_when_the_server_stops(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let mut clients = Vec::new();
    for transport in Transport::ALL.iter().copied() {
        clients.push(server.request(transport).path("/charged").query("silent=1").hold().await);
    }
    server.hub.publish("kept/a", values.message(10));
    close_with(server, values, clients).await;
}

/// As [`close`], while some are held.
async fn close_with<T>(server: abeyance_tests::test_server::TestServer, values: HostileValues, clients: T) {
    drop(clients);
    close(server, values).await;
}

async fn evicted(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        let request = |silent: &str| server.request(transport).path("/evicting").query(silent);
        let old = request("silent=1").hold().await;
        sleep(Duration::from_secs(2)).await;
        let new = request("silent=1").hold().await;
        // A hold so young is not ended for another.
        assert_eq!(request("a=1").refused().await.head.status, 503);
        drop((old, new));
        until("the end", || server.hub.held_count() == 0).await;
    }
    close(server, values).await;
}

async fn refused_for_its_key(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let request = |transport| server.request(transport).path("/charged").query("key=ada&silent=1");
    let first = request(Transport::Sse).hold().await;
    for transport in Transport::ALL.iter().copied() {
        let before = values.dropped();
        assert_eq!(request(transport).refused().await.head.status, 429);
        dropped(&values, before + 3).await;
    }
    drop(first);
    until("the end", || server.hub.held_count() == 0).await;
    close(server, values).await;
}

async fn refused_for_terms_that_contradict(values: HostileValues) {
    let server = start(server_with(&values), &values);
    for transport in Transport::ALL.iter().copied() {
        for why in ["contrary=1", "many=1"] {
            let answer = server.request(transport).path("/charged").query(why).refused().await;
            assert_eq!(answer.head.status, 500);
        }
    }
    dropped(&values, 4 * 2 * (EACH + 1)).await;
    close(server, values).await;
}

async fn refused_for_a_forged_id(values: HostileValues) {
    let server = start(server_with(&values), &values);
    let mut client = server.request(Transport::LongPoll).path("/charged").query("silent=1").hold().await;
    server.hub.publish("kept/a", "one");
    assert_eq!(client.message().await, "one");
    let id = client.head.get("last-event-id").expect("an id").to_owned();
    let (epoch, _) = id.split_once('-').expect("an epoch and an offset");
    for transport in [Transport::Sse, Transport::LongPoll] {
        let request = server.request(transport).path("/charged");
        let answer = request.field("last-event-id", &format!("{epoch}-ffffffffffff")).refused().await;
        assert_eq!(answer.head.status, 400, "{answer:?}");
    }
    drop(client);
    until("the end", || server.hub.held_count() == 0).await;
    dropped(&values, 2 * (EACH + 1) + 3).await;
    close(server, values).await;
}

async fn in_a_function_that_is_cut(values: HostileValues) {
    let taken = values.clone();
    let builder = server_with(&values).function(move |_| {
        let value = taken.value();
        async move {
            pending::<()>().await;
            drop(value);
            Ok(())
        }
    });
    let server = start(builder, &values);
    for transport in Transport::ALL.iter().copied() {
        assert_eq!(server.request(transport).refused().await.head.status, 503);
    }
    dropped(&values, 4).await;
    close(server, values).await;
}

async fn in_hooks_that_are_cut(values: HostileValues) {
    let (on_suspend, on_message, on_end) = (values.clone(), values.clone(), values.clone());
    let builder = server_with(&values)
        .on_suspend(move |held| {
            let is_first = held.path() == "/hold" && held.transport() == Transport::Sse;
            let value = is_first.then(|| on_suspend.value());
            async move {
                if value.is_some() {
                    pending::<()>().await;
                }
            }
        })
        .on_message(move |_, _| {
            let value = on_message.value();
            async move {
                pending::<()>().await;
                drop(value);
            }
        })
        .on_end(move |ended, _| {
            let value = (ended.path() == "/hold").then(|| on_end.value());
            async move {
                if value.is_some() {
                    pending::<()>().await;
                }
            }
        });
    let server = start(builder, &values);
    let first = server.hold(Transport::Sse).await;
    let mut second = server.hold(Transport::WebSocket).await;
    second.send("hello").await;
    drop((first, second));
    until("the ends", || server.hub.stats().hooks_failed == 2).await;
    dropped(&values, 4).await;
    close(server, values).await;
}

async fn of_the_server(values: HostileValues) {
    let (state, service) = (Arc::new(values.value()), Arc::new(values.value()));
    let router = Router::new().route(
        "/charged/here",
        get(move || {
            let service = service.clone();
            async move {
                drop(service);
                "here"
            }
        }),
    );
    let [judge, first, second] = [values.value(), values.value(), values.value()];
    let builder = server_with(&values).server(|server| {
        server
            .state(state)
            .fallback(router)
            .allow_origins_if(move |_| {
                let _judge = &judge;
                true
            })
            .after_drain(move || async move { drop(first) })
            .after_drain(move || async move { drop(second) })
    });
    let server = start(builder, &values);
    let answer = server.ask("GET /charged/here HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(answer.body, "here");
    close(server, values).await;
}

drop_sites! {
    of_a_hold,
    of_holds_when_the_server_stops,
    evicted,
    refused_for_its_key,
    refused_for_terms_that_contradict,
    refused_for_a_forged_id,
    in_a_function_that_is_cut,
    in_hooks_that_are_cut,
    of_the_server,
}
