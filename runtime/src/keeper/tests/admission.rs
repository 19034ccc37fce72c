//! Admission: which request gets a permit, and which hold ends for it.

use tokio::time::advance;

use super::*;
use crate::keeper::hub::Hub;
use abeyance_core::mechanisms::limits::Full;
use abeyance_settings::endpoint::WhenFull::ResumeOldest;

/// A minute later every hold is old enough to be evicted.
async fn grow_old(server: &TestServer) {
    for _ in 0..60 {
        advance(millis(25)).await;
        server.keeper.sweep();
    }
}

impl TestServer {
    fn enter(&self, endpoint: u32, peer: u8, key: Option<&str>) -> Result<TestHold, Refused> {
        let test_hold = self.seat(self.admit(endpoint, peer)?, endpoint, SSE, key)?;
        test_hold.hold.open(Vec::new());
        Ok(test_hold)
    }
}

fn evicting(settings: EndpointOptions) -> EndpointOptions {
    EndpointOptions { when_full: Some(ResumeOldest), ..settings }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_goes_and_the_newcomer_has_its_place_in_one_step() {
    let server = TestServer::of(evicting(EndpointOptions { max_suspended: Some(2), ..STILL }));
    let test_holds = [server.enter(0, 1, None).unwrap(), server.enter(0, 2, None).unwrap()];
    grow_old(&server).await;
    let asking = server.admit(0, 3).unwrap();
    assert_eq!(test_holds[0].cause(), None, "no hold ends before the function said yes");
    let third = server.seat(asking, 0, SSE, None).unwrap();
    assert_eq!(test_holds.each_ref().map(TestHold::cause), [Some("evicted"), None]);
    assert_eq!(third.cause(), None);
    let counts = server.keeper.counts();
    assert_eq!((counts.held, counts.peak), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hold_younger_than_a_second_is_not_evicted() {
    let server = TestServer::of(evicting(EndpointOptions { max_suspended: Some(1), ..STILL }));
    let test_hold = server.enter(0, 1, None).unwrap();
    for _ in 0..40 {
        assert_eq!(server.enter(0, 2, None).unwrap_err(), Refused::Full(Full::Endpoint));
        advance(millis(25)).await;
        server.keeper.sweep();
    }
    assert_eq!(test_hold.cause(), None);
    advance(millis(1)).await;
    server.enter(0, 2, None).unwrap();
    assert_eq!(test_hold.cause(), Some("evicted"));
}

#[tokio::test(start_paused = true)]
async fn no_request_is_held_while_too_many_hooks_of_ended_holds_run() {
    let server = TestServer::of(STILL);
    let most = server.keeper.registry.lock().limits.server().max(1_024);
    let mut hooks: Vec<_> = (0..most).map(|_| server.keeper.begin_hook()).collect();
    assert_eq!(server.enter(0, 1, None).unwrap_err(), Refused::Full(Full::Server));
    hooks.pop();
    server.enter(0, 1, None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_rejects_gives_way_to_no_other() {
    let server_config = ServerConfig { max_suspended: 2, ..ServerConfig::default() };
    let server = TestServer::new(server_config, &[STILL, evicting(STILL)]);
    let rejecting = server.enter(0, 1, None).unwrap();
    let yielding = server.enter(1, 1, None).unwrap();
    grow_old(&server).await;
    assert_eq!(server.enter(0, 2, None).unwrap_err(), Refused::Full(Full::Server));
    let refused =
        Hub::new(server.keeper.clone()).stats_by_endpoint().into_iter().map(|(_, stats)| stats.refused);
    assert_eq!(refused.collect::<Vec<_>>(), [1, 0]);
    server.enter(1, 2, None).unwrap();
    assert_eq!((rejecting.cause(), yielding.cause()), (None, Some("evicted")));
}

#[tokio::test(start_paused = true)]
async fn no_hold_ends_when_another_limit_cannot_be_relieved() {
    let server_config = ServerConfig { max_suspended: 2, ..ServerConfig::default() };
    let server =
        TestServer::new(server_config, &[evicting(EndpointOptions { max_per_key: Some(1), ..STILL })]);
    let first = server.enter(0, 1, Some("user")).unwrap();
    grow_old(&server).await;
    let _open = server.admit(0, 3).unwrap();
    // Enough is over for the first to be taken, but the key's holder is too young.
    let house_is_full = server.seat(server.admit(0, 2).unwrap(), 0, SSE, Some("user"));
    assert!(house_is_full.is_ok());
    assert_eq!(first.cause(), Some("evicted"), "one hold relieves both limits");
    let again = server.seat(server.admit(0, 2).unwrap(), 0, SSE, Some("user"));
    assert_eq!(again.unwrap_err(), Refused::Full(Full::EndpointKey));
    assert_eq!(house_is_full.unwrap().cause(), None);
    let hub = Hub::new(server.keeper.clone());
    assert_eq!((hub.stats().refused, hub.stats_by_endpoint()[0].1.refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_hold_ends_whose_permit_another_victim_frees_too() {
    let settings = EndpointOptions { max_per_key: Some(2), max_per_peer: Some(1), ..STILL };
    let server = TestServer::of(evicting(settings));
    let oldest_of_key = server.enter(0, 1, Some("user")).unwrap();
    let of_both = server.enter(0, 2, Some("user")).unwrap();
    grow_old(&server).await;
    server.enter(0, 2, Some("user")).unwrap();
    assert_eq!((oldest_of_key.cause(), of_both.cause()), (None, Some("evicted")));
}

#[test]
fn a_place_is_given_back_when_nothing_comes_of_it() {
    let server = TestServer::new(
        ServerConfig { max_per_peer: Some(1), ..ServerConfig::default() },
        &[evicting(STILL)],
    );
    let permit = server.admit(0, 1).unwrap();
    let asking = server.admit(0, 1).unwrap();
    drop((permit, asking));
    let admission = server.admit(0, 1).unwrap();
    let panics = std::panic::AssertUnwindSafe(|| admission.suspend(None, |_, _| panic!("on purpose")));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert!(server.keeper.registry.lock().limits.is_untouched());
}

#[test]
fn while_draining_no_request_is_held_not_even_an_admitted_one() {
    let server = TestServer::of(STILL);
    let admission = server.admit(0, 1).unwrap();
    server.keeper.refuse_new_holds();
    assert_eq!(server.seat(admission, 0, SSE, None).unwrap_err(), Refused::Draining);
    assert_eq!(server.admit(0, 1).map(drop).unwrap_err(), Refused::Draining);
    assert!(server.keeper.registry.lock().limits.is_untouched());
}
