//! Labels: quantities measured at a model's own samples, from which a reward is trained.

use crate::acts::{ActRow, keys};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, find_model};
use crate::limits;
use crate::reward::{Quantity, quantity};
use crate::run::{Maker, SampleEnd, TileState, Work};
use crate::steer::Status;
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod cost;
mod parts;

pub use cost::Cost;

use parts::{CALL, PartState, Parts, table_bytes};

/// Its row in the table of acts.
pub const ROW: ActRow = ActRow {
    name: "labels",
    about: "what is measured of a model's own samples, for isoline train-reward",
    open: |plan, folder| Ok(Box::new(Tiles::open(keys(plan)?, folder)?)),
};

/// The keys of the plan that belong to this act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsPlan {
    /// Model name or path.
    pub model: String,
    /// SHA-256 of its card and weights.
    pub model_sha256: String,
    /// The quantity that is measured.
    #[serde(default = "psi", skip_serializing_if = "is_psi")]
    pub quantity: String,
    /// Name of the estimator.
    pub estimator: String,
    /// Key of the latents.
    pub seed: u64,
    /// Number of labelled latents.
    pub count: u64,
    /// cpu, wgpu or cuda.
    pub device: String,
}

fn psi() -> String {
    "psi".into()
}

fn is_psi(name: &str) -> bool {
    name == "psi"
}

/// The parts of a labelled set; each part is a tile of the run.
pub struct Tiles {
    plan: LabelsPlan,
    quantity: Box<dyn Quantity>,
    folder: PathBuf,
    recipe: String,
    parts: Parts,
}

impl Tiles {
    /// The parts of a plan, kept in `folder`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn open(plan: LabelsPlan, folder: &Path) -> Result<Self> {
        if !(1..=limits::SAMPLES as u64).contains(&plan.count) {
            let most = limits::SAMPLES;
            return Err(Error::key("work.count", format!("expected 1 to {most}, found {}", plan.count)));
        }
        let quantity = quantity(&plan.quantity, &plan.estimator)?;
        let count = plan.count as usize;
        let parts = Parts::new(folder, &plan.model_sha256, &plan.device, &*quantity, plan.seed, count);
        // The count is not in the recipe, so a longer table can continue a shorter one.
        let mut keys = toml::Table::from_iter([
            ("format".to_owned(), toml::Value::Integer(1)),
            ("kind".to_owned(), "labels".into()),
            ("model_sha256".to_owned(), plan.model_sha256.clone().into()),
            ("estimator".to_owned(), plan.estimator.clone().into()),
            ("seed".to_owned(), (plan.seed as i64).into()),
            ("noise_scheme".to_owned(), i64::from(crate::noise::SCHEME).into()),
            ("device".to_owned(), plan.device.clone().into()),
        ]);
        if !is_psi(&plan.quantity) {
            keys.insert("quantity".to_owned(), plan.quantity.clone().into());
        }
        let recipe = toml::to_string(&keys).map_err(|e| Error::Bug(format!("recipe: {e}")))?;
        Ok(Self { quantity, parts, folder: folder.to_owned(), recipe, plan })
    }

    /// The readings of every latent, in the form that [`Labels::new`](crate::reward::Labels::new) takes.
    ///
    /// # Errors
    /// [`Error::Input`] if a part is not finished.
    pub fn readings(&self) -> Result<Vec<Vec<f64>>> {
        let mut readings = Vec::new();
        for part in 0..self.parts.len() {
            let read = self.parts.read(part);
            readings.extend(read.ok_or_else(|| {
                Error::input(&self.folder, format!("part {part} is not finished here; run isoline resume"))
            })?);
        }
        Ok(readings)
    }
}

impl Work for Tiles {
    fn tiles(&self) -> u64 {
        self.parts.len() as u64
    }

    fn wanted(&self, tile: u64) -> u64 {
        self.parts.count(tile as usize) as u64
    }

    fn state(&self, tile: u64, hash: bool) -> TileState {
        let wanted = self.wanted(tile);
        match self.parts.state(tile as usize, hash) {
            Ok(None) => {
                let Some((n, kept)) = self.parts.kept(tile as usize, hash) else {
                    return TileState { wanted, ..TileState::default() };
                };
                let done = n as u64;
                TileState { wanted, done, non_finite: kept.undefined, files: kept.files, ..TileState::default() }
            }
            Ok(Some(PartState { files, undefined })) => {
                TileState { wanted, done: wanted, non_finite: undefined, files, ..TileState::default() }
            }
            Err(why) => TileState { wanted, damaged: Some(why), ..TileState::default() },
        }
    }

    fn device_class(&self) -> &str {
        &self.plan.device
    }

    fn claim(&self) -> Result<()> {
        store::claim(&self.folder, &self.recipe).map(|_| ())
    }

    fn check_claim(&self) -> Result<()> {
        store::claimed(&self.folder, &self.recipe).map(|_| ())
    }

    fn maker<'a>(&'a self, device: (DeviceName, Device)) -> Box<dyn Maker + 'a> {
        Box::new(PartMaker { work: self, device, loaded: None })
    }

    fn finish(&self) -> Result<()> {
        let readings = self.readings()?;
        let bytes = table_bytes(self.quantity.row(), &readings)?;
        store::write_atomic(&self.folder.join("labels.safetensors"), &bytes)
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.folder.clone(), self.folder.join("shards")]
    }
}

struct PartMaker<'a> {
    work: &'a Tiles,
    device: (DeviceName, Device),
    loaded: Option<Arc<dyn Generator>>,
}

impl Maker for PartMaker<'_> {
    fn make(
        &mut self,
        tile: u64,
        _force: bool,
        tell: &mut dyn FnMut(&SampleEnd) -> Result<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let plan = &self.work.plan;
        let class = self.device.0.class();
        if class != plan.device {
            let message = format!("the run was planned for {}, found {class}", plan.device);
            return Err(Error::key("device", message));
        }
        if self.loaded.is_none() {
            let model = find_model(&plan.model)?;
            let generator = generator::load(&model, &self.device.1)?;
            if generator.model_sha256() != plan.model_sha256 {
                let (found, wanted) = (generator.model_sha256(), &plan.model_sha256);
                let message =
                    format!("SHA-256 {found:.12}, expected {wanted:.12}; the run was planned with that model");
                return Err(Error::input(model, message));
            }
            self.loaded = Some(generator);
        }
        let Some(generator) = &self.loaded else { return Ok(()) };
        let quantity = &*self.work.quantity;
        let (spec, call) = (generator.spec(), CALL);
        let remedy = "choose an estimator of fewer directions (labels.estimator), or a machine with more";
        generator::check_memory(spec, call, quantity.directions(spec)?, generator::DEFAULT_MEMORY, remedy)?;
        let mut told = |seed: u64, defined: bool, ends_call: bool| {
            let status = if defined { Status::Ok } else { Status::NonFinite };
            tell(&SampleEnd { job: None, seed, status, ends_call })
        };
        self.work.parts.make(tile as usize, &**generator, quantity, &mut told, cancel)
    }
}
