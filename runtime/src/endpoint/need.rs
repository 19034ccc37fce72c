//! What a function's argument needs of the server, found by its type and not by how it is spelt.
//!
//! An inherent constant wins over a trait's. So `Probe::<T>::NEED` is the inherent one where `T` is our `State<_>`,
//! through aliases and renames too, and the trait's for every other type, a foreign `State<_>` included.

use std::any::{TypeId, type_name};
use std::marker::PhantomData;

use super::extract::{Extractor, Path, State};

/// A state that an argument needs.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

/// Asks a type what it needs.
pub struct Probe<T>(PhantomData<T>);

impl<T: 'static> Probe<State<T>> {
    /// The state.
    pub const NEED: Option<Need> = Some(Need { id: TypeId::of::<T>, name: type_name::<T> });
}

impl<T> Probe<State<T>> {
    /// It is our `State`, of any type.
    pub const IS_STATE: bool = true;
}

impl<T: Extractor> Probe<T> {
    /// It can be an argument.
    pub const IS_EXTRACTOR: bool = true;
}

impl<T> Probe<Path<T>> {
    /// The captures of the path.
    pub const TAKES_CAPTURES: bool = true;
}

/// What a type needs that is not ours.
pub trait Unknown {
    /// No state.
    const NEED: Option<Need> = None;
    /// It is not our `State`.
    const IS_STATE: bool = false;
    /// It cannot be an argument.
    const IS_EXTRACTOR: bool = false;
    /// No captures.
    const TAKES_CAPTURES: bool = false;
}

impl<T> Unknown for Probe<T> {}

impl Need {
    pub(crate) fn id(&self) -> TypeId {
        (self.id)()
    }

    pub(crate) fn name(&self) -> &'static str {
        (self.name)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Alias = State<u32>;

    #[test]
    fn a_need_is_seen_through_an_alias_and_only_where_it_is() {
        assert_eq!(Probe::<Alias>::NEED.map(|need| need.name()), Some("u32"));
        assert!(Probe::<Path<u32>>::NEED.is_none());
        assert!(Probe::<u32>::NEED.is_none());
        const { assert!(Probe::<Path<u32>>::TAKES_CAPTURES && !Probe::<Alias>::TAKES_CAPTURES) }
    }
}
