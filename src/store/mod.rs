//! What touches the disk: durable writes, bounded reads, hashes, names, weights files.

mod atomic;
mod hash;
mod names;
mod read;
mod weights;

pub use atomic::{create_dir, replace_folder, write_atomic};
pub use hash::{sha256_file, sha256_hex};
pub use names::check_id;
pub use read::{parse_toml, read_bounded, read_toml};
pub use weights::{WeightTensor, Weights, floats, write_safetensors};
