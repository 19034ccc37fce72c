//! Values of the application's whose destructors do what they should not: in each place where one can be dropped, four
//! kinds of them. One panics, one waits for a lock of the application whose owner calls the hub, one takes the lock that
//! the application has while it calls the hub, one calls the hub itself. None costs anybody anything:
//! each is dropped, every hold has its end, the clocks and the schedule go on, and nothing waits for ever.
#![expect(
    clippy::unwrap_used,
    reason = "the places are tests, though the attribute stands on their instances"
)]

/// Makes tests of places, each with every kind of value.
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
                fn with_a_destructor_that_takes_the_lock_of_who_calls_the_hub() {
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
mod fixture; // a server, and what must be true of it afterwards
mod hanging; // one that never returns
mod hostile_value; // a value whose destructor does what it should not
mod kept; // messages that topics keep
mod payloads; // what a panic carries
mod scheduled; // what is published later
mod waiting; // messages that wait for a peer
