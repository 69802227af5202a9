//! The keys of an act as flags: the same struct, of which only the keys that were typed count.

use crate::error::{Error, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::Serialize;

/// Keys, together with the names of those that were typed.
#[derive(Debug)]
pub struct Flags<K> {
    keys: Box<K>,
    typed: Vec<String>,
}

impl<K: Serialize> Flags<K> {
    /// The value of a flag, if it was typed.
    pub fn typed<'a, T: ?Sized>(&'a self, key: &str, value: impl FnOnce(&'a K) -> &'a T) -> Option<&'a T> {
        self.typed.iter().any(|k| k == key).then(|| value(&self.keys))
    }

    /// All keys, as typed or at their defaults.
    pub fn keys(&self) -> &K {
        &self.keys
    }

    /// The typed keys as a table, as they would stand in a config.
    ///
    /// # Errors
    /// [`Error::Bug`] for a path that is not UTF-8.
    pub fn table(&self) -> Result<toml::Table> {
        let mut table = toml::Table::try_from(&self.keys).map_err(|e| Error::Bug(e.to_string()))?;
        table.retain(|key, _| self.typed.iter().any(|k| k == key));
        Ok(table)
    }
}

impl<K: Args + Default> Args for Flags<K> {
    fn augment_args(command: Command) -> Command {
        // None of the flags is required: a key that is not typed may stand in a config.
        K::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        K::augment_args_for_update(command)
    }
}

impl<K: FromArgMatches + Default> FromArgMatches for Flags<K> {
    fn from_arg_matches(found: &ArgMatches) -> Result<Self, clap::Error> {
        let mut keys = Box::<K>::default();
        keys.update_from_arg_matches(found)?;
        let typed =
            found.ids().map(clap::Id::as_str).filter(|id| found.value_source(id) == Some(ValueSource::CommandLine));
        Ok(Self { keys, typed: typed.map(str::to_owned).collect() })
    }

    fn update_from_arg_matches(&mut self, found: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(found)?;
        Ok(())
    }
}
