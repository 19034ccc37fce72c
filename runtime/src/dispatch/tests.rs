//! The budget of attending a hold.

use super::attend::Attendant;
use super::*;
use crate::words::line::Line;

/// The size of what a function returns: the future of one that is `async` in effect.
fn size_of_result<A, B, C, R>(_: impl Fn(A, B, C) -> R) -> usize {
    size_of::<R>()
}

#[test]
fn what_attends_a_hold_is_small() {
    let future = size_of_result::<Box<Admitted>, Arc<dyn Line>, Bytes, _>(Admitted::attend);
    assert!(future <= 112, "the future of a hold has {future} bytes");
    assert!(size_of::<Attendant>() <= 104, "an attendant has {} bytes", size_of::<Attendant>());
}
