//! Everything that touches the disk: durable writes, bounded reads, hashes, names, weights files, the recipe of a
//! folder.

mod arrays;
mod atomic;
mod claim;
mod float8;
mod hash;
mod head;
mod header;
mod index;
mod listing;
mod lock;
mod names;
mod read;
mod weights;

pub use arrays::{Array, Arrays};
pub use atomic::{
    append_line, create_dir, create_folder, move_file, open_log, remove_unfinished, replace_folder, unfinished,
    write_atomic,
};
pub use claim::{claim, claimed, differences, run_id};
pub use hash::{sha256_file, sha256_hex};
pub use head::{read_head, told};
pub use index::{list_shards, read_sharded};
pub use listing::{Listed, list_tensors};
pub use lock::{Lock, host};
pub use names::check_id;
pub use read::{check_depth, open_file, parse_toml, position, read_bounded, read_toml};
pub use weights::{WeightTensor, Weights, floats, write_safetensors, write_safetensors_halved};
