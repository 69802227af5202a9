//! Values and nodes of a graph that is being built.

use super::kind::Kind;
use super::tensor::{Constant, Element};
use std::sync::Arc;

/// A value of the graph.
#[derive(Clone, Debug)]
pub enum Value {
    /// One that does not depend on the latent.
    Constant(Constant),
    /// One that does.
    Live(Live),
    /// What a random node gives when nobody has said what to do about it, with the node's name. Only a product with 0
    /// may use it.
    Noise(Vec<usize>, Arc<str>),
}

/// A value that depends on the latent.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its number: 0 is the latent, i + 1 what node i makes.
    pub id: usize,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it stands for; all are floats when the graph runs.
    pub element: Element,
}

impl Value {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Constant(c) => &c.shape,
            Self::Live(l) => &l.shape,
            Self::Noise(shape, _) => shape,
        }
    }

    /// What it stands for.
    pub fn element(&self) -> Element {
        match self {
            Self::Constant(c) => c.element(),
            Self::Live(l) => l.element,
            Self::Noise(..) => Element::Float,
        }
    }

    /// Number of entries.
    pub fn features(&self) -> usize {
        self.shape().iter().product()
    }

    /// The constant, if it is one.
    pub fn constant(&self) -> Option<&Constant> {
        match self {
            Self::Constant(c) => Some(c),
            _ => None,
        }
    }
}

/// A node of the graph being built.
#[derive(Clone, Debug)]
pub struct Built {
    /// What it does.
    pub kind: Kind,
    /// Numbers of the values it reads.
    pub inputs: Vec<usize>,
    /// Shape of what it makes.
    pub shape: Vec<usize>,
    /// Which of the file's nodes it comes from.
    pub source: usize,
}

/// A node of the file: its name for messages, and its operator.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The name.
    pub name: Arc<str>,
    /// The operator.
    pub operator: Arc<str>,
}

impl Default for Value {
    fn default() -> Self {
        Self::Constant(Constant::floats(vec![0], Vec::new()))
    }
}
