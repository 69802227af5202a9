//! No steering: the seed's own latent, bit for bit.

use super::MethodRow;
use crate::steer::{Settings, Slot, Steering};

pub const ROW: MethodRow = MethodRow {
    name: "none",
    about: "plain sampling; measures and reports, moves nothing",
    make: || Box::new(Unsteered),
};

/// Proposes nothing.
pub struct Unsteered;

impl Steering for Unsteered {
    fn propose(&self, _: &Slot, _: usize, _: &Settings) -> Option<Vec<f32>> {
        None
    }

    fn is_local(&self) -> bool {
        false
    }

    fn moves(&self) -> bool {
        false
    }
}
