//! Riemannian gradient steps on the sphere ‖z‖ = ‖z₀‖ towards the set-point (theory, 15). Where they lead nowhere, the
//! sample starts over elsewhere within the drift limit. With `stay` it goes only part of the way (15c).

use super::MethodRow;
use crate::error::{Error, Result};
use crate::noise::{self, Stream};
use crate::steer::{OwnKeys, Settings, Slot, Steering, sphere};
use crate::units::Percentile;
use serde::{Deserialize, Serialize};

const NAME: &str = "gradient";

pub const ROW: MethodRow = MethodRow {
    name: NAME,
    about: "follows the reward's gradient on the latent's sphere to the asked novelty (15), corrected by measurement (15b)",
    make: || Box::new(Gradient),
};

struct Gradient;

impl Steering for Gradient {
    // On ½((r − ψ*)/s)² with the Gauss-Newton length: along the tangent t = P g the reward rises by ‖t‖ per unit of
    // length, so the arc that closes the gap is (ψ* − r)/(‖t‖‖z‖), cut to `max_angle`.
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

    fn stay(&self, settings: &Settings) -> f64 {
        settings.own.gradient.stay.unwrap_or(0.0)
    }

    // ψ has more than one valley, and the asked level may be out of reach from the one the seed lies in. A point within
    // the drift limit, chosen by the sample's own noise, leads into another valley.
    fn restart(&self, slot: &Slot, _: &Settings) -> Option<Vec<f32>> {
        let d = slot.start.len();
        let key = slot.steps as u32;
        let direction = noise::normals(0, slot.sample, Stream::Steering, key, d);
        let part = noise::uniforms(1, slot.sample, Stream::Steering, key, 1)[0];
        let tangent = sphere::tangent(&direction, &slot.start);
        Some(sphere::walk(&slot.start, &tangent, slot.reach * f64::from(part)))
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// The method's own key.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct GradientKeys {
    /// Weight of nearness to the seed's own picture, 0 to 1: at 0 the asked novelty decides alone, at 1 nothing moves
    /// [default: 0]
    #[arg(long, value_name = "WEIGHT", display_order = 10)]
    pub stay: Option<f64>,
}

impl OwnKeys for GradientKeys {
    fn check(&self) -> Result<()> {
        match self.stay {
            Some(stay) if !(0.0..=1.0).contains(&stay) => {
                Err(Error::key("stay", format!("expected a weight from 0 to 1, found {stay}")))
            }
            _ => Ok(()),
        }
    }

    fn check_use(&self, method: &str, _: Option<Percentile>) -> Result<()> {
        if self.stay.is_none() || method == NAME {
            return Ok(());
        }
        let message = format!("only the method \"{NAME}\" can stay near its start, the method here is \"{method}\"");
        Err(Error::key("stay", message))
    }

    fn used(&self, target: Option<Percentile>) -> Self {
        Self { stay: self.stay.filter(|stay| *stay > 0.0 && target.is_some()) }
    }

    fn filled(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::Score;
    use crate::steer::{angle_between, norm};
    use crate::units::Level;

    fn slot(sample: u64, steps: usize) -> Slot {
        let start = noise::normals(0, sample, Stream::Latent, 0, 24);
        let score = Score { level: Level(0.0), std: 1.0 };
        Slot {
            sample,
            latent: start.clone(),
            gradient: vec![0.0; 24],
            best: (1.0, start.clone(), score),
            start,
            score,
            set_point: Level(1.0),
            step_scale: 0.1,
            steps,
            scored: 1,
            done: false,
            non_finite: false,
            reach: 1.0,
            limited: false,
        }
    }

    #[test]
    fn a_new_beginning_keeps_norm_and_drift_and_depends_on_the_sample_alone() {
        let settings = Settings::default();
        let mut angles = Vec::new();
        for steps in 0..200 {
            let slot = slot(7, steps);
            let place = Gradient.restart(&slot, &settings).unwrap();
            assert!((norm(&place) / norm(&slot.start) - 1.0).abs() < 1e-6);
            angles.push(angle_between(&slot.start, &place));
            assert_eq!(place, Gradient.restart(&slot, &settings).unwrap());
        }
        assert!(angles.iter().all(|a| *a <= 1.0 + 1e-6), "{angles:?}");
        // The angles are uniform over the drift limit: the mean of 200 uniforms is within four deviations of the
        // middle.
        let mean = angles.iter().sum::<f64>() / 200.0;
        assert!((mean - 0.5).abs() < 4.0 / (12.0f64 * 200.0).sqrt(), "{mean}");
        let (one, other) = (slot(7, 3), slot(8, 3));
        assert_ne!(Gradient.restart(&one, &settings), Gradient.restart(&other, &settings));
    }
}
