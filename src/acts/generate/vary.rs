//! Variations: samples that lie at one angle around a latent, each in a direction of its own.
//!
//!   z_j = cos α · z + sin α · ‖z‖ · e_j,     e_j ⟂ z, ‖e_j‖ = 1
//!
//! e_j is the part of a standard normal vector that is orthogonal to z. It is drawn at an address of its own (the
//! stream `Vary`, seed of z, number j), so that z_j depends neither on how many variations are made nor on the others.
//! Number 0 is z itself.

use super::keys::JobKeys;
use super::make::make;
use super::recipe::{PictureRecipe, Recipe};
use super::subjects::{Subjects, subject};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::noise::{self, Stream};
use crate::steer::guard::Action;
use crate::steer::{self, Starts, guide, seed_noise};
use crate::tile::Tiling;
use crate::units::Latents;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The angle of a variation where none is asked for, in radians: near enough to be known again.
pub const ANGLE: f64 = 0.2;
/// How many times a variation may be one of a variation. Each adds a recipe to the picture's text.
const DEPTH: usize = 16;

/// What a recipe says about variations. The numbers of its samples are those of the variations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vary {
    /// The seed of z. As text, since a number of TOML ends at 2^63 − 1.
    #[serde(with = "text")]
    pub seed: u64,
    /// α, radians.
    pub angle: f64,
    /// The recipe of the sample whose latent is z, unless that is the noise of its seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Box<Recipe>>,
}

mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(seed: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(seed)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Variation `number` of the latent `z` of `seed`, at `angle` radians. Number 0 is `z`.
pub fn turned(z: &[f32], seed: u64, number: u64, angle: f64) -> Vec<f32> {
    if number == 0 {
        return z.to_vec();
    }
    let drawn = noise::normals(seed, number, Stream::Vary, 0, z.len());
    steer::walk(z, &steer::tangent(&drawn, z), angle)
}

/// Whether pictures of this recipe are made from a latent that was steered away from the noise.
fn moves_latents(recipe: &Recipe) -> bool {
    recipe.is_steered() && !is_guided(recipe)
}

fn is_guided(recipe: &Recipe) -> bool {
    recipe.denoising.as_ref().is_some_and(|d| d.is_guided(guide(&recipe.method)))
}

/// The keys of a job that varies this picture: those of the picture, but not the steering of its latent, which is where
/// the variations begin. A guide stays, because it acts after the latent.
pub fn keys_around(own: &PictureRecipe) -> JobKeys {
    let keys = JobKeys { vary: None, angle: None, ..own.keys() };
    match is_guided(&own.recipe) {
        true => keys,
        false => JobKeys { novelty: None, own: steer::MethodKeys::default(), ..keys },
    }
}

/// The seed that a value of the key `vary` names; `None` if it is the path of a picture.
///
/// # Errors
/// [`Error::Key`] for a number beyond 64 bits.
pub fn named_seed(text: &str) -> Result<Option<u64>> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Error::key("vary", format!("expected a seed up to {}, found {text}", u64::MAX)))
}

impl Vary {
    /// What the keys of a job ask for, if they ask for variations; `width` is that of the model's latents.
    ///
    /// # Errors
    /// [`Error::Key`] for a model or a method that cannot do it; those of reading the picture.
    pub fn asked(job: &JobKeys, recipe: &Recipe, width: usize, device: DeviceName) -> Result<Option<Self>> {
        let Some(text) = &job.vary else { return Ok(None) };
        let bad = |message: String| Err(Error::key("vary", message));
        if width < 2 {
            return bad("a latent of one value has no direction to turn in".into());
        }
        let draws = guide(&recipe.method).is_some_and(|g| g.draws);
        if draws || recipe.denoising.as_ref().is_some_and(|d| d.walk.times() > 1) {
            let message = "this guidance draws noise of its own on the way, so that a picture from near by is another one; take a method that does not, and recurrence 1";
            return bad(message.into());
        }
        let angle = job.angle.unwrap_or(ANGLE);
        if let Some(seed) = named_seed(text)? {
            return Ok(Some(Self { seed, angle, of: None }));
        }
        let own = PictureRecipe::read(Path::new(text))?;
        if own.recipe.model_sha256 != recipe.model_sha256 {
            let message = format!(
                "the picture was made with another model (\"{}\", SHA-256 {:.12}, here {:.12})",
                own.recipe.model.escape_debug(),
                own.recipe.model_sha256,
                recipe.model_sha256
            );
            return bad(message);
        }
        Self::around(own, angle, device.class()).map(Some)
    }

