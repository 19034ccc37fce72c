//! What a server was given, and whether it can start with it.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::environment::Environment;
use super::handle::ServerHandle;
use super::start::StartError;
use crate::dispatch::cleanup::Cleanup;
use crate::dispatch::{Dispatch, Plan};
use crate::endpoint::check::{check, check_settings};
use crate::endpoint::record::Endpoint;
use crate::keeper::hub::Hub;
use crate::settings::{RESERVE, ServerConfig, ServerOptions};
use crate::socket::Listener;
use crate::socket::kernel::most_open_files;
use crate::socket::tcp::TcpAcceptor;
use abeyance_core::words::allowed_origins::OriginCheck;
use abeyance_core::words::retention::Rule;

const LISTEN: &str = "ABEYANCE_LISTEN";

/// What a server was given.
#[derive(Default)]
pub(super) struct Setup {
    pub(super) options: ServerOptions,
    pub(super) topics: Vec<Rule>,
    pub(super) origin_check: Option<OriginCheck>,
    pub(super) plan: Plan,
    pub(super) cleanup: Cleanup,
    pub(super) endpoints: Vec<&'static Endpoint>,
    pub(super) faults: Vec<String>,
}

impl Setup {
    pub(super) fn add(&mut self, endpoints: Vec<&'static Endpoint>) {
        for endpoint in endpoints {
            if !self.endpoints.iter().any(|known| std::ptr::eq(*known, endpoint)) {
                self.endpoints.push(endpoint);
            }
        }
    }

    /// Warns of a setting of where to listen that the call which starts the server overrides. No start error: the
    /// variable may be meant for another server of this process.
    pub(super) fn warn_of_listen(&self, call: &str) {
        let variable = std::env::var_os(LISTEN).map(|_| LISTEN);
        for said in variable.into_iter().chain(self.options.listen.as_ref().map(|_| "Server::listen")) {
            tracing::warn!(
                "`{said}` has no effect on `Server::{call}`, which listens where its argument says"
            );
        }
    }

    /// Everything that is wrong, or a server that can start.
    pub(super) fn check(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Ready, StartError> {
        let names: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.name).collect();
        let mut environment = Environment::read(variables, &names);
        self.faults.append(&mut environment.faults);
        self.check_endpoints(&environment);
        let faults = self.options.faults().into_iter();
        self.faults.extend(faults.map(|(key, fault)| format!("`Server::{}`: {fault}", key.as_str())));
        let Setup { options, topics, origin_check, plan, cleanup, mut faults, .. } = self;
        let options = environment.server.or(options);
        let server_config = fitting(ServerConfig { topics, origin_check, ..options.resolve() });
        let hub = plan.hub.clone();
        match Dispatch::new(server_config, plan) {
            Ok(dispatch) if faults.is_empty() => {
                let capacity = dispatch.server_config().max_connections;
                Ok(Ready { dispatch, hub, cleanup, capacity })
            }
            Ok(_) => Err(StartError::setup(faults)),
            Err(wrong) => {
                faults.extend(wrong.iter().map(ToString::to_string));
                Err(StartError::setup(faults))
            }
        }
    }

    /// Judges the endpoints, and gives them to the plan with what the environment says of each.
    fn check_endpoints(&mut self, environment: &Environment) {
        let connect_info = self.plan.introduction.as_ref().map(|connect_info| connect_info.type_name());
        let wrong = check(&self.endpoints, &self.plan.states, connect_info);
        self.faults.extend(wrong.iter().map(ToString::to_string));
        for endpoint in self.endpoints.drain(..) {
            let settings = environment.function(endpoint.name).or(endpoint.settings);
            // An operator who sets a variable may not know the source.
            let said = match environment.variables(endpoint.name) {
                [] => String::new(),
                variables => format!(" (with {} from the environment)", variables.join(", ")),
            };
            let wrong = check_settings(endpoint, &settings);
            self.faults.extend(wrong.iter().map(|fault| format!("{fault}{said}")));
            self.plan.endpoints.push((endpoint, settings));
        }
    }
}

/// The settings with bounds that fit this process; warns of those that were set higher.
fn fitting(mut server_config: ServerConfig) -> ServerConfig {
    let descriptors = most_open_files();
    for excess in server_config.fit(descriptors) {
        tracing::warn!(
            written = excess.written,
            fitting = excess.fitting,
            "`{}` is more than the limits of open files and connections allow",
            excess.key.as_str()
        );
    }
    if descriptors <= RESERVE {
        tracing::warn!(descriptors, "the limit of open files leaves room for a single hold");
    }
    server_config
}

/// A server whose setup was found to be right.
pub(super) struct Ready {
    dispatch: Arc<Dispatch>,
    hub: Hub,
    cleanup: Cleanup,
    /// How many connections there may be, held or not.
    capacity: usize,
}

impl Ready {
    pub(super) fn server_config(&self) -> &ServerConfig {
        self.dispatch.server_config()
    }

    pub(super) fn listen(self, listener: TcpListener) -> Result<ServerHandle, StartError> {
        let acceptor = TcpAcceptor::new(listener).map_err(StartError::listen)?;
        Ok(self.start(acceptor))
    }

    pub(super) fn start(self, listener: impl Listener) -> ServerHandle {
        ServerHandle::start(listener, self.dispatch, self.hub, self.cleanup, self.capacity)
    }
}

/// The variables of this process.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(text)
}

/// A variable whose value is no text cannot be a setting, but must not be passed over either.
fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
}
