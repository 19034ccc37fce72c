use abeyance::suspend;

#[suspend(
    path = "rooms/{room",
    transports = [websocket, websocket, polling],
    timeout = 30,
    max_idle = "5 mins",
    max_lifetime = "1 month",
    heartbeat = "0s",
    max_suspended = 0,
    max_per_peer = "many",
    max_per_key = 1.5,
    when_full = "evict",
    send_buffer = "1kb",
    when_slow = "drop",
    max_message = 100,
    listen = "127.0.0.1:8080",
)]
fn enter<T>(self, it: impl Send)

{
    let _ = it;
}

fn main() {}
