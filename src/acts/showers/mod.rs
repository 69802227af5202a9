//! Making showers with a generator that has learnt them: unguided, of any incident energies; or typical and novel ones, with a
//! model of one energy and its reward, by the same closed loop that steers pictures.
//!
//! It writes one file of the CaloChallenge and no run folder: showers are counted in tens of thousands, and a record for each
//! would be larger than the showers.

use crate::acts::generate::{JobKeys, MODES};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result, shown};
use crate::evaluate::calorimeter::{Checked, Geometry, Showers, Simulator, Spectrum, check};
use crate::generator::{Card, Domain, ShowerModel, find_model};
use crate::progress::Progress;
use crate::steer::{Engine, Status};
use crate::tensors::{host, rows};
use crate::units::{Latents, Percentile};
use serde::Serialize;
use std::path::Path;

/// Showers that are steered in one call.
const TILE: u64 = 16;

/// What can be asked for. Each field is a flag too.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct ShowerRequest {
    /// Model of showers: a name or a folder
    #[arg(short, long, value_name = "MODEL")]
    pub model: String,
    /// How many showers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    pub count: u64,
    /// Seed of the first; the others follow it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub first: u64,
    /// Incident energies in MeV, in turn, as in 1024,65536 [default: the challenge's spectrum, or the model's one energy]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub energy: Vec<f64>,
    /// typical, balanced or novel: percentile 10, plain sampling, percentile 90; needs a model of one energy and its reward
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Percentile of the model's own showers to reach, instead of a mode
    #[arg(long, value_name = "0-100")]
    pub novelty: Option<f64>,
}

/// How steering went.
#[derive(Clone, Debug, Serialize)]
pub struct SteeredShowers {
    /// The percentile asked for; none for balanced.
    pub asked: Option<f64>,
    /// The percentile that was measured of each shower; none where nothing could be.
    pub novelty: Vec<Option<f64>>,
    /// Showers that ended as asked, or were not asked for anything.
    pub reached: usize,
    /// Showers whose noise left the range that the reward knows.
    pub off_manifold: usize,
    /// Mean angle between the noise of a seed and that of its shower, in radians.
    pub angle: f64,
}

