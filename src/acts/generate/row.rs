//! One sample as records and tables hold it, and the path of its picture.

use super::likeness::Likeness;
use crate::geometry::{Descriptor, ShownIn, shown_in};
use crate::steer::guard::{Verdict, Watched};
use crate::steer::{Missed, Status};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::collections::BTreeMap;

/// One sample, as in a record and as a row of `samples.parquet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// The seed, which is the sample's index.
    pub seed: u64,
    /// Path of the picture below the run directory; absent if a value was not finite.
    pub file: Option<String>,
    /// SHA-256 of the picture's file.
    pub sha256: Option<String>,
    /// Percentile asked for; absent for plain sampling.
    pub novelty_asked: Option<f64>,
    /// Percentile predicted by the reward.
    pub novelty_predicted: Option<f64>,
    /// ψ_k predicted by the reward. Beyond the ends of the calibration table it says more than the percentile.
    pub psi_predicted: Option<f64>,
    /// Percentile measured.
    pub novelty_reached: Option<f64>,
    /// Percentile measured again by directions that steering never used, if the recipe asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub novelty_remeasured: Option<f64>,
    /// Standard deviations beyond the calibration table; 0 inside it.
    pub beyond: Option<f64>,
    /// ψ_k measured.
    pub psi_k: Option<f64>,
    /// The measured value of the reward's quantity, if that is something other than ψ_k of the map latent → picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    /// The other descriptors of the map latent → picture that the table shows for samples.
    #[serde(flatten)]
    pub descriptors: Shown,
    /// ‖z − z₀‖.
    pub distance: f64,
    /// Angle between z and z₀, degrees.
    pub angle: f64,
    /// The comparison with the unguided picture, if the recipe asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeness: Option<Likeness>,
    /// Steering steps, or denoiser calls if a denoiser was guided.
    pub steps: usize,
    /// The latent that the picture was made from, if the recipe keeps latents and it is finite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latent: Vec<f32>,
    /// Effective size of the sample's particles at each weighing, if it had particles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effective_sizes: Vec<f64>,
    /// Times it was measured on its way.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub attempts: usize,
    /// How it ended.
    pub status: Status,
    /// Why it did not reach what was asked for, or was not measured, where it did not or was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// What the guard measured, if the recipe has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Watched>,
}

impl SampleRow {
    /// Whether there is a picture.
    pub fn is_finite(&self) -> bool {
        self.status != Status::NonFinite
    }

    /// What the guard says of it, if that is anything but "in".
    pub fn unusual(&self) -> Option<Verdict> {
        self.guard.filter(|w| w.is_unusual()).map(|w| w.verdict)
    }

    /// How it ended, for people: with the reason of a miss, how far beyond the calibrated range it lies, and what the guard says.
    pub fn status_text(&self) -> String {
        let own = self.own_status();
        match (self.unusual(), self.status) {
            (Some(verdict), Status::Flagged) => {
                let missed = self.missed.map_or(String::new(), |m| format!(", unreached ({})", m.name()));
                format!("flagged ({}){missed}", verdict.name())
            }
            (Some(verdict), Status::OffManifold | Status::Unmeasured) => format!("{own}, flagged ({})", verdict.name()),
            _ => own,
        }
    }

    fn own_status(&self) -> String {
        match self.status {
            Status::Ok => "ok".to_owned(),
            Status::Flagged => "flagged".to_owned(),
            Status::Unreached => format!("unreached ({})", self.missed.map_or("", Missed::name)),
            Status::Unmeasured => format!("unmeasured ({})", self.missed.map_or("", Missed::name)),
            Status::OffManifold => match self.beyond.filter(|b| *b != 0.0) {
                Some(beyond) => format!("off_manifold ({beyond:+.2} sd beyond)"),
                None => "off_manifold".to_owned(),
            },
            Status::NonFinite => "non_finite".to_owned(),
        }
    }
}

