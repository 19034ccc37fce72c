//! Clients that come back again and again while others publish at a steady pace.

use abeyance_tests::dice::Dice;
use abeyance_tests::returning_client::{Cut, ReturningClient};
use abeyance_tests::test_server::{TestServer, test_server};
use tokio::time::{Duration, sleep};

use super::{EVERYTHING, Numbers, seconds};

const MESSAGES: usize = 2_000;
const PACE: Duration = Duration::from_millis(2);

/// Who publishes what.
#[derive(Clone, Copy, Debug)]
struct Press {
    topics: &'static [&'static str],
    publishers: usize,
}

const ALONE: Press = Press { topics: &["a"], publishers: 1 };
const CROWDED: Press = Press { topics: &["a", "b"], publishers: 3 };

impl Press {
    fn server(self) -> TestServer {
        test_server()
            .server(|server| server.topic("*", EVERYTHING))
            .hold(move |hold| {
                let hold = hold.max_idle(seconds(2)).heartbeat(Duration::from_millis(500));
                self.topics.iter().fold(hold, |hold, topic| hold.join(*topic))
            })
            .start()
    }

    fn counts(self) -> Vec<usize> {
        let rest = MESSAGES % self.publishers;
        (0..self.publishers).map(|one| MESSAGES / self.publishers + usize::from(one < rest)).collect()
    }

    /// Sets the publishers to work: together one message at each pace.
    fn run(self, server: &TestServer, seed: u64) {
        for (publisher, count) in self.counts().into_iter().enumerate() {
            let hub = server.hub.clone();
            let mut dice = Dice::new(seed + publisher as u64);
            tokio::spawn(async move {
                for number in 0..count {
                    // Now a little earlier, now a little later.
                    sleep(PACE * (self.publishers as u32 * 2 - 1 + dice.roll(3) as u32) / 2).await;
                    let more = if dice.one_in(20) { 3_000 } else { dice.roll(40) };
                    hub.publish(dice.pick(self.topics), Numbers::text(publisher, number, more));
                    hub.publish("other", "none of its business");
                }
            });
        }
    }

    fn assert_all(self, client: &ReturningClient, told: &str) {
        Numbers::assert_all(client.texts(), &self.counts(), told);
        assert!(client.offsets().is_sorted_by(|one, next| one < next), "ids go up; {told}");
        assert_eq!(client.resyncs, 0, "{told}");
    }
}

/// Polls with the id of each answer, dawdles in between, and now and then goes away before it has read the answer.
async fn poll_through(press: Press, takes_lines: bool) {
    for seed in 0..2 {
        let told = format!("seed {seed}");
        let server = press.server();
        let mut dice = Dice::new(seed);
        let mut client = ReturningClient::new(&server.dialer, "/hold?transport=long_poll");
        if takes_lines {
            client = client.taking_lines();
        }
        // What is published before its first answer would be none of its business.
        assert_eq!(client.poll().await.head.status, 204);
        press.run(&server, 100 + seed);
        let (mut polls, mut cuts) = (0, 0);
        while client.got.len() < MESSAGES {
            if dice.one_in(8) {
                client.poll_cut(dice.roll(600), dice.pick(&Cut::ALL)).await;
                cuts += 1;
            }
            if dice.one_in(3) {
                sleep(Duration::from_millis(dice.roll(12) as u64)).await;
            }
            let answer = client.poll().await;
            assert_eq!(answer.head.status, 200, "{told}: {answer:?}");
            polls += 1;
        }
        press.assert_all(&client, &told);
        assert!(cuts > 20 && (polls < MESSAGES) == takes_lines, "{polls} polls, {cuts} cut; {told}");
        assert_eq!(client.poll().await.head.status, 204, "there is no more; {told}");
        server.close().await;
    }
}

/// Listens, is cut at any byte in any way, stays away for a while, and comes back.
async fn listen_through(press: Press) {
    for seed in 0..2 {
        let told = format!("seed {seed}");
        let server = press.server();
        let mut dice = Dice::new(seed);
        let mut client = ReturningClient::new(&server.dialer, "/hold?transport=sse");
        // Cut with its first block half read it has no id yet, and is new again.
        for bytes in [1, 40] {
            client.listen(bytes, dice.pick(&Cut::ALL), |_| false).await;
            assert_eq!(client.id, None, "{told}");
        }
        client.listen(1_000, Cut::Fin, |client| client.id.is_some()).await;
        press.run(&server, 100 + seed);
        let (mut cuts, mut torn) = (0, 0);
        while client.got.len() < MESSAGES {
            let bytes = if dice.one_in(4) { dice.roll(200) } else { dice.roll(6_000) };
            let is_torn =
                client.listen(bytes, dice.pick(&Cut::ALL), |client| client.got.len() == MESSAGES).await;
            torn += usize::from(is_torn);
            cuts += 1;
            if dice.one_in(3) {
                sleep(Duration::from_millis(dice.roll(200) as u64)).await;
            }
        }
        press.assert_all(&client, &told);
        assert!(cuts > 20 && torn > 10, "{cuts} cuts, {torn} within an event; {told}");
        // Holds whose network is gone end when they are found out.
        sleep(seconds(10)).await;
        assert_eq!(server.hub.held_count(), 0, "{told}");
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_gets_all_once_and_in_order() {
    poll_through(ALONE, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_for_lines_gets_all_once_and_in_order() {
    poll_through(ALONE, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_gets_all_of_two_topics_and_three_publishers_once_and_in_order() {
    poll_through(CROWDED, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_for_lines_gets_all_of_two_topics_and_three_publishers_once_and_in_order() {
    poll_through(CROWDED, true).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_source_that_is_cut_anywhere_gets_all_once_and_in_order() {
    listen_through(ALONE).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_source_that_is_cut_anywhere_gets_all_of_two_topics_and_three_publishers_once_and_in_order()
{
    listen_through(CROWDED).await;
}
