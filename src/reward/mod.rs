//! The reward: a small network that learns ψ_k, or another quantity, from latents or pictures, and the calibration
//! table that gives its numbers a meaning.

mod calibration;
mod labels;
mod network;
mod predictor;
mod quantities;
mod report;
mod train;

pub use calibration::{Calibration, Novelty};
pub use labels::{LabelConfig, Labels, label_latents};
pub use network::{Reward, RewardCard, Score, read_calibration, reward_folder};
pub use predictor::{NoisedConfig, WORTH};
pub use quantities::{Place, QUANTITIES, Quantity, QuantityRow, Reading, quantity};
pub use report::{Report, Split, report_html};
pub use train::{FitConfig, RewardConfig, TrainReward, check_config, train_reward};
