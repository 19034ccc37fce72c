//! The clocks over served time: what falls due, when, and for what.

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::keeper::pen::Origin;
use crate::mechanisms::wire::Encoded;
use crate::words::message::Message;

/// Has the keeper keep time while the test runs.
fn keep_time(house: &House) {
    tokio::spawn(house.keeper.clone().keep_time());
}

/// Moves time on in steps that are no stall, with a sweep after each.
async fn pass(house: &House, span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        let step = left.min(millis(25));
        advance(step).await;
        left -= step;
        house.keeper.sweep();
    }
}

fn timeout(span: Duration) -> Settings {
    Settings { timeout: Some(Some(span)), ..STILL }
}

fn idle(span: Duration) -> Settings {
    Settings { max_idle: Some(Some(span)), ..STILL }
}

/// Ends at the earliest `span` after `since`, and not 100 ms later.
#[track_caller]
fn assert_in_time(since: Instant, span: Duration) {
    let late = since.elapsed().checked_sub(span).expect("never early");
    assert!(late <= millis(100), "{late:?} late");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_rests_is_looked_at_again_although_one_behind_it_ends() {
    let house = House::of(timeout(secs(30)));
    keep_time(&house);
    let (first, second) = (house.suspend(SSE), house.suspend(SSE));
    sleep(secs(10)).await;
    first.hold.note_activity();
    assert_eq!(second.end().await, "timeout");
    sleep(secs(15)).await;
    assert_eq!(first.cause(), Some("timeout"));
}
