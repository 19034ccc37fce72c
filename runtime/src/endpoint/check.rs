//! What can only be known at start: whether the server was given what the functions take.

use std::fmt;

use super::record::Endpoint;
use super::states::States;
use abeyance_settings::endpoint::{Contradiction, EndpointOptions};

/// Why the server cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartFault(String);

/// Extractors of axum that read what only axum's own router puts into a request.
const OF_AXUM: [(&str, &str); 5] = [
    ("axum::extract::path::Path<", "take `abeyance::extract::Path`"),
    ("axum::extract::path::RawPathParams", "take `abeyance::extract::Path`"),
    ("axum::extract::matched_path::MatchedPath", "there is no router of axum before a held connection"),
    ("axum::extract::nested_path::NestedPath", "there is no router of axum before a held connection"),
    (
        "axum::extract::connect_info::ConnectInfo<",
        "take `abeyance::extract::ClientIp`, or give it with `Server::connect_info`",
    ),
];

/// Everything these functions take that the server cannot give; empty if all is well. `introduced` is the name of the type
/// that `Server::connect_info` makes.
pub(crate) fn check(endpoints: &[&Endpoint], states: &States, introduced: Option<&str>) -> Vec<StartFault> {
    let mut faults = Vec::new();
    for endpoint in endpoints {
        for need in endpoint.needs.iter().flatten().filter(|need| !states.knows(need.id())) {
            let name = need.name();
            faults.push(StartFault(format!(
                "{endpoint} takes `State<{name}>`, and no `Server::state` gave it"
            )));
        }
        for argument in endpoint.arguments {
            let name = argument();
            if introduced == Some(name) {
                continue;
            }
            if let Some((_, cure)) = OF_AXUM.iter().find(|(path, _)| name.starts_with(path)) {
                faults.push(StartFault(format!(
                    "{endpoint} takes `{name}`, which only works in routes of axum; {cure}"
                )));
            }
        }
    }
    faults
}

/// Judges a function's settings again, after the environment has had its say.
pub(crate) fn check_settings(endpoint: &Endpoint, settings: &EndpointOptions) -> Vec<StartFault> {
    settings.contradictions().iter().map(|found| StartFault::contradiction(endpoint, found)).collect()
}

impl StartFault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        StartFault(text.into())
    }

    pub(crate) fn contradiction(endpoint: &Endpoint, contradiction: &Contradiction) -> Self {
        StartFault(format!("{endpoint}: {contradiction}"))
    }
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartFault {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::extract::State;
    use super::super::need::{Probe, Unknown as _};
    use super::super::record::tests::endpoint;
    use super::*;

    #[test]
    fn a_missing_state_names_the_function_and_the_type() {
        let stateful = Endpoint {
            needs: &[Probe::<State<u32>>::NEED, Probe::<String>::NEED],
            ..endpoint("stateful", "/", 28)
        };
        let faults = check(&[&stateful], &States::default(), None);
        let told = "src/main.rs:28: `stateful` takes `State<u32>`, and no `Server::state` gave it";
        assert_eq!(faults, [StartFault::new(told)]);
        assert_eq!(check(&[&stateful], &States::default().with(1_u32), None), []);
    }

    #[test]
    fn extractors_that_only_axum_can_serve_are_told_at_start() {
        let foreign = Endpoint {
            arguments: &[
                || "axum::extract::path::Path<alloc::string::String>",
                || "core::option::Option<axum::extract::matched_path::MatchedPath>",
                || "axum::extract::connect_info::ConnectInfo<core::net::socket_addr::SocketAddr>",
            ],
            ..endpoint("foreign", "/", 1)
        };
        let faults = check(&[&foreign], &States::default(), None);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].to_string().ends_with("take `abeyance::extract::Path`"));
    }

    #[test]
    fn settings_are_judged_again_at_start() {
        let settings =
            EndpointOptions { heartbeat: Some(Some(Duration::from_secs(600))), ..EndpointOptions::NONE };
        let faults = check_settings(&endpoint("late", "/", 3), &settings);
        assert!(faults[0].to_string().starts_with("src/main.rs:3: `late`: `heartbeat` (10m)"), "{faults:?}");
    }
}