/// How many samples were asked for a novelty and did not reach it, and why; `None` where all did.
pub fn missed<'a>(rows: impl Iterator<Item = &'a SampleRow>) -> Option<String> {
    let asked: Vec<&SampleRow> = rows.filter(|r| r.novelty_asked.is_some() && r.status != Status::Unmeasured).collect();
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    asked.iter().filter_map(|r| r.missed).for_each(|m| *why.entry(m.name()).or_default() += 1);
    let count: usize = why.values().sum();
    let each: Vec<String> = why.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let all = asked.len();
    (count > 0).then(|| format!("{count} of {all} samples did not reach what was asked ({})", each.join(", ")))
}

/// How many samples have no measured novelty, and why; `None` where all have one.
pub fn unmeasured<'a>(rows: impl Iterator<Item = &'a SampleRow>) -> Option<String> {
    let all: Vec<&SampleRow> = rows.collect();
    let without: Vec<Missed> = all.iter().filter(|r| r.status == Status::Unmeasured).filter_map(|r| r.missed).collect();
    let why = match without.first()? {
        Missed::NoReward => "the model has no reward, so that no novelty is known",
        _ => {
            "the reward's quantity is a number of the noise, and a guided picture is not made from a known noise; \
             a reward of pictures measures them, see isoline list quantities"
        }
    };
    Some(format!("{} of {} samples are unmeasured: {why}", without.len(), all.len()))
}

/// What the guard found and did, in one line; `None` without a guard.
pub fn guarded<'a>(rows: impl Iterator<Item = &'a SampleRow>) -> Option<String> {
    let watched: Vec<Watched> = rows.filter_map(|r| r.guard).collect();
    let all = watched.len();
    if all == 0 {
        return None;
    }
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    watched.iter().filter(|w| w.is_unusual()).for_each(|w| *found.entry(w.verdict.name()).or_default() += 1);
    let unusual: usize = found.values().sum();
    let each: Vec<String> = found.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let each = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
    let again: usize = watched.iter().map(|w| w.resampled).sum();
    let samples = watched.iter().filter(|w| w.resampled > 0).count();
    let passed: usize = watched.iter().map(|w| w.caught.saturating_sub(w.resampled)).sum();
    let mut line = format!("guard: {unusual} of {all} pictures are unusual{each}");
    if again > 0 {
        let cost = again as f64 / all as f64;
        line.push_str(&format!(
            "; {samples} seeds were made again, {again} times in all, {cost:.2} more solves a picture"
        ));
    }
    if passed > 0 {
        line.push_str(&format!("; {passed} unusual places were left on the way"));
    }
    Some(line)
}

fn once() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_once(attempts: &usize) -> bool {
    *attempts == 1
}

/// Values of the descriptors that are shown for a sample, in the order of their table. ψ_k is not among them: it has a
/// field of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown(Vec<Option<f64>>);

impl Shown {
    /// The descriptors shown.
    pub fn descriptors() -> impl Iterator<Item = &'static Descriptor> {
        shown_in(ShownIn::Sample).filter(|d| d.name != "psi_k")
    }

    /// The value that `measure` gives for each of them.
    pub fn of(measure: impl Fn(&Descriptor) -> Option<f64>) -> Self {
        Self(Self::descriptors().map(measure).collect())
    }

    /// The value of the descriptor called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        Self::descriptors().zip(&self.0).find(|(d, _)| d.name == name).and_then(|(_, value)| *value)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(Self::descriptors().map(|d| d.name).zip(&self.0))
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Everything that is no other field of the row.
        let mut found = BTreeMap::<String, Option<f64>>::deserialize(from)?;
        let values = Self::descriptors().map(|d| found.remove(d.name).flatten()).collect();
        match found.keys().next() {
            None => Ok(Self(values)),
            Some(key) => Err(D::Error::custom(format!("unknown field `{key}`"))),
        }
    }
}

/// Path of the preview of a seed at a denoising step, below the run directory.
pub fn preview_path(seed: u64, step: usize) -> String {
    format!("previews/{seed:06}-{step:03}.png")
}

/// Path of a seed's picture, below the run directory.
pub fn picture_path(seed: u64, subdirs: bool) -> String {
    match subdirs {
        true => format!("images/{:06}/{seed:06}.png", seed - seed % 1000),
        false => format!("images/{seed:06}.png"),
    }
}
