//! Models as people have them: the folders that `diffusers` writes, and what is in them.

mod autoencoder_kl;
mod builder;
mod clip_text;
mod component_tensors;
mod folder;
mod pipeline;
mod tokenizer;
mod unet;
mod unet_config;

pub use autoencoder_kl::AutoencoderKl;
pub use clip_text::{ClipText, Encoded};
pub use component_tensors::{Tensors, today};
pub use folder::{Component, Folder, INDEX};
pub use pipeline::{Asked, Made, Pipeline, Wish};
pub use tokenizer::{ClipTokenizer, Tokens};
pub use unet::{Prompt, Unet};
