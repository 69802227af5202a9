//! The config of a `UNet2DConditionModel`: which keys are read, which have one value that is supported, and what follows from them.

use super::folder::Component;
use crate::error::{Error, Result};
use serde_json::Value;

/// Keys with one value that is supported; absent or null is always one.
const FIXED: &[(&str, &str)] = &[
    ("act_fn", "\"silu\""),
    ("attention_type", "\"default\""),
    ("center_input_sample", "false"),
    ("class_embed_type", "null"),
    ("class_embeddings_concat", "false"),
    ("conv_in_kernel", "3"),
    ("conv_out_kernel", "3"),
    ("cross_attention_norm", "null"),
    ("downsample_padding", "1"),
    ("dual_cross_attention", "false"),
    ("encoder_hid_dim", "null"),
    ("encoder_hid_dim_type", "null"),
    ("mid_block_only_cross_attention", "null"),
    ("mid_block_scale_factor", "1"),
    ("mid_block_type", "\"UNetMidBlock2DCrossAttn\""),
    ("num_attention_heads", "null"),
    ("num_class_embeds", "null"),
    ("only_cross_attention", "false"),
    ("resnet_out_scale_factor", "1.0"),
    ("resnet_skip_time_act", "false"),
    ("resnet_time_scale_shift", "\"default\""),
    ("reverse_transformer_layers_per_block", "null"),
    ("time_embedding_act_fn", "null"),
    ("time_embedding_dim", "null"),
    ("time_embedding_type", "\"positional\""),
    ("timestep_post_act", "null"),
];

/// Keys that are read, or say nothing about the network's answer.
const READ: &[&str] = &[
    "addition_embed_type",
    "addition_embed_type_num_heads",
    "addition_time_embed_dim",
    "attention_head_dim",
    "block_out_channels",
    "cross_attention_dim",
    "down_block_types",
    "dropout",
    "flip_sin_to_cos",
    "freq_shift",
    "in_channels",
    "layers_per_block",
    "norm_eps",
    "norm_num_groups",
    "out_channels",
    "projection_class_embeddings_input_dim",
    "sample_size",
    "time_cond_proj_dim",
    "transformer_layers_per_block",
    "up_block_types",
    "upcast_attention",
    "use_linear_projection",
];

/// Greatest width of anything in such a network.
const WIDEST: usize = 65_536;

/// The settings of a config.
pub struct Config {
    /// Channels of each level.
    pub channels: Vec<usize>,
    /// Blocks of each level on the way down; one more on the way up.
    pub layers: usize,
    /// Groups of the group norms.
    pub groups: usize,
    /// What those of the blocks add to a variance.
    pub eps: f64,
    /// Channels of a latent.
    pub inputs: usize,
    /// Channels of an answer.
    pub outputs: usize,
    /// Width of a token's state.
    pub context: usize,
    /// Whether each block of the way down has attention, and of the way up.
    pub crosses: [Vec<bool>; 2],
    /// Heads of attention at each level.
    pub heads: Vec<usize>,
    /// Transformer blocks in a row at each level.
    pub transformers: Vec<usize>,
    /// Whether maps into and out of attention are linear, and not convolutions.
    pub dense: bool,
    /// Whether cosines come before sines.
    pub flipped: bool,
    /// What is taken from the number of frequencies.
    pub freq_shift: f64,
    /// Width of LCM's embedding of the guidance scale.
    pub guidance: Option<usize>,
    /// Width of each of SDXL's embedded sizes.
    pub sizes: Option<usize>,
    /// Width of all that SDXL is told, the pooled row included.
    pub told: usize,
}

