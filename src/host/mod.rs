//! Tangents on host memory, one sample at a time: what the processor is given instead of tensors.
//!
//! Two facts make this path pay. A unit that a relu has closed passes no tangent on, so neither its
//! row nor the products with it are ever formed ([`HostTangents`] holds the open rows only); and a
//! convolution of all tangents at one place is one product of small matrices, with no rearranged copy
//! ([`Gather`]). Every sum is formed in one order that depends on neither the number of threads nor the
//! number of directions nor the other samples, so the bits do not either.

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

/// What a layer keeps of the value pass for the tangent pass.
#[derive(Default)]
pub struct Trace {
    /// Slopes of an activation, or what else the layer needs.
    pub values: Vec<f32>,
    /// Traces of the layers inside.
    pub inner: Vec<Trace>,
}

/// A layer on host memory, for one sample.
pub trait HostLayer: Send + Sync {
    /// The map itself.
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace);

    /// The tangents behind the layer at the point of `trace`. Rows of features that are not `wanted`
    /// may be left out, as nothing behind this layer depends on them.
    fn tangent(&self, trace: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents;

    /// Input features that matter when `wanted` ones of the output do; `None` for all.
    fn wanted(&self, trace: &Trace, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let _ = (trace, wanted);
        None
    }

    /// Whether the tangents behind the layer depend on those before it alone.
    fn is_linear(&self) -> bool {
        false
    }

    /// Takes a following scale and shift per channel into itself, where it can.
    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// Scale and shift per channel, if that is all the layer does.
    fn affine(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// Rows that are alive at once while tangents pass, at most; `before` enter.
    fn peak_rows(&self, before: usize) -> usize;

    /// Features of the output.
    fn features(&self, before: usize) -> usize;
}

/// The rule of a layer in plain terms.
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
