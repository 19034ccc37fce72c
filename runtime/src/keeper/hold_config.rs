//! What all holds of one endpoint share.

use std::sync::Arc;

use abeyance_settings::endpoint::EndpointConfig;

use super::Keeper;

/// What the holds of one endpoint share: where they belong and on which terms.
pub(crate) struct HoldConfig {
    pub(crate) keeper: Arc<Keeper>,
    /// The endpoint's place in the keeper's plan.
    pub(crate) endpoint: u32,
    pub(crate) endpoint_config: EndpointConfig,
}
