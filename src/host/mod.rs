//! Networks in host memory. On the processor, Jacobians are computed this way instead of with tensors, and so are the pictures
//! of models that come as a graph.
//!
//! ```text
//! nodes in plain terms ───→ HostGraph ──values(z₁, z₂, …)──→ G(z₁), G(z₂), …
//!                               ├──value(z)──→ G(z) and a Linearisation
//!                               └──tangent(linearisation, B)──→ J·B ──grams──→ M = (JB)ᵀ(JB)
//! ```
//!
//! Both ways go by [`HostRows`]: a row for each feature, in whose lanes lie the tangents of one sample in several directions, or
//! the values of several samples.
//!
//! Two facts make it faster. A unit that a relu has closed passes no tangent on, so neither its row nor any product
//! with it is ever computed ([`HostRows`] holds only the open rows). And a convolution of all tangents at one place
//! is one product of small matrices, without a rearranged copy of the input (`gather.rs`).
//!
//! Every sum is computed in a fixed order, which does not depend on the number of threads, the number of directions or
//! the other samples; so neither do the bits. The nodes come from [`crate::nn::Plain`], and results are tested against
//! the tensor path. `docs/decisions/0004-jacobians-on-host-memory.md` has the measurements that justify a second path.

mod affine;
mod attention;
mod buffer;
mod combine;
mod constant;
mod conv_live;
mod elementwise;
mod enlarge;
mod gather;
mod gram;
mod graph;
mod groups;
mod matmul;
mod norm;
mod panels;
mod picked;
mod product;
mod rearrange;
mod row_product;
mod rows;
mod softmax;
mod winograd;

pub use gram::{Directions, grams};
pub use graph::{HostGraph, Start};
pub use rows::HostRows;

use crate::nn::Plain;

/// A node linearised at one point: what its value pass leaves for its tangent pass.
#[derive(Default)]
pub struct Linearisation {
    /// The node's own numbers: the slopes of an activation, the normalised values of a norm; empty for a linear one.
    pub values: Vec<f32>,
    /// The linearisations of the nodes inside it, in order.
    pub inner: Vec<Linearisation>,
}

/// A node in host memory, applied to one sample at a time. Features are in C order of the per-sample shape.
pub trait HostOperator: Send + Sync {
    /// The map itself, from the features of each input (`[in]`) to features `[out]`, and its linearisation there.
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation);

    /// The tangents that leave the node, from those that enter it, at `point`; at least one input has some. `wanted` has
    /// one flag per output feature; `None` means all. Rows of features that are not wanted may be left out, because no
    /// later node reads them.
    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostRows>>, wanted: Option<&[bool]>) -> HostRows;

    /// The map itself for a block of samples, one in each lane. What it makes of a lane depends on that lane alone, and is
    /// [`value`](Self::value) but for rounding. The default takes the samples one after another.
    fn values(&self, x: Vec<HostRows>) -> HostRows {
        let count = x.first().map_or(0, HostRows::count);
        let each = (0..count).flat_map(|lane| {
            let x: Vec<Vec<f32>> = x.iter().map(|x| x.lane(lane)).collect();
            self.value(&x.iter().map(Vec::as_slice).collect::<Vec<_>>()).0
        });
        HostRows::directions(&each.collect::<Vec<_>>(), count)
    }

    /// Which features of an input matter, if the `wanted` ones of the output do; one flag each, `None` for all.
    fn wanted(&self, point: &Linearisation, input: usize, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let _ = (point, input, wanted);
        None
    }

    /// Whether the tangent rule is the same at every point, so that it needs no linearisation.
    fn is_linear(&self) -> bool {
        false
    }

    /// Absorbs a scale and shift per channel that follow the node. Returns `false` if it cannot, and is then unchanged.
    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// The scale and shift per channel, if the node does nothing else.
    fn affine(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// The largest number of rows of tangents that are alive at once in the node, if `before` features enter it in all.
    fn peak_rows(&self, before: usize) -> usize;

    /// Number of features that leave the node, if so many enter it from each input.
    fn features(&self, before: &[usize]) -> usize;
}

