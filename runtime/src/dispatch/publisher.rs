//! The task that publishes what was scheduled. Here, and not with the clocks: what makes a message is user code, and so
//! is dropping it.

use std::sync::Arc;

use crate::keeper::Keeper;
use crate::keeper::schedule::Job;
use crate::mechanisms::agenda::Due;
use crate::sync::lasting;
use crate::words::tick::Tick;

use super::guard::caught;

/// Publishes what is due, for as long as it is polled.
pub(super) async fn publish_scheduled(keeper: Arc<Keeper>) {
    loop {
        let now = keeper.due().await;
        while let Some(due) = keeper.take_due(now) {
            let number = due.number;
            if lasting::turn("the scheduler", || publish(&keeper, due, now)).is_none() {
                // It is out, and nothing would put it back.
                drop(keeper.cancel(number));
            }
            // Each may go to many, and the holds of this thread wait.
            tokio::task::yield_now().await;
        }
        drop(keeper.take_cancelled());
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
        Job::Maker(mut make) => match caught(|| make()) {
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
