//! Telling handlers who asks: the client's address, and what the application makes of the peer's.

use std::any::type_name;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;

use crate::endpoint::extract::ClientIp;
use abeyance_core::sync::foreign::Foreign;

use super::user_code::{HookFault, caught};
use abeyance_core::request::client_address::Client;

type Insert = dyn Fn(SocketAddr, &mut Extensions) + Send + Sync;

/// What the application makes of a peer's address, for its handlers.
#[derive(Clone)]
pub(crate) struct ConnectInfo {
    insert: Foreign<Arc<Insert>>,
    type_name: &'static str,
}

impl ConnectInfo {
    pub(crate) fn new<T: Clone + Send + Sync + 'static>(
        make: impl Fn(SocketAddr) -> T + Send + Sync + 'static,
    ) -> Self {
        let insert = move |peer, extensions: &mut Extensions| {
            extensions.insert(make(peer));
        };
        let insert: Arc<Insert> = Arc::new(insert);
        ConnectInfo { insert: Foreign::new(insert), type_name: type_name::<T>() }
    }

    /// The name of what is made.
    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }
}

/// Puts into a request who sent it.
///
/// # Errors
/// When the application's own function panicked.
pub(super) fn introduce(
    introduction: Option<&ConnectInfo>,
    peer: SocketAddr,
    client: Client,
    extensions: &mut Extensions,
) -> Result<(), HookFault> {
    extensions.insert(ClientIp(client.address.ip()));
    introduction.map_or(Ok(()), |introduction| caught(|| (introduction.insert)(peer, extensions)))
}
