//! Upper bounds on everything that comes from outside the program, one constant each, with the reason for its size.

/// Bytes of a config or card: the largest shipped one has under 8 KiB.
pub const CONFIG_BYTES: u64 = 64 << 10;
/// Depth to which tables, arrays and dotted keys of a config or card may be nested; a layer inside a layer takes two.
pub const CONFIG_DEPTH: usize = 16;
/// Side in pixels of a picture that is read; keeps the decoder within 4096² × 4 bytes = 64 MiB.
pub const IMAGE_SIDE_IN: u32 = 4096;
/// Side in pixels of a picture that is written.
pub const IMAGE_SIDE_OUT: usize = 2048;
/// Width d of a latent: at this width the `[d, d]` Gram matrix of an exact Jacobian alone takes 32 GiB in f64.
pub const LATENT_WIDTH: usize = 65_536;
/// Values of a picture that a network reads: three channels of the largest side that is written.
pub const PICTURE_VALUES: usize = 3 * IMAGE_SIDE_OUT * IMAGE_SIDE_OUT;

/// Steps of one steering or sampling loop.
pub const STEPS: usize = 4_096;
/// Samples in a tile, that is, in one network call of fixed shape.
pub const TILE: usize = 256;
/// Samples in one run.
pub const SAMPLES: usize = 10_000_000;
/// Bytes of a weights file.
pub const WEIGHTS_BYTES: u64 = 16 << 30;
/// Bytes of a safetensors header: the format's own limit. Of a long one nothing but the list of tensors is kept.
pub const HEADER_BYTES: u64 = 100_000_000;
/// Tensors in a weights file.
pub const TENSORS: usize = 10_000;
/// Dimensions of a tensor in a weights file.
pub const RANK: usize = 8;
/// Bytes of a tensor's name, which must be printable ASCII.
pub const NAME_BYTES: usize = 256;
/// Bytes that a data set may take once unpacked; 60,000 pictures of 28×28 take 47 MB.
pub const DATASET_BYTES: u64 = 4 << 30;
/// Pictures in a data set.
pub const DATASET_ITEMS: usize = 5_000_000;
/// Bytes of the `dataset.json` of a data set, or of its table of attributes: 1.3 million pictures with labels take 52 MB.
pub const LABELS_BYTES: u64 = 256 << 20;
/// Classes of a data set; ImageNet's largest list has 21,841.
pub const CLASSES: usize = 65_536;
/// Bytes of a picture file: 4096² pixels of four 16-bit channels take 128 MiB without compression.
pub const PICTURE_BYTES: u64 = 256 << 20;
/// Layers in one list of a card: a network, a branch or the body of a block.
pub const LAYERS: usize = 1_024;
/// Smallest number of unguided samples that a calibration table may have (theory, equation 14). Unlike the others, this
/// is a lower bound.
pub const CALIBRATION_MIN: usize = 2_048;
/// Share of the free memory that an estimated need may take up; the rest is for what the estimate leaves out.
pub const MEMORY_SHARE: f64 = 0.8;
/// Bytes of a run's plan: sixty-four jobs with their recipes take 100 KiB, so most of it is for lists of seeds.
pub const PLAN_BYTES: u64 = 16 << 20;
/// Bytes of a tile's record: 256 samples with spectra of 1,024 values each take under 12 MB.
pub const RECORD_BYTES: u64 = 64 << 20;
/// Latent values in one record, each of which takes at most 30 bytes of text.
pub const RECORD_LATENTS: usize = 2 << 20;
/// Bytes of an events file; ten million samples take 1 GB.
pub const EVENT_BYTES: u64 = 2 << 30;
/// Shards of a plan: job arrays on clusters end far below this.
pub const SHARDS: u64 = 100_000;
/// Nodes in a network; a real U-Net has a few thousand.
pub const NODES: usize = 16_384;
/// Values per sample in one activation: 1 GiB in f32.
pub const VALUE: usize = 1 << 28;
/// Bytes of a graph file: a thousand nodes with lists of indices take a few megabytes.
pub const GRAPH_BYTES: u64 = 64 << 20;
/// Indices in the lists of a graph file that are written out, all together: 512 MiB.
pub const INDICES: usize = 1 << 27;

/// Connections to the studio at once. A browser opens six; the rest is for a team, or for mischief.
pub const CONNECTIONS: usize = 256;
/// Pages that may listen to the studio's events at once.
pub const EVENT_STREAMS: usize = 64;
/// Events that are kept for pages that lost the connection: a night's worth.
pub const EVENTS_KEPT: i64 = 10_000;
/// Bytes of a request's line and headers.
pub const HEADERS_BYTES: usize = 16 << 10;
/// How long a request's headers may take to come.
pub const HEADER_TIME: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a request may take in all.
pub const REQUEST_TIME: std::time::Duration = std::time::Duration::from_secs(30);
/// Bytes of a request's body.
pub const BODY_BYTES: usize = 64 << 10;
/// Bytes of a body that names many pictures.
pub const MARKS_BYTES: usize = 256 << 10;
/// Bytes of a picture whose recipe is asked for.
pub const DROPPED_BYTES: usize = 8 << 20;

/// Bytes that the body of a request to this route of the studio may have.
pub fn body_bytes(path: &str) -> usize {
    match path {
        "/api/recipes" => DROPPED_BYTES,
        "/api/pictures" | "/api/exports" => MARKS_BYTES,
        _ => BODY_BYTES,
    }
}

/// Bytes of pictures that the studio keeps of what was only looked at.
pub const SHELF_BYTES: u64 = 512 << 20;
/// Other seeds that one look may ask for.
pub const LOOK_SEEDS: usize = 63;
/// Bytes of the disk that batches leave free, or a twentieth of it if that is less.
pub const DISK_LEFT: u64 = 512 << 20;
/// Pictures of one batch of the studio.
pub const BATCH: usize = 1_000_000;
/// Pictures that one change of marks may be about.
pub const MARKED: usize = 5_000;
