//! Riemannian gradient steps on the sphere ‖z‖ = ‖z₀‖ towards the set-point (theory, 15).

use super::MethodRow;
use crate::steering::{Settings, Slot, Steering, sphere};

pub const ROW: MethodRow = MethodRow {
    name: "gradient",
    about: "follows the reward's gradient on the latent's sphere to the asked novelty (15), corrected by measurement (15b)",
    make: || Box::new(Gradient),
};

struct Gradient;

impl Steering for Gradient {
    // On ½((r − ψ*)/s)² with the Gauss-Newton length: along the tangent t = P g the reward rises by
    // ‖t‖ per unit of length, so the arc that closes the gap is (ψ* − r)/(‖t‖‖z‖), cut to `max_angle`.
    fn propose(&self, slot: &Slot, _: usize, settings: &Settings) -> Option<Vec<f32>> {
        let tangent = sphere::tangent(&slot.gradient, &slot.latent);
        let slope = tangent.iter().map(|v| v * v).sum::<f64>().sqrt() * sphere::norm(&slot.latent);
        if !(slope > 0.0 && slope.is_finite()) {
            return None;
        }
        let gap = slot.set_point - slot.score.level;
        let theta = (gap / slope).clamp(-settings.max_angle, settings.max_angle) * slot.step_scale;
        Some(sphere::walk(&slot.latent, &tangent, theta))
    }

    fn is_local(&self) -> bool {
        true
    }
}
