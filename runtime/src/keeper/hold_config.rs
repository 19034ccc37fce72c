//! What all holds of one endpoint share.

use std::sync::Arc;

use abeyance_settings::endpoint::EndpointConfig;

use super::Keeper;

/// What all holds of one endpoint share: their keeper and the configuration of the endpoint.
pub(crate) struct HoldConfig {
    pub(crate) keeper: Arc<Keeper>,
    /// The endpoint's index in the keeper's plans.
    pub(crate) endpoint: u32,
    pub(crate) endpoint_config: EndpointConfig,
}
