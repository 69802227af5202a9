//! Nodes that compute the same from the same values, as where a variance works out its mean once more.

use super::super::kind::Kind;
use super::super::value::Built;
use super::Fusion;
use super::scene::{Draft, Scene};

pub const FUSION: Fusion = Fusion { name: "twins", about: "what is computed twice is computed once", rule };

fn rule(scene: &Scene, at: usize) -> Option<Vec<Built>> {
    let node = scene.node(at)?;
    let first = *node.inputs.first()?;
    let earlier = scene.readers(first).iter().take_while(|&&reader| reader < at);
    let same = |reader: &usize| {
        scene.node(*reader).is_some_and(|other| {
            other.inputs == node.inputs
                && scene.features(reader + 1) == scene.features(at + 1)
                && other.kind == node.kind
        })
    };
    let twin = earlier.copied().find(same)?;
    let mut draft = Draft::new(scene, at, at + 1);
    draft.add(Kind::Rearrange { index: None, fill: 0.0 }, vec![twin + 1], &node.shape);
    draft.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Made;
    use super::*;

    #[test]
    fn it_fires_for_equal_nodes_alone() {
        let twice = |b: f32| {
            let mut made = Made::new(4);
            let x = made.line(0, 2.0, 1.0);
            let y = made.line(0, 2.0, b);
            let (x, y) = (made.unary("tanh", x), made.unary("tanh", y));
            made.add(Kind::Product, &[x, y], &[4]);
            made
        };
        let mut made = twice(1.0);
        made.fires(&FUSION, 2);
        assert_eq!(made.kinds(), ["affine", "unary tanh", "product"]);
        twice(1.5).fires(&FUSION, 0);
    }
}
