//! Tangents in host memory, one sample at a time: the path that Jacobians take on the processor instead of tensors.
//!
//! ```text
//! layers in plain terms ──→ HostChain ──value(z)──→ G(z) and a Linearisation
//!                               └──tangent(linearisation, B)──→ J·B ──grams──→ M = (JB)ᵀ(JB)
//! ```
//!
//! Two facts make it faster there. A unit that a relu has closed passes no tangent on, so neither its row nor any
//! product with it is ever formed ([`HostTangents`] holds the open rows only). And a convolution of all tangents at one
//! place is one product of small matrices, with no rearranged copy of the input (`gather.rs`).
//!
//! Every sum is formed in a fixed order that depends neither on the number of threads, nor on the number of directions,
//! nor on the other samples; so neither do the bits. The layers come from [`crate::nn::Plain`], and results are tested
//! against the tensor path. `docs/decisions/0004-jacobians-on-host-memory.md` has the measurements that justify a
//! second path.

mod affine;
mod attention;
mod chain;
mod concat;
mod elementwise;
mod gather;
mod gram;
mod norm;
mod product;
mod rearrange;
mod rows;
mod sum;

pub use chain::HostChain;
pub use gram::{Directions, grams};
pub use rows::HostTangents;

use crate::nn::Plain;

/// A layer linearised at one point: what its value pass leaves for its tangent pass.
#[derive(Default)]
pub struct Linearisation {
    /// Numbers of the layer's own: the slopes of an activation, the normalised values of a norm; empty for a linear
    /// layer.
    pub values: Vec<f32>,
    /// The linearisations of the layers inside it, in order.
    pub inner: Vec<Linearisation>,
}

/// A layer in host memory, for one sample. Features are in C order of the per-sample shape.
pub trait HostLayer: Send + Sync {
    /// The map itself, from the features `x` (`[in]`) to `[out]`, and its linearisation there.
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation);

    /// The tangents that leave the layer, from those that enter it, at `point`. Rows of features that are not
    /// `wanted` (one flag for each output feature; `None` for all) may be left out, as no later layer reads them.
    fn tangent(&self, point: &Linearisation, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents;

    /// The input features that matter if the `wanted` ones of the output do; `None` for all of them.
    fn wanted(&self, point: &Linearisation, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let _ = (point, wanted);
        None
    }

    /// Whether the tangent rule is the same at every point, so that it needs no linearisation.
    fn is_linear(&self) -> bool {
        false
    }

    /// Absorbs a scale and shift of each channel that follow the layer; `false` where it cannot and has not changed.
    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// The scale and shift of each channel, if that is all the layer does.
    fn affine(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// Most rows of tangents that are alive at once while they pass, given `before` features that enter.
    fn peak_rows(&self, before: usize) -> usize;

    /// Number of features that leave, given `before` that enter.
    fn features(&self, before: usize) -> usize;
}

/// The host layer for a layer in plain terms.
fn rule(plain: Plain) -> Box<dyn HostLayer> {
    match plain {
        Plain::Gather(plain) => Box::new(gather::Gather::new(plain)),
        Plain::Affine { scale, shift, area } => Box::new(affine::Affine::new(scale, shift, area)),
        Plain::Elementwise(rule) => Box::new(elementwise::Elementwise(rule)),
        Plain::Rearrange(from) => Box::new(rearrange::Rearrange::new(from)),
        Plain::Norm { scale, shift, eps, group, area } => Box::new(norm::Norm { scale, shift, eps, group, area }),
        Plain::Attention { sizes, qkv, out } => Box::new(attention::Attention::new(sizes, qkv, out)),
        Plain::Sum([body, shortcut]) => {
            Box::new(sum::Sum { body: HostChain::new(body), shortcut: HostChain::new(shortcut) })
        }
        Plain::Concat(branches) => Box::new(concat::Concat(branches.into_iter().map(HostChain::new).collect())),
        Plain::Chain(chain) => Box::new(HostChain::new(chain)),
    }
}
