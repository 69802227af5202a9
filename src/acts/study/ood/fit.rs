//! What is usual, learnt from pictures of the distribution alone.

use super::measure::over;
use crate::acts::study::dimension::{Pictures, data_set, diffusion};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::progress::Progress;
use crate::steer::guard::{FitFile, LEAST, Measures};
use std::path::PathBuf;

/// A fit that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Fit {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Pictures of the distribution, best some that the model was not trained on: an IDX file, or a folder or .zip of pictures
    #[arg(long, value_name = "PATH")]
    pub train: PathBuf,
    /// Places in the set
    #[arg(long, value_name = "LIST", default_value = "0-199")]
    pub seeds: String,
    /// How the numbers are measured.
    #[command(flatten)]
    pub measures: Measures,
}

impl Fit {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        self.measures.check()?;
        let count = self.pictures().seeds()?.len();
        match count < LEAST {
            true => {
                Err(Error::key("seeds", format!("{count} pictures, expected at least {LEAST} to learn what is usual")))
            }
            false => Ok(()),
        }
    }

    fn pictures(&self) -> Pictures {
        Pictures { seeds: self.seeds.clone(), pictures: Some(self.train.clone()), probes: self.measures.probes }
    }

    /// Measures the pictures.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the pictures and the device; [`Error::SamplesNotFinite`]; a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<FitFile> {
        self.check()?;
        let sampler = diffusion(&self.model, device)?;
        let spec = sampler.spec();
        let data_sha256 = data_set(&self.train, spec.sample_shape)?.sha256();
        let (_, pairs) = over(&self.measures, (&sampler, &self.pictures()), "what is usual", progress, cancel)?;
        let count = pairs.iter().filter(|p| !p.is_finite()).count();
        if count > 0 {
            return Err(Error::SamplesNotFinite { count, total: pairs.len() });
        }
        Ok(FitFile {
            format: FitFile::FORMAT,
            model: spec.id.clone(),
            model_sha256: sampler.model_sha256().to_owned(),
            data_sha256,
            measures: self.measures.clone(),
            pairs,
        })
    }
}
