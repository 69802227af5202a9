//! Every bound on what comes from outside, one constant each, with its reason.

/// Bytes of a config or card: the largest shipped one has under 8 KiB.
pub const CONFIG_BYTES: u64 = 64 << 10;
/// Levels that tables, arrays and dotted keys of a config or card may be nested: a layer within a layer takes two.
pub const CONFIG_DEPTH: usize = 16;
/// Side of a picture that is read, in pixels: bounds the decoder's memory to 4096² × 4 bytes = 64 MiB.
pub const IMAGE_SIDE_IN: u32 = 4096;
/// Side of a picture that is made, in pixels.
pub const IMAGE_SIDE_OUT: usize = 2048;
/// Width of a latent: above it an exact Jacobian's Gram alone takes 32 GiB in f64.
pub const LATENT_WIDTH: usize = 65_536;
/// Steps of one steering or sampling loop.
pub const STEPS: usize = 4_096;
/// Samples in a tile: one network call of a fixed shape.
pub const TILE: usize = 256;
/// Samples in a run.
pub const SAMPLES: usize = 10_000_000;
/// Bytes of a weights file.
pub const WEIGHTS_BYTES: u64 = 16 << 30;
/// Bytes of a safetensors header.
pub const HEADER_BYTES: u64 = 16 << 20;
/// Tensors in a weights file.
pub const TENSORS: usize = 10_000;
/// Rank of a tensor.
pub const RANK: usize = 8;
/// Bytes of a tensor's name, printable ASCII.
pub const NAME_BYTES: usize = 256;
/// Bytes that a data set may unpack to: 60,000 pictures of 28×28 take 47 MB.
pub const DATASET_BYTES: u64 = 4 << 30;
/// Pictures in a data set.
pub const DATASET_ITEMS: usize = 5_000_000;
/// Layers of one network, nested ones counted.
pub const LAYERS: usize = 1_024;
/// Unguided samples that a calibration table needs at least (theory, equation 14).
pub const CALIBRATION_MIN: usize = 2_048;
/// Share of the free memory that an estimate may reach: estimates are off by some tenths.
pub const MEMORY_SHARE: f64 = 0.8;
/// Bytes of a run's plan: sixty-four jobs with their recipes take 100 KiB, the rest is for lists of seeds.
pub const PLAN_BYTES: u64 = 16 << 20;
/// Bytes of a tile's record: 256 samples with spectra of 1,024 values take under 12 MB.
pub const RECORD_BYTES: u64 = 64 << 20;
/// Values of latents in a record; each takes 30 bytes at most.
pub const RECORD_LATENTS: usize = 2 << 20;
/// Bytes of an events file that is read: ten million samples take 1 GB.
pub const EVENT_BYTES: u64 = 2 << 30;
/// Shards of a plan: clusters cut job arrays off far below.
pub const SHARDS: u64 = 100_000;
