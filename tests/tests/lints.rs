//! Generated code raises no lint in a user's crate, for any lint that the user turns on. `cargo clippy` checks this file.
#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(missing_docs, unreachable_pub, unused_qualifications, unused_lifetimes, single_use_lifetimes)]
#![deny(missing_debug_implementations, let_underscore_drop, variant_size_differences, unit_bindings)]
#![forbid(unsafe_code)]

use abeyance::extract::{ClientIp, LastEventId, Path};
use abeyance::{Hub, Refusal, Suspend, suspend};

#[suspend]
async fn none() -> Suspend {
    std::future::ready(()).await;
    Suspend::new()
}

#[suspend(path = "/rooms/{room}", timeout = "30s", max_idle = "5m", heartbeat = "20s", max_message = "1MiB")]
async fn many(
    Path(room): Path<String>,
    hub: Hub,
    ip: ClientIp,
    last: LastEventId,
    refused: Result<Path<(u8,)>, Refusal>,
) -> Result<Suspend, Refusal> {
    std::future::ready((hub, ip, last)).await;
    refused.map(|_| Suspend::new().join(room))
}

mod server {
    #[abeyance::main(listen = "127.0.0.1:0", max_suspended = 7, drain = "1s")]
    #[allow(dead_code, clippy::unused_async)]
    async fn main() {}
}

#[test]
fn an_annotated_function_is_still_a_function() {
    drop(none());
    let function = many;
    assert_eq!(size_of_val(&function), 0);
}
