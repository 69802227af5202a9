//! `isoline import` of an ONNX file as a user types it, on files made by hand.

use super::writer::{self, Message, file, floats, node, value};
use crate::cli::Isoline;
use isoline::table::{Values, read_parquet};
use std::fs;
use std::path::{Path, PathBuf};

/// z [n, 4] → a dense layer and a tanh → x [n, 1, 2, 3], with more nodes and inputs if they are asked for.
fn generator(last: Vec<Message>, inputs: Vec<Message>, shape: &[i64]) -> Vec<u8> {
    let weight: Vec<f32> = (0..24).map(|i| ((i * 7 % 11) as f32 - 5.0) / 8.0).collect();
    let sides = writer::ints("sides", &[4], &[-1, 1, 2, 3]);
    let mut nodes = vec![node("MatMul", &["z", "w"], &["h"], vec![]), node("Reshape", &["h", "sides"], &["p"], vec![])];
    nodes.extend(last);
    let all = std::iter::once(value("z", &[0, 4])).chain(inputs).collect();
    file(17, writer::body(nodes, vec![floats("w", &[4, 6], &weight), sides], all, vec![value("x", shape)]), vec![])
}

fn plain() -> Vec<u8> {
    generator(vec![node("Tanh", &["p"], &["x"], vec![])], vec![], &[0, 1, 2, 3])
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.at("g.onnx");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, source: &Path, more: &[&str]) -> Isoline {
        Isoline::new(&["import"]).arg(source).arg("-o").arg(self.at("model")).args(more)
    }
}

#[test]
fn an_onnx_file_becomes_a_model_that_is_looked_at_measured_and_verified() {
    let place = Place::new();
    let source = place.file(&plain());
    let done = place.import(&source, &[]).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    let found = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "read g.onnx: opset 17",
        "latent \"z\" [4], 4 values, taken as N(0, I)",
        "picture \"x\" [1, 2, 3], range [-1, 1] Tanh (node \"/Tanh/x\")",
        "smooth (first: tanh, node \"/Tanh/x\"); exact by 4 tangents",
        "independent: a batch of two equals two rows",
    ] {
        assert!(found.contains(words), "{words}\nnot in\n{found}");
    }
    let model = place.at("model");
    assert_eq!(done.stderr, format!("next: isoline generate --model {} --mode balanced\n", model.display()));
    let card = fs::read_to_string(model.join("card.toml")).unwrap();
    assert!(card.contains("format = 2") && card.contains("family = \"generator\""), "{card}");
    Isoline::new(&["inspect"]).arg(&model).succeeds();
    let table = Isoline::new(&["describe", "-q", "--seeds", "0-3", "--json"]).arg(&model).cwd(place.0.path()).run();
    assert_eq!(table.code, 0, "{}", table.stderr);
    let run = place.at("run");
    let call = Isoline::new(&["generate", "-q", "--mode", "balanced", "--seeds", "0-3", "-m"]).arg(&model);
    assert_eq!(call.arg("-o").arg(&run).run().code, 0);
    Isoline::new(&["verify"]).arg(&run).succeeds();
    // Its gradient finds the latents of pictures again.
    let described = place.at("described");
    let call = Isoline::new(&["describe", "-q", "--images"]).arg(run.join("images")).arg("-o").arg(&described);
    let found = call.arg(&model).run();
    assert_eq!(found.code, 0, "{}", found.stderr);
    let (table, _) = read_parquet(&described.join("descriptors.parquet")).unwrap();
    let residual = table.columns().iter().find(|c| c.name == "residual").unwrap();
    let Values::F64(off) = &residual.values else { panic!("{residual:?}") };
    // Four numbers are found from six values that are rounded to 255 steps.
    assert!(off.len() == 4 && off.iter().all(|off| off.unwrap() < 1.0 / 255.0), "{off:?}");
}

