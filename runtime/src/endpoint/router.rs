//! Which function a path belongs to.

use std::sync::Arc;

use super::check::StartFault;
use super::extract::Captures;
use super::record::Endpoint;

/// The paths of all functions.
#[derive(Debug, Default)]
pub(crate) struct Router {
    table: matchit::Router<usize>,
    /// The names of each endpoint's captures, shared by all its requests.
    names: Vec<Vec<Arc<str>>>,
}

impl Router {
    /// A table that gives the place of an endpoint in `endpoints`.
    ///
    /// # Errors
    /// All paths that stand there twice, or that cannot be told from another, with both places.
    pub(crate) fn new(endpoints: &[&Endpoint]) -> Result<Self, Vec<StartFault>> {
        let mut router = Router::default();
        let mut faults = Vec::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            router.names.push(capture_names(endpoint.path));
            if let Err(fault) = router.table.insert(endpoint.path, index) {
                faults.push(conflict(endpoint, &endpoints[..index], &fault));
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

fn conflict(endpoint: &Endpoint, before: &[&Endpoint], fault: &matchit::InsertError) -> StartFault {
    let path = endpoint.path;
    let matchit::InsertError::Conflict { with } = fault else {
        return StartFault::new(format!("{endpoint}: the path `{path}` cannot be read: {fault}"));
    };
    let others = before.iter().filter(|other| other.path == with);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    let others = if others.is_empty() { String::from("another function") } else { others.join(" and ") };
    StartFault::new(if with == path {
        format!("{endpoint} and {others} both have the path `{path}`")
    } else {
        format!("{endpoint} has the path `{path}`, which cannot be told from `{with}` of {others}")
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
    use super::super::record::tests::endpoint;
    use super::*;

    fn told(endpoints: &[&Endpoint]) -> Vec<String> {
        let faults = Router::new(endpoints).expect_err("a conflict");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_path_finds_its_function_and_captures() {
        let room = endpoint("room", "/rooms/{room}", 1);
        let seat = endpoint("seat", "/rooms/{room}/seat-{seat}.json", 2);
        let files = endpoint("files", "/files/{*rest}", 3);
        let braces = endpoint("braces", "/{{x}}/{y}", 4);
        let router = Router::new(&[&room, &seat, &files, &braces]).expect("no conflict");
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
