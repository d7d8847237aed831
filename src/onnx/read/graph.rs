//! From a file's graph to a network: its inputs and outputs, and its nodes in order.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::OPSETS;
use super::constant::{Constants, Reader};
use super::draft::{Draft, Weights};
use super::lowering::Lowering;
use super::node::Node;
use super::ops::{WITHOUT_SOFTMAX, lower};
use super::value::{Activation, Value};
use crate::arch::op::{Op, Shape};
use crate::error::{Error, Result};
use crate::onnx::Model;
use crate::onnx::proto::{GraphProto, ModelProto, TensorProto, ValueInfoProto, dtype};

/// Makes the network of a decoded file; `image` gives dimensions that are dynamic in the file.
pub fn model(proto: &ModelProto, path: &Path, image: Shape, read: Reader<'_>) -> Result<Model> {
    let fault = |message: String| Error::data(path, message);
    let opset = proto.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let version = opset.map(|set| set.version);
    let Some(opset) = version.filter(|v| OPSETS.contains(v)) else {
        let found = version.map_or("no operator set".into(), |v| format!("operator set {v}"));
        let (first, last) = (OPSETS.start(), OPSETS.end());
        return Err(fault(format!(
            "has {found}; expected {first} to {last}: export it with opset_version=18, or convert it with \
             onnx.version_converter.convert_version(model, 18)"
        )));
    };
    let graph = proto.graph.as_ref().ok_or_else(|| fault("not an ONNX model: it has no graph".into()))?;
    let initializers: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|i| !initializers.contains_key(i.name.as_str())).collect();
    let names = |list: &[&str]| if list.is_empty() { "none".into() } else { list.join(", ") };
    let [input] = inputs[..] else {
        let list: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
        return Err(fault(format!("has the inputs {}; expected one, the images", names(&list))));
    };
    let [output] = &graph.output[..] else {
        let list: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
        return Err(fault(format!("has the outputs {}; expected one, the logits", names(&list))));
    };
    let Images { batch, shape, channels_last } = images(input, image).map_err(fault)?;
    let (live, readers) = needed(graph, &output.name).map_err(fault)?;
    let mut low = Lowering {
        draft: Draft::default(),
        constants: Constants::new(path, read),
        values: HashMap::new(),
        readers,
        opset,
        batch,
    };
    let of_input = |why: String| Error::data(path, format!("input `{}`: {why}", input.name));
    let layer = low.draft.push(&input.name, Op::Input { shape }, &[], Weights::default()).map_err(of_input)?;
    let mut view = low.planes_of(shape);
    if channels_last {
        view = view.transposed(&[0, 2, 3, 1]).ok_or_else(|| fault("has no four axes".into()))?;
    }
    low.values.insert(&input.name, Value::Activation(Activation::new(layer, view)));
    for (at, proto) in graph.node.iter().enumerate().filter(|(at, _)| live.contains(at)) {
        let node = Node::new(proto);
        let of_node = |why: String| {
            let name = if node.name.is_empty() { format!("node {at}") } else { format!("node `{}`", node.name) };
            Error::data(path, format!("{name}: {} {why}", node.op()))
        };
        for name in node.inputs() {
            if let (false, Some(tensor)) = (low.values.contains_key(name.as_str()), initializers.get(name.as_str())) {
                let constant =
                    low.constants.read(tensor).map_err(|why| of_node(format!("reads `{name}`, which {why}")))?;
                low.values.insert(name, Value::Constant(constant.into()));
            }
        }
        let value = lower(&mut low, &node).map_err(of_node)?;
        match value {
            Value::Parts(parts) => low.values.extend(node.outputs().zip(parts)),
            value => low.values.extend(node.outputs().next().map(|name| (name, value))),
        }
    }
    let of_output = |why: String| Error::data(path, format!("output `{}`: {why}", output.name));
    let logits = match low.values.get(output.name.as_str()) {
        Some(Value::Activation(found)) if found.pad.is_none() => found.clone(),
        _ => return Err(of_output("no node computes it from the images; expected the logits".into())),
    };
    let logits = low.apply(&output.name, logits).map_err(of_output)?;
    of_unit_pixels(&low).map_err(of_input)?;
    let shape = low.shape(&logits);
    if let (Op::Softmax { .. }, _) = low.draft.made_by(logits.layer) {
        return Err(of_output(format!("is a softmax; {WITHOUT_SOFTMAX}it gives probabilities")));
    }
    if shape.area() != 1 {
        let Shape { h, w, c } = shape;
        return Err(of_output(format!("is [n, {c}, {h}, {w}] or as many features; expected the logits, [n, classes]")));
    }
    let (net, tensors) = low.draft.finish(logits.layer).map_err(|why| fault(why.to_string()))?;
    Ok(Model { net, tensors })
}

