//! Where models are looked for by name.

use super::shipped::{SHIPPED, Shipped};
use crate::error::{Error, Result, did_you_mean, shown};
use crate::store;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A place where models are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is, for people.
    pub about: &'static str,
    /// The folder that holds the models' folders; `None` for the program itself.
    pub folder: Option<PathBuf>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.folder {
            Some(folder) => write!(f, "{} ({})", shown(folder), self.about),
            None => f.write_str(self.about),
        }
    }
}

/// Every place, in the order in which they are searched. The first that has a model of the name is taken.
pub fn places() -> Vec<Place> {
    let place = |about, folder| Place { about, folder: Some(folder) };
    let variable = std::env::var_os("ISOLINE_MODELS").filter(|v| !v.is_empty());
    let beside = std::env::current_exe().ok().and_then(|p| Some(p.parent()?.join("models")));
    let here = std::path::absolute("models").unwrap_or_else(|_| "models".into());
    let mut found: Vec<Place> = Vec::new();
    let all = [
        variable.map(|v| place("ISOLINE_MODELS", v.into())),
        Some(place("in the current folder", here)),
        data_folder().map(|d| place("your own models", d.join("models"))),
        beside.map(|b| place("beside the program", b)),
        Some(Place { about: "built into the program", folder: None }),
    ];
    for place in all.into_iter().flatten() {
        if !found.iter().any(|p| p.folder == place.folder) {
            found.push(place);
        }
    }
    found
}

/// The user's data folder for this program: `isoline` in `$XDG_DATA_HOME`, else in `~/.local/share`, on Windows in
/// `%LOCALAPPDATA%`.
fn data_folder() -> Option<PathBuf> {
    user_folder("XDG_DATA_HOME", ".local/share")
}

/// The user's folder for what this program can make again: `isoline` in `$XDG_CACHE_HOME`, else in `~/.cache`, on Windows
/// `isoline/cache` in `%LOCALAPPDATA%`.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = user_folder("XDG_CACHE_HOME", ".cache")?;
    Some(if cfg!(windows) { folder.join("cache") } else { folder })
}

fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = path(variable).or_else(|| match cfg!(windows) {
        true => path("LOCALAPPDATA"),
        false => path("HOME").map(|home| home.join(below_home)),
    })?;
    Some(base.join("isoline"))
}

/// A model that can be asked for by its name.
pub struct KnownModel {
    /// The name.
    pub name: String,
    /// Where it was found.
    pub place: Place,
    /// Its folder; `None` for a model in the program that was not unpacked yet.
    pub folder: Option<PathBuf>,
    shipped: Option<&'static Shipped>,
}

impl KnownModel {
    fn in_folder(place: &Place, folder: PathBuf) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.to_owned();
        folder.join("card.toml").is_file().then_some(Self {
            name,
            place: place.clone(),
            folder: Some(folder),
            shipped: None,
        })
    }

    fn in_program(place: &Place, shipped: &'static Shipped) -> Self {
        let unpacked = data_folder().map(|d| shipped.folder(&d)).filter(|f| f.join("card.toml").is_file());
        Self { name: shipped.name.to_owned(), place: place.clone(), folder: unpacked, shipped: Some(shipped) }
    }

    /// The text of one of its files, such as `card.toml`.
    ///
    /// # Errors
    /// Those of reading a file; [`Error::Input`] if it is no UTF-8.
    pub fn text(&self, file: &str) -> Result<String> {
        let path = self.path(file);
        let bytes = match (&self.folder, self.shipped.and_then(|s| s.file(file))) {
            (None, Some(bytes)) => bytes.to_vec(),
            _ => store::read_bounded(&path, crate::limits::CONFIG_BYTES)?,
        };
        String::from_utf8(bytes).map_err(|_| Error::input(&path, "expected UTF-8 text"))
    }

    /// The path of one of its files; for a model in the program, from the model's name on.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| PathBuf::from(&self.name)).join(file)
    }

    /// The names of the folders of its rewards, sorted: `reward`, `reward-NAME`.
    pub fn rewards(&self) -> Vec<String> {
        let mut all: Vec<String> = match (&self.folder, self.shipped) {
            (None, Some(shipped)) => {
                shipped.files.iter().filter_map(|f| f.0.strip_suffix("/card.toml")).map(str::to_owned).collect()
            }
            (folder, _) => {
                let entries = folder.iter().flat_map(std::fs::read_dir).flatten().flatten();
                entries.filter_map(|e| e.file_name().into_string().ok()).collect()
            }
        };
        all.retain(|name| name == "reward" || name.starts_with("reward-"));
        all.sort();
        all
    }
}

