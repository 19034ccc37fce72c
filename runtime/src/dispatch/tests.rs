//! The budget of attending a hold.

use super::*;
use crate::socket::Socket;

#[test]
fn what_attends_a_hold_leaves_its_task_in_the_small_cell() {
    fn size_of_result<R>(_: impl Fn(Box<Admitted>, &'static Arc<dyn Socket>, Bytes) -> R) -> usize {
        size_of::<R>()
    }
    let future = size_of_result(|admitted, socket, unread| admitted.attend(socket, unread));
    assert!(future <= 104, "the future of a hold has {future} bytes");
}
