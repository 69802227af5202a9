//! A U-Net described by a few keys and built from other kinds of layers. One level, of `channels[level]` channels:
//!
//! ```text
//! blocks ──┬── conv stride 2 ── next level, half the size ── upsample ── conv ──┐
//!          └────────────────────────────────────────────────────────────────────┴─ concat ── blocks
//! ```
//!
//! A block is group_norm, silu, conv 3×3, modulate by the condition, group_norm, silu, and a conv 3×3 that starts at
//! zero, plus the input (through a 1×1 convolution if the number of channels changes). Attention, where asked for,
//! follows a block. The output has `channels[0]` channels; further layers of the card turn them into a picture again.

use super::planes;
use crate::error::{Error, Result};
use crate::nn::{Build, Builder, LayerKind, ValueId, check_range, parse_layer};

pub const KIND: LayerKind = LayerKind {
    name: "unet",
    about: "residual blocks on several sizes with skips, made of other layers; keys: key, channels = [per level], \
        condition (its width), blocks = 1, attention = [levels], heads = 1, groups = 8",
    build: Build::Nodes(build),
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: String,
    channels: Vec<usize>,
    condition: usize,
    #[serde(default = "one")]
    blocks: usize,
    #[serde(default)]
    attention: Vec<usize>,
    #[serde(default = "one")]
    heads: usize,
    #[serde(default = "eight")]
    groups: usize,
}

fn one() -> usize {
    1
}

fn eight() -> usize {
    8
}

fn build(table: toml::Table, network: &mut Builder, from: ValueId) -> Result<ValueId> {
    let c: Config = parse_layer(table)?;
    let [channels, height, width] = planes(network.shape(from))?;
    check_range("channels", c.channels.len(), 1..=8)?;
    check_range("blocks", c.blocks, 1..=16)?;
    c.channels.iter().try_for_each(|n| check_range("channels", *n, 1..=1 << 14))?;
    let side = 1 << (c.channels.len() - 1);
    if height % side != 0 || width % side != 0 {
        let message = format!(
            "{} levels halve the sides {} times, expected sides divisible by {side}, found {height}×{width}",
            c.channels.len(),
            c.channels.len() - 1
        );
        return Err(Error::key("channels", message));
    }
    if let Some(level) = c.attention.iter().find(|l| **l >= c.channels.len()) {
        let message = format!("expected levels from 0 to {}, found {level}", c.channels.len() - 1);
        return Err(Error::key("attention", message));
    }
    network.layers(c.level(0, channels), from, "unet")
}

/// The TOML table of one layer, as it would stand in a card.
fn layer(kind: &str, keys: &[(&str, toml::Value)]) -> toml::Table {
    let kind = ("kind".to_owned(), toml::Value::from(kind));
    [kind].into_iter().chain(keys.iter().map(|(k, v)| ((*k).to_owned(), v.clone()))).collect()
}

fn count(n: usize) -> toml::Value {
    toml::Value::Integer(n as i64)
}

fn list(layers: Vec<toml::Table>) -> toml::Value {
    toml::Value::Array(layers.into_iter().map(toml::Value::Table).collect())
}

fn conv(key: String, out: usize, kernel: usize, more: &[(&str, toml::Value)]) -> toml::Table {
    let own = [("key", key.into()), ("out", count(out)), ("kernel", count(kernel)), ("padding", count(kernel / 2))];
    layer("conv2d", &own.into_iter().chain(more.iter().cloned()).collect::<Vec<_>>())
}

impl Config {
    /// Prefix of the names that a part's tensors have in the weights file.
    fn key(&self, level: usize, part: &str) -> String {
        format!("{}.{level}.{part}", self.key)
    }

    /// A group norm with the largest number of groups, at most `groups`, that divides the channels.
    fn norm(&self, key: String, channels: usize) -> toml::Table {
        let groups = (1..=self.groups.min(channels)).rev().find(|g| channels.is_multiple_of(*g)).unwrap_or(1);
        layer("group_norm", &[("key", key.into()), ("groups", count(groups))])
    }

    /// The layers of a level and of all levels below it, given `input` channels.
    fn level(&self, level: usize, input: usize) -> Vec<toml::Table> {
        let own = self.channels[level];
        let mut layers = self.blocks(level, "down", input);
        let beside = match self.channels.get(level + 1) {
            Some(_) => {
                let mut inner = vec![conv(self.key(level, "shrink"), own, 3, &[("stride", count(2))])];
                inner.extend(self.level(level + 1, own));
                inner.push(layer("upsample", &[]));
                inner.push(conv(self.key(level, "grow"), own, 3, &[]));
                let branches = toml::Value::Array(vec![list(inner), list(Vec::new())]);
                layers.push(layer("concat", &[("branches", branches)]));
                2 * own
            }
            None => own,
        };
        layers.extend(self.blocks(level, "up", beside));
        layers
    }

    /// The residual blocks on one side of a level (`way` is "down" or "up"), given `input` channels.
    fn blocks(&self, level: usize, way: &str, input: usize) -> Vec<toml::Table> {
        let own = self.channels[level];
        let mut layers = Vec::new();
        for i in 0..self.blocks {
            let key = |part: &str| self.key(level, &format!("{way}{i}.{part}"));
            let input = if i == 0 { input } else { own };
            let body = vec![
                self.norm(key("norm1"), input),
                layer("silu", &[]),
                conv(key("conv1"), own, 3, &[]),
                layer(
                    "modulate",
                    &[("key", key("level").into()), ("width", count(self.condition)), ("scale", true.into())],
                ),
                self.norm(key("norm2"), own),
                layer("silu", &[]),
                conv(key("conv2"), own, 3, &[("zero", true.into())]),
            ];
            let shortcut = if input == own { Vec::new() } else { vec![conv(key("skip"), own, 1, &[])] };
            layers.push(layer("residual", &[("body", list(body)), ("shortcut", list(shortcut))]));
            if self.attention.contains(&level) {
                let body = vec![
                    self.norm(key("attention.norm"), own),
                    layer(
                        "attention",
                        &[("key", key("attention").into()), ("heads", count(self.heads)), ("zero", true.into())],
                    ),
                ];
                layers.push(layer("residual", &[("body", list(body))]));
            }
        }
        layers
    }
}
