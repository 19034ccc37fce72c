//! Admission: who gets a place, and who goes for it.

use tokio::time::advance;

use super::*;
use crate::keeper::hub::Hub;
use abeyance_core::mechanisms::limits::Full;
use abeyance_settings::endpoint::WhenFull::ResumeOldest;

/// A minute later everybody is old enough to be evicted.
async fn grow_old(house: &TestKeeper) {
    for _ in 0..60 {
        advance(millis(25)).await;
        house.keeper.sweep();
    }
}

impl TestKeeper {
    fn enter(&self, endpoint: u32, peer: u8, key: Option<&str>) -> Result<TestHold, Refused> {
        let guest = self.seat(self.admit(endpoint, peer)?, endpoint, SSE, key)?;
        guest.hold.open(Vec::new());
        Ok(guest)
    }
}

fn evicting(settings: EndpointOptions) -> EndpointOptions {
    EndpointOptions { when_full: Some(ResumeOldest), ..settings }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_goes_and_the_newcomer_has_its_place_in_one_step() {
    let house = TestKeeper::of(evicting(EndpointOptions { max_suspended: Some(2), ..STILL }));
    let guests = [house.enter(0, 1, None).unwrap(), house.enter(0, 2, None).unwrap()];
    grow_old(&house).await;
    let asking = house.admit(0, 3).unwrap();
    assert_eq!(guests[0].cause(), None, "nobody goes before the function said yes");
    let third = house.seat(asking, 0, SSE, None).unwrap();
    assert_eq!(guests.each_ref().map(TestHold::cause), [Some("evicted"), None]);
    assert_eq!(third.cause(), None);
    let counts = house.keeper.counts();
    assert_eq!((counts.held, counts.peak), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hold_younger_than_a_second_is_not_evicted() {
    let house = TestKeeper::of(evicting(EndpointOptions { max_suspended: Some(1), ..STILL }));
    let guest = house.enter(0, 1, None).unwrap();
    for _ in 0..40 {
        assert_eq!(house.enter(0, 2, None).unwrap_err(), Refused::Full(Full::Endpoint));
        advance(millis(25)).await;
        house.keeper.sweep();
    }
    assert_eq!(guest.cause(), None);
    advance(millis(1)).await;
    house.enter(0, 2, None).unwrap();
    assert_eq!(guest.cause(), Some("evicted"));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_held_anew_while_too_many_hooks_of_ended_holds_run() {
    let house = TestKeeper::of(STILL);
    let most = house.keeper.registry.lock().limits.server().max(1_024);
    let mut hooks: Vec<_> = (0..most).map(|_| house.keeper.begin_hook()).collect();
    assert_eq!(house.enter(0, 1, None).unwrap_err(), Refused::Full(Full::Server));
    hooks.pop();
    house.enter(0, 1, None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_rejects_gives_way_to_nobody() {
    let server_config = ServerConfig { max_suspended: 2, ..ServerConfig::default() };
    let house = TestKeeper::new(server_config, &[STILL, evicting(STILL)]);
    let rejecting = house.enter(0, 1, None).unwrap();
    let yielding = house.enter(1, 1, None).unwrap();
    grow_old(&house).await;
    assert_eq!(house.enter(0, 2, None).unwrap_err(), Refused::Full(Full::Server));
    let refused =
        Hub::new(house.keeper.clone()).stats_by_endpoint().into_iter().map(|(_, stats)| stats.refused);
    assert_eq!(refused.collect::<Vec<_>>(), [1, 0]);
    house.enter(1, 2, None).unwrap();
    assert_eq!((rejecting.cause(), yielding.cause()), (None, Some("evicted")));
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_when_another_limit_cannot_be_relieved() {
    let server_config = ServerConfig { max_suspended: 2, ..ServerConfig::default() };
    let house =
        TestKeeper::new(server_config, &[evicting(EndpointOptions { max_per_key: Some(1), ..STILL })]);
    let first = house.enter(0, 1, Some("user")).unwrap();
    grow_old(&house).await;
    let _open = house.admit(0, 3).unwrap();
    // Enough is over for the first to be taken, but the key's holder is too young.
    let house_is_full = house.seat(house.admit(0, 2).unwrap(), 0, SSE, Some("user"));
    assert!(house_is_full.is_ok());
    assert_eq!(first.cause(), Some("evicted"), "one hold relieves both limits");
    let again = house.seat(house.admit(0, 2).unwrap(), 0, SSE, Some("user"));
    assert_eq!(again.unwrap_err(), Refused::Full(Full::EndpointKey));
    assert_eq!(house_is_full.unwrap().cause(), None);
    let hub = Hub::new(house.keeper.clone());
    assert_eq!((hub.stats().refused, hub.stats_by_endpoint()[0].1.refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_whose_place_another_victim_frees_too() {
    let settings = EndpointOptions { max_per_key: Some(2), max_per_peer: Some(1), ..STILL };
    let house = TestKeeper::of(evicting(settings));
    let oldest_of_key = house.enter(0, 1, Some("user")).unwrap();
    let of_both = house.enter(0, 2, Some("user")).unwrap();
    grow_old(&house).await;
    house.enter(0, 2, Some("user")).unwrap();
    assert_eq!((oldest_of_key.cause(), of_both.cause()), (None, Some("evicted")));
}

#[test]
fn a_place_is_given_back_when_nothing_comes_of_it() {
    let house = TestKeeper::new(
        ServerConfig { max_per_peer: Some(1), ..ServerConfig::default() },
        &[evicting(STILL)],
    );
    let permit = house.admit(0, 1).unwrap();
    let asking = house.admit(0, 1).unwrap();
    drop((permit, asking));
    let admission = house.admit(0, 1).unwrap();
    let panics = std::panic::AssertUnwindSafe(|| admission.suspend(None, |_, _| panic!("on purpose")));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert!(house.keeper.registry.lock().limits.is_untouched());
}

#[test]
fn while_draining_nobody_enters_whatever_was_promised() {
    let house = TestKeeper::of(STILL);
    let admission = house.admit(0, 1).unwrap();
    house.keeper.close_doors();
    assert_eq!(house.seat(admission, 0, SSE, None).unwrap_err(), Refused::Draining);
    assert_eq!(house.admit(0, 1).map(drop).unwrap_err(), Refused::Draining);
    assert!(house.keeper.registry.lock().limits.is_untouched());
}
