//! What a job does during denoising: its keys, and what of them a recipe holds.

use super::{GuideRow, guide};
use crate::diffusion::particles::POTENTIALS;
use crate::error::did_you_mean;
use crate::units::Percentile;
use serde::{Deserialize, Serialize};

/// The part of a recipe that only diffusion models have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denoising {
    /// Class asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<usize>,
    /// Scale of classifier-free guidance; 1 is the conditional model.
    pub cfg_scale: f64,
    /// Strength of the method.
    pub strength: f64,
    /// Upwards without end, instead of to a set-point.
    pub push: bool,
    /// Noise levels at which a reward acts; where it is worth something, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Times each step is taken.
    pub recurrence: usize,
    /// States of a sample.
    pub particles: usize,
    /// What particles are weighted by.
    pub potential: String,
    /// Steps between previews; 0 for none.
    pub preview_every: usize,
}

/// The keys as typed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct DenoisingKeys {
    /// Class asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<usize>,
    /// Scale of classifier-free guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cfg_scale: Option<f64>,
    /// Strength of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<f64>,
    /// `set-point` or `push`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// Least and greatest noise level at which a reward acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Times each step is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<usize>,
    /// States of a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub particles: Option<usize>,
    /// diff, max, add or tempered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub potential: Option<String>,
    /// Steps between previews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_every: Option<usize>,
}

/// Names of the keys.
pub const DENOISING_KEYS: [&str; 9] =
    ["class", "cfg_scale", "guidance", "form", "interval", "recurrence", "particles", "potential", "preview_every"];

/// Most states of one sample: they are one call of the network.
const PARTICLES: usize = 256;
/// Most times a step is taken: its noise has so many addresses.
const RECURRENCE: usize = 4;

impl DenoisingKeys {
    /// What is wrong with them beside `method` and `target`: (key, message).
    ///
    /// # Errors
    /// The first key.
    pub fn check(&self, method: &str, target: Option<Percentile>) -> Result<(), (&'static str, String)> {
        let row = guide(method);
        if let Some(n) = self.recurrence
            && !(1..=RECURRENCE).contains(&n)
        {
            return Err(("recurrence", format!("expected 1 to {RECURRENCE} times, found {n}")));
        }
        if let Some(n) = self.particles
            && !(1..=PARTICLES).contains(&n)
        {
            return Err(("particles", format!("expected 1 to {PARTICLES}, found {n}")));
        }
        if let Some([low, high]) = self.interval
            && !(low >= 0.0 && low < high)
        {
            return Err(("interval", format!("expected least,greatest with 0 ≤ least < greatest, found {low},{high}")));
        }
        if let Some(name) = self.potential.as_deref().filter(|p| POTENTIALS.iter().all(|row| row.0 != *p)) {
            let near = did_you_mean(name, POTENTIALS.iter().map(|p| p.0));
            return Err(("potential", format!("no such potential \"{}\"{near}", name.escape_debug())));
        }
        for (key, value, range) in
            [("cfg_scale", self.cfg_scale, 0.0..=100.0), ("guidance", self.guidance, -100.0..=100.0)]
        {
            if let Some(v) = value.filter(|v| !range.contains(v)) {
                return Err((key, format!("expected a number from {} to {}, found {v}", range.start(), range.end())));
            }
        }
        match self.form.as_deref() {
            None | Some("set-point" | "push") => {}
            Some(form) => {
                return Err(("form", format!("expected set-point or push, found \"{}\"", form.escape_debug())));
            }
        }
        self.check_use(method, row, target)
    }

