//! For every cause of an end, running hooks finish and the messages that had arrived are handled; the others are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use abeyance::{Disconnect, End, Held, Resume, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::test_server::{TestServer, TestServerBuilder, test_server, until};
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

/// How many calls of a hook began, and how many returned.
#[derive(Clone, Default)]
struct Calls {
    begun: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
}

impl Calls {
    async fn last(self, span: std::time::Duration) {
        self.begun.fetch_add(1, SeqCst);
        sleep(span).await;
        self.finished.fetch_add(1, SeqCst);
    }

    fn count(&self) -> (usize, usize) {
        (self.begun.load(SeqCst), self.finished.load(SeqCst))
    }
}

/// A builder whose `on_message` takes two seconds.
fn slow() -> (TestServerBuilder, Calls) {
    let calls = Calls::default();
    let counted = calls.clone();
    (test_server().on_message(move |_, _| counted.clone().last(seconds(2))), calls)
}

/// Sends three messages; `on_message` runs for the first when this returns.
async fn say_three(server: &TestServer, client: &mut Client) {
    for text in ["one", "two", "three"] {
        client.send(text).await;
    }
    until("the first", || !server.hooks.messages().is_empty()).await;
}

/// Fails unless all three were handled to their ends before the end hook.
async fn assert_all_handled(server: TestServer, calls: Calls, end: impl Into<End>) {
    let told = server.nth_end(1).await;
    assert_eq!(calls.count(), (3, 3), "the end hook comes last");
    assert_eq!(server.hooks.messages(), ["one", "two", "three"]);
    assert_eq!(told.end, end.into());
    assert_eq!((told.ended.messages_in(), told.ended.unheard()), (3, 0));
    assert_eq!(server.hub.stats().unheard, 0);
    server.close().await;
}

contract!(a_fin_behind_messages of lasting);
async fn a_fin_behind_messages(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    client.fin().await;
    assert!(server.until_none_held().await.elapsed() < LATE);
    assert_all_handled(server, calls, Disconnect::Gone).await;
}

contract!(a_close_behind_messages of lasting);
async fn a_close_behind_messages(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    client.close(1000, "").await;
    client.fin().await;
    let told = server.nth_end(1).await;
    assert!(matches!(told.end, End::Disconnect(Disconnect::Closed { .. })), "{:?}", told.end);
    assert_all_handled(server, calls, told.end).await;
}

contract!(a_timeout_while_messages_are_handled of lasting);
async fn a_timeout_while_messages_are_handled(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.hold(|hold| hold.timeout(seconds(1))).start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    assert_all_handled(server, calls, Resume::Timeout).await;
}

contract!(released_while_messages_are_handled of lasting);
async fn released_while_messages_are_handled(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    server.hooks.newest().resume();
    assert_all_handled(server, calls, Resume::Released).await;
}

contract!(evicted_while_messages_are_handled of lasting);
async fn evicted_while_messages_are_handled(transport: Transport) {
    let (builder, calls) = slow();
    let server =
        builder.server(|server| server.max_suspended(1).when_full(abeyance::WhenFull::ResumeOldest)).start();
    let mut client = server.hold(transport).await;
    client.stay_held(seconds(2)).await;
    say_three(&server, &mut client).await;
    let _newcomer = server.hold(transport).await;
    assert_all_handled(server, calls, Resume::Evicted).await;
}

contract!(drained_while_messages_are_handled of lasting);
async fn drained_while_messages_are_handled(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    let ending = tokio::spawn(async move { client.end().await });
    let record = server.hooks.clone();
    let drained = server.close().await;
    assert_eq!(calls.count(), (3, 3));
    assert_eq!((drained.holds_cut, drained.connections_cut, drained.hooks_unfinished), (0, 0, 0));
    assert_eq!(record.causes(), [Resume::Drained.into()]);
    ending.await.unwrap();
}

/// Fails unless the first message was handled to its end and the other two were counted.
async fn assert_cut_off(server: TestServer, calls: Calls, is_right: impl Fn(&End) -> bool) {
    let told = server.nth_end(1).await;
    assert_eq!(calls.count(), (1, 1));
    assert!(is_right(&told.end), "{:?}", told.end);
    assert_eq!((told.ended.messages_in(), told.ended.unheard()), (1, 2));
    assert_eq!(server.hub.stats().unheard, 2);
    assert_eq!(server.hub.stats_by_endpoint()[0].1.unheard, 2);
    server.close().await;
}

