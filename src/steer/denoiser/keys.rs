//! What a job does during denoising. A key is declared once: the field is at the same time a flag with its help, a key
//! of a batch config, and a line of the recipe.

use super::{GuideKeys, GuideRow, guide};
use crate::error::{Error, Result};
use crate::limits;
use crate::steer::own_keys::{OwnKeys, given};
use crate::store;
use crate::units::Percentile;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// What the network is told beside the noise level.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct ConditionKeys {
    /// Class of the pictures, with --method none or one that guides
    #[arg(long, value_name = "N")]
    pub class: Option<usize>,
    /// Scale of classifier-free guidance towards --class; 1 is the conditional model [default: 1]
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    pub cfg_scale: Option<f64>,
}

impl ConditionKeys {
    /// Scale of classifier-free guidance.
    pub fn scale(&self) -> f64 {
        self.cfg_scale.unwrap_or(1.0)
    }

    fn check(&self) -> Result<()> {
        within("cfg_scale", self.cfg_scale, 0.0..=100.0, "a number from 0 to 100")
    }

    fn filled(&self) -> Self {
        Self { cfg_scale: Some(self.scale()), ..self.clone() }
    }
}

/// Where and how often a guide acts on the way from noise to picture.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct WalkKeys {
    /// Noise levels at which a reward acts [default: where it is worth something]
    #[arg(long, value_name = "LEAST,GREATEST", value_parser = span)]
    pub interval: Option<[f64; 2]>,
    /// How often each step is taken; its noise is put back in between [default: 1]
    #[arg(long, value_name = "N")]
    pub recurrence: Option<usize>,
}

impl WalkKeys {
    /// The most times a step may be taken; the noise scheme has addresses for no more.
    const MOST_TIMES: usize = 4;

    /// How many times each step is taken.
    pub fn times(&self) -> usize {
        self.recurrence.unwrap_or(1)
    }

    fn check(&self) -> Result<()> {
        let most = Self::MOST_TIMES;
        within("recurrence", self.recurrence, 1..=most, format_args!("1 to {most} times"))?;
        match self.interval {
            Some([low, high]) if !(low >= 0.0 && low < high) => {
                let message = format!("expected least,greatest with 0 ≤ least < greatest, found {low},{high}");
                Err(Error::key("interval", message))
            }
            _ => Ok(()),
        }
    }

    fn filled(&self) -> Self {
        Self { recurrence: Some(self.times()), ..self.clone() }
    }
}

/// How the last of the noise is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Denoise {
    /// By the sampler, which goes on to no noise and is told the level at every step: what is done without this key
    Conditional,
    /// All at once: the sampler stops at a level, and the denoiser gives the mean of what the picture may be without its noise
    Tweedie,
    /// Not at all: the sampler stops at a level, and the picture keeps its noise
    NoiseConditional,
}

/// Where the noise of a picture ends.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct EndKeys {
    /// How the last noise is taken away, with --method none: conditional (step by step), tweedie (at once), noise-conditional
    /// (not at all) [default: conditional]
    #[arg(long, value_name = "KIND", hide_possible_values = true)]
    pub denoise: Option<Denoise>,
    /// Noise level at which the sampler stops for --denoise tweedie and noise-conditional
    #[arg(long, value_name = "S")]
    pub denoise_sigma: Option<f64>,
    /// Diffusion model whose denoiser takes the noise away, with --denoise tweedie, for a model that has none of its own
    #[arg(long, value_name = "MODEL")]
    pub denoiser: Option<String>,
}

impl EndKeys {
    /// Where the model's sampler stops before there is no noise, if it does.
    pub fn stops_at(&self) -> Option<f64> {
        self.denoise_sigma.filter(|_| self.stops() && self.denoiser.is_none())
    }

    /// The model that takes the noise out of finished pictures, and its level, if another one is to do so.
    pub fn finisher(&self) -> Option<(&str, f64)> {
        Some((self.denoiser.as_deref()?, self.denoise_sigma?))
    }

    /// Whether the noise that is left is then taken away at once.
    pub fn takes_away(&self) -> bool {
        self.denoise == Some(Denoise::Tweedie)
    }

    /// What was done about the noise that was left, for a headline; `None` where it is the usual.
    pub fn sentence(&self) -> Option<String> {
        let sigma = self.denoise_sigma.filter(|_| self.stops())?;
        Some(match (&self.denoiser, self.takes_away()) {
            (Some(by), _) => format!("noise of sigma {sigma} taken away at once by {by}"),
            (None, true) => format!("noise taken away at once from sigma {sigma}"),
            (None, false) => format!("with noise of sigma {sigma}"),
        })
    }

    fn stops(&self) -> bool {
        matches!(self.denoise, Some(Denoise::Tweedie | Denoise::NoiseConditional))
    }

