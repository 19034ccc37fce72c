#[abeyance::main(listen = "8080", max_suspended = 5, max_per_peer = 6, when_full = "evict", drain = 30, path = "/")]
fn main<T>(_arguments: Vec<T>) {}
