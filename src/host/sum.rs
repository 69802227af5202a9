//! The sum of two chains.

use super::{HostChain, HostLayer, HostTangents, Trace};

/// body(x) + shortcut(x)
pub struct Sum {
    /// One chain.
    pub body: HostChain,
    /// The other, as wide at its end.
    pub shortcut: HostChain,
}

impl HostLayer for Sum {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let ((a, body), (b, shortcut)) = (self.body.value(x), self.shortcut.value(x));
        let y = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        (y, Trace { values: Vec::new(), inner: vec![body, shortcut] })
    }

    fn tangent(&self, trace: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        let body = self.body.tangent(&trace.inner[0], t.clone(), wanted, 0);
        body.plus(&self.shortcut.tangent(&trace.inner[1], t, wanted, 0), wanted)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + self.body.peak_rows() + self.shortcut.peak_rows() + self.body.features()
    }

    fn features(&self, _: usize) -> usize {
        self.body.features()
    }
}
