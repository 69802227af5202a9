//! ‖z‖, the length of the latent. For draws from N(0, I) it is near √d; the difference says how far out z lies.

use super::ShownIn::{Path, Related};
use super::{Descriptor, LocalGeometry, Measured, NO_PARTS};

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "z_norm",
    about: "Euclidean norm of the latent",
    unit: "standard deviations of the prior",
    range: "from 0",
    empty: "a value is not finite",
    label: "‖z‖",
    shown: &[Related, Path],
    measure,
    parts: NO_PARTS,
};

fn measure(g: &LocalGeometry) -> Measured {
    Measured::exact(g.latent.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt())
}