contract!(a_kick_cuts_off_what_was_not_begun of lasting);
async fn a_kick_cuts_off_what_was_not_begun(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    server.hooks.newest().disconnect("enough");
    assert_cut_off(server, calls, |end| matches!(end, End::Disconnect(Disconnect::Kicked { .. }))).await;
}

contract!(a_reset_cuts_off_what_was_not_begun of lasting);
async fn a_reset_cuts_off_what_was_not_begun(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    client.into_stream().reset();
    assert_cut_off(server, calls, |end| *end == Disconnect::Reset.into()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_behind_a_close_frame_is_a_close_and_all_messages_are_handled() {
    // A client that closes before it has read everything resets the connection.
    for meets_publisher in [false, true] {
        let (builder, calls) = slow();
        let server = builder.hold(|hold| hold.join("news")).start();
        let mut client = server.hold(Transport::WebSocket).await;
        say_three(&server, &mut client).await;
        client.close(1000, "").await;
        client.into_stream().reset();
        if meets_publisher {
            // Its write is what meets the reset.
            assert_eq!(server.hub.publish("news", "to no member"), 0);
        }
        let told = server.nth_end(1).await;
        let is_closed = matches!(told.end, End::Disconnect(Disconnect::Closed { .. }));
        assert!(is_closed || meets_publisher && told.end == Disconnect::Reset.into(), "{:?}", told.end);
        assert_all_handled(server, calls, told.end).await;
    }
}

contract!(a_publisher_that_meets_the_fin_first_cuts_nothing_off of lasting);
async fn a_publisher_that_meets_the_fin_first_cuts_nothing_off(transport: Transport) {
    let (builder, calls) = slow();
    let server = builder.hold(|hold| hold.join("news")).start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    drop(client);
    // The first is answered with a reset, and the next meets it: before the hold's own task has seen the FIN.
    for _ in 0..3 {
        server.hub.publish("news", "to no member");
    }
    assert_all_handled(server, calls, Disconnect::Gone).await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_meets_the_fin_first_hides_no_close_frame() {
    let (builder, calls) = slow();
    let server = builder.hold(|hold| hold.join("news")).start();
    let mut client = server.hold(Transport::WebSocket).await;
    say_three(&server, &mut client).await;
    client.close(4003, "bye").await;
    drop(client);
    for _ in 0..3 {
        server.hub.publish("news", "to no member");
    }
    let told = server.nth_end(1).await;
    assert!(
        matches!(told.end, End::Disconnect(Disconnect::Closed { code: Some(4003), .. })),
        "{:?}",
        told.end
    );
    assert_all_handled(server, calls, told.end).await;
}

contract!(a_hook_that_fails_is_the_last_but_the_end_hook of lasting);
async fn a_hook_that_fails_is_the_last_but_the_end_hook(transport: Transport) {
    let server = test_server()
        .on_message(|_, _| async {
            sleep(seconds(2)).await;
            panic!("on purpose")
        })
        .start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    let told = server.nth_end(1).await;
    assert_eq!(told.end, Disconnect::Failed.into());
    assert_eq!((server.hooks.messages().len(), told.ended.unheard()), (1, 2));
    server.close().await;
}

contract!(all_that_waits_has_one_deadline_together of lasting);
async fn all_that_waits_has_one_deadline_together(transport: Transport) {
    let calls = Calls::default();
    let counted = calls.clone();
    let server = test_server()
        .on_message(move |_, _| counted.clone().last(seconds(4)))
        .server(|server| server.hook_timeout(seconds(5)))
        .start();
    let mut client = server.hold(transport).await;
    say_three(&server, &mut client).await;
    client.fin().await;
    let begun = server.until_none_held().await;
    let told = server.nth_end(1).await;
    // The second is begun within that of all, and goes on behind it to its own end; the third is not begun.
    let after = told.at - begun;
    assert!((seconds(8) - LATE..=seconds(8) + LATE).contains(&after), "{after:?}");
    assert_eq!(calls.count(), (2, 2));
    assert_eq!((told.ended.messages_in(), told.ended.unheard()), (2, 1));
    assert_eq!(server.hub.stats().hooks_failed, 0);
    server.close().await;
}

contract!(on_suspend_finishes_before_the_end_hook of all);
async fn on_suspend_finishes_before_the_end_hook(transport: Transport) {
    let present = Arc::new(AtomicUsize::new(0));
    let (came, left) = (present.clone(), present.clone());
    let server = test_server()
        .on_suspend(move |_| {
            let came = came.clone();
            async move {
                sleep(seconds(2)).await;
                came.fetch_add(1, SeqCst);
            }
        })
        .on_end(move |_, _| {
            // Would panic below zero, and be counted.
            let before = left.fetch_sub(1, SeqCst);
            async move { assert_eq!(before, 1) }
        })
        .start();
    let mut client = server.hold(transport).await;
    client.fin().await;
    assert_eq!(server.cause().await, Disconnect::Gone.into());
    assert_eq!((present.load(SeqCst), server.hub.stats().hooks_failed), (0, 0));
    server.close().await;
}

contract!(messages_that_came_while_on_suspend_ran_are_handled of lasting);
async fn messages_that_came_while_on_suspend_ran_are_handled(transport: Transport) {
    let server = test_server().on_suspend(|_| sleep(seconds(2))).start();
    let mut client = server.hold(transport).await;
    client.send("one").await;
    client.send("two").await;
    client.fin().await;
    server.nth_end(1).await;
    assert_eq!(server.hooks.messages(), ["one", "two"]);
    server.close().await;
}

contract!(a_connection_is_done_with_although_a_hook_goes_on of all);
async fn a_connection_is_done_with_although_a_hook_goes_on(transport: Transport) {
    let server = test_server().on_suspend(|_| sleep(seconds(20))).start();
    let mut client = server.hold(transport).await;
    let begun = Instant::now();
    server.hooks.newest().resume();
    assert!(!client.end().await.is_empty());
    server.until_settled().await;
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    let stats = server.hub.stats();
    assert_eq!((stats.ended("released"), stats.hooks_running), (1, 1), "{stats:?}");
    if transport == Transport::LongPoll {
        // Its connection serves the next request meanwhile.
        client.write("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.reader().answer().await.unwrap().head.status, 404);
    }
    let told = server.nth_end(1).await;
    assert!((seconds(19)..=seconds(21)).contains(&(told.at - begun)));
    assert!(told.ended.held_for() < seconds(1), "{:?}", told.ended.held_for());
    server.close().await;
}

contract!(a_hook_learns_of_the_end_at_once of lasting);
async fn a_hook_learns_of_the_end_at_once(transport: Transport) {
    let server = test_server()
        .on_message(|held: Held, _| async move {
            let begun = Instant::now();
            held.ended().await;
            assert!(held.is_ended() && held.send("too late").is_err());
            assert!(begun.elapsed() < seconds(2), "{:?}", begun.elapsed());
            assert_eq!(held.publish("news", "others hear it"), 0);
        })
        .start();
    let mut client = server.hold(transport).await;
    client.send("wait for it").await;
    sleep(seconds(1)).await;
    client.fin().await;
    server.nth_end(1).await;
    assert_eq!(server.hub.stats().hooks_failed, 0);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_is_read_ahead_is_handled_too_and_the_close_frame_behind_it_is_the_cause() {
    let server = test_server().on_message(|_, _| sleep(std::time::Duration::from_millis(100))).start();
    let mut client = server.hold(Transport::WebSocket).await;
    client.stream().window(usize::MAX);
    let mut flood = Vec::new();
    for _ in 0..30 {
        let mut frame = vec![0x82, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
        frame.resize(8 + 60_000, b'x');
        flood.extend(frame);
    }
    flood.extend([0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa2]);
    client.write(flood).await;
    client.fin().await;
    let told = server.nth_end(1).await;
    assert!(
        matches!(told.end, End::Disconnect(Disconnect::Closed { code: Some(4002), .. })),
        "{:?}",
        told.end
    );
    assert_eq!((server.hooks.messages().len(), told.ended.unheard()), (30, 0));
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_a_drain_what_was_not_begun_is_cut_off_and_what_runs_has_a_second() {
    for (takes, finished) in [(seconds(11), 1), (seconds(13), 0)] {
        let calls = Calls::default();
        let counted = calls.clone();
        let server = test_server().on_message(move |_, _| counted.clone().last(takes)).start();
        let mut client = server.hold(Transport::WebSocket).await;
        say_three(&server, &mut client).await;
        let (hub, record) = (server.hub.clone(), server.hooks.clone());
        let ending = tokio::spawn(async move { client.end().await });
        let begun = Instant::now();
        server.close().await;
        assert!(begun.elapsed() <= seconds(11) + LATE, "{:?}", begun.elapsed());
        assert_eq!(calls.count(), (1, finished));
        assert_eq!((record.causes(), hub.stats().unheard), (vec![Resume::Drained.into()], 2));
        ending.await.unwrap();
    }
}
