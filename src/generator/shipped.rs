//! The models that are part of the program, so that it works wherever it was copied to. A network is read from files, so
//! a model is put into the user's data folder when it is first asked for.

use crate::error::{Error, Result};
use crate::store;
use std::path::{Path, PathBuf};

/// A model in the program.
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Path below the model's folder, and content, of each file.
    pub files: &'static [(&'static str, &'static [u8])],
}

/// `name: files`, each from `models/NAME/FILE`.
macro_rules! shipped {
    ($($name:literal: $($file:literal)*;)*) => {
        &[$(Shipped { name: $name, files: &[$((
            $file,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $name, "/", $file)),
        )),*] }),*]
    };
}

/// Every generator below `models/`; a test compares the two. A classifier and an autoencoder, the first stage of other models,
/// are read from their folders.
pub static SHIPPED: &[Shipped] = shipped! {
    "digits-diffusion":
        "card.toml" "weights.safetensors"
        "reward/calibration.safetensors" "reward/card.toml" "reward/report.json" "reward/reward.safetensors"
        "reward-denoiser/calibration.safetensors" "reward-denoiser/card.toml" "reward-denoiser/report.json"
        "reward-denoiser/reward.safetensors";
    "digits-gan":
        "card.toml" "weights.safetensors"
        "reward/calibration.safetensors" "reward/card.toml" "reward/report.json" "reward/reward.safetensors";
    "digits-vae":
        "card.toml" "weights.safetensors"
        "reward/calibration.safetensors" "reward/card.toml" "reward/report.json" "reward/reward.safetensors";
    "peeps":
        "card.toml" "weights.safetensors"
        "reward/calibration.safetensors" "reward/card.toml" "reward/report.json" "reward/reward.safetensors";
    "peeps-diffusion":
        "card.toml" "weights.safetensors";
    "showers":
        "card.toml" "weights.safetensors";
};

impl Shipped {
    /// The content of a file.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|f| f.0 == name).map(|f| f.1)
    }

    /// Where the model stands once it was unpacked below `data`. The name of the folder above it changes with the
    /// content, so that another version of the program unpacks its own.
    pub fn folder(&self, data: &Path) -> PathBuf {
        let hashes: String = self.files.iter().map(|f| format!("{} {}\n", store::sha256_hex(f.1), f.0)).collect();
        data.join("built-in").join(&store::sha256_hex(hashes.as_bytes())[..12]).join(self.name)
    }

    /// The folder of the model below `data`, which is filled when it does not exist yet.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such folder, or it cannot be written to.
    pub fn unpack(&self, data: Option<&Path>) -> Result<PathBuf> {
        let Some(data) = data else {
            let why =
                "HOME is not set, and the model has to be unpacked somewhere; set XDG_DATA_HOME or ISOLINE_MODELS";
            return Err(Error::io(self.name, "unpack", std::io::Error::other(why)));
        };
        let folder = self.folder(data);
        if !folder.join("card.toml").is_file() {
            store::create_folder(&folder, self.files)?;
        }
        Ok(folder)
    }
}
