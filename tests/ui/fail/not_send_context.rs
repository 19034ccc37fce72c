use std::rc::Rc;

use abeyance::Lifecycle;

struct Seat {
    _count: Rc<u32>,
}

impl Lifecycle for Seat {}

fn main() {}