/// What the input says of the images.
struct Images {
    /// How many, where that is fixed.
    batch: Option<i64>,
    /// The size of one.
    shape: Shape,
    /// Whether it is `[n, h, w, c]`, as Keras has it, rather than `[n, c, h, w]`.
    channels_last: bool,
}

fn images(input: &ValueInfoProto, image: Shape) -> Result<Images, String> {
    let name = &input.name;
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let kind = tensor.map_or(dtype::FLOAT, |t| t.elem_type);
    if kind != dtype::FLOAT {
        let kind = dtype::name(kind);
        return Err(format!("input `{name}` is {kind}; expected FLOAT pixels in [0, 1]: export the model in float32"));
    }
    let Some(shape) = tensor.and_then(|t| t.shape.as_ref()) else {
        return Ok(Images { batch: None, shape: image, channels_last: false });
    };
    let sides: Vec<Option<i64>> = shape.dim.iter().map(|d| d.dim_value.filter(|v| *v > 0)).collect();
    let [n, second, third, fourth] = sides[..] else {
        return Err(format!("input `{name}` has {} axes; expected the four of [n, c, h, w]", sides.len()));
    };
    // Colours are few and sides are not.
    let colours = |side: Option<i64>| matches!(side, Some(1..=4));
    let channels_last = colours(fourth) && !colours(second) && second.is_some();
    let [c, h, w] = if channels_last { [fourth, second, third] } else { [second, third, fourth] };
    let side = |value: Option<i64>, open: usize| {
        let side = value.map_or(Some(open), |v| usize::try_from(v).ok()).filter(|v| *v <= LONGEST);
        side.ok_or_else(|| format!("input `{name}` has the shape {sides:?}, which is too large"))
    };
    let shape = Shape::new(side(h, image.h)?, side(w, image.w)?, side(c, image.c)?);
    Ok(Images { batch: n, shape, channels_last })
}

/// Holds what is done to pixels first to pixels from 0 to 1: a network that takes bytes divides them, or takes a mean from
/// them that no such pixel has.
fn of_unit_pixels(low: &Lowering<'_>) -> Result<(), String> {
    for op in low.draft.of_input() {
        let Op::Normalize { mean, std } = op else { continue };
        let all = |list: &[f32], test: fn(&f32) -> bool| !list.is_empty() && list.iter().all(test);
        if all(std, |s| *s >= LEAST_OF_BYTES) || all(mean, |m| *m >= LEAST_OF_BYTES) {
            return Err(format!(
                "pixels are taken from 0 to 255: the network first takes {mean:?} from them and divides by {std:?}; pixels \
                 here are from 0 to 1, for which that leaves nothing of the image. Export it without that step, or with \
                 `x * 255` in front of it"
            ));
        }
    }
    Ok(())
}

/// No mean or deviation of pixels from 0 to 1 is as large, and every one of bytes is larger.
const LEAST_OF_BYTES: f32 = 16.0;

/// The longest side of an image, and the most channels.
const LONGEST: usize = 1 << 15;

