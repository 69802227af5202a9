//! The rewards that lie in a model's folder, as far as a change of the model concerns them.

use crate::error::Result;
use crate::store;
use std::path::Path;

use super::Card;

/// The names of the folders of rewards in `folder`, sorted: `reward`, `reward-NAME`.
pub fn rewards(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|e| e.path().join("card.toml").is_file())
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name == "reward" || name.starts_with("reward-"))
        .collect();
    names.sort();
    names
}

/// Those of them that were taught on another model than the one in `folder` now, and so are refused with it.
///
/// # Errors
/// When the model's card cannot be read.
pub fn other_rewards(folder: &Path) -> Result<Vec<String>> {
    let mut names = rewards(folder);
    if names.is_empty() {
        return Ok(names);
    }
    let own = Card::read(&folder.join("card.toml"))?.model_sha256()?;
    let taught_on = |name: &String| {
        let card = store::read_toml::<toml::Table>(&folder.join(name).join("card.toml")).ok()?.0;
        Some(card.get("model_sha256")?.as_str()?.to_owned())
    };
    names.retain(|name| taught_on(name).as_ref() != Some(&own));
    Ok(names)
}