/// A node of one input, in the words of [`HostOperator`].
pub trait HostLayer: Send + Sync {
    /// See [`HostOperator::value`].
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation);

    /// See [`HostOperator::tangent`].
    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows;

    /// See [`HostOperator::values`].
    fn values(&self, x: HostRows) -> HostRows {
        let each = (0..x.count()).flat_map(|lane| self.value(&x.lane(lane)).0);
        HostRows::directions(&each.collect::<Vec<_>>(), x.count())
    }

    /// See [`HostOperator::wanted`].
    fn wanted(&self, point: &Linearisation, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let _ = (point, wanted);
        None
    }

    /// See [`HostOperator::is_linear`].
    fn is_linear(&self) -> bool {
        false
    }

    /// See [`HostOperator::fold`].
    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let _ = (scale, shift);
        false
    }

    /// See [`HostOperator::affine`].
    fn affine(&self) -> Option<(&[f32], &[f32])> {
        None
    }

    /// See [`HostOperator::peak_rows`].
    fn peak_rows(&self, before: usize) -> usize;

    /// See [`HostOperator::features`].
    fn features(&self, before: usize) -> usize;
}

impl<L: HostLayer> HostOperator for L {
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        HostLayer::value(self, x[0])
    }

    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostRows>>, wanted: Option<&[bool]>) -> HostRows {
        #[allow(clippy::expect_used)] // A node is asked for tangents only if an input has some.
        let t = t.into_iter().flatten().next().expect("a node of one input is given its tangents");
        HostLayer::tangent(self, point, t, wanted)
    }

    fn values(&self, x: Vec<HostRows>) -> HostRows {
        #[allow(clippy::expect_used)] // A node of one input is given one.
        HostLayer::values(self, x.into_iter().next().expect("a node of one input is given one"))
    }

    fn wanted(&self, point: &Linearisation, _: usize, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        HostLayer::wanted(self, point, wanted)
    }

    fn is_linear(&self) -> bool {
        HostLayer::is_linear(self)
    }

    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        HostLayer::fold(self, scale, shift)
    }

    fn affine(&self) -> Option<(&[f32], &[f32])> {
        HostLayer::affine(self)
    }

    fn peak_rows(&self, before: usize) -> usize {
        HostLayer::peak_rows(self, before)
    }

    fn features(&self, before: &[usize]) -> usize {
        HostLayer::features(self, before[0])
    }
}

/// The host operator for a map in plain terms.
fn rule(plain: Plain) -> Box<dyn HostOperator> {
    match plain {
        Plain::Gather(plain) => match winograd::Convolution::new(plain) {
            Ok(convolution) => Box::new(convolution),
            Err(gather) => gather,
        },
        Plain::Groups(plain) => Box::new(groups::Groups::new(plain)),
        Plain::Affine { scale, shift, area } => Box::new(affine::Affine::new(scale, shift, area)),
        Plain::Elementwise(rule) => Box::new(elementwise::Elementwise(rule)),
        Plain::Slopes(slopes) => Box::new(elementwise::Slopes(slopes)),
        Plain::Pointwise(rule) => Box::new(combine::Pointwise(rule)),
        Plain::Rearrange { from, fill } => Box::new(rearrange::Rearrange::new(from, fill)),
        Plain::Norm { scale, shift, eps, group, area, centred } => {
            Box::new(norm::Norm { scale, shift, eps, group, area, centred })
        }
        Plain::Attention { sizes, qkv, out } => Box::new(attention::Attention::new(sizes, qkv, out)),
        Plain::Sum(factors) => Box::new(combine::Sum(factors)),
        Plain::Concat(outer) => Box::new(combine::Concat { outer }),
        Plain::Constant(values) => Box::new(constant::Constant(values)),
        Plain::ConvLive { columns, sizes } => Box::new(conv_live::ConvLive::new(columns, sizes)),
        Plain::Matmul(sizes) => Box::new(matmul::Matmul::new(sizes)),
        Plain::Softmax { sizes, log } => Box::new(softmax::Softmax { sizes, log }),
        Plain::NormOf { rule, sizes } => Box::new(picked::NormOf { rule, sizes }),
        Plain::WindowMax { index, width } => Box::new(picked::WindowMax { index, width }),
    }
}
