//! Keys that belong to one component alone. Its file declares them, and one line of a group puts them among the flags, the
//! keys of a config and the recipe.

use crate::error::Result;
use crate::units::Percentile;
use serde::{Serialize, Serializer};

/// The keys of one component, or of a group of components.
pub trait OwnKeys {
    /// Whether each value, taken by itself, is one that the key can have.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] naming the first that is not.
    fn check(&self) -> Result<()>;

    /// Whether the keys that are given mean something in a job of `method` that steers to `target`, or to nothing.
    ///
    /// # Errors
    /// [`crate::error::Error::Key`] naming the first that does not.
    fn check_use(&self, method: &str, target: Option<Percentile>) -> Result<()>;

    /// The keys that mean something in a job that steers to `target`: where nothing is steered, one that only says how far
    /// to steer is dropped, and the job is plain sampling as it would be without it.
    #[must_use]
    fn used(&self, _target: Option<Percentile>) -> Self
    where
        Self: Clone,
    {
        self.clone()
    }

    /// The same with every default filled in, as a recipe records it.
    #[must_use]
    fn filled(&self) -> Self;
}

/// Serialises only the keys that have a value: a recipe has no others.
pub fn given<T: Serialize, S: Serializer>(keys: &T, to: S) -> Result<S::Ok, S::Error> {
    let keys = serde_json::to_value(keys).map_err(serde::ser::Error::custom)?;
    to.collect_map(keys.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()))
}

/// A group of components' own keys: one struct with a field for each component, whose keys are flags and keys of a config
/// side by side with all others.
macro_rules! own_keys {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $keys:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$doc])* #[command(flatten)] #[serde(flatten)] pub $field: $keys,)*
        }

        impl $crate::steer::own_keys::OwnKeys for $name {
            fn check(&self) -> $crate::error::Result<()> {
                $(self.$field.check()?;)*
                Ok(())
            }

            fn check_use(&self, method: &str, target: Option<$crate::units::Percentile>) -> $crate::error::Result<()> {
                $(self.$field.check_use(method, target)?;)*
                Ok(())
            }

            fn used(&self, target: Option<$crate::units::Percentile>) -> Self {
                Self { $($field: self.$field.used(target),)* }
            }

            fn filled(&self) -> Self {
                Self { $($field: self.$field.filled(),)* }
            }
        }
    };
}
pub(crate) use own_keys;
