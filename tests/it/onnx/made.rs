//! Files made by hand: what the shared folder has no example of.

use super::evaluator::evaluate;
use super::writer::{self, Message, file, float, floats, function, int, ints, list, node, of, value};
use isoline::error::Error;
use isoline::onnx::{self, Choices, Draw, Fixed, Law, Lowered, Noise};
use std::path::Path;
use std::sync::Arc;

fn graph(nodes: Vec<Message>, tensors: Vec<Message>) -> Message {
    writer::body(nodes, tensors, vec![value("z", &[0, 4])], vec![value("y", &[0, 4])])
}

fn lowered(bytes: Vec<u8>, choices: &Choices) -> Result<Lowered, Error> {
    onnx::lower(&onnx::parse(bytes, Path::new("made.onnx"))?, choices, 1)
}

fn refused(bytes: Vec<u8>) -> String {
    let error = lowered(bytes, &Choices::default()).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    error.to_string()
}

fn run(graph: &Lowered, z: &[f64]) -> Vec<f64> {
    evaluate(graph, z).swap_remove(graph.output)
}

const Z: [f64; 4] = [0.5, -1.25, 2.0, -0.75];

#[test]
fn functions_take_their_attributes_from_the_call_and_may_call_each_other() {
    let inner = function(
        "leak",
        &["x"],
        &["y"],
        &["slope"],
        vec![node("LeakyRelu", &["x"], &["y"], vec![writer::given("alpha", "slope")])],
    );
    // The name w inside stands for another value than the weight w outside.
    let nodes = vec![
        of("own", node("leak", &["a"], &["w"], vec![writer::given("slope", "steep")])),
        node("Neg", &["w"], &["b"], vec![]),
    ];
    let outer = function("twice", &["a"], &["b"], &["steep"], nodes);
    let nodes = vec![
        of("own", node("twice", &["z"], &["m"], vec![float("steep", 0.5)])),
        node("Mul", &["m", "w"], &["y"], vec![]),
    ];
    let w = floats("w", &[4], &[1.0, 2.0, 3.0, 4.0]);
    let bytes = file(17, graph(nodes, vec![w]), vec![inner, outer]);
    let graph = lowered(bytes, &Choices::default()).unwrap();
    assert_eq!(run(&graph, &Z), [-0.5, 1.25, -6.0, 1.5]);
    assert!(graph.nodes.iter().any(|n| n.name == "/twice/m/leak/w/LeakyRelu/y"), "{:?}", graph.nodes);
}

#[test]
fn functions_that_call_themselves_or_multiply_are_refused() {
    let itself = function("f", &["x"], &["y"], &[], vec![of("own", node("f", &["x"], &["y"], vec![]))]);
    let call = || vec![of("own", node("f", &["z"], &["y"], vec![]))];
    assert!(refused(file(17, graph(call(), vec![]), vec![itself])).contains("calls itself"));
    let mut functions = vec![function("f0", &["x"], &["y"], &[], vec![node("Neg", &["x"], &["y"], vec![])])];
    for level in 1..20 {
        let before = format!("f{}", level - 1);
        let nodes =
            vec![of("own", node(&before, &["x"], &["m"], vec![])), of("own", node(&before, &["m"], &["y"], vec![]))];
        functions.push(function(&format!("f{level}"), &["x"], &["y"], &[], nodes));
    }
    let call = vec![of("own", node("f19", &["z"], &["y"], vec![]))];
    assert!(refused(file(17, graph(call, vec![]), functions)).contains("nodes"));
}

#[test]
fn an_if_on_a_constant_is_the_branch_it_takes() {
    let branch = |operator: &str| {
        let nodes = vec![node(operator, &["z"], &["r"], vec![])];
        writer::body(nodes, vec![], vec![], vec![value("r", &[0, 4])])
    };
    for (size, expected) in [(4, Z.map(|v| -v)), (5, Z.map(f64::tanh))] {
        let attributes =
            vec![writer::graph("then_branch", branch("Neg")), writer::graph("else_branch", branch("Tanh"))];
        let nodes = vec![
            node("Shape", &["z"], &["s"], vec![]),
            node("Gather", &["s", "one"], &["d"], vec![]),
            node("Equal", &["d", "size"], &["c"], vec![]),
            node("If", &["c"], &["y"], attributes),
        ];
        let tensors = vec![ints("one", &[], &[1]), ints("size", &[], &[size])];
        let graph = lowered(file(17, graph(nodes, tensors), vec![]), &Choices::default()).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(run(&graph, &Z), expected);
    }
}