impl Config {
    /// Reads the config of a component.
    ///
    /// # Errors
    /// [`Error::Input`] naming a key that is missing or not supported.
    pub fn read(component: &Component) -> Result<Self> {
        let place = component.folder.join("config.json");
        let config = &component.config;
        let bad = |key: &str, message: String| Error::input(&place, format!("{key}: {message}"));
        let quiet = |v: &Value| v.is_null() || v == &Value::Bool(false);
        for (key, value) in config.as_object().into_iter().flatten() {
            let known = FIXED.iter().find(|f| f.0 == key).map(|f| f.1);
            let as_known = |known: &str| {
                let (text, number) = (value.to_string(), |text: &str| text.parse::<f64>().ok());
                text == known || (number(known).is_some() && number(&text) == number(known))
            };
            match known {
                _ if quiet(value) || key.starts_with('_') || READ.contains(&key.as_str()) => {}
                Some(known) if as_known(known) => {}
                Some(known) => return Err(bad(key, format!("expected {known}, found {value}; this is not supported"))),
                None => return Err(bad(key, format!("{value} is not known to isoline, and may change pictures"))),
            }
        }
        let list = |key: &str, usual: usize, n: usize| -> Result<Vec<usize>> {
            // Counts of layers are multiplied with each other; widths are not.
            let most = if key.contains("layers") { 64 } else { WIDEST };
            let number =
                |v: &Value| v.as_u64().and_then(|v| usize::try_from(v).ok()).filter(|v| (1..=most).contains(v));
            let found = match config.get(key) {
                None | Some(Value::Null) => Some(vec![usual; n]),
                Some(Value::Array(all)) => all.iter().map(number).collect(),
                Some(one) => number(one).map(|v| vec![v; n]),
            };
            found
                .filter(|all| n == 0 || all.len() == n)
                .ok_or_else(|| bad(key, format!("expected {n} whole numbers, or one for all")))
        };
        let channels = list("block_out_channels", 0, 0)?;
        let n = channels.len();
        let groups = component.count("norm_num_groups", 32, WIDEST)?;
        if n == 0 || n > 8 || channels.iter().any(|c| c % groups != 0) {
            return Err(bad(
                "block_out_channels",
                format!("expected 1 to 8 multiples of norm_num_groups {groups}, found {channels:?}"),
            ));
        }
        let kinds = |key: &str, plain: &str, crossing: &str| -> Result<Vec<bool>> {
            let all = config.get(key).and_then(Value::as_array);
            let one = |v: &Value| match v.as_str() {
                Some(kind) if kind == plain => Ok(false),
                Some(kind) if kind == crossing => Ok(true),
                _ => Err(bad(key, format!("expected {plain} or {crossing}, found {v}"))),
            };
            let found = all.into_iter().flatten().map(one).collect::<Result<Vec<bool>>>()?;
            if found.len() == n { Ok(found) } else { Err(bad(key, format!("expected {n}, found {}", found.len()))) }
        };
        let crosses = [
            kinds("down_block_types", "DownBlock2D", "CrossAttnDownBlock2D")?,
            kinds("up_block_types", "UpBlock2D", "CrossAttnUpBlock2D")?,
        ];
        let heads = list("attention_head_dim", 8, n)?;
        if let Some((c, h)) = channels.iter().zip(&heads).find(|(c, h)| *c % *h != 0) {
            return Err(bad(
                "attention_head_dim",
                format!("expected a divisor of {c} (it is the number of heads), found {h}"),
            ));
        }
        let text_time = match config.get("addition_embed_type").and_then(Value::as_str) {
            None => false,
            Some("text_time") => true,
            Some(other) => return Err(bad("addition_embed_type", format!("expected text_time, found {other}"))),
        };
        let embedded = match component.number("time_cond_proj_dim") {
            None => None,
            Some(_) => Some(component.count("time_cond_proj_dim", 256, WIDEST)?),
        };
        let sizes = match text_time {
            true => Some(component.count("addition_time_embed_dim", 256, WIDEST)?),
            false => None,
        };
        let freq_shift = component.real("freq_shift", 0.0)?;
        for (key, width) in [
            ("block_out_channels", Some(channels[0])),
            ("time_cond_proj_dim", embedded),
            ("addition_time_embed_dim", sizes),
        ] {
            if let Some(odd) =
                width.filter(|w| *w < 4 || w % 2 != 0 || freq_shift.is_nan() || freq_shift >= (*w / 2) as f64)
            {
                let message = format!("expected an even width of at least 4 for sines and cosines, found {odd}");
                return Err(bad(key, message));
            }
        }
        let layers = list("layers_per_block", 2, n)?;
        if layers.iter().any(|l| *l != layers[0]) {
            return Err(bad("layers_per_block", "expected one number for all blocks".into()));
        }
        Ok(Self {
            layers: layers[0],
            groups,
            eps: component.real("norm_eps", 1e-5)?,
            inputs: component.count("in_channels", 4, 64)?,
            outputs: component.count("out_channels", 4, 64)?,
            context: component.count("cross_attention_dim", 1280, WIDEST)?,
            crosses,
            heads,
            transformers: list("transformer_layers_per_block", 1, n)?,
            dense: component.flag("use_linear_projection", false)?,
            flipped: component.flag("flip_sin_to_cos", true)?,
            freq_shift,
            guidance: embedded,
            told: component.count("projection_class_embeddings_input_dim", 2816, WIDEST)?,
            sizes,
            channels,
        })
    }

    /// The tensors of what is computed beside the graph, and their shapes.
    pub fn beside(
        &self,
        shifts: &[(String, usize)],
        crossings: &[(String, usize, usize)],
    ) -> Vec<(String, Vec<usize>)> {
        let first = self.channels[0];
        let wide = 4 * first;
        let mut all = Vec::new();
        let mut put = |name: &str, out: usize, input: usize, bias: bool| {
            all.push((format!("{name}.weight"), vec![out, input]));
            all.extend(bias.then(|| (format!("{name}.bias"), vec![out])));
        };
        put("time_embedding.linear_1", wide, first, true);
        put("time_embedding.linear_2", wide, wide, true);
        if let Some(width) = self.guidance {
            put("time_embedding.cond_proj", first, width, false);
        }
        if self.sizes.is_some() {
            put("add_embedding.linear_1", wide, self.told, true);
            put("add_embedding.linear_2", wide, wide, true);
        }
        shifts.iter().for_each(|(name, out)| put(&format!("{name}.time_emb_proj"), *out, wide, true));
        for (name, heads, width) in crossings {
            ["to_k", "to_v"].iter().for_each(|part| put(&format!("{name}.{part}"), heads * width, self.context, false));
        }
        all
    }

    /// Sines and cosines of t at `width`/2 frequencies.
    pub fn sinusoids(&self, t: f64, width: usize) -> Vec<f64> {
        let half = width / 2;
        let angle = |i: usize| t * (-(10_000f64.ln()) * i as f64 / (half as f64 - self.freq_shift)).exp();
        let [sines, cosines]: [Vec<f64>; 2] =
            [(0..half).map(|i| angle(i).sin()).collect(), (0..half).map(|i| angle(i).cos()).collect()];
        if self.flipped { [cosines, sines].concat() } else { [sines, cosines].concat() }
    }
}
