//! Values that do not depend on the latent.

use super::{HostOperator, HostRows, Linearisation};

/// The same values for every sample.
pub struct Constant(pub Vec<f32>);

impl HostOperator for Constant {
    fn value(&self, _: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        (self.0.clone(), Linearisation::default())
    }

    // Never asked for: a constant has no inputs that could have tangents.
    fn tangent(&self, _: &Linearisation, _: Vec<Option<HostRows>>, _: Option<&[bool]>) -> HostRows {
        HostRows::units(self.0.len(), 0, 0)
    }

    fn peak_rows(&self, _: usize) -> usize {
        0
    }

    fn features(&self, _: &[usize]) -> usize {
        self.0.len()
    }
}
