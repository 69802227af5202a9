//! `AutoencoderKL`: the decoder that turns the codes of a latent diffusion model into pictures, and the encoder that finds them.
//!
//! A block is `x + conv(silu(norm(conv(silu(norm x)))))`, with a convolution of 1×1 on x where the number of channels changes. All norms have
//! eps 1e-6. At the smallest size there is one head of attention over all places.

use super::builder::{GraphBuilder, Steps, Tap};
use super::folder::Component;
use crate::error::{Error, Result};
use crate::limits;
use crate::nn::Network;
use serde_json::Value;
use std::collections::BTreeMap;

const EPS: f64 = 1e-6;
/// Greatest number of channels.
const WIDEST: usize = 65_536;
/// The settings of a config.
pub struct AutoencoderKl {
    channels: Vec<usize>,
    layers: usize,
    groups: usize,
    codes: usize,
    pictures: usize,
    attends: bool,
    quant: bool,
    post_quant: bool,
    /// What codes are divided by before they are decoded.
    pub scaling: f64,
    /// What is then added.
    pub shift: f64,
}

/// Keys that change nothing here, or have one value that is supported.
const FIXED: &[(&str, &[&str])] =
    &[("act_fn", &["\"silu\"", "\"swish\""]), ("latents_mean", &["null"]), ("latents_std", &["null"])];

