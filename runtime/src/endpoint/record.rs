//! The record that an annotation leaves of its function, collected over the whole program.

use std::any::TypeId;
use std::fmt;

use http::request::Parts;

use super::answer::Answer;
use super::need::Need;
use super::states::States;
use super::suspension::Suspension;
use super::{BoxFuture, Response};
use abeyance_settings::endpoint::EndpointOptions;

/// One annotated function. Generated code fills it in; all fields are constants.
#[derive(Debug)]
pub struct Endpoint {
    /// The function's name.
    pub name: &'static str,
    /// The module it stands in.
    pub module: &'static str,
    /// The path, as matchit reads it.
    pub path: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the annotation.
    pub line: u32,
    /// What was written in the annotation.
    pub settings: EndpointOptions,
    /// What each argument needs.
    pub needs: &'static [Option<Need>],
    /// The name of each argument's type.
    pub arguments: &'static [fn() -> &'static str],
    /// The function's own type, which tells it from every other.
    pub identity: fn() -> TypeId,
    /// Extracts the arguments and runs the function.
    pub run: fn(Parts, States) -> BoxFuture<'static, Result<Suspension, Response>>,
}

inventory::collect!(Endpoint);

impl Endpoint {
    /// All that were linked into the program, by path, then by place.
    pub(crate) fn all() -> Vec<&'static Endpoint> {
        let mut all: Vec<_> = inventory::iter::<Endpoint>.into_iter().collect();
        all.sort_by_key(|endpoint| (endpoint.path, endpoint.file, endpoint.line));
        all
    }

    /// Those of one function, by path; several if it was annotated several times, none if never.
    pub(crate) fn of<F: 'static>() -> Vec<&'static Endpoint> {
        let mut all = Endpoint::all();
        all.retain(|endpoint| (endpoint.identity)() == TypeId::of::<F>());
        all
    }
}

/// The place and the name: ``src/main.rs:28: `enter` ``.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}`", self.file, self.line, self.name)
    }
}

/// A function that can be mounted: an async one that returns what `#[suspend]` functions return. Whether it is annotated
/// is known at start. `M` stands for its signature.
///
/// It has at most sixteen arguments, since each number of them is written out below; `Server::mount_all` takes any.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be mounted: it is no `#[suspend]` function",
    label = "expected the name of a `#[suspend]` function",
    note = "write the function's name alone, without calling it: `mount(enter)`",
    note = "what is not held is for `Server::fallback`"
)]
pub trait Mountable<M>: 'static {}

macro_rules! mountable {
    ($($argument:ident)*) => {
        impl<F, R, O, $($argument,)*> Mountable<(O, fn($($argument,)*) -> R)> for F
        where
            F: Fn($($argument,)*) -> R + 'static,
            R: Future<Output: Answer<O>>,
        {
        }
    };
}

macro_rules! mountable_to {
    () => { mountable!(); };
    ($first:ident $($argument:ident)*) => {
        mountable!($first $($argument)*);
        mountable_to!($($argument)*);
    };
}

mountable_to!(A B C D E G H I J K L N P Q S T);

/// The type of a function, which no other function shares; an address might be shared by two with the same body.
pub fn identity<F: 'static>(_: &F) -> TypeId {
    TypeId::of::<F>()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::answer::Answer;
    use super::super::suspend::Suspend;
    use super::*;

    /// A record as an annotation would leave it.
    pub(crate) const fn endpoint(name: &'static str, path: &'static str, line: u32) -> Endpoint {
        Endpoint {
            name,
            module: "app",
            path,
            file: "src/main.rs",
            line,
            settings: EndpointOptions::NONE,
            needs: &[],
            arguments: &[],
            identity: || TypeId::of::<()>(),
            run: |_, _| Box::pin(async { Suspend::new().answer() }),
        }
    }
}