    fn check(&self) -> Result<()> {
        if let Some(name) = &self.denoiser {
            if !self.takes_away() {
                return Err(Error::key("denoiser", "needs denoise, as tweedie"));
            }
            store::check_id(name).map_err(|message| Error::key("denoiser", message))?;
        }
        match (self.stops(), self.denoise_sigma) {
            (true, None) if self.denoiser.is_some() => {
                Err(Error::key("denoise_sigma", "expected the noise level of the pictures"))
            }
            (true, None) => Err(Error::key("denoise_sigma", "expected the noise level at which the sampler stops")),
            (false, Some(_)) => Err(Error::key("denoise_sigma", "needs denoise, as tweedie or noise-conditional")),
            (_, Some(s)) if !(s > 0.0 && s.is_finite()) => {
                Err(Error::key("denoise_sigma", format!("expected a number above 0, found {s}")))
            }
            _ => Ok(()),
        }
    }
}

/// The keys as typed.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Diffusion models")]
#[serde(default)]
pub struct DenoisingKeys {
    /// Class and its scale.
    #[command(flatten)]
    #[serde(flatten)]
    pub condition: ConditionKeys,
    /// Strength of a method that guides; see isoline list steering for what it means to each
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// set-point (to the novelty asked for) or push (upwards; downwards with a negative --guidance)
    #[arg(long, value_name = "FORM")]
    pub form: Option<String>,
    /// Where and how often.
    #[command(flatten)]
    #[serde(flatten)]
    pub walk: WalkKeys,
    /// Keys that belong to one guide alone.
    #[command(flatten)]
    #[serde(flatten)]
    pub own: GuideKeys,
    /// Where the noise ends.
    #[command(flatten)]
    #[serde(flatten)]
    pub end: EndKeys,
    /// Write the denoised estimate of every K-th step to previews/
    #[arg(long, value_name = "K")]
    pub preview_every: Option<usize>,
}

/// The part of a recipe that only diffusion models have: the keys, filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Denoising {
    /// Class and its scale.
    #[serde(flatten, serialize_with = "given")]
    pub condition: ConditionKeys,
    /// Strength of the method.
    pub strength: f64,
    /// Whether to push upwards without end instead of to a set-point.
    pub push: bool,
    /// Where and how often the guide acts; without an interval it acts where the reward is reliable.
    #[serde(flatten, serialize_with = "given")]
    pub walk: WalkKeys,
    /// Keys that belong to one guide alone.
    #[serde(flatten, serialize_with = "given")]
    pub own: GuideKeys,
    /// Where the noise ends.
    #[serde(flatten, serialize_with = "given")]
    pub end: EndKeys,
    /// Steps between previews; 0 for none.
    pub preview_every: usize,
}

impl DenoisingKeys {
    /// Whether every key has a legal value, and makes sense together with `method` and the percentile to reach.
    ///
    /// # Errors
    /// [`Error::Key`] for the first key that fails.
    pub fn check(&self, method: &str, target: Option<Percentile>) -> Result<()> {
        check_values(&self.condition, self.guidance, &self.walk, &self.own, self.preview_every)?;
        self.end.check()?;
        match self.form.as_deref() {
            None | Some("set-point" | "push") => {}
            Some(form) => {
                let message = format!("expected set-point or push, found \"{}\"", form.escape_debug());
                return Err(Error::key("form", message));
            }
        }
        self.check_use(method, target)
    }

    /// Whether each key makes sense with this method and target.
    fn check_use(&self, method: &str, target: Option<Percentile>) -> Result<()> {
        let row = guide(method);
        let needs = |key, what: &str| Err(Error::key(key, format!("needs {what}, the method here is \"{method}\"")));
        let Self { condition, walk, own, end, .. } = self;
        if condition.cfg_scale.is_some() && condition.class.is_none() {
            return Err(Error::key("cfg_scale", "needs a class"));
        }
        if row.is_none() && method != "none" {
            let keys = [("class", condition.class.is_some()), ("recurrence", walk.recurrence.is_some())];
            if let Some((key, _)) = keys.iter().find(|k| k.1) {
                let message = format!(
                    "does not go with \"{method}\", which moves the noise of the model without a class; take the method none, or one that guides"
                );
                return Err(Error::key(*key, message));
            }
        }
        if end.denoise.is_some() && method != "none" {
            return needs("denoise", "the method none");
        }
        if self.guidance.is_some() && row.is_none() {
            return needs("guidance", "a method that guides");
        }
        if !row.is_some_and(|r| r.has_set_point) && (self.form.is_some() || walk.interval.is_some()) {
            let key = if self.form.is_some() { "form" } else { "interval" };
            return needs(key, "a method that follows the reward");
        }
        own.check_use(method, target)?;
        if walk.times() > 1 && row.is_some_and(|r| r.formula.is_none()) {
            return Err(Error::key("recurrence", format!("does not go with \"{method}\"")));
        }
        let Some(target) = target else { return Ok(()) };
        if row.is_some_and(|r| !r.has_set_point) {
            let message = format!("\"{method}\" has a strength and no set-point; give guidance and leave novelty out");
            return Err(Error::key("novelty", message));
        }
        if self.form.as_deref() == Some("push") {
            let message = format!("a push has no end; leave the novelty {target} out, or the form");
            return Err(Error::key("form", message));
        }
        Ok(())
    }