#[test]
fn nothing_is_written_by_a_dry_run_or_over_a_model() {
    let place = Place::new();
    let source = place.file(&plain());
    let done = place.import(&source, &["--dry-run"]).run();
    assert_eq!((done.code, place.at("model").exists()), (0, false), "{}", done.stderr);
    assert!(done.stderr.contains("nothing was written"), "{}", done.stderr);
    assert_eq!(place.import(&source, &["-q"]).run().code, 0);
    place.import(&source, &[]).fails(2, &["holds a model \"model\"", "force"]);
    assert_eq!(place.import(&source, &["-q", "--force"]).run().code, 0);
}

#[test]
fn a_changed_graph_or_card_is_refused_by_name() {
    let place = Place::new();
    assert_eq!(place.import(&place.file(&plain()), &["-q"]).run().code, 0);
    let (model, graph) = (place.at("model"), place.at("model/graph.json"));
    let inspect = || Isoline::new(&["inspect"]).arg(&model);
    let (text, card) = (fs::read_to_string(&graph).unwrap(), fs::read_to_string(model.join("card.toml")).unwrap());
    fs::write(&graph, text.replace("tanh", "sigmoid")).unwrap();
    inspect().fails(3, &["graph.json", "SHA-256", "changed or damaged"]);
    let rehashed = |text: &str| {
        fs::write(&graph, text).unwrap();
        let sha = isoline::store::sha256_hex(text.as_bytes());
        let (head, tail) = card.split_once("[graph]").unwrap();
        let line = |l: &str| if l.starts_with("sha256") { format!("sha256 = \"{sha}\"") } else { l.to_owned() };
        let tail: Vec<String> = tail.lines().map(line).collect();
        fs::write(model.join("card.toml"), format!("{head}[graph]{}\n", tail.join("\n"))).unwrap();
    };
    for (from, to, words) in [
        ("\"dense\"", "\"dence\"", "nodes[0].kind: unknown kind \"dence\"; did you mean \"dense\"?"),
        ("\"rows\":1", "\"rows\":5", "nodes[0].rows"),
        ("\"rows\":1", "\"rows\":1,\"colour\":2", "nodes[0]: unknown key \"colour\""),
        ("\"inputs\":[0]", "\"inputs\":[7]", "nodes[0].inputs: expected values from 0 to 0, found 7"),
        // A constant alone: nothing of it follows from the latent.
        (
            "\"kind\":\"dense\",\"inputs\":[0],\"shape\":[1,6],\"weight\":\"w.transposed\",\"rows\":1",
            "\"kind\":\"constant\",\"inputs\":[],\"shape\":[1,6],\"key\":\"w.transposed\"",
            "output: expected a value that depends on the latent",
        ),
        ("\"format\":1", "\"format\":9", "format: expected 1, found 9"),
        ("\"tanh\"", "\"tanhh\"", "unknown function; did you mean \"tanh\"?"),
    ] {
        assert!(text.contains(from), "{from} not in {text}");
        rehashed(&text.replacen(from, to, 1));
        inspect().fails(3, &["graph.json", words]);
    }
    fs::remove_file(&graph).unwrap();
    inspect().fails(4, &["graph.json", "could not read"]);
    rehashed(&text);
    let card_now = fs::read_to_string(model.join("card.toml")).unwrap();
    for (change, words) in [
        (card_now.replace("format = 2", "format = 1"), "graph: expected format = 2"),
        (card_now.replace("format = 2", "format = 3"), "format: expected 1 or 2, found 3"),
        (card_now.replace("graph.json", "../graph.json"), "graph.file: expected the name of a file beside the card"),
        (format!("{card_now}\n[[layers]]\nkind = \"tanh\"\n"), "layers: expected none beside a graph"),
        (card_now.split("[graph]").next().unwrap().to_owned(), "layers: missing"),
        (card_now.replace("shape = [4]", "shape = [5]"), "the graph reads 4 values, expected 5"),
    ] {
        fs::write(model.join("card.toml"), change).unwrap();
        let done = inspect().run();
        assert!(matches!(done.code, 2 | 3) && done.stderr.contains(words), "{words}: {}", done.stderr);
    }
}