    /// Variations at `angle` around the latent of a picture, which is made again on a device of this class.
    ///
    /// # Errors
    /// [`Error::Key`] for an angle that is none, and for variations of variations that go too deep.
    pub fn around(own: PictureRecipe, angle: f64, device: &str) -> Result<Self> {
        if !is_angle(angle) {
            let message = format!("expected an angle above 0 and up to π radians, found {angle}");
            return Err(Error::key("angle", message));
        }
        // What a guard made again or kept away from does not start at the seed's own noise, or does not end where steering alone does.
        let guarded = own.recipe.guard.as_ref().is_some_and(|g| g.action != Action::Flag);
        let differs = guarded || moves_latents(&own.recipe) || own.recipe.vary.is_some();
        // What does not change the latent is left out; the latent is made again here.
        let of = differs.then(|| {
            let guard = own.recipe.guard.filter(|_| guarded);
            let device = device.to_owned();
            let of = Recipe { metadata: true, latents: None, scale: None, device, guard, ..own.recipe };
            Box::new(if is_guided(&of) && !guarded { of.unsteered() } else { of })
        });
        let vary = Self { seed: own.seed, angle, of };
        match vary.depth() > DEPTH {
            true => {
                Err(Error::key("vary", format!("variations of variations go {DEPTH} deep; begin again from a seed")))
            }
            false => Ok(vary),
        }
    }

    /// The recipes that z is made by, the outermost first.
    pub fn chain(&self) -> impl Iterator<Item = &Recipe> {
        std::iter::successors(self.of.as_deref(), |r| r.vary.as_ref()?.of.as_deref())
    }

    fn depth(&self) -> usize {
        1 + self.of.as_ref().and_then(|r| r.vary.as_ref()).map_or(0, Self::depth)
    }

    /// Whether every number is within the bounds of what isoline writes.
    pub fn is_bounded(&self) -> bool {
        is_angle(self.angle) && self.depth() <= DEPTH && self.chain().all(Recipe::is_bounded)
    }

    /// A sentence for people. `again` says whether the recipe guides each variation as the picture was.
    pub fn sentence(&self, again: bool) -> String {
        let degrees = self.angle.to_degrees();
        let turned = format!("turned by {} rad ({degrees:.1}°)", self.angle);
        let seed = self.seed;
        let z = match self.of.as_deref() {
            None if again => format!("seed {seed}: its noise, {turned}, then guided as the picture was"),
            None => format!("seed {seed}: its noise, {turned}"),
            Some(of) => {
                let what = match &of.vary {
                    Some(inner) => format!("variation {seed} of seed {}", inner.seed),
                    None => format!("seed {seed}"),
                };
                match of.novelty.filter(|_| moves_latents(of)) {
                    Some(n) => {
                        format!("{what} steered to novelty {n}: its steered latent, made again by its recipe, {turned}")
                    }
                    None => format!("{what}: its latent, made again by its recipe, {turned}"),
                }
            }
        };
        format!("variations of {z}; number 0 is the latent itself")
    }
}

/// Whether a variation can lie at this angle.
pub fn is_angle(angle: f64) -> bool {
    angle > 0.0 && angle <= std::f64::consts::PI
}

/// Where the samples of a recipe start: at the noise of their seeds, or around the latent `centre`, `[width]`.
pub fn starts<'a>(recipe: &Recipe, centre: Option<&[f32]>, samples: &'a [u64], width: usize) -> Starts<'a> {
    match (&recipe.vary, centre) {
        (Some(v), Some(z)) => {
            let values = samples.iter().flat_map(|number| turned(z, v.seed, *number, v.angle)).collect();
            Starts { samples, noise: Latents::new(values, z.len()) }
        }
        _ => Starts { samples, noise: seed_noise(samples, width) },
    }
}

