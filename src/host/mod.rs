//! Tangents in host memory, one sample at a time. On the processor, Jacobians are computed this way instead of with
//! tensors.
//!
//! ```text
//! layers in plain terms ──→ HostChain ──value(z)──→ G(z) and a Linearisation
//!                               └──tangent(linearisation, B)──→ J·B ──grams──→ M = (JB)ᵀ(JB)
//! ```
//!
//! Two facts make it faster. A unit that a relu has closed passes no tangent on, so neither its row nor any product
//! with it is ever computed ([`HostTangents`] holds only the open rows). And a convolution of all tangents at one place
//! is one product of small matrices, without a rearranged copy of the input (`gather.rs`).
//!
//! Every sum is computed in a fixed order, which does not depend on the number of threads, the number of directions or
//! the other samples; so neither do the bits. The layers come from [`crate::nn::Plain`], and results are tested against
//! the tensor path. `docs/decisions/0004-jacobians-on-host-memory.md` has the measurements that justify a second path.

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
    /// The layer's own numbers: the slopes of an activation, the normalised values of a norm; empty for a linear layer.
    pub values: Vec<f32>,
    /// The linearisations of the layers inside it, in order.
    pub inner: Vec<Linearisation>,
}

/// A layer in host memory, applied to one sample at a time. Features are in C order of the per-sample shape.
pub trait HostLayer: Send + Sync {
    /// The map itself, from the features `x` (`[in]`) to features `[out]`, and its linearisation at x.
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation);

    /// The tangents that leave the layer, from those that enter it, at `point`. `wanted` has one flag per output
    /// feature; `None` means all. Rows of features that are not wanted may be left out, because no later layer reads
    /// them.
    fn tangent(&self, point: &Linearisation, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents;

    /// Which input features matter, if the `wanted` ones of the output do; one flag each, `None` for all.
    fn wanted(&self, point: &Linearisation, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let _ = (point, wanted);
        None
    }

    /// Whether the tangent rule is the same at every point, so that it needs no linearisation.
    fn is_linear(&self) -> bool {
        false
    }

    /// Absorbs a scale and shift per channel that follow the layer. Returns `false` if it cannot, and is then
    /// unchanged.
    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// The scale and shift per channel, if the layer does nothing else.
    fn affine(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// The largest number of rows of tangents that are alive at once in the layer, if `before` features enter it.
    fn peak_rows(&self, before: usize) -> usize;

    /// Number of features that leave the layer, if `before` enter it.
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
