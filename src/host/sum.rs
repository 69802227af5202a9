//! The sum of two chains, such as a residual block and its shortcut.

use super::{HostChain, HostLayer, HostTangents, Linearisation};

/// body(x) + shortcut(x)
pub struct Sum {
    /// One of the two chains.
    pub body: HostChain,
    /// The other one, which ends in as many features; an empty chain is the identity.
    pub shortcut: HostChain,
}

impl HostLayer for Sum {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let ((a, body), (b, shortcut)) = (self.body.value(x), self.shortcut.value(x));
        let y = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        (y, Linearisation { values: Vec::new(), inner: vec![body, shortcut] })
    }

    fn tangent(&self, point: &Linearisation, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        let body = self.body.tangent(&point.inner[0], t.clone(), wanted, 0);
        body.plus(&self.shortcut.tangent(&point.inner[1], t, wanted, 0), wanted)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + self.body.peak_rows() + self.shortcut.peak_rows() + self.body.features()
    }

    fn features(&self, _: usize) -> usize {
        self.body.features()
    }
}