impl AutoencoderKl {
    /// Reads the config of a component.
    ///
    /// # Errors
    /// [`Error::Input`] naming a key that is missing or not supported.
    pub fn read(component: &Component) -> Result<Self> {
        let place = component.folder.join("config.json");
        let config = &component.config;
        let bad = |key: &str, message: String| Err(Error::input(&place, format!("{key}: {message}")));
        for (key, known) in FIXED {
            let found = config.get(*key).map_or("null".to_owned(), Value::to_string);
            if !known.contains(&found.as_str()) && found != "null" {
                return bad(key, format!("expected {}, found {found}", known.join(" or ")));
            }
        }
        for (key, kind) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let all = config.get(key).and_then(Value::as_array);
            if let Some(other) = all.into_iter().flatten().find(|v| v.as_str() != Some(kind)) {
                return bad(key, format!("expected {kind} alone, found {other}"));
            }
        }
        let channels = config.get("block_out_channels").and_then(Value::as_array);
        let channels: Vec<usize> =
            channels.into_iter().flatten().filter_map(|v| usize::try_from(v.as_u64()?).ok()).collect();
        let groups = component.count("norm_num_groups", 32, WIDEST)?;
        if channels.is_empty()
            || channels.len() > 8
            || channels.iter().any(|c| *c > WIDEST)
            || channels.iter().any(|c| c % groups != 0)
        {
            return bad(
                "block_out_channels",
                format!("expected 1 to 8 multiples of norm_num_groups {groups}, found {channels:?}"),
            );
        }
        let scaling = component.real("scaling_factor", 0.18215)?;
        if scaling == 0.0 || !scaling.is_finite() {
            return bad("scaling_factor", format!("expected a number other than 0, found {scaling}"));
        }
        Ok(Self {
            layers: component.count("layers_per_block", 1, 64)?,
            codes: component.count("latent_channels", 4, 64)?,
            pictures: component.count("out_channels", 3, 64)?,
            attends: component.flag("mid_block_add_attention", true)?,
            quant: component.flag("use_quant_conv", true)?,
            post_quant: component.flag("use_post_quant_conv", true)?,
            scaling,
            shift: component.real("shift_factor", 0.0)?,
            channels,
            groups,
        })
    }

    /// By how much the decoder enlarges.
    pub fn factor(&self) -> usize {
        1 << (self.channels.len() - 1)
    }

    /// The network code → picture for codes of `height` × `width` places, with values from about −1 to 1 and no clamp.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn decoder(&self, [height, width]: [usize; 2]) -> Result<(Network, BTreeMap<String, f64>)> {
        let (mut g, z) = GraphBuilder::new(&[self.codes, height, width]);
        let last = self.channels[self.channels.len() - 1];
        let z = if self.post_quant { g.conv(&z, "post_quant_conv", self.codes, Steps::POINT)? } else { z };
        let mut x = g.conv(&z, "decoder.conv_in", last, Steps::SAME)?;
        x = self.middle(&mut g, &x, "decoder.mid_block")?;
        for (i, out) in self.channels.iter().rev().enumerate() {
            for j in 0..=self.layers {
                x = self.resnet(&mut g, &x, &format!("decoder.up_blocks.{i}.resnets.{j}"), *out)?;
            }
            if i + 1 < self.channels.len() {
                x = g.enlarged(&x)?;
                x = g.conv(&x, &format!("decoder.up_blocks.{i}.upsamplers.0.conv"), *out, Steps::SAME)?;
            }
        }
        x = self.activated(&mut g, &x, "decoder.conv_norm_out")?;
        let y = g.conv(&x, "decoder.conv_out", self.pictures, Steps::SAME)?;
        g.finish(&y, limits::PICTURE_VALUES)
    }

    /// The network picture → means and log-variances of a code, for pictures of `height` × `width` pixels.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn encoder(&self, [height, width]: [usize; 2]) -> Result<(Network, BTreeMap<String, f64>)> {
        let (mut g, picture) = GraphBuilder::new(&[self.pictures, height, width]);
        let mut x = g.conv(&picture, "encoder.conv_in", self.channels[0], Steps::SAME)?;
        for (i, out) in self.channels.iter().enumerate() {
            for j in 0..self.layers {
                x = self.resnet(&mut g, &x, &format!("encoder.down_blocks.{i}.resnets.{j}"), *out)?;
            }
            if i + 1 < self.channels.len() {
                // Zeros at the bottom and at the right alone.
                let steps = Steps { kernel: 3, stride: 2, pads: [0, 0, 1, 1] };
                x = g.conv(&x, &format!("encoder.down_blocks.{i}.downsamplers.0.conv"), *out, steps)?;
            }
        }
        x = self.middle(&mut g, &x, "encoder.mid_block")?;
        x = self.activated(&mut g, &x, "encoder.conv_norm_out")?;
        x = g.conv(&x, "encoder.conv_out", 2 * self.codes, Steps::SAME)?;
        let y = if self.quant { g.conv(&x, "quant_conv", 2 * self.codes, Steps::POINT)? } else { x };
        g.finish(&y, limits::PICTURE_VALUES)
    }

    fn activated(&self, g: &mut GraphBuilder, x: &Tap, name: &str) -> Result<Tap> {
        let x = g.group_norm(x, name, self.groups, EPS)?;
        Ok(g.unary(&x, "silu"))
    }

    fn resnet(&self, g: &mut GraphBuilder, x: &Tap, name: &str, out: usize) -> Result<Tap> {
        let y = self.activated(g, x, &format!("{name}.norm1"))?;
        let y = g.conv(&y, &format!("{name}.conv1"), out, Steps::SAME)?;
        let y = self.activated(g, &y, &format!("{name}.norm2"))?;
        let y = g.conv(&y, &format!("{name}.conv2"), out, Steps::SAME)?;
        let x = match x.shape[0] == out {
            true => x.clone(),
            false => g.conv(x, &format!("{name}.conv_shortcut"), out, Steps::POINT)?,
        };
        Ok(g.sum(&x, &y))
    }

    fn middle(&self, g: &mut GraphBuilder, x: &Tap, name: &str) -> Result<Tap> {
        let shape @ [channels, ..] = x.planes()?;
        let mut x = self.resnet(g, x, &format!("{name}.resnets.0"), channels)?;
        if self.attends {
            let name = format!("{name}.attentions.0");
            let y = g.group_norm(&x, &format!("{name}.group_norm"), self.groups, EPS)?;
            let y = g.places(&y)?;
            let [q, k, v] = ["to_q", "to_k", "to_v"].map(|part| g.dense(&y, &format!("{name}.{part}"), channels));
            let y = g.attention([&q, &k, &v], 1);
            let y = g.dense(&y, &format!("{name}.to_out.0"), channels);
            let y = g.planes(&y, shape);
            x = g.sum(&x, &y);
        }
        self.resnet(g, &x, &format!("{name}.resnets.1"), channels)
    }

    /// Every tensor that a component's files must have, and its shape.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn expected(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let mut all = Vec::new();
        for (network, factors) in [self.decoder([8, 8])?, self.encoder([8 * self.factor(); 2])?] {
            let specs = network.parameters().into_iter().filter(|s| !factors.contains_key(&s.key));
            all.extend(specs.map(|s| (s.key, s.shape)));
        }
        Ok(all)
    }
}
