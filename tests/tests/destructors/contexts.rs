//! What a function gives with its hold: the context, a driver, replies, a header; held and ended, or refused after the
//! function said yes.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::house::until;
use axum::Router;
use axum::routing::get;
use tokio::time::sleep;

use crate::charge::Yard;
use crate::ground::{close, dropped, ground, open};

/// How many values one hold has, but for its header, whose value is copied in the function.
const EACH: usize = 4;

async fn of_a_hold(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for transport in Transport::ALL.iter().copied() {
        let client = house.visit(transport).path("/charged").enter().await;
        drop(client);
        until("the end", || house.hub.held_count() == 0).await;
    }
    dropped(&yard, 4 * (EACH + 1)).await;
    close(house, yard).await;
}

async fn of_holds_when_the_server_stops(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let mut clients = Vec::new();
    for transport in Transport::ALL.iter().copied() {
        clients.push(house.visit(transport).path("/charged").query("silent=1").enter().await);
    }
    house.hub.publish("kept/a", yard.message(10));
    close_with(house, yard, clients).await;
}

/// As [`close`], while some are held.
async fn close_with<T>(house: abeyance_tests::house::TestServer, yard: Yard, clients: T) {
    drop(clients);
    close(house, yard).await;
}

async fn evicted(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for transport in [Transport::Sse, Transport::Stream, Transport::WebSocket] {
        let visit = |silent: &str| house.visit(transport).path("/evicting").query(silent);
        let old = visit("silent=1").enter().await;
        sleep(Duration::from_secs(2)).await;
        let new = visit("silent=1").enter().await;
        // A hold so young is not ended for another.
        assert_eq!(visit("a=1").refused().await.head.status, 503);
        drop((old, new));
        until("the end", || house.hub.held_count() == 0).await;
    }
    close(house, yard).await;
}

async fn refused_for_its_key(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let visit = |transport| house.visit(transport).path("/charged").query("key=ada&silent=1");
    let first = visit(Transport::Sse).enter().await;
    for transport in Transport::ALL.iter().copied() {
        let before = yard.dropped();
        assert_eq!(visit(transport).refused().await.head.status, 429);
        dropped(&yard, before + 3).await;
    }
    drop(first);
    until("the end", || house.hub.held_count() == 0).await;
    close(house, yard).await;
}

async fn refused_for_terms_that_contradict(yard: Yard) {
    let house = open(ground(&yard), &yard);
    for transport in Transport::ALL.iter().copied() {
        for why in ["contrary=1", "many=1"] {
            let answer = house.visit(transport).path("/charged").query(why).refused().await;
            assert_eq!(answer.head.status, 500);
        }
    }
    dropped(&yard, 4 * 2 * (EACH + 1)).await;
    close(house, yard).await;
}

async fn refused_for_a_forged_id(yard: Yard) {
    let house = open(ground(&yard), &yard);
    let mut client = house.visit(Transport::LongPoll).path("/charged").query("silent=1").enter().await;
    house.hub.publish("kept/a", "one");
    assert_eq!(client.message().await, "one");
    let id = client.head.get("last-event-id").expect("an id").to_owned();
    let (epoch, _) = id.split_once('-').expect("an epoch and an offset");
    for transport in [Transport::Sse, Transport::LongPoll] {
        let visit = house.visit(transport).path("/charged");
        let answer = visit.field("last-event-id", &format!("{epoch}-ffffffffffff")).refused().await;
        assert_eq!(answer.head.status, 400, "{answer:?}");
    }
    drop(client);
    until("the end", || house.hub.held_count() == 0).await;
    dropped(&yard, 2 * (EACH + 1) + 3).await;
    close(house, yard).await;
}

async fn in_a_function_that_is_cut(yard: Yard) {
    let taken = yard.clone();
    let plan = ground(&yard).function(move |_| {
        let charge = taken.charge();
        async move {
            pending::<()>().await;
            drop(charge);
            Ok(())
        }
    });
    let house = open(plan, &yard);
    for transport in Transport::ALL.iter().copied() {
        assert_eq!(house.visit(transport).refused().await.head.status, 503);
    }
    dropped(&yard, 4).await;
    close(house, yard).await;
}

async fn in_hooks_that_are_cut(yard: Yard) {
    let (on_suspend, on_message, on_end) = (yard.clone(), yard.clone(), yard.clone());
    let plan = ground(&yard)
        .on_suspend(move |held| {
            let is_first = held.path() == "/hold" && held.transport() == Transport::Sse;
            let charge = is_first.then(|| on_suspend.charge());
            async move {
                if charge.is_some() {
                    pending::<()>().await;
                }
            }
        })
        .on_message(move |_, _| {
            let charge = on_message.charge();
            async move {
                pending::<()>().await;
                drop(charge);
            }
        })
        .on_end(move |ended, _| {
            let charge = (ended.path() == "/hold").then(|| on_end.charge());
            async move {
                if charge.is_some() {
                    pending::<()>().await;
                }
            }
        });
    let house = open(plan, &yard);
    let first = house.enter(Transport::Sse).await;
    let mut second = house.enter(Transport::WebSocket).await;
    second.say("hello").await;
    drop((first, second));
    until("the ends", || house.hub.stats().hooks_failed == 2).await;
    dropped(&yard, 4).await;
    close(house, yard).await;
}

async fn of_the_server(yard: Yard) {
    let (state, service) = (Arc::new(yard.charge()), Arc::new(yard.charge()));
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
    let [judge, first, second] = [yard.charge(), yard.charge(), yard.charge()];
    let plan = ground(&yard).server(|server| {
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
    let house = open(plan, &yard);
    let answer = house.ask("GET /charged/here HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(answer.body, "here");
    close(house, yard).await;
}

places! {
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