/// The latent z of variations, `[latent width]`. Where it is not the noise of its seed it is made again by its recipe,
/// with the model called `model`, on the same device and so to the same bits.
///
/// # Errors
/// Those of loading and steering; [`Error::Key`] if z is not finite.
pub fn centre(
    vary: &Vary,
    model: &str,
    subjects: &mut Subjects,
    device: &(DeviceName, Device),
    width: usize,
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    let Some(recipe) = vary.of.as_deref() else {
        return Ok(Latents::of_seeds(&[vary.seed], width).into_values());
    };
    let around = recipe.vary.as_ref().map(|v| centre(v, model, subjects, device, width, cancel)).transpose()?;
    let subject = subject(subjects, model, recipe, &device.1)?;
    let tiling = Tiling::new(recipe.tile);
    let samples: Vec<u64> = match subject.needs_whole_tiles() {
        true => tiling.samples(tiling.place(vary.seed).0).collect(),
        false => vec![vary.seed],
    };
    let starts = starts(recipe, around.as_deref(), &samples, width);
    let at = samples.iter().position(|s| *s == vary.seed).unwrap_or(0);
    let z = match subject.engine().filter(|_| moves_latents(recipe)) {
        _ if recipe.guard.is_some() => make(subject, recipe, &starts, cancel)?.swap_remove(at).steered.latent,
        None => starts.noise.row(at).to_vec(),
        Some(engine) => {
            let novelty = vec![recipe.novelty; samples.len()];
            let mut all = engine.steer_from(&recipe.method, &starts, &novelty, &recipe.settings, cancel)?;
            all.swap_remove(at).latent
        }
    };
    match z.iter().all(|v| v.is_finite()) {
        true => Ok(z),
        false => Err(Error::key("vary", "the latent of that picture is not finite here")),
    }
}

/// The latent that a picture was made from, made again with the model called `model`; of a guided picture, the one that its
/// denoising began with.
///
/// # Errors
/// Those of [`centre`] and of [`Vary::around`].
pub fn latent_of(
    own: PictureRecipe,
    model: &str,
    subjects: &mut Subjects,
    device: &(DeviceName, Device),
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    let width = subject(subjects, model, &own.recipe, &device.1)?.generator().spec().latent_width;
    // Variation number 0 is the latent itself, whatever the angle.
    let around = Vary::around(own, ANGLE, device.0.class())?;
    centre(&around, model, subjects, device, width, cancel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steer::{angle_between, norm};

    #[test]
    fn variations_lie_at_their_angle_on_the_sphere() {
        for (d, angle) in [(2, 0.2), (64, 0.2), (784, 1.3), (64, std::f64::consts::PI), (64, 0.01)] {
            let z = noise::normals(0, 17, Stream::Latent, 0, d);
            for number in 1..=8 {
                let v = turned(&z, 17, number, angle);
                // Each value is rounded to f32 once: 2^-24 of its size. Over the norm that is 2^-24 at most, and an angle
                // moves by no more than the relative error across.
                let rounding = f64::from(f32::EPSILON);
                assert!((angle_between(&z, &v) - angle).abs() < rounding, "{d} {angle} {number}");
                assert!((norm(&v) / norm(&z) - 1.0).abs() < rounding);
                // v − cos α z is sin α ‖z‖ e, which is orthogonal to z.
                let e: Vec<f64> = v.iter().zip(&z).map(|(v, z)| f64::from(*v) - f64::from(*z) * angle.cos()).collect();
                let along: f64 = e.iter().zip(&z).map(|(e, z)| e * f64::from(*z)).sum::<f64>() / norm(&z).powi(2);
                assert!(along.abs() < rounding, "{along}");
            }
            assert_eq!(turned(&z, 17, 0, angle), z);
        }
    }

    #[test]
    fn directions_differ_by_number_and_by_seed() {
        let z = noise::normals(0, 17, Stream::Latent, 0, 64);
        let one = turned(&z, 17, 1, 0.3);
        assert_ne!(one, turned(&z, 17, 2, 0.3));
        assert_ne!(one, turned(&z, 18, 1, 0.3));
        assert_eq!(one, turned(&z, 17, 1, 0.3));
    }
}