#[test]
fn branches_inside_each_other_beyond_the_limit_are_refused() {
    let mut inner = writer::body(vec![], vec![], vec![], vec![]);
    for _ in 0..40 {
        let nested = node("If", &["c"], &["r"], vec![writer::graph("then_branch", inner)]);
        inner = writer::body(vec![nested], vec![], vec![], vec![]);
    }
    let bytes = file(17, inner, vec![]);
    assert!(refused(bytes).contains("nested"));
}

#[test]
fn noise_is_drawn_once_or_zero_and_asked_for_only_where_it_matters() {
    let bytes = |factor: f32| {
        let nodes = vec![
            node("RandomNormalLike", &["z"], &["e"], vec![float("scale", 2.0), float("mean", 1.0)]),
            node("Mul", &["e", "k"], &["m"], vec![]),
            node("Add", &["z", "m"], &["y"], vec![]),
        ];
        file(17, graph(nodes, vec![floats("k", &[], &[factor])]), vec![])
    };
    let error = lowered(bytes(0.5), &Choices::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("/RandomNormalLike/e"), "{error}");
    assert_eq!(run(&lowered(bytes(0.0), &Choices::default()).unwrap(), &Z), Z);
    let zero = Choices { noise: Some(Noise::Zero), ..Choices::default() };
    assert_eq!(run(&lowered(bytes(0.5), &zero).unwrap(), &Z), Z.map(|v| v + 0.5));
    let draw = |draw: Draw| {
        assert_eq!((draw.index, draw.law), (0, Law::Normal));
        vec![3.0; draw.count]
    };
    let fixed = Choices { noise: Some(Noise::Fixed(Arc::new(draw))), ..Choices::default() };
    assert_eq!(run(&lowered(bytes(0.5), &fixed).unwrap(), &Z), Z.map(|v| v + 3.5));
    // A batch of two gets the same noise twice.
    let model = onnx::parse(bytes(0.5), Path::new("made.onnx")).unwrap();
    let two = onnx::lower(&model, &fixed, 2).unwrap();
    assert_eq!(run(&two, &[Z, Z].concat()), [Z, Z].concat().iter().map(|v| v + 3.5).collect::<Vec<_>>());
}

#[test]
fn tensors_keep_their_names_as_far_as_a_weights_file_can_hold_them() {
    let nodes = vec![
        node("Gemm", &["z", "poids-é", "b"], &["m"], vec![int("transB", 1)]),
        node("Mul", &["m", "b"], &["n"], vec![]),
        node("MatMul", &["n", "poids-é"], &["y"], vec![]),
    ];
    let eye: Vec<f32> = (0..16).map(|i| if i % 5 == 0 { 2.0 } else { 1.0 }).collect();
    let tensors = vec![floats("poids-é", &[4, 4], &eye), floats("b", &[4], &[1.0, 0.0, 1.0, 0.5])];
    let unfused = Choices { unfused: vec!["all".into()], ..Choices::default() };
    let graph = lowered(file(17, graph(nodes, tensors), vec![]), &unfused).unwrap();
    let names: Vec<&str> = graph.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["b", "poids-\\u{e9}", "poids-\\u{e9}.transposed"]);
    assert!(graph.to_json().to_string().contains("poids-\\\\u{e9}"));
}

