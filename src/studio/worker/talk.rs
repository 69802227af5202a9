//! What the studio and its worker say to each other: one line of JSON each, over the worker's pipes. The file of a picture
//! follows the line that announces it.

use super::measure::Geometry;
use crate::acts::generate::{PictureRecipe, SampleRow, Templates, Vary};
use crate::units::Percentile;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What the studio asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Load a model and say what it is.
    Load {
        /// Name of the model.
        model: String,
        /// Name of the reward, where it is not the model's own.
        reward: Option<String>,
    },
    /// Make pictures and send them.
    Look {
        /// Name of the model.
        model: String,
        /// Name of the reward, where it is not the model's own.
        reward: Option<String>,
        /// Seed and novelty of each; of variations, the number of each.
        wanted: Vec<(u64, Option<Percentile>)>,
        /// What they are variations of, if they are.
        vary: Option<Box<Vary>>,
    },
    /// Make a tile of a run.
    Tile {
        /// The run's folder.
        run: PathBuf,
        /// The tile.
        tile: u64,
    },
    /// Make what is missing of a run, then its tables and sheets.
    Complete {
        /// The run's folder.
        run: PathBuf,
    },
    /// Make a picture again by the recipe inside it, and compare.
    Again {
        /// Its file.
        file: PathBuf,
        /// A folder for what is made, which is left empty.
        below: PathBuf,
    },
    /// Measure the geometry at a picture.
    Measure {
        /// Name of the model.
        model: String,
        /// The recipe of the picture.
        own: Box<PictureRecipe>,
        /// Whether along all directions, however long that takes.
        exact: bool,
    },
    /// Let go of the run that was worked in last.
    Leave,
    /// Stop what is being made, within a step.
    Stop,
    /// Make one picture alone and in company, and say whether its bytes are the same.
    Check {
        /// Name of the model.
        model: String,
        /// Name of the reward, where it is not the model's own.
        reward: Option<String>,
    },
}

/// What the worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It has a device.
    Ready {
        /// The device in words.
        device: String,
        /// cpu, wgpu or cuda.
        class: String,
    },
    /// What was asked for is loaded.
    Loaded(Box<Loaded>),
    /// One of the pictures asked for.
    Frame {
        /// Which of them.
        index: usize,
        /// Its row.
        row: Box<SampleRow>,
        /// Bytes of its file, which follow; 0 where there is none.
        bytes: usize,
    },
    /// Whether a picture is the same in whatever company it is made.
    Checked {
        /// Whether it is.
        same: bool,
    },
    /// How a picture that was made again compares with the one that was there.
    Compared {
        /// Bytes of the file that was there.
        bytes: usize,
        /// The largest difference of two values, of 255; `None` where every byte is the same.
        largest: Option<u8>,
    },
    /// What was measured at a picture.
    Measured(Box<Geometry>),
    /// All that was asked for has been sent.
    Done,
    /// It could not be done.
    Failed {
        /// Why.
        message: String,
        /// Exit code that a command would have ended with.
        code: u8,
    },
}

/// A model in the worker's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Loaded {
    /// The recipes of its pictures.
    pub templates: Templates,
    /// `[channels, height, width]` of a picture.
    pub shape: [usize; 3],
    /// Whether samples are computed one by one, so that a few cost less than a tile.
    pub one_by_one: bool,
    /// The quantity that the reward has learnt, by its symbol.
    pub quantity: Option<String>,
}