/// The nodes that an output depends on, and how often each tensor is read by them. Other nodes are ignored.
fn needed<'a>(graph: &'a GraphProto, output: &'a str) -> Result<(HashSet<usize>, HashMap<&'a str, usize>), String> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name, at).is_some() {
                return Err(format!("two nodes give `{name}`"));
            }
        }
    }
    let (mut live, mut readers, mut open) = (HashSet::new(), HashMap::from([(output, 1)]), vec![output]);
    while let Some(name) = open.pop() {
        if let Some(at) = makers.get(name).copied()
            && live.insert(at)
        {
            for input in &graph.node[at].input {
                *readers.entry(input.as_str()).or_insert(0) += 1;
                open.push(input);
            }
        }
    }
    Ok((live, readers))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::onnx::proto::{
        AttributeProto, DimensionProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
        TensorTypeProto, TypeProto, kind,
    };

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: op.into(),
            name: format!("the_{output}"),
            input: inputs.iter().map(|i| (*i).into()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        }
    }

    fn floats(name: &str, dims: &[i64]) -> TensorProto {
        let count = dims.iter().product::<i64>() as usize;
        let float_data = vec![0.5; count];
        TensorProto { name: name.into(), dims: dims.to_vec(), data_type: 1, float_data, ..TensorProto::default() }
    }

    fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
        let dim = sides.iter().map(|s| DimensionProto { dim_value: Some(*s), dim_param: None }).collect();
        let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    /// A convolution, a mean, a matrix.
    fn sound() -> ModelProto {
        let mut mean = node("GlobalAveragePool", &["a"], "b");
        mean.name = String::new();
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 18 }],
            graph: Some(GraphProto {
                node: vec![
                    node("Conv", &["x", "w"], "a"),
                    mean,
                    node("Flatten", &["b"], "c"),
                    node("Gemm", &["c", "m"], "y"),
                ],
                initializer: vec![floats("w", &[4, 3, 3, 3]), floats("m", &[4, 2])],
                input: vec![value("x", &[0, 3, 8, 8])],
                output: vec![value("y", &[0, 2])],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    fn made(change: impl Fn(&mut ModelProto, &mut GraphProto)) -> Result<Model> {
        let mut proto = sound();
        let mut graph = proto.graph.take().unwrap();
        change(&mut proto, &mut graph);
        proto.graph = Some(graph);
        // Encoded and decoded, like a file.
        let bytes = proto.encode_to_vec();
        super::super::read(Path::new("m.onnx"), Shape::new(8, 8, 3), &|path| match path.to_str() {
            Some("m.onnx") => Ok(bytes.clone()),
            _ => Err(Error::data(path, "no such file")),
        })
    }

    fn attribute(name: &str, i: i64) -> AttributeProto {
        AttributeProto { name: name.into(), r#type: kind::INT, i, ..AttributeProto::default() }
    }

    fn list(name: &str, ints: &[i64]) -> AttributeProto {
        AttributeProto { name: name.into(), r#type: kind::INTS, ints: ints.to_vec(), ..AttributeProto::default() }
    }

    #[test]
    fn a_sound_model_is_read() {
        let Model { net, tensors } = made(|_, _| {}).unwrap();
        let names: Vec<&str> = net.nodes().map(|(_, n)| n.name.as_str()).collect();
        assert_eq!(names, ["x", "the_a", "b", "the_y"]);
        assert_eq!((net.input_shape(), net.classes()), (Shape::new(8, 8, 3), 2));
        assert_eq!((tensors["the_a.weight"].len(), tensors["the_y.weight"].len()), (108, 8));
    }

    /// Every refusal names the file, the node, and what is wrong.
    #[test]
    fn unfit_models_are_refused_with_reasons() {
        type Change = fn(&mut ModelProto, &mut GraphProto);
        let changes: [(Change, &[&str]); 27] = [
            (|m, _| m.opset_import[0].version = 10, &["operator set 10; expected 11 to 22", "version_converter"]),
            (|m, _| m.opset_import[0].version = 23, &["operator set 23"]),
            (|m, _| m.opset_import.clear(), &["no operator set"]),
            (
                |_, g| g.node[1].op_type = "LSTM".into(),
                &["`b`: LSTM is not supported", "AveragePool, BatchNormalization"],
            ),
            (|_, g| g.node[0].domain = "com.acme".into(), &["`the_a`: com.acme::Conv is not supported"]),
            (|_, g| g.node[3].op_type = "Softmax".into(), &["without its last softmax"]),
            (|_, g| g.node.swap(0, 1), &["`b`: GlobalAveragePool reads `a`", "topological order"]),
            (|_, g| g.node[0].input[0] = "y".into(), &["`the_a`: Conv reads `y`", "topological order"]),
            (
                |_, g| g.node[0].input[1] = "v".into(),
                &["`the_a`: Conv reads `v`, which no input, initializer or earlier node"],
            ),
            (|_, g| g.node[0].input.truncate(1), &["input 1 is missing"]),
            (|_, g| g.node[0].input[1] = "x".into(), &["`x`, depends on the image; expected a constant"]),
            (|_, g| g.node[3].input[0] = "w".into(), &["`w`, does not depend on the image"]),
            (|_, g| g.node[1].output[0] = "a".into(), &["two nodes give `a`"]),
            (|_, g| g.initializer[0].dims = vec![4, 5, 3, 3], &["reads `w`", "has 108 elements", "needs 180"]),
            (|_, g| g.initializer[0].dims = vec![1 << 40, 1 << 40], &["impossible shape"]),
            (|_, g| g.initializer[0].dims[0] = -4, &["`w`, which has the shape [-4, 3, 3, 3]"]),
            (|_, g| g.initializer[0].dims = vec![3, 4, 3, 3], &["`w` has the shape [3, 4, 3, 3]", "3 channels"]),
            (|_, g| g.initializer[0].data_type = 3, &["`w`, which is INT8", "float32"]),
            (|_, g| g.initializer[0].float_data[3] = f32::NAN, &["`the_a`: Conv a weight is NaN"]),
            (|_, g| g.initializer[0].data_location = 1, &["lies in another file, which is not named"]),
            (external("../w.bin"), &["`../w.bin`; expected a file beside the model"]),
            (external("w.bin"), &["w.bin: no such file; keep it beside the model"]),
            (|_, g| g.input[0] = value("x", &[0, 3, 8]), &["input `x` has 3 axes; expected the four"]),
            (|_, g| g.input.push(value("z", &[1])), &["the inputs x, z; expected one"]),
            (|_, g| g.output.clear(), &["the outputs none; expected one, the logits"]),
            (|_, g| g.output[0].name = "a".into(), &["output `a`: is [n, 4, 6, 6]"]),
            (|_, g| g.output[0].name = "w".into(), &["output `w`: no node computes it"]),
        ];
        for (change, words) in changes {
            let why = made(change).unwrap_err().to_string();
            assert!(why.starts_with("m.onnx: "), "{why}");
            words.iter().for_each(|w| assert!(why.contains(w), "`{w}` is not in: {why}"));
        }
    }

    fn external(location: &str) -> fn(&mut ModelProto, &mut GraphProto) {
        fn to(graph: &mut GraphProto, location: &str) {
            let entry = StringStringEntryProto { key: "location".into(), value: location.into() };
            graph.initializer[0].data_location = 1;
            graph.initializer[0].external_data = vec![entry];
        }
        match location {
            "w.bin" => |_, g| to(g, "w.bin"),
            _ => |_, g| to(g, "../w.bin"),
        }
    }

    /// An operation that no layer can express is refused.
    #[test]
    fn unfit_attributes_are_refused() {
        let pool = |attributes: &[AttributeProto]| {
            let kernel = list("kernel_shape", &[3, 3]);
            [&[kernel], attributes].concat()
        };
        let cases: [(usize, &str, Vec<AttributeProto>, &str); 12] = [
            (1, "MaxPool", vec![], "kernel_shape is missing"),
            (1, "AveragePool", pool(&[list("strides", &[2, 2]), attribute("ceil_mode", 1)]), "ceil_mode=1"),
            (1, "AveragePool", pool(&[list("pads", &[0, 0, 1, 1])]), "expected the same at both"),
            (1, "MaxPool", pool(&[list("pads", &[2, 2, 2, 2])]), "over half"),
            (1, "MaxPool", pool(&[list("strides", &[0, 1])]), "`strides` is [0, 1]"),
            (1, "MaxPool", pool(&[list("dilations", &[1 << 50, 1])]), "`dilations`"),
            (1, "AveragePool", pool(&[attribute("pads", 1)]), "`pads` has the type 2, expected 7"),
            (0, "Conv", vec![attribute("group", 0)], "group is not positive"),
            (0, "Conv", vec![list("kernel_shape", &[1, 3])], "kernel_shape is not that of `w`"),
            (1, "ReduceMean", vec![list("axes", &[0])], "is over the images"),
            (2, "Flatten", vec![attribute("axis", 7)], "has no axis 7 of 4"),
            (3, "Gemm", vec![attribute("transA", 1)], "transA=1"),
        ];
        for (at, op, attributes, words) in cases {
            let made = made(|_, graph| {
                graph.node[at].op_type = op.into();
                graph.node[at].attribute = attributes.clone();
            });
            let why = made.unwrap_err().to_string();
            assert!(why.contains(&format!(": {op} ")) && why.contains(words), "`{words}` is not in: {why}");
        }
    }
}
