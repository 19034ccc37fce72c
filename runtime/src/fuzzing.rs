//! What `abeyance-fuzz` reads with, and users never see: the routes of paths, and the environment.

use http::Request;
use http::request::Parts;
use ipnet::IpNet;

use crate::endpoint::router::Router;
use crate::server::environment::Environment;
use crate::settings::ServerConfig;
use crate::settings::{Networks, Origins};
use abeyance_settings::amount::Misread;
use abeyance_settings::endpoint::EndpointOptions;

/// The paths of endpoints.
#[derive(Debug)]
pub struct Routes(Router);

/// What variables said.
#[derive(Debug)]
pub struct Variables(Environment);

impl Routes {
    /// # Errors
    /// Why these paths cannot stand beside one another.
    pub fn new(paths: &[&str]) -> Result<Self, Vec<String>> {
        let named: Vec<_> = paths.iter().map(|path| (*path, path)).collect();
        Router::new(&named).map(Routes).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    /// The place of the pattern that this path has, and the head of a request from which `Path` takes its captures.
    pub fn at(&self, path: &str) -> Option<(usize, Parts)> {
        let (index, captures) = self.0.at(path)?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.extensions.insert(captures);
        Some((index, parts))
    }
}

impl Variables {
    /// Reads variables, for functions of these names.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>, functions: &[&str]) -> Self {
        Variables(Environment::read(variables, functions))
    }

    /// One line for each variable that cannot be meant.
    pub fn faults(&self) -> &[String] {
        &self.0.faults
    }

    /// What was said of one function.
    pub fn function(&self, name: &str) -> EndpointOptions {
        self.0.function(name)
    }

    /// The server's settings that follow, where a process may have so many descriptors; or what is wrong with them.
    ///
    /// # Errors
    /// One line for each setting that cannot be meant.
    pub fn resolve(self, descriptors: usize) -> Result<ServerConfig, Vec<String>> {
        let faults = self.0.server.faults();
        if !faults.is_empty() {
            return Err(faults.iter().map(|(key, fault)| format!("{}: {fault}", key.as_str())).collect());
        }
        let mut server_config = self.0.server.resolve();
        server_config.fit(descriptors);
        Ok(server_config)
    }
}

/// Reads an allowed origin, as browsers write it.
///
/// # Errors
/// Why it is none.
pub fn origin(text: &str) -> Result<String, Misread> {
    Origins::read_one(text)
}

/// Reads a network of trusted proxies.
///
/// # Errors
/// Why it is none.
pub fn network(text: &str) -> Result<IpNet, Misread> {
    Networks::read_one(text)
}
