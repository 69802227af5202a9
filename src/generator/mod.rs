//! From a model folder to a map noise → picture with tangents.

mod card;
mod footprint;
mod host_sampler;
mod import;
mod one_shot;
mod pictures;
mod sampler;
pub mod train;
mod usual;

pub use card::{Card, FAMILIES, Output, Provenance, RawCard, finish_card};
pub use footprint::{DEFAULT_MEMORY, check_memory};
pub use import::{Imported, import};
pub use one_shot::{Inspection, OneShot, anchored_model, build, card_parameters, find_model, known_models, read_model};
pub use pictures::pictures;
pub use sampler::{AtSigma, Sampler, spoilt};
pub use usual::{DIFFUSION, ONE_SHOT, Usual};

use crate::host::HostChain;
use crate::nn::{Rows, Tangents};
use std::sync::OnceLock;

/// What a generator is, for everyone who uses one.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The card's id.
    pub id: String,
    /// Width d of the flattened latent.
    pub latent_width: usize,
    /// `[channels, height, width]` of a sample.
    pub sample_shape: [usize; 3],
    /// The values that black and white have in the network's output.
    pub range: [f32; 2],
    /// Which map geometry is measured on.
    pub output: Output,
    /// Whether that map is continuous piecewise linear.
    pub piecewise_linear: bool,
    /// Values of the widest activation per sample, for memory estimates.
    pub widest: usize,
    /// Values of all activations per sample, which a backward pass keeps.
    pub activations: usize,
    /// What suits a model of its family where nothing was asked for.
    pub usual: &'static Usual,
}

/// A map from latents to samples, with exact tangents. The prior of every latent is N(0, I).
///
/// Rows are samples; row i of any result depends on row i of the input alone.
pub trait Generator: Send + Sync {
    /// What it is.
    fn spec(&self) -> &Spec;

    /// `[n, d] → [n, channels·height·width]`, in the card's value range.
    fn generate(&self, z: Rows) -> Rows;

    /// Value and J·v of the map that geometry is measured on ([`Spec::output`]): the image, or the
    /// pre-activation of a saturating last layer.
    fn tangents(&self, z: Rows, directions: Tangents) -> (Rows, Tangents);

    /// The value of that map alone.
    fn measured(&self, z: Rows) -> Rows {
        let zero = Rows::zeros([1, self.spec().latent_width], &z.device());
        self.tangents(z, Tangents::shared(zero)).0
    }

    /// Pre-activations of every nonlinear layer at `z`.
    fn taps(&self, z: Rows) -> Vec<Rows>;

    /// The map that geometry is measured on, on host memory: where the processor computes and every layer has
    /// a host rule. Otherwise `None`, and [`tangents`](Self::tangents) is the only way.
    fn host(&self) -> Option<&HostChain> {
        None
    }

    /// Where it computes.
    fn device(&self) -> &crate::device::Device;

    /// The diffusion model behind it, where there is one.
    fn as_sampler(&self) -> Option<&Sampler> {
        None
    }

    /// SHA-256 over card and weights, see [`Card::model_sha256`].
    fn model_sha256(&self) -> &str;
}

/// The map of a generator on host memory, made when it is first asked for.
#[derive(Default)]
struct LazyHost(OnceLock<Option<HostChain>>);

impl LazyHost {
    fn get(&self, build: impl FnOnce() -> Option<HostChain>) -> Option<&HostChain> {
        self.0.get_or_init(build).as_ref()
    }
}

/// Loads the model in `folder`, whatever its family.
///
/// # Errors
/// Those of [`OneShot::load`] and [`Sampler::load`].
pub fn load(
    folder: &std::path::Path,
    device: &crate::device::Device,
) -> crate::error::Result<std::sync::Arc<dyn Generator>> {
    let card = Card::read(&folder.join("card.toml"))?;
    Ok(match card.raw.denoiser {
        Some(_) => std::sync::Arc::new(Sampler::of_card(&card, folder, device)?),
        None => std::sync::Arc::new(OneShot::of_card(&card, folder, device)?),
    })
}
