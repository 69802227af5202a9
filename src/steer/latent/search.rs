//! Draws candidates from the prior and keeps the one whose reward is nearest to the target (theory, 18).

use super::MethodRow;
use crate::noise::{self, Stream};
use crate::steer::{Settings, Slot, Steering};

pub const ROW: MethodRow = MethodRow {
    name: "search",
    about: "best of N fresh latents by the reward (18); the seed's own picture is not kept",
    make: || Box::new(Search),
};

struct Search;

impl Steering for Search {
    fn propose(&self, slot: &Slot, step: usize, _: &Settings) -> Option<Vec<f32>> {
        Some(noise::normals(0, slot.sample, Stream::Steering, step as u32, slot.start.len()))
    }

    fn is_local(&self) -> bool {
        false
    }
}