impl SteeredShowers {
    /// The median of the measured percentiles.
    pub fn median(&self) -> Option<f64> {
        let mut all: Vec<f64> = self.novelty.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        crate::statistics::quantile(&all, 0.5)
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct MadeShowers {
    /// The model.
    pub model: String,
    /// SHA-256 over its card and weights.
    pub model_sha256: String,
    /// How many showers.
    pub showers: usize,
    /// Of these, how many obey every rule of physics that is checked.
    pub sound: usize,
    /// How many have E_tot/E_inc outside the detector's band.
    pub outside: usize,
    /// The mean of E_tot/E_inc.
    pub response: f64,
    /// How steering went; none for unguided showers.
    pub steered: Option<SteeredShowers>,
}

impl MadeShowers {
    /// The same as JSON.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn json(&self) -> Result<serde_json::Value> {
        crate::acts::study::json(self)
    }
}

impl ShowerRequest {
    /// Makes the showers and writes them to `file`.
    ///
    /// # Errors
    /// [`Error::Key`] for what cannot be; those of the model, the reward and the disk; a stop, and then nothing is written.
    pub fn run(&self, file: &Path, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<MadeShowers> {
        if !(1..=crate::limits::SAMPLES as u64).contains(&self.count) {
            let message = format!("expected 1 to {}, found {}", crate::limits::SAMPLES, self.count);
            return Err(Error::key("count", message));
        }
        if let Some(e) = self.energy.iter().find(|e| !(e.is_finite() && **e > 0.0)) {
            return Err(Error::key("energy", format!("expected energies in MeV above 0, found {e}")));
        }
        let folder = find_model(&self.model)?;
        let (showers, geometry, made) = match self.steered()? {
            Some(asked) => self.steer(&folder, asked, device, progress, cancel)?,
            None => self.sample(&folder, device, progress, cancel)?,
        };
        let checked = check(&showers, &geometry, &Simulator::new(geometry.clone())?.band())?;
        showers.write(file)?;
        let Checked { showers: count, sound, outside, .. } = checked;
        let ratio = |i: usize| showers.row(i).iter().map(|v| f64::from(*v)).sum::<f64>() / showers.energies[i];
        let response = (0..count).map(ratio).sum::<f64>() / count as f64;
        Ok(MadeShowers { showers: count, sound, outside, response, ..made })
    }

    /// Whether it is steered, and to which percentile: `Some(None)` is balanced, measured and not moved.
    fn steered(&self) -> Result<Option<Option<Percentile>>> {
        match (&self.mode, self.novelty) {
            (Some(_), Some(_)) => Err(Error::key("novelty", "mode and novelty are two ways to say the same; give one")),
            (None, Some(novelty)) => {
                Ok(Some(Some(Percentile::new(novelty).map_err(|message| Error::key("novelty", message))?)))
            }
            (Some(mode), None) => match MODES.iter().find(|m| m.0 == mode) {
                Some((_, percent)) => Ok(Some(percent.map(Percentile::clamped))),
                None => Err(Error::key(
                    "mode",
                    format!("expected typical, balanced or novel, found \"{}\"", mode.escape_debug()),
                )),
            },
            (None, None) => Ok(None),
        }
    }

    fn sample(
        &self,
        folder: &Path,
        device: &Device,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<(Showers, Geometry, MadeShowers)> {
        let card = Card::read(&folder.join("card.toml"))?;
        let own = card.raw.showers.as_ref().and_then(|s| s.energy);
        let mut model = ShowerModel::load(folder, device)?;
        let geometry = model.scores().geometry().clone();
        self.own_energy(own)?;
        let n = self.count as usize;
        let energies: Vec<f64> = match (&self.energy[..], own) {
            ([], None) => Spectrum::of(&geometry).energies(self.first, n, 0),
            ([], Some(energy)) => vec![energy; n],
            (list, _) => list.iter().copied().cycle().take(n).collect(),
        };
        let bar = progress.start(format!("showers of {}", card.raw.id), self.count);
        let mut told = |n: usize| {
            bar.advance(n as u64);
            cancel.check(|| "nothing is written yet".into())
        };
        let showers = model.showers(&energies, self.first, &mut told)?;
        bar.finish();
        let made = Self::made(card.raw.id, model.model_sha256(), None);
        Ok((showers, geometry, made))
    }

    /// Refuses energies beside a model of one energy, unless they are that one.
    fn own_energy(&self, own: Option<f64>) -> Result<()> {
        match own.and_then(|own| self.energy.iter().find(|e| **e != own).map(|found| (own, found))) {
            Some((own, found)) => {
                Err(Error::key("energy", format!("the model makes showers of {own} MeV alone, found {found}")))
            }
            None => Ok(()),
        }
    }

    fn made(model: String, sha256: &str, steered: Option<SteeredShowers>) -> MadeShowers {
        let model_sha256 = sha256.to_owned();
        MadeShowers { model, model_sha256, showers: 0, sound: 0, outside: 0, response: 0.0, steered }
    }

    fn steer(
        &self,
        folder: &Path,
        asked: Option<Percentile>,
        device: &Device,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Result<(Showers, Geometry, MadeShowers)> {
        // The card says first what is wrong with a model of pictures.
        ShowerModel::load(folder, device)?;
        let engine = Engine::load(folder, None, device)?;
        let spec = engine.generator.spec().clone();
        let Domain::Showers { scores, energy } = &spec.domain else {
            return Err(Error::Bug(format!("{} is no model of showers of one energy", shown(folder))));
        };
        self.own_energy(Some(*energy))?;
        // The method that pictures are steered by, if nobody says otherwise.
        let (method, settings) = (JobKeys::default().method, engine.usual_settings());
        let bar = progress.start(format!("showers of {}", spec.id), self.count);
        let (mut values, mut novelty, mut reached, mut off, mut angle) = (Vec::new(), Vec::new(), 0, 0, 0.0);
        let seeds: Vec<u64> = (self.first..self.first.saturating_add(self.count)).collect();
        for tile in seeds.chunks(TILE as usize) {
            cancel.check(|| "nothing is written yet".into())?;
            let wanted = vec![asked; tile.len()];
            let steered = engine.steer(&method, tile, &wanted, &settings, cancel)?;
            let latents = Latents::new(steered.iter().flat_map(|s| s.latent.clone()).collect(), spec.latent_width);
            values.extend(host(engine.generator.generate(rows(latents.into_values(), spec.latent_width, device)))?);
            for s in &steered {
                let value = s.reading.as_ref().and_then(|r| r.value(engine.reward.card.model_rank));
                novelty.push(value.map(|v| engine.reward.calibration.novelty_of(v).percentile.percent()));
                reached += usize::from(s.status == Status::Ok);
                off += usize::from(s.status == Status::OffManifold);
                angle += between(&s.start, &s.latent) / seeds.len() as f64;
            }
            bar.advance(tile.len() as u64);
        }
        bar.finish();
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::Stopped("a shower was not finite; choose another percentile or other seeds".into()));
        }
        let showers = scores.showers(&values, &vec![*energy; seeds.len()])?;
        let steered =
            SteeredShowers { asked: asked.map(Percentile::percent), novelty, reached, off_manifold: off, angle };
        let made = Self::made(spec.id.clone(), engine.generator.model_sha256(), Some(steered));
        Ok((showers, scores.geometry().clone(), made))
    }
}

/// The angle between two vectors in radians.
fn between(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (dot(a, b) / lengths).clamp(-1.0, 1.0).acos() } else { 0.0 }
}

/// What can be asked for to get a model of showers of one incident energy. Each field is a flag too.
#[derive(Clone, Debug, clap::Args)]
pub struct FixedEnergy {
    /// Model of showers of any energy: a name or a folder
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The energy of every incident particle, in MeV
    #[arg(value_name = "MEV")]
    pub energy: f64,
}

impl FixedEnergy {
    /// Writes the model of one energy into `to`, whose last name is its id.
    ///
    /// # Errors
    /// Those of [`crate::generator::at_energy`].
    pub fn run(&self, to: &Path) -> Result<()> {
        if !(self.energy.is_finite() && self.energy > 0.0) {
            return Err(Error::key("energy", format!("expected MeV above 0, found {}", self.energy)));
        }
        let id = to.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        crate::generator::at_energy(&find_model(&self.model)?, self.energy, &id, to)
    }
}
