//! `steer-report`: compares the novelty asked for with the novelty measured, method by method.

mod bootstrap;
mod entries;
mod evaluation;
mod figures;
mod misses;
mod page;
mod recipe;
mod row;
mod tiles;

pub use bootstrap::{DRAWS, intervals};
pub use evaluation::{SteeredEvaluation, SteeredSet};
pub use figures::{ComparisonReport, HeldOutFigures, MethodFigures};
pub use misses::Misses;
pub use page::{EVALUATED, LEFT_OUT};
pub use row::TrialRow;

use super::seeds;
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::{Classifier, find_model};
use crate::limits;
use crate::progress::Progress;
use crate::run::{Drive, Work};
use crate::steer::Engine;
use crate::store;
use std::path::{Path, PathBuf};

/// A comparison of methods that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Comparison {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Reward beside the model's own, by its name; see isoline list rewards
    #[arg(long, value_name = "NAME")]
    pub reward: Option<String>,
    /// Methods and guides to compare; search takes gradient along, whose evaluations are its budget [default: all that fit
    /// the model]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub methods: Vec<String>,
    /// Seeds, as in 0-255
    #[arg(long, value_name = "LIST", default_value = "0-63")]
    pub seeds: String,
    /// Percentiles to ask for
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5,25,50,75,95")]
    pub novelty: Vec<f64>,
    /// Most corrections by measurement in the closed loop [default: 24]
    #[arg(long, value_name = "N", value_parser = corrections)]
    pub corrections: Option<usize>,
    /// Steps of the open loop [default: 48; 12 for diffusion models]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Tells whether pictures keep their class: folder of a card of the family classifier
    #[arg(long, value_name = "DIR")]
    pub classifier: Option<String>,
    /// Compare the pictures of each method and level as sets with unguided ones too: precision, recall, density, coverage
    /// and Fréchet distances
    #[arg(long)]
    pub evaluate: bool,
    /// What pictures are compared by then: pixels, or the folder of a classifier [default: pixels]
    #[arg(long, value_name = "WHAT", requires = "evaluate")]
    pub features: Option<String>,
    /// Real pictures to compare them with too, as many as there are seeds: a folder or .zip, an IDX file or a run folder
    #[arg(long, value_name = "PATH", requires = "evaluate")]
    pub real: Option<PathBuf>,
    /// Samples per tile
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub tile: usize,
}

fn corrections(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(|| "expected 1 to 64".to_owned())
}

/// What a comparison of nothing but the model has: the defaults of its flags.
const USUAL: (&str, &[f64], usize) = ("0-63", &[5.0, 25.0, 50.0, 75.0, 95.0], 16);

impl Comparison {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        if let Some(n) = self.novelty.iter().find(|n| !(0.0..=100.0).contains(*n)) {
            return Err(Error::key("novelty", format!("expected a percentile from 0 to 100, found {n}")));
        }
        if let Some(twice) = self.novelty.iter().enumerate().find(|(i, n)| self.novelty[..*i].contains(n)) {
            return Err(Error::key("novelty", format!("{} stands there twice; give each level once", twice.1)));
        }
        if !(1..=limits::TILE).contains(&self.tile) {
            return Err(Error::key("tile", format!("expected 1 to {}, found {}", limits::TILE, self.tile)));
        }
        if let Some(steps) = self.steps.filter(|n| !(1..=limits::STEPS).contains(n)) {
            return Err(Error::key("steps", format!("expected 1 to {}, found {steps}", limits::STEPS)));
        }
        seeds("seeds", &self.seeds)?;
        self.reward.as_ref().map_or(Ok(()), |name| store::check_id(name).map_err(|m| Error::key("reward", m)))
    }

    /// What an evaluation takes beside the comparison, in a sentence; `None` where none is asked for.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn more(&self) -> Result<Option<String>> {
        let n = seeds("seeds", &self.seeds)?.len();
        let text = format!(
            "the evaluation takes {} unguided pictures more, {n} of these seeds and {n} of others; samples whose pictures were not \
             kept are steered again",
            2 * n
        );
        Ok(self.evaluate.then_some(text))
    }

    /// The folder of this comparison where none is given, below `runs`: named after model and reward, and by six digits
    /// more where anything else is asked for than usual, so that no two comparisons share one. Those of other methods
    /// alone do, and keep each other's tiles.
    pub fn folder(&self) -> PathBuf {
        let model = Path::new(&self.model).file_name().map_or("model".into(), |n| n.to_string_lossy().into_owned());
        let reward = self.reward.as_ref().map_or(String::new(), |name| format!("-{name}"));
        let (seeds, levels, tile) = USUAL;
        let usual = self.seeds == seeds && self.novelty == levels && self.tile == tile && self.classifier.is_none();
        let own = match usual && self.corrections.is_none() && self.steps.is_none() {
            true => String::new(),
            false => {
                let asked = format!(
                    "{} {:?} {} {:?} {:?} {:?}",
                    self.seeds, self.novelty, self.tile, self.corrections, self.steps, self.classifier
                );
                format!("-{:.6}", store::sha256_hex(asked.as_bytes()))
            }
        };
        PathBuf::from(format!("runs/steer-report-{model}{reward}{own}"))
    }

    /// Steers every seed to every level with every method, and measures what was reached. Each finished tile is kept in
    /// `folder`, where the same comparison goes on after a stop.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the device and the disk, [`Error::Config`] if the folder holds
    /// another comparison, or a stop.
    pub fn run(
        &self,
        folder: &Path,
        (name, device): (DeviceName, Device),
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<ComparisonReport> {
        self.check()?;
        let model = find_model(&self.model)?;
        store::create_dir(folder)?;
        let _lock = store::Lock::exclusive(&folder.join("run.lock"))?;
        let engine = Engine::load(&model, self.reward.as_deref(), &device)?;
        let load = |name: &str| Classifier::load(&find_model(name)?, &device);
        let classifier = self.classifier.as_deref().map(load).transpose()?;
        let spec = engine.generator.spec();
        let count = seeds("seeds", &self.seeds)?.len();
        let evaluator = evaluation::Evaluator::open(self, spec.sample_shape, count, &device)?;
        let tiles = tiles::Tiles::new(self, (engine, classifier), name, folder)?;
        tiles.claim()?;
        tiles.folders().iter().try_for_each(|f| store::remove_unfinished(f).map(|_| ()))?;
        // It is continued by its own command, so it leaves no plan and therefore no events.
        let drive = Drive { folder: Some(folder), ..Drive::new("steering", progress, cancel) };
        drive.run(&tiles, &mut *tiles.maker((name, device)))?;
        let evaluation = evaluator.map(|e| e.run(&tiles, progress, cancel)).transpose()?;
        Ok(ComparisonReport { evaluation, ..tiles.report()? })
    }
}
