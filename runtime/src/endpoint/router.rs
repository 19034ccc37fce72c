//! Which function a path belongs to.

use std::fmt::Display;
use std::sync::Arc;

use super::check::StartFault;
use super::extract::Captures;

/// The paths of all functions.
#[derive(Debug, Default)]
pub(crate) struct Router {
    table: matchit::Router<usize>,
    /// The names of each endpoint's captures, shared by all its requests.
    names: Vec<Vec<Arc<str>>>,
}

impl Router {
    /// A table that gives the place of an endpoint in `endpoints`, which have paths and names.
    ///
    /// # Errors
    /// All paths that stand there twice, or that cannot be told from another, with both names.
    pub(crate) fn new<N: Display>(endpoints: &[(&str, N)]) -> Result<Self, Vec<StartFault>> {
        let mut router = Router::default();
        let mut faults = Vec::new();
        for (index, (path, name)) in endpoints.iter().enumerate() {
            router.names.push(capture_names(path));
            if let Err(fault) = router.table.insert(*path, index) {
                faults.push(conflict(path, name, &endpoints[..index], &fault));
            }
        }
        if faults.is_empty() { Ok(router) } else { Err(faults) }
    }

    /// The place of the endpoint of this path, as it stood in the request line (without the query), and the captures.
    pub(crate) fn at(&self, path: &str) -> Option<(usize, Captures)> {
        let matched = self.table.at(path).ok()?;
        let index = *matched.value;
        let captured = self.names[index].iter().filter_map(|name| {
            let value = matched.params.get(&**name)?;
            Some((name.clone(), value.to_owned()))
        });
        Some((index, Captures::new(captured.collect())))
    }
}

fn conflict<N: Display>(
    path: &str,
    name: &N,
    before: &[(&str, N)],
    fault: &matchit::InsertError,
) -> StartFault {
    let matchit::InsertError::Conflict { with } = fault else {
        return StartFault::new(format!("{name}: the path `{path}` cannot be read: {fault}"));
    };
    let others = before.iter().filter(|(other, _)| other == with);
    let others: Vec<String> = others.map(|(_, other)| other.to_string()).collect();
    let others = if others.is_empty() { String::from("another function") } else { others.join(" and ") };
    StartFault::new(if with == path {
        format!("{name} and {others} both have the path `{path}`")
    } else {
        format!("{name} has the path `{path}`, which cannot be told from `{with}` of {others}")
    })
}

/// The names within single braces; doubled braces stand for themselves.
fn capture_names(path: &str) -> Vec<Arc<str>> {
    let plain = path.replace("{{", "").replace("}}", "");
    let pieces = plain.split('{').skip(1).filter_map(|piece| piece.split('}').next());
    pieces.map(|name| Arc::from(name.trim_start_matches('*'))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::Endpoint;
    use super::super::record::tests::endpoint;
    use super::*;

    fn router(endpoints: &[&Endpoint]) -> Result<Router, Vec<StartFault>> {
        Router::new(&endpoints.iter().map(|endpoint| (endpoint.path, endpoint)).collect::<Vec<_>>())
    }

    fn told(endpoints: &[&Endpoint]) -> Vec<String> {
        let faults = router(endpoints).expect_err("a conflict");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_path_finds_its_function_and_captures() {
        let room = endpoint("room", "/rooms/{room}", 1);
        let seat = endpoint("seat", "/rooms/{room}/seat-{seat}.json", 2);
        let files = endpoint("files", "/files/{*rest}", 3);
        let braces = endpoint("braces", "/{{x}}/{y}", 4);
        let router = router(&[&room, &seat, &files, &braces]).expect("no conflict");
        let at = |path| router.at(path).map(|(index, captures)| (index, captures.pairs()));
        assert_eq!(at("/rooms/a%20b"), Some((0, vec![("room", "a%20b")].into_iter().map(own).collect())));
        let both = vec![("room", "1"), ("seat", "2")].into_iter().map(own).collect();
        assert_eq!(at("/rooms/1/seat-2.json"), Some((1, both)));
        assert_eq!(at("/files/a/b"), Some((2, vec![own(("rest", "a/b"))])));
        assert_eq!(at("/{x}/1"), Some((3, vec![own(("y", "1"))])));
        assert_eq!(at("/rooms"), None);
    }

    fn own((name, value): (&str, &str)) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn the_same_path_twice_is_told_with_both_places() {
        let told = told(&[&endpoint("one", "/a", 1), &endpoint("two", "/a", 9)]);
        assert_eq!(told, ["src/main.rs:9: `two` and src/main.rs:1: `one` both have the path `/a`"]);
    }

    #[test]
    fn paths_that_cannot_be_told_apart_are_told_with_both_places() {
        let told = told(&[&endpoint("one", "/{a}/x", 1), &endpoint("two", "/{*b}", 9)]);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("`/{*b}`") && told[0].contains("src/main.rs:1: `one`"), "{told:?}");
    }
}
