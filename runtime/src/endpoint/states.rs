//! The application's own values, one for each type, that functions take as `State<T>`.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use abeyance_core::sync::foreign::Foreign;

/// What the server was given with `Server::state`. Cloning it shares the values.
///
/// It is the state type of every extractor in a `#[suspend]` function. Extractors written for axum that ask for
/// `FromRef` find theirs when you write one `impl FromRef<States> for T`:
///
/// ```
/// use abeyance::extract::{FromRef, States};
///
/// #[derive(Clone)]
/// struct Db;
///
/// impl FromRef<States> for Db {
///     fn from_ref(states: &States) -> Db {
///         states.find::<Db>().cloned().expect("main gives it to the server")
///     }
/// }
/// ```
#[derive(Clone, Default)]
pub struct States(Arc<HashMap<TypeId, Foreign<Arc<dyn Any + Send + Sync>>>>);

impl States {
    /// The value of this type, if the server was given one.
    pub fn find<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// These values and one more; it replaces one of the same type.
    pub(crate) fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.0).insert(TypeId::of::<T>(), Foreign::new(Arc::new(value)));
        self
    }

    pub(crate) fn knows(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_type() {
        let states = States::default().with(7_u32).with("seven");
        assert_eq!(states.find::<u32>(), Some(&7));
        assert_eq!(states.find::<&str>(), Some(&"seven"));
        assert_eq!(states.find::<u64>(), None);
        let changed = states.clone().with(8_u32);
        assert_eq!((states.find(), changed.find()), (Some(&7_u32), Some(&8_u32)));
    }
}