/// Every model that can be asked for by its name, sorted. Of several with the same name, the one that is taken.
pub fn known_models() -> Vec<KnownModel> {
    let mut found: BTreeMap<String, KnownModel> = BTreeMap::new();
    for place in places() {
        let models: Vec<KnownModel> = match &place.folder {
            Some(folder) => {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                entries.filter_map(|e| KnownModel::in_folder(&place, e.path())).collect()
            }
            None => SHIPPED.iter().map(|s| KnownModel::in_program(&place, s)).collect(),
        };
        for model in models {
            found.entry(model.name.clone()).or_insert(model);
        }
    }
    found.into_values().collect()
}

/// The folder of a model that was given as a path or a name. A path must have a `card.toml`; a name is looked up in
/// [`places`]. A model that is part of the program is unpacked.
///
/// # Errors
/// [`Error::Input`], saying where it looked and suggesting a model that exists; [`Error::Io`] if a model cannot be
/// unpacked.
pub fn find_model(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.join("card.toml").is_file() {
        return Ok(path.to_owned());
    }
    if path.file_name().is_some_and(|f| f == "card.toml") && path.is_file() {
        return Ok(path.parent().unwrap_or(Path::new(".")).to_owned());
    }
    let places = places();
    if let (Err(rule), false) = (store::check_id(name), name.contains(['/', '\\'])) {
        let there = |p: &Place| p.folder.as_ref().map(|f| f.join(name)).filter(|f| f.join("card.toml").is_file());
        return Err(match places.iter().find_map(there) {
            Some(folder) => Error::input(folder, format!("{rule}; rename the folder, or give its path")),
            None => {
                let message = format!("no such model: not the path of a folder with a card.toml, and no name: {rule}");
                Error::input(name, message)
            }
        });
    }
    for place in &places {
        match &place.folder {
            Some(folder) if folder.join(name).join("card.toml").is_file() => return Ok(folder.join(name)),
            None => {
                if let Some(shipped) = SHIPPED.iter().find(|s| s.name == name) {
                    return shipped.unpack(data_folder().as_deref());
                }
            }
            Some(_) => {}
        }
    }
    let known = known_models();
    let names = known.iter().map(|k| k.name.as_str()).filter(|k| store::check_id(k).is_ok());
    let hint = did_you_mean(name, names.collect::<Vec<_>>());
    let folders = places.iter().filter(|p| p.folder.is_some()).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message = "no such model: expected a folder with a card.toml, or the name of a model; looked in";
    Err(Error::input(name, format!("{message} {folders}, and among those built into the program{hint}")))
}

/// What a plan stores so that workers started in another folder find the model: a name stays as it is, a path becomes
/// absolute.
///
/// # Errors
/// [`Error::Io`] when the current folder cannot be determined.
pub fn anchored_model(name: &str) -> Result<String> {
    let path = Path::new(name);
    if !path.join("card.toml").is_file() && !path.is_file() {
        return Ok(name.to_owned());
    }
    let found = std::path::absolute(path).map_err(|e| Error::io(path, "find", e))?;
    Ok(found.to_str().unwrap_or(name).to_owned())
}
