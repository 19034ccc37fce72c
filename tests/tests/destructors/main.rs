//! Values of the application whose destructors misbehave, at each place where one can be dropped. There are four kinds: one
//! panics, one waits for a lock of the application whose owner calls the hub, one takes the lock that the application has
//! while it calls the hub, one calls the hub itself. Each value is dropped all the same, every hold has its end, the
//! timeouts and the schedule go on, and nothing deadlocks.
#![expect(
    clippy::unwrap_used,
    reason = "the places are tests, though the attribute stands on their instances"
)]

/// Makes four tests of each place where values are dropped, one for each kind of value.
macro_rules! drop_sites {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[test]
                fn with_a_destructor_that_panics() {
                    $crate::fixture::try_out($crate::hostile_value::Kind::Panics, super::$name);
                }

                #[test]
                fn with_a_destructor_that_waits_for_a_lock_of_the_application() {
                    $crate::fixture::try_out($crate::hostile_value::Kind::Waits, super::$name);
                }

                #[test]
                fn with_a_destructor_that_takes_the_lock_under_which_the_hub_is_called() {
                    $crate::fixture::try_out($crate::hostile_value::Kind::Takes, super::$name);
                }

                #[test]
                fn with_a_destructor_that_calls_the_hub() {
                    $crate::fixture::try_out($crate::hostile_value::Kind::Calls, super::$name);
                }
            }
        )+
    };
}

mod contexts; // what a function gives with its hold
mod fixture; // the server, and what must be true of it afterwards
mod hanging; // one that never returns
mod hostile_value; // a value whose destructor misbehaves
mod kept; // messages that topics keep
mod payloads; // what a panic carries
mod scheduled; // what is published later
mod waiting; // messages that wait for a peer