#[test]
fn infinite_masks_become_finite_and_other_infinities_are_refused() {
    let mask = [0.0, f32::NEG_INFINITY, 0.0, 0.0];
    let nodes = vec![node("Add", &["z", "mask"], &["m"], vec![]), node("Softmax", &["m"], &["y"], vec![])];
    let bytes = file(17, graph(nodes, vec![floats("mask", &[1, 4], &mask)]), vec![]);
    let graph = lowered(bytes, &Choices::default()).unwrap();
    let y = run(&graph, &Z);
    assert!(y[1] == 0.0 && (y.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{y:?}");
    assert_eq!(graph.report.warnings.len(), 1);
    let nodes = vec![node("Mul", &["z", "mask"], &["y"], vec![])];
    let bytes = file(17, self::graph(nodes, vec![floats("mask", &[1, 4], &mask)]), vec![]);
    assert!(refused(bytes).contains("\"mask\": value 1 is infinite"));
}

#[test]
fn a_transposed_convolution_with_a_live_weight_is_that_of_its_constant_times_the_factor() {
    let weight: Vec<f32> = (0..2 * 2 * 9).map(|i| (i as f32 * 0.7).sin()).collect();
    let settings: [&[Message]; 5] = [
        &[list("strides", &[2, 2])],
        &[list("strides", &[2, 1]), list("pads", &[1, 0, 0, 1]), int("group", 2)],
        &[list("strides", &[3, 3]), list("output_padding", &[1, 2]), list("dilations", &[2, 1])],
        &[list("strides", &[2, 2]), list("output_shape", &[3, 4])],
        &[list("strides", &[2, 3]), writer::Message::default().text(1, "auto_pad").text(4, "SAME_LOWER").int(20, 3)],
    ];
    for attributes in settings {
        let picture = |live: bool| {
            let nodes = vec![
                node("Reshape", &["z", "sides"], &["p"], vec![]),
                node("Gather", &["z", "first"], &["f"], vec![int("axis", 1)]),
                node("Reshape", &["f", "number"], &["s"], vec![]),
                node("Mul", &["w", "s"], &["live"], vec![]),
                node("ConvTranspose", &["p", if live { "live" } else { "w" }], &["c"], attributes.to_vec()),
                node("Mul", &["c", if live { "one" } else { "s" }], &["y"], vec![]),
            ];
            let tensors = vec![
                floats("w", &[2, 2, 3, 3], &weight),
                floats("one", &[1], &[1.0]),
                ints("sides", &[4], &[-1, 2, 2, 3]),
                ints("first", &[1], &[0]),
                ints("number", &[1], &[1]),
            ];
            let inputs = vec![value("z", &[1, 12])];
            let bytes = file(17, writer::body(nodes, tensors, inputs, vec![value("y", &[0])]), vec![]);
            let graph = lowered(bytes, &Choices::default()).unwrap();
            let z: Vec<f64> = (0..12).map(|i| (f64::from(i) * 1.3 + 0.4).cos()).collect();
            (graph.nodes.iter().any(|n| n.kind == "conv_transpose"), run(&graph, &z))
        };
        let ((_, live), (constant, expected)) = (picture(true), picture(false));
        assert!(constant && live.len() == expected.len());
        let off = live.iter().zip(&expected).fold(0f64, |a, (x, y)| a.max((x - y).abs()));
        assert!(off < 1e-6, "{off}");
    }
}

#[test]
fn entries_are_put_in_place_by_constant_indices() {
    let nodes = vec![node("ScatterND", &["z", "at", "new"], &["y"], vec![])];
    let tensors = vec![ints("at", &[2, 2], &[0, 3, 0, 1]), floats("new", &[2], &[7.0, 8.0])];
    let graph = lowered(file(17, graph(nodes, tensors), vec![]), &Choices::default()).unwrap();
    assert_eq!(run(&graph, &Z), [0.5, 8.0, 2.0, 7.0]);
}

#[test]
fn entries_may_be_added_to_what_is_there() {
    let add = Message::default().text(1, "reduction").text(4, "add").int(20, 3);
    let nodes = vec![node("ScatterElements", &["z", "at", "new"], &["y"], vec![int("axis", 1), add.clone()])];
    let tensors = vec![ints("at", &[1, 2], &[-1, 1]), floats("new", &[1, 2], &[7.0, 8.0])];
    let graph = lowered(file(17, graph(nodes, tensors), vec![]), &Choices::default()).unwrap();
    assert_eq!(run(&graph, &Z), [0.5, 6.75, 2.0, 6.25]);
    let nodes = vec![node("ScatterElements", &["z", "at", "new"], &["y"], vec![int("axis", 1), add])];
    let tensors = vec![ints("at", &[1, 2], &[1, 1]), floats("new", &[1, 2], &[7.0, 8.0])];
    assert!(refused(file(17, self::graph(nodes, tensors), vec![])).contains("two entries in one place"));
}

#[test]
fn a_guard_against_what_is_not_a_number_lets_numbers_through() {
    let nodes = vec![
        node("Softmax", &["z"], &["s"], vec![]),
        node("IsNaN", &["s"], &["bad"], vec![]),
        node("Where", &["bad", "zero", "s"], &["t"], vec![]),
        node("IsInf", &["t"], &["wide"], vec![]),
        node("Where", &["wide", "zero", "t"], &["y"], vec![]),
    ];
    let graph =
        lowered(file(20, graph(nodes, vec![floats("zero", &[], &[0.0])]), vec![]), &Choices::default()).unwrap();
    assert!((run(&graph, &Z).iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn dots_in_an_equation_stand_for_the_axes_before() {
    let equation = |text: &str| vec![Message::default().text(1, "equation").text(4, text).int(20, 3)];
    let nodes = |text: &str| {
        vec![
            node("Reshape", &["z", "sides"], &["m"], vec![]),
            node("Einsum", &["m", "m"], &["e"], equation(text)),
            node("Reshape", &["e", "flat"], &["y"], vec![]),
        ]
    };
    let tensors = || vec![ints("sides", &[4], &[-1, 1, 2, 2]), ints("flat", &[2], &[-1, 4])];
    let of = |text: &str| lowered(file(17, graph(nodes(text), tensors()), vec![]), &Choices::default());
    let [a, b, c, d] = Z;
    let square = [a * a + b * c, a * b + b * d, c * a + d * c, c * b + d * d];
    assert_eq!(run(&of("...ij,...jk->...ik").unwrap(), &Z), square);
    assert_eq!(run(&of("...ij, abjk").unwrap(), &Z).len(), 4);
    assert_eq!(run(&of("...ij,...ij->...ij").unwrap(), &Z), Z.map(|v| v * v));
    for bad in ["...ii,...jk->...ik", "ij,jk->ik", "...ij,...jk->...iq", "0...", ""] {
        assert_eq!(of(bad).unwrap_err().exit_code(), 3, "{bad}");
    }
}

#[test]
fn values_beside_the_model_are_read_from_plain_files_of_its_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir_all(inner.join("weights")).unwrap();
    let values: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(inner.join("weights/w.bin"), [&[0u8; 8][..], &values, &[9; 3]].concat()).unwrap();
    std::fs::write(folder.path().join("secret.bin"), &values).unwrap();
    let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    let model = |entries: &[(&str, &str)]| {
        let tensor =
            [1, 4].iter().fold(Message::default(), |m, &side| m.int(1, side)).int(2, 1).text(8, "w").int(14, 1);
        let tensor = tensor.all(13, entries.iter().map(|(key, value)| entry(key, value)));
        let bytes = file(17, graph(vec![node("Mul", &["z", "w"], &["y"], vec![])], vec![tensor]), vec![]);
        let model = onnx::parse(bytes, &inner.join("model.onnx"))?;
        onnx::lower(&model, &Choices::default(), 1)
    };
    let good = model(&[("location", "weights/w.bin"), ("offset", "8"), ("length", "16")]).unwrap();
    assert_eq!(run(&good, &Z), [0.5, -2.5, 6.0, -3.0]);
    let mut bad = vec![
        (vec![("location", "weights/w.bin"), ("offset", "12")], "copy that file again"),
        (vec![("location", "weights/w.bin"), ("offset", "18446744073709551615")], "copy that file again"),
        (vec![("location", "weights/w.bin"), ("length", "15")], "expected 16"),
        (vec![("location", "weights/w.bin"), ("offset", "-1")], "is no number"),
        (vec![("location", "weights")], "no plain file"),
        (vec![("location", "../secret.bin")], "outside the model's folder"),
        (vec![("location", "/etc/hostname")], "outside the model's folder"),
        (vec![("location", "")], "outside the model's folder"),
        (vec![("offset", "8")], "does not say where"),
        (vec![("location", "missing.bin")], "not beside the model"),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path().join("secret.bin"), inner.join("link.bin")).unwrap();
        bad.push((vec![("location", "link.bin")], "outside the model's folder"));
    }
    for (entries, part) in bad {
        let error = model(&entries).unwrap_err();
        let message = error.to_string();
        assert!(error.exit_code() == 3 && message.contains("\"w\"") && message.contains(part), "{message}");
    }
}

#[test]
fn sizes_beyond_all_bounds_are_refused_at_once() {
    let huge = 1i64 << 40;
    let cases = [
        node("ConstantOfShape", &["huge"], &["c"], vec![]),
        node("Expand", &["z", "huge"], &["c"], vec![]),
        node("Tile", &["z", "pair"], &["c"], vec![]),
        node("Range", &["zero", "end", "one"], &["c"], vec![]),
        node("Pad", &["z", "pads"], &["c"], vec![]),
        node("Resize", &["z", "", "", "pair"], &["c"], vec![]),
        node("Reshape", &["z", "huge"], &["c"], vec![]),
        node("OneHot", &["pair", "end", "ends"], &["c"], vec![]),
        node("Gather", &["z", "huge"], &["c"], vec![int("axis", i64::MIN)]),
        node("Slice", &["z", "zero1", "huge", "zero1", "zero1"], &["c"], vec![]),
        node("RandomNormal", &[], &["c"], vec![list("shape", &[1 << 29, 1 << 29])]),
    ];
    for case in cases {
        let nodes = vec![case, node("ReduceSum", &["c"], &["s"], vec![]), node("Add", &["z", "s"], &["y"], vec![])];
        let tensors = vec![
            ints("huge", &[1], &[huge]),
            ints("pair", &[2], &[1 << 29, 1 << 29]),
            ints("pads", &[4], &[0, 1 << 29, 0, 1 << 29]),
            ints("zero", &[], &[0]),
            ints("zero1", &[1], &[0]),
            ints("one", &[], &[1]),
            ints("end", &[], &[1 << 29]),
            floats("ends", &[2], &[0.0, 1.0]),
        ];
        let message = refused(file(17, graph(nodes, tensors), vec![]));
        assert!(message.contains("/c\""), "{message}");
    }
}

#[test]
fn all_unknown_operators_stand_in_one_error_and_unknown_attributes_are_refused() {
    let nodes = vec![
        of("own", node("Secret", &["z"], &["a"], vec![])),
        node("Hardmax", &["a"], &["b"], vec![]),
        node("Hardmax", &["b"], &["y"], vec![]),
    ];
    let message = refused(file(17, graph(nodes, vec![]), vec![]));
    assert!(message.contains("own::Secret (node \"/Secret/a\")"), "{message}");
    assert!(message.contains("Hardmax (node \"/Hardmax/b\" and 1 more)"), "{message}");
    let nodes = vec![node("Relu", &["z"], &["y"], vec![float("leak", 0.5)])];
    let message = refused(file(17, graph(nodes, vec![]), vec![]));
    assert!(message.contains("/Relu/y") && message.contains("\"leak\""), "{message}");
}

#[test]
fn the_table_of_operators_is_in_order() {
    let names: Vec<&str> = onnx::OPERATORS.iter().map(|o| o.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for operator in onnx::OPERATORS {
        assert!(operator.since >= 1 && operator.since <= *onnx::OPSETS.end(), "{}", operator.name);
        assert!(!operator.becomes.is_empty(), "{}", operator.name);
    }
}

#[test]
fn a_mean_over_a_batch_that_the_file_fixes_at_one_is_remarked_on() {
    let file_with = |side: i64| {
        let nodes = vec![
            node("ReduceMean", &["z"], &["m"], vec![list("axes", &[0])]),
            node("Mul", &["z", "m"], &["y"], vec![]),
        ];
        let graph = writer::body(nodes, vec![], vec![value("z", &[side, 4])], vec![value("y", &[side, 4])]);
        lowered(file(17, graph, vec![]), &Choices::default()).unwrap().report.warnings
    };
    assert_eq!(file_with(0), Vec::<String>::new());
    let warnings = file_with(1);
    assert!(
        warnings.len() == 1 && warnings[0].contains("/ReduceMean/m") && warnings[0].contains("axis 0"),
        "{warnings:?}"
    );
}

#[test]
fn other_inputs_are_held_at_numbers_or_tensors() {
    let nodes = vec![
        node("Gather", &["table", "label"], &["e"], vec![]),
        node("Add", &["z", "e"], &["m"], vec![]),
        node("Mul", &["m", "gain"], &["y"], vec![]),
    ];
    let table: Vec<f32> = (0..12).map(|v| v as f32).collect();
    let inputs = vec![value("z", &[0, 4]), writer::typed("label", 7, &[0]), value("gain", &[0, 1])];
    let body = writer::body(nodes, vec![floats("table", &[3, 4], &table)], inputs, vec![value("y", &[0, 4])]);
    let bytes = file(17, body, vec![]);
    let error = lowered(bytes.clone(), &Choices::default()).unwrap_err();
    assert!(error.to_string().starts_with("latent: the model has two inputs, \"z\" [4] and \"gain\" [1]"), "{error}");
    let held = |label: Fixed, gain: Fixed| Choices {
        fixed: [("label".to_owned(), label), ("gain".to_owned(), gain)].into(),
        ..Choices::default()
    };
    let numbers = held(Fixed::Numbers(vec![2.0]), Fixed::Numbers(vec![2.0]));
    let expected = [17.0, 15.5, 24.0, 20.5];
    assert_eq!(run(&lowered(bytes.clone(), &numbers).unwrap(), &Z), expected);
    let tensor = |shape: &[usize]| Fixed::Tensor { shape: shape.to_vec(), values: vec![2.0] };
    let tensors = held(tensor(&[]), tensor(&[1, 1]));
    assert_eq!(run(&lowered(bytes.clone(), &tensors).unwrap(), &Z), expected);
    for (label, gain, part) in
        [(vec![0.5], vec![1.0], "whole"), (vec![1.0, 2.0], vec![1.0], "2 numbers"), (vec![1.0], vec![], "finite")]
    {
        let wrong = held(Fixed::Numbers(label), Fixed::Numbers(gain));
        let error = lowered(bytes.clone(), &wrong).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(part), "{error}");
    }
    let unknown = Choices { fixed: [("lable".to_owned(), Fixed::Numbers(vec![1.0]))].into(), ..Choices::default() };
    assert!(lowered(bytes, &unknown).unwrap_err().to_string().contains("did you mean \"label\"?"));
}

#[test]
fn the_range_of_the_last_activation_is_carried_over() {
    let nodes = vec![
        node("Tanh", &["z"], &["t"], vec![]),
        node("Mul", &["t", "half"], &["h"], vec![]),
        node("Reshape", &["h", "sides"], &["r"], vec![]),
        node("Add", &["r", "shift"], &["y"], vec![]),
    ];
    let tensors =
        vec![floats("half", &[], &[-0.5]), floats("shift", &[2, 1], &[0.5, 1.5]), ints("sides", &[3], &[0, 2, 2])];
    let graph = lowered(file(17, graph(nodes, tensors), vec![]), &Choices::default()).unwrap();
    let range = onnx::range::of(&graph).unwrap();
    assert_eq!((range.low, range.high), (0.0, 2.0));
    assert_eq!(graph.nodes[range.node].name, "/Tanh/t");
}

#[test]
fn the_shape_of_a_latent_may_be_given_where_the_file_leaves_it_open() {
    let body = writer::body(
        vec![node("Neg", &["z"], &["y"], vec![])],
        vec![],
        vec![value("z", &[0, 4, -1])],
        vec![value("y", &[0])],
    );
    let body = file(17, body, vec![]);
    let shaped = |shape: &[usize]| Choices { shape: Some(shape.to_vec()), ..Choices::default() };
    assert_eq!(lowered(body.clone(), &shaped(&[4, 3])).unwrap().inputs[0].shape, [1, 4, 3]);
    assert_eq!(lowered(body.clone(), &shaped(&[1, 4, 3])).unwrap().inputs[0].shape, [1, 4, 3]);
    for wrong in [&[5, 3][..], &[4], &[4, 0], &[1, 1, 4, 3]] {
        assert_eq!(lowered(body.clone(), &shaped(wrong)).unwrap_err().exit_code(), 2);
    }
}
