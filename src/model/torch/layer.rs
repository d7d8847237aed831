//! Every operation in PyTorch: a module, or an expression.
//!
//! Activations are `[n, c, h, w]`; after global pools and linear layers vectors `[n, c]`, as is usual.

use super::code::{Code, Expression, Hold, Role};
use crate::arch::net::{Net, Node};
use crate::arch::op::{Act, Op, Shape, Window};

/// Which nodes output vectors `[n, c]`.
pub fn flat(net: &Net) -> Vec<bool> {
    let mut flat = Vec::with_capacity(net.len());
    for (id, node) in net.nodes() {
        let vectors = net.inputs(id).iter().all(|i| flat[i.index()]);
        flat.push(match &node.op {
            Op::Linear { .. } | Op::GlobalAvgPool => true,
            op => keeps_view(op) && vectors,
        });
    }
    flat
}

/// Whether vectors need no reshape; the module of layer 0 is made for planes.
fn keeps_view(op: &Op) -> bool {
    op.keeps_vectors() && !matches!(op, Op::Normalize { .. })
}

/// The constructor of a layer's module; `None` for a layer that is an expression.
pub fn module(node: &Node, inputs: &[Shape], flat: bool) -> Option<Code> {
    let x = *inputs.first()?;
    let code = match &node.op {
        Op::Normalize { mean, std } => Code::of(&format!("Normalize({mean:?}, {std:?})")),
        Op::Conv2d { out, window, groups, bias } => {
            let code = Code::of("nn.Conv2d(").number(Role::In, x.c).text(", ").number(Role::Out, out).text(", ");
            let code = windowed(code.number(Role::Kernel, sides(window.kernel)), window);
            let code = code.keyword("groups", Role::Groups, groups, "1");
            code.text(if *bias { ")" } else { ", bias=False)" })
        }
        Op::ConvNorm { out, window } => {
            let code = Code::of("ConvNorm(").number(Role::In, x.c).text(", ").number(Role::Out, out).text(", ");
            let code = windowed(code.number(Role::Kernel, sides(window.kernel)), window);
            code.keyword("size", Role::Size, format!("({}, {})", x.h, x.w), "").text(")")
        }
        Op::BatchNorm { affine } => {
            let code = Code::of(if flat { "nn.BatchNorm1d(" } else { "nn.BatchNorm2d(" }).number(Role::Channels, x.c);
            code.text(if *affine { ")" } else { ", affine=False)" })
        }
        Op::MultiBatchNorm { branches } => {
            Code::of(&format!("MultiBatchNorm({branches}, ")).number(Role::Channels, x.c).text(")")
        }
        Op::LayerNorm { epsilon } => {
            let code = Code::of(if flat { "nn.LayerNorm(" } else { "LayerNorm2d(" }).number(Role::Channels, x.c);
            code.text(&format!(", eps={epsilon:?})"))
        }
        Op::GroupNorm { groups, epsilon } => {
            let code = Code::of("nn.GroupNorm(").number(Role::Groups, groups).text(", ").number(Role::Channels, x.c);
            code.text(&format!(", eps={epsilon:?})"))
        }
        Op::FlcPool { hamming } => Code::of(if *hamming { "FlcPool(hamming=True)" } else { "FlcPool()" }),
        Op::Linear { out, bias } => {
            let code = Code::of("nn.Linear(").number(Role::In, x.c).text(", ").number(Role::Out, out);
            code.text(if *bias { ")" } else { ", bias=False)" })
        }
        Op::Scale { init } => {
            let code = Code::of("LayerScale(").number(Role::Channels, x.c).text(", ");
            code.number(Role::Init, format!("{init:?}")).text(")")
        }
        Op::CrossCovariance { heads } => Code::of("CrossCovariance(").number(Role::Heads, heads).text(")"),
        Op::ClassToken => Code::of("ClassToken(").number(Role::Channels, x.c).text(")"),
        Op::Position => {
            let code = Code::of("Position(").number(Role::Height, x.h).text(", ").number(Role::Width, x.w);
            code.text(", ").number(Role::Channels, x.c).text(")")
        }
        Op::SinePosition { channels } => {
            let code = Code::of("SinePosition(").number(Role::Channels, channels).text(", ");
            code.number(Role::Height, x.h).text(", ").number(Role::Width, x.w).text(")")
        }
        Op::Dropout { rate } => Code::of("nn.Dropout(").number(Role::Rate, format!("{rate:?}")).text(")"),
        Op::StochasticDepth { rate } => Code::of("StochasticDepth(").number(Role::Rate, format!("{rate:?}")).text(")"),
        Op::Input { .. }
        | Op::Act { .. }
        | Op::Clip { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::GlobalAvgPool
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::Slice { .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Matmul
        | Op::Crop { .. }
        | Op::Pad { .. }
        | Op::Softmax { .. }
        | Op::Attention { .. }
        | Op::Zero { .. }
        | Op::MixedSum { .. } => return None,
    };
    Some(code)
}

/// An operand.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Its expression.
    pub of: Expression,
    /// Its shape, `[h, w, c]`.
    pub shape: Shape,
    /// `[n, c]` rather than `[n, c, h, w]`.
    pub flat: bool,
}

impl Operand {
    fn planes(self) -> Expression {
        if self.flat { self.of.then("[:, :, None, None]") } else { self.of }
    }

    fn vector(self) -> Expression {
        if self.flat { self.of } else { self.of.then(".flatten(1)") }
    }
}

/// The expression of a layer; `module` is the expression of its module, where it has one.
///
/// # Errors
/// A mixed sum, and what to do instead.
pub fn expression(node: &Node, operands: Vec<Operand>, flat: bool, module: Option<Code>) -> Result<Expression, String> {
    let vectors = flat && keeps_view(&node.op) || matches!(node.op, Op::Linear { .. });
    let shapes: Vec<Shape> = operands.iter().map(|o| o.shape).collect();
    let layers = 1 + operands.iter().map(|o| o.of.layers).sum::<usize>();
    let view = |o: Operand| if vectors { o.vector() } else { o.planes() };
    let mut operands: Vec<Expression> = operands.into_iter().map(view).collect();
    let block = operands.iter().any(|o| o.block);
    let whole = |code: Code| Expression { code, hold: Hold::Whole, layers, ends: false, block };
    if let Some(module) = module {
        let arguments = Code::joined(operands.into_iter().map(|o| o.code), ", ");
        return Ok(whole(module.text("(").and(arguments).text(")")));
    }
    let first = if operands.is_empty() { return Err("has no input".into()) } else { operands[0].clone() };
    let argument = first.code.clone();
    let tight = first.clone().at_least(Hold::Whole);
    let x = shapes[0];
    let Shape { h, w, c } = node.shape;
    Ok(match &node.op {
        Op::Act { act } => Expression { ends: true, ..whole(activation(*act, argument)) },
        Op::Clip { min, max } => whole(Code::of("torch.clamp(").and(argument).text(&format!(", {min:?}, {max:?})"))),
        Op::MaxPool { window } => {
            let code = Code::of("F.max_pool2d(").and(argument).text(", ").number(Role::Kernel, sides(window.kernel));
            whole(windowed(stepped(code, window), &Window { stride: [1; 2], ..*window }).text(")"))
        }
        Op::AvgPool { window, count_include_pad } => {
            let dilated = window.dilation != [1; 2];
            let code = Code::of(if dilated { "dilated_avg_pool2d(" } else { "F.avg_pool2d(" }).and(argument).text(", ");
            let code = code.number(Role::Kernel, sides(window.kernel));
            whole(if dilated {
                let code = code.keyword("stride", Role::Stride, sides(window.stride), "");
                let code = code.keyword("padding", Role::Padding, sides(window.pad), "");
                let code = code.keyword("dilation", Role::Dilation, sides(window.dilation), "");
                code.text(if *count_include_pad { ", count_include_pad=True)" } else { ", count_include_pad=False)" })
            } else {
                let code = windowed(stepped(code, window), &Window { stride: [1; 2], ..*window });
                let counts = *count_include_pad || window.pad == [0; 2];
                code.text(if counts { ")" } else { ", count_include_pad=False)" })
            })
        }
        Op::GlobalAvgPool => whole(tight.text(".mean((2, 3))")),
        Op::Add => {
            let hold = if operands.len() == 1 { first.hold } else { Hold::Sum };
            Expression { hold, ..whole(Code::joined(operands.into_iter().map(|o| o.code), " + ")) }
        }
        Op::Mul => {
            let factors = operands.drain(..).map(|o| o.at_least(Hold::Product));
            Expression { hold: Hold::Product, ..whole(Code::joined(factors, " * ")) }
        }
        Op::Concat => {
            let parts = Code::joined(operands.into_iter().map(|o| o.code), ", ");
            whole(Code::of("torch.cat([").and(parts).text("], 1)"))
        }
        Op::Slice { from, len } => {
            let code = tight.text("[:, ");
            let code = if *from == 0 { code } else { code.number(Role::First, from) }.text(":");
            whole(if from + len == x.c { code } else { code.number(Role::End, from + len) }.text("]"))
        }
        Op::Reshape { .. } => {
            let code = tight.text(".permute(0, 2, 3, 1).reshape(-1, ").number(Role::Height, h).text(", ");
            let code = code.number(Role::Width, w).text(", ").number(Role::Channels, c);
            whole(code.text(").permute(0, 3, 1, 2)"))
        }
        Op::Permute { dims, order, .. } => {
            let sides = dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let order = order.iter().map(|axis| (axis + 1).to_string()).collect::<Vec<_>>().join(", ");
            let code =
                tight.text(&format!(".permute(0, 2, 3, 1).reshape(-1, {sides}).permute(0, {order}).reshape(-1, "));
            whole(code.text(&format!("{h}, {w}, {c}).permute(0, 3, 1, 2)")))
        }
        Op::Matmul => {
            let rows = |x: &Expression| x.clone().at_least(Hold::Whole).text(".permute(0, 2, 3, 1)");
            let product = rows(&operands[0]).text(" @ ").and(rows(&operands[1]));
            whole(Code::of("(").and(product).text(").permute(0, 3, 1, 2)"))
        }
        Op::Crop { top, left, bottom, right } => {
            whole(tight.text(&format!("[:, :, {}, {}]", kept(*top, *bottom), kept(*left, *right))))
        }
        Op::Pad { top, left, bottom, right } => {
            whole(Code::of("F.pad(").and(argument).text(&format!(", ({left}, {right}, {top}, {bottom}))")))
        }
        Op::Softmax { over } if *over == c => whole(tight.text(".softmax(1)")),
        Op::Softmax { over } => whole(tight.text(&format!(".unflatten(1, ({over}, -1)).softmax(1).flatten(1, 2)"))),
        Op::Attention { heads } => {
            let code = match operands.get(1) {
                None => Code::of("attention(*").and(tight).text(".chunk(3, 1), "),
                Some(pairs) => {
                    let pairs = pairs.clone().at_least(Hold::Whole);
                    Code::of("attention(").and(argument).text(", *").and(pairs).text(".chunk(2, 1), ")
                }
            };
            whole(code.text("heads=").number(Role::Heads, heads).text(")"))
        }
        Op::Zero { stride: 1 } => whole(Code::of("torch.zeros_like(").and(argument).text(")")),
        Op::Zero { stride } => {
            let code = Code::of("torch.zeros_like(").and(tight).text(&format!("[:, :, ::{stride}, ::{stride}])"));
            whole(code)
        }
        Op::MixedSum { .. } => {
            return Err(
                "is a mixed sum, whose shares come with each call of a supernet; export a network whose choices \
                        are made, for example that of a rank of a run"
                    .into(),
            );
        }
        Op::Input { .. } => return Err("is a second input".into()),
        Op::Normalize { .. }
        | Op::Conv2d { .. }
        | Op::ConvNorm { .. }
        | Op::BatchNorm { .. }
        | Op::MultiBatchNorm { .. }
        | Op::LayerNorm { .. }
        | Op::GroupNorm { .. }
        | Op::FlcPool { .. }
        | Op::Linear { .. }
        | Op::Scale { .. }
        | Op::CrossCovariance { .. }
        | Op::ClassToken
        | Op::Position
        | Op::SinePosition { .. }
        | Op::Dropout { .. }
        | Op::StochasticDepth { .. } => return Err("is a module that was not made".into()),
    })
}

fn activation(act: Act, x: Code) -> Code {
    let (before, behind) = match act {
        Act::Relu => ("F.relu(", ")"),
        Act::Sigmoid => ("torch.sigmoid(", ")"),
        Act::Silu => ("F.silu(", ")"),
        Act::Gelu => ("F.gelu(", ")"),
        Act::GeluTanh => ("F.gelu(", ", approximate=\"tanh\")"),
        Act::Softplus => ("F.softplus(", ")"),
        Act::Tanh => ("torch.tanh(", ")"),
        Act::Erf => ("torch.erf(", ")"),
        Act::Elu => ("F.elu(", ")"),
    };
    Code::of(before).and(x).text(behind)
}

/// One value for both axes, or a pair.
fn sides([rows, columns]: [usize; 2]) -> String {
    if rows == columns { rows.to_string() } else { format!("({rows}, {columns})") }
}

/// A pool's stride, whose default is the kernel size.
fn stepped(code: Code, window: &Window) -> Code {
    code.text(", ").number(Role::Stride, sides(window.stride))
}

/// Stride, padding and dilation, where they are not the defaults.
fn windowed(code: Code, window: &Window) -> Code {
    let code = code.keyword("stride", Role::Stride, sides(window.stride), "1");
    let code = code.keyword("padding", Role::Padding, sides(window.pad), "0");
    code.keyword("dilation", Role::Dilation, sides(window.dilation), "1")
}

/// A slice of an axis: `1:`, `:-2`, `:`.
fn kept(front: usize, behind: usize) -> String {
    let front = if front == 0 { String::new() } else { front.to_string() };
    if behind == 0 { format!("{front}:") } else { format!("{front}:-{behind}") }
}