    /// Whether `method` is given a strength here instead of a novelty to reach.
    pub fn is_push(&self, method: &str) -> bool {
        self.form.as_deref() == Some("push") || guide(method).is_some_and(|r| !r.has_set_point)
    }

    /// All keys with their defaults filled in; `None` if no key is set and `method` moves latents.
    pub fn filled(&self, method: &str) -> Option<Denoising> {
        let row = guide(method);
        (row.is_some() || *self != Self::default()).then(|| Denoising {
            condition: self.condition.filled(),
            strength: self.guidance.or(row.map(|r| r.strength)).unwrap_or(0.0),
            push: self.is_push(method),
            walk: self.walk.filled(),
            own: self.own.filled(),
            end: self.end.clone(),
            preview_every: self.preview_every.unwrap_or(0),
        })
    }
}

impl Denoising {
    /// Whether its numbers are within what isoline writes. Each key is checked by itself; whether the keys make sense
    /// together was checked when the recipe was written.
    pub fn is_bounded(&self) -> bool {
        let Self { condition, strength, walk, own, end, preview_every, .. } = self;
        check_values(condition, Some(*strength), walk, own, Some(*preview_every)).is_ok() && end.check().is_ok()
    }

    /// The keys that give this again, in a job of `method` that steers to `target`. Keys that would mean nothing there are
    /// left out.
    pub fn keys(&self, method: &str, target: Option<Percentile>) -> DenoisingKeys {
        let row = guide(method);
        let Self { condition, strength, push, walk, own, end, preview_every } = self;
        let form = (*push && row.is_some_and(|r| r.has_set_point)).then(|| "push".to_owned());
        DenoisingKeys {
            condition: ConditionKeys { class: condition.class, cfg_scale: condition.class.and(condition.cfg_scale) },
            guidance: row.map(|_| *strength),
            form,
            walk: WalkKeys { recurrence: walk.recurrence.filter(|times| *times > 1), ..walk.clone() },
            own: if own.check_use(method, target).is_ok() { own.clone() } else { GuideKeys::default() },
            end: end.clone(),
            preview_every: Some(*preview_every).filter(|steps| *steps > 0),
        }
    }

    /// The same with nothing but its end.
    #[must_use]
    pub fn end_alone(&self) -> Self {
        let keys = DenoisingKeys { end: self.end.clone(), ..DenoisingKeys::default() };
        keys.filled("none").unwrap_or_default()
    }

    /// Whether a picture is more than the sampler's map of its noise. Then it must be measured as a picture, or carried
    /// back to noise.
    pub fn is_guided(&self, guide: Option<&GuideRow>) -> bool {
        guide.is_some() || self.condition.class.is_some() || self.walk.times() > 1 || self.end.stops_at().is_some()
    }
}

/// Whether every key, by itself, has a legal value.
fn check_values(
    condition: &ConditionKeys,
    strength: Option<f64>,
    walk: &WalkKeys,
    own: &GuideKeys,
    preview_every: Option<usize>,
) -> Result<()> {
    walk.check()?;
    own.check()?;
    condition.check()?;
    within("guidance", strength, -100.0..=100.0, "a number from -100 to 100")?;
    within("preview_every", preview_every, 0..=limits::STEPS, format_args!("0 to {}", limits::STEPS))
}

/// Refuses a value outside `range`; `expected` describes the range for the message.
///
/// # Errors
/// [`Error::Key`].
pub fn within<T: PartialOrd + Display>(
    key: &str,
    value: Option<T>,
    range: RangeInclusive<T>,
    expected: impl Display,
) -> Result<()> {
    match value.filter(|v| !range.contains(v)) {
        None => Ok(()),
        Some(v) => Err(Error::key(key, format!("expected {expected}, found {v}"))),
    }
}

/// Parses two numbers with a comma between them.
fn span(text: &str) -> Result<[f64; 2], String> {
    let numbers = text.split(',').map(|t| t.trim().parse::<f64>().map_err(|e| e.to_string()));
    let numbers: Vec<f64> = numbers.collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|found: Vec<f64>| format!("expected two numbers, found {}", found.len()))
}
