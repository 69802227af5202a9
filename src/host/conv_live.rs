//! A convolution whose weight depends on the latent: the values under each place of the output as columns, and a product of
//! matrices.

use super::matmul::Matmul;
use super::rearrange::Rearrange;
use super::{HostLayer, HostOperator, HostRows, Linearisation};

/// The first input convolved with the second. The linearisation is that of the product.
pub struct ConvLive {
    columns: Rearrange,
    product: Matmul,
    features: usize,
}

impl ConvLive {
    /// From the features under each place, `[groups, k, places]`, and the sizes groups, outputs of a group, k and places.
    pub fn new(columns: Vec<u32>, sizes @ [groups, m, _, n]: [usize; 4]) -> Self {
        Self { columns: Rearrange::new(columns, 0.0), product: Matmul::new(sizes), features: groups * m * n }
    }
}

impl HostOperator for ConvLive {
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        let (columns, _) = HostLayer::value(&self.columns, x[0]);
        self.product.value(&[x[1], &columns])
    }

    fn values(&self, x: Vec<HostRows>) -> HostRows {
        let mut x = x.into_iter();
        let columns = x.next().map(|x| HostLayer::values(&self.columns, x));
        self.product.values(x.next().into_iter().chain(columns).collect())
    }

    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostRows>>, wanted: Option<&[bool]>) -> HostRows {
        let mut t = t.into_iter();
        let none = Linearisation::default();
        let columns = t.next().flatten().map(|t| HostLayer::tangent(&self.columns, &none, t, None));
        self.product.tangent(point, vec![t.next().flatten(), columns], wanted)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + 2 * self.features
    }

    fn features(&self, _: &[usize]) -> usize {
        self.features
    }
}