#[test]
fn what_is_typed_wrong_is_said_with_its_flag() {
    let place = Place::new();
    let source = place.file(&plain());
    for (flags, words) in [
        (&["--range", "1"][..], "--range: expected LOW,HIGH, as in -1,1, found \"1\""),
        (&["--range", "1,-1"], "--range: expected a low end below the high one"),
        (&["--picture", "28x28"], "--picture: expected CxHxW, found \"28x28\""),
        (&["--picture", "1x5x5"], "--picture: expected a shape of 6 values"),
        (&["--shape", "axb"], "--shape: expected sizes, as in 4x8x8"),
        (&["--fix", "colour"], "--fix: expected NAME=VALUE"),
        (&["--fix", "colour=red"], "--fix: expected numbers"),
        (&["--fix", "colour=1"], "the model has no such input"),
        (&["--noise", "zeros"], "--noise: expected fixed or zero, found \"zeros\""),
        (&["--latent", "y"], "--latent"),
        (&["--output", "y"], "--output"),
        (&["--card", "card.toml"], "--card: is for weights"),
        (&["--key", "g"], "--key: is for weights"),
    ] {
        place.import(&source, flags).fails(2, &[words]);
        assert!(!place.at("model").exists(), "{flags:?}");
    }
    let weights = place.at("w.pth");
    fs::write(&weights, "x").unwrap();
    place.import(&weights, &["--range", "0,1"]).fails(2, &["--range: is for ONNX files"]);
    place.import(&weights, &[]).fails(2, &["--card: missing; weights need a draft card"]);
    place.import(&place.at("absent.onnx"), &[]).fails(4, &["absent.onnx", "could not"]);
}

#[test]
fn a_second_input_is_held_and_a_flat_or_turned_picture_gets_its_shape() {
    let place = Place::new();
    let flat = |last: Vec<Message>, inputs| generator(last, inputs, &[0, 6]);
    let add = vec![
        node("Flatten", &["p"], &["f"], vec![]),
        node("Add", &["f", "c"], &["s"], vec![]),
        node("Sigmoid", &["s"], &["x"], vec![]),
    ];
    let source = place.file(&flat(add, vec![value("c", &[0, 6])]));
    place.import(&source, &[]).fails(2, &["--latent", "\"z\" [4] and \"c\" [6]"]);
    let fixed = ["--latent", "z", "--fix", "c=0,1,0,1,0,1"];
    place.import(&source, &fixed).fails(2, &["--picture", "say which picture its 6 values are"]);
    let done = place.import(&source, &[&fixed[..], &["--picture", "1x3x2"]].concat()).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("[1, 3, 2], range [0, 1] Sigmoid"), "{}", done.stdout);
    let card = fs::read_to_string(place.at("model/card.toml")).unwrap();
    assert!(card.contains("c held at [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]"), "{card}");
}

/// A reference beside the model is compared with; one of another model is refused, and nothing is written.
#[test]
fn a_reference_that_differs_is_refused() {
    let place = Place::new();
    let source = place.file(&plain());
    let z: Vec<f32> = vec![0.5, -1.0, 0.25, 2.0];
    let right = |scale: f32| {
        let weight = |i: usize, j: usize| (((i * 6 + j) * 7 % 11) as f32 - 5.0) / 8.0;
        let x = (0..6).map(|j| (0..4).map(|i| z[i] * weight(i, j)).sum::<f32>().tanh() * scale).collect();
        let tensor = |shape: &[usize], values| isoline::store::WeightTensor { shape: shape.to_vec(), values };
        let tensors = [("latents", tensor(&[1, 4], z.clone())), ("outputs", tensor(&[1, 1, 2, 3], x))];
        let bytes = isoline::store::write_safetensors(&tensors.map(|(n, t)| (n.to_owned(), t)).into()).unwrap();
        fs::write(place.at("g.reference.safetensors"), bytes).unwrap();
    };
    right(1.01);
    place.import(&source, &[]).fails(3, &["g.reference.safetensors", "outputs differ by up to", "another model"]);
    assert!(!place.at("model").exists());
    right(1.0003);
    let done = place.import(&source, &["--dry-run"]).run();
    assert!(done.code == 0 && done.stderr.contains("note: "), "{}", done.stderr);
    right(1.0);
    let done = place.import(&source, &[]).run();
    assert!(done.code == 0 && done.stdout.contains("1 outputs within"), "{}{}", done.stdout, done.stderr);
}
