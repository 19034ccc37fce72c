//! The task that publishes what was scheduled. Here, and not with the clocks: what makes a message is user code, and so
//! is dropping it.

use std::sync::Arc;

use crate::keeper::Keeper;
use crate::keeper::schedule::Job;
use abeyance_core::mechanisms::timer_queue::Due;
use abeyance_core::sync::{foreign, lasting};
use abeyance_core::words::tick::Tick;

use super::user_code::caught;

/// Publishes what is due, for as long as it is polled.
pub(super) async fn publish_scheduled(keeper: Arc<Keeper>) {
    loop {
        let now = keeper.due().await;
        while let Some(due) = keeper.take_due(now) {
            let number = due.number;
            // What comes next waits for no destructor.
            let turn = || lasting::turn("the scheduler", || publish(&keeper, due, now));
            if foreign::aside(turn).is_none() {
                // It is out, and nothing would put it back.
                drop(keeper.cancel(number));
            }
            // Each may go to many, and the holds of this thread wait.
            tokio::task::yield_now().await;
        }
        foreign::aside(|| drop(keeper.take_cancelled()));
    }
}

fn publish(keeper: &Keeper, due: Due<Job>, now: Tick) {
    let Due { number, topic, job, comes_again } = due;
    let topic = topic.as_str();
    let job = match job {
        Job::Message(message) => {
            keeper.publish(topic, &message);
            Job::Message(message)
        }
        Job::Maker(mut make) => match caught(&mut *make) {
            Ok(message) => {
                // Making it may have taken long, or have cancelled it.
                if keeper.is_scheduled(number) {
                    keeper.publish(topic, &message);
                }
                Job::Maker(make)
            }
            Err(fault) => {
                tracing::error!(topic, %fault, "a scheduled message could not be made: none will follow");
                drop(keeper.cancel(number));
                return;
            }
        },
    };
    let over = if comes_again { keeper.put_back(number, job, now).err() } else { Some(job) };
    drop(over);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::task::{Context, Poll};
    use std::time::Duration;

    use super::*;
    use crate::keeper::Plan;
    use crate::keeper::hold::{Hold, NewHold};
    use crate::keeper::hold_config::HoldConfig;
    use crate::keeper::hub::Hub;
    use crate::settings::ServerConfig;
    use abeyance_core::mechanisms::limits::{EndpointLimits, Peer};
    use abeyance_core::mechanisms::wire::WireForm;
    use abeyance_core::words::peer_io::PeerIo;
    use abeyance_settings::endpoint::{EndpointOptions, WhenFull};

    /// A line that panics, as only a fault of ours does.
    struct Broken;

    impl PeerIo for Broken {
        fn poll_read(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_gone(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn try_write(&self, _: &[u8]) -> io::Result<usize> {
            panic!("a socket, on purpose")
        }

        fn kernel_share(&self) -> usize {
            0
        }

        fn last_answer(&self) -> Option<Duration> {
            None
        }

        fn is_shut_out(&self) -> bool {
            false
        }

        fn probe(&self, _: abeyance_core::words::keepalive_probes::KeepaliveProbes) {}

        fn bound_unsent(&self, _: usize) {}

        fn shut(&self) {}

        fn cut(&self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_one_schedule_and_no_other() {
        let keeper = Keeper::new();
        let ceiling = EndpointLimits { holds: None, per_peer: None, per_key: None };
        keeper.configure(
            ServerConfig::default(),
            vec![Plan { path: "/endpoint", ceiling, when_full: WhenFull::Reject }],
        );
        let post = HoldConfig {
            keeper: keeper.clone(),
            endpoint: 0,
            endpoint_config: EndpointOptions::NONE.resolve(),
        };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let form = WireForm::Sse { chunked: false };
        let origins = NewHold { form, peer, path: "/".into(), peer_io: Arc::new(Broken) };
        let admission = keeper.admit(0, Peer::from(peer.ip())).unwrap();
        let hold = admission.suspend(None, |id, now| Hold::begin(id, now, post.into(), origins)).unwrap();
        hold.open(Vec::new());
        keeper.join(&hold, "broken".into()).unwrap();
        tokio::spawn(keeper.clone().keep_time());
        tokio::spawn(publish_scheduled(keeper.clone()));

        let hub = Hub::new(keeper.clone());
        let (published, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let second = Duration::from_secs(1);
        let make = move || {
            let _ = published.send(());
            "whole"
        };
        hub.publish_every(second, "broken", "on purpose").unwrap().detach();
        hub.publish_after(second, "broken", "on purpose").unwrap().detach();
        hub.publish_every_with(second, "whole", make).unwrap().detach();
        for _ in 0..3 {
            heard.recv().await.unwrap();
        }
        assert_eq!(hub.scheduled(), 1, "what panicked is not tried again");
    }
}