    /// Whether each key means something here.
    fn check_use(
        &self,
        method: &str,
        row: Option<&GuideRow>,
        target: Option<Percentile>,
    ) -> Result<(), (&'static str, String)> {
        let needs = |key, what: &str| Err((key, format!("needs {what}, the method here is \"{method}\"")));
        if self.cfg_scale.is_some() && self.class.is_none() {
            return Err(("cfg_scale", "needs a class".into()));
        }
        if row.is_none() && method != "none" {
            let message = |what| {
                format!(
                    "{what} with \"{method}\", which moves the noise of the model without a class; take --method none or one that guides"
                )
            };
            if self.class.is_some() {
                return Err(("class", message("does not go")));
            }
            if self.recurrence.is_some() {
                return Err(("recurrence", message("does not go")));
            }
        }
        let steered = row.filter(|r| r.has_set_point);
        if self.guidance.is_some() && row.is_none() {
            return needs("guidance", "a method that guides");
        }
        if (self.form.is_some() || self.interval.is_some()) && steered.is_none() {
            let key = if self.form.is_some() { "form" } else { "interval" };
            return needs(key, "a method that follows the reward");
        }
        if (self.particles.is_some() || self.potential.is_some()) && method != "particles" {
            let key = if self.particles.is_some() { "particles" } else { "potential" };
            return needs(key, "the method \"particles\"");
        }
        if self.recurrence.is_some_and(|n| n > 1) && ["particles", "noise"].contains(&method) {
            return Err(("recurrence", format!("does not go with \"{method}\"")));
        }
        if let Some(target) = target {
            if row.is_some_and(|r| !r.has_set_point) {
                let message =
                    format!("\"{method}\" has a strength and no set-point; give guidance and leave novelty out");
                return Err(("novelty", message));
            }
            if self.form.as_deref() == Some("push") {
                return Err(("form", format!("a push has no end; leave the novelty {target} out, or the form")));
            }
        }
        Ok(())
    }

    /// Everything filled in; `None` where no key is set and `method` moves latents.
    pub fn filled(&self, method: &str) -> Option<Denoising> {
        let row = guide(method);
        let asked = toml::Table::try_from(self).is_ok_and(|t| !t.is_empty());
        let d = Denoising::default();
        (row.is_some() || asked).then(|| Denoising {
            class: self.class,
            cfg_scale: self.cfg_scale.unwrap_or(d.cfg_scale),
            strength: self.guidance.or(row.map(|r| r.strength)).unwrap_or(d.strength),
            push: self.form.as_deref() == Some("push") || row.is_some_and(|r| !r.has_set_point),
            interval: self.interval,
            recurrence: self.recurrence.unwrap_or(d.recurrence),
            particles: self.particles.unwrap_or(d.particles),
            potential: self.potential.clone().unwrap_or(d.potential),
            preview_every: self.preview_every.unwrap_or(d.preview_every),
        })
    }
}

impl Default for Denoising {
    fn default() -> Self {
        Self {
            class: None,
            cfg_scale: 1.0,
            strength: 0.0,
            push: false,
            interval: None,
            recurrence: 1,
            particles: 8,
            potential: "diff".into(),
            preview_every: 0,
        }
    }
}

impl Denoising {
    /// Whether its numbers are within what isoline writes.
    pub fn is_bounded(&self) -> bool {
        let keys = DenoisingKeys {
            cfg_scale: Some(self.cfg_scale),
            guidance: Some(self.strength),
            interval: self.interval,
            recurrence: Some(self.recurrence),
            particles: Some(self.particles),
            potential: Some(self.potential.clone()),
            class: Some(self.class.unwrap_or(0)),
            ..DenoisingKeys::default()
        };
        // Every key by itself: which of them mean something together was asked when the recipe was written.
        !matches!(keys.check("particles", None), Err((key, _)) if key != "recurrence")
            && (1..=RECURRENCE).contains(&self.recurrence)
            && self.preview_every <= crate::limits::STEPS
    }

    /// Whether a picture is more than the sampler's map of a noise, so that it must be measured as a picture or carried back to a noise.
    pub fn is_guided(&self, guide: Option<&GuideRow>) -> bool {
        guide.is_some() || self.class.is_some() || self.recurrence > 1
    }
}
