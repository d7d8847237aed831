//! The body of a class for one block: the code that makes its modules, and the code of `forward`.

use std::collections::{BTreeSet, HashMap};

use super::code::{Code, Expression, Hold, Number, Piece};
use super::layer::{self, Operand};
use super::names;
use super::tree::{Item, Kind, Place, ROOT, Tree};
use crate::arch::net::{Net, NodeId};

/// A block whose class is written already.
#[derive(Clone, Debug)]
pub struct Made {
    /// Index of the class.
    pub class: usize,
    /// The constants it is made with.
    pub numbers: Vec<Number>,
    /// The layers outside that it reads.
    pub inputs: Vec<NodeId>,
    /// Its layers that are read from outside.
    pub outputs: Vec<NodeId>,
}

/// The most layers in one line, and about how many columns they may take.
const LAYERS: usize = 3;
const COLUMNS: usize = 72;

/// The input of all bodies.
pub struct Source<'a> {
    /// The network.
    pub net: &'a Net,
    /// The names.
    pub tree: &'a Tree,
    /// Which layers output vectors.
    pub flat: &'a [bool],
    /// The module of every layer that has one.
    pub modules: &'a [Option<Code>],
    /// The layers that nothing reads.
    pub idle: &'a BTreeSet<NodeId>,
    /// The nested blocks, whose classes are written already.
    pub made: &'a HashMap<Place, Made>,
}

/// A line of `forward`.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The variables it assigns.
    pub targets: Vec<usize>,
    /// Their expression.
    pub code: Code,
}

/// A block.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Lines that make its modules.
    pub makes: Vec<Code>,
    /// The lines of `forward`.
    pub statements: Vec<Statement>,
    /// The returned values.
    pub returns: Vec<Code>,
    /// The names of its variables.
    pub values: Vec<String>,
    /// The layer outside that each input reads.
    pub inputs: Vec<NodeId>,
    /// The layers that are read from outside.
    pub outputs: Vec<NodeId>,
    /// The names of its attributes.
    pub children: Vec<String>,
}

impl Body {
    /// The body without its constants: blocks that agree share a class.
    pub fn form(&self) -> String {
        let mut form = String::new();
        for line in self.makes.iter().chain(&self.returns) {
            form += &line.form();
            form.push('\n');
        }
        for Statement { targets, code } in &self.statements {
            form += &format!("{targets:?} = {}\n", code.form());
        }
        form + &format!("{:?} {}", self.values, self.inputs.len())
    }

    /// Its constants: those of its modules, then those of `forward`.
    pub fn numbers(&self) -> impl Iterator<Item = &Number> {
        let computed = self.statements.iter().map(|s| &s.code).chain(&self.returns);
        self.makes.iter().chain(computed).flat_map(Code::numbers)
    }

    /// How many of the constants are those of its modules.
    pub fn numbers_made(&self) -> usize {
        self.makes.iter().flat_map(Code::numbers).count()
    }
}

/// Writes a block.
struct Writer<'a> {
    from: &'a Source<'a>,
    class: Place,
    body: Body,
    /// The values that have been computed, by their layers.
    values: HashMap<NodeId, usize>,
    /// Those that may still be inlined into the line that reads them.
    pending: HashMap<usize, Expression>,
    /// How often every layer is read.
    uses: HashMap<NodeId, usize>,
}

/// A block's body.
///
/// # Errors
/// The layer without a form in PyTorch, and what to do.
pub fn write(from: &Source<'_>, class: Place) -> Result<Body, String> {
    let mut uses: HashMap<NodeId, usize> = HashMap::new();
    let items = alive(from, class);
    for item in &items {
        for layer in reads(from, *item) {
            *uses.entry(layer).or_default() += 1;
        }
    }
    let outputs = outputs(from, class);
    let body = Body { outputs: outputs.clone(), ..Body::default() };
    let (values, pending) = (HashMap::new(), HashMap::new());
    let mut writer = Writer { from, class, body, values, pending, uses };
    for place in &from.tree.branch(class).children {
        writer.body.children.push(from.tree.branch(*place).name.clone());
        writer.make(*place, Kind::Class, "self");
    }
    for item in items {
        match item {
            Item::Layer(id) => writer.layer(id)?,
            Item::Class(place) => writer.call(place),
        }
    }
    for id in outputs {
        let last = class == ROOT && !from.flat[id.index()];
        let of = writer.operand(id);
        let code = if last { of.at_least(Hold::Whole).text(".flatten(1)") } else { of.code };
        writer.body.returns.push(code);
    }
    Ok(writer.body)
}

/// The layers of a class that are read from outside.
fn outputs(from: &Source<'_>, class: Place) -> Vec<NodeId> {
    let inside = |id: NodeId| from.tree.holds(class, id);
    let end = from.net.output();
    let outside = |reader: NodeId| !inside(reader) && !from.idle.contains(&reader);
    let seen = |id: NodeId| id == end || class != ROOT && from.net.readers(id).into_iter().any(outside);
    from.net.nodes().map(|(id, _)| id).filter(|id| inside(*id) && seen(*id)).collect()
}

/// The layers that a class calls, without those that nothing reads.
fn alive(from: &Source<'_>, class: Place) -> Vec<Item> {
    let items = from.tree.items(class).iter().copied();
    items
        .filter(|item| match item {
            Item::Layer(id) => !from.idle.contains(id),
            Item::Class(place) => from.made.get(place).is_some_and(|made| !made.outputs.is_empty()),
        })
        .collect()
}

/// The inputs of an item.
fn reads(from: &Source<'_>, item: Item) -> Vec<NodeId> {
    match item {
        Item::Layer(id) => from.net.inputs(id).into_iter().collect(),
        Item::Class(place) => from.made.get(&place).map_or(Vec::new(), |made| made.inputs.clone()),
    }
}

impl Writer<'_> {
    /// The lines that make the modules under a name.
    fn make(&mut self, place: Place, of: Kind, owner: &str) {
        let branch = self.from.tree.branch(place);
        if !branch.has_module {
            return;
        }
        let (before, behind) = names::assignment(of, owner, &branch.name);
        let all = self.literal(place, 2);
        let whole = all.is_some();
        let own = branch.layer.and_then(|id| self.from.modules[id.index()].clone());
        let empty = Code::of(if branch.kind == Kind::List { "nn.ModuleList()" } else { "nn.ModuleDict()" });
        let code = all.or(own.filter(|_| branch.kind == Kind::Owner)).unwrap_or(empty);
        let idle = branch.layer.is_some_and(|id| self.from.idle.contains(&id));
        let comment = if idle { "  # kept for its parameters: nothing reads it" } else { "" };
        self.body.makes.push(Code::of(&before).and(code).text(&behind).text(comment));
        let path = names::access(of, owner, &branch.name);
        for child in branch.children.iter().filter(|_| !whole) {
            self.make(*child, branch.kind, &path);
        }
    }

    /// The constructor as one expression; `None` for a layer that has others as attributes.
    fn literal(&self, place: Place, depth: usize) -> Option<Code> {
        let branch = self.from.tree.branch(place);
        let (open, close) = match branch.kind {
            Kind::Leaf => return self.from.modules[branch.layer?.index()].clone(),
            Kind::Owner => return None,
            Kind::Class => {
                let made = self.from.made.get(&place)?;
                return Some(Code(vec![Piece::Make(made.class, made.numbers.clone())]));
            }
            Kind::List => ("nn.ModuleList([", "])"),
            Kind::Dict => ("nn.ModuleDict({", "})"),
        };
        let with_modules = branch.children.iter().filter(|c| self.from.tree.branch(**c).has_module);
        let children: Vec<Place> = with_modules.copied().collect();
        let [outer, inner] = [depth, depth + 1].map(|n| format!("\n{}", "    ".repeat(n)));
        let several = children.len() > 1;
        let mut code = Code::of(open);
        for child in children {
            let part = self.literal(child, if several { depth + 1 } else { depth })?;
            let key = match branch.kind {
                Kind::Dict => format!("\"{}\": ", self.from.tree.branch(child).name),
                _ => String::new(),
            };
            code = if several { code.text(&inner) } else { code }.text(&key).and(part);
            code = if several { code.text(",") } else { code };
        }
        Some(if several { code.text(&outer) } else { code }.text(close))
    }

    /// The expression of a module.
    fn path(&self, place: Place) -> String {
        let tree = self.from.tree;
        let steps = tree.between(self.class, place).into_iter();
        let start = ("self".to_owned(), Kind::Class);
        steps
            .fold(start, |(path, kind), step| {
                let branch = tree.branch(step);
                (names::access(kind, &path, &branch.name), branch.kind)
            })
            .0
    }

    /// The readers of a layer's value.
    fn operand(&mut self, id: NodeId) -> Expression {
        let Some(value) = self.values.get(&id).copied() else {
            self.body.inputs.push(id);
            return Expression::name(Piece::Input(self.body.inputs.len() - 1));
        };
        self.pending.remove(&value).unwrap_or(Expression::name(Piece::Value(value)))
    }

    /// The inputs of a block.
    fn argument(&mut self, id: NodeId) -> Code {
        let of = self.operand(id);
        match self.values.get(&id) {
            Some(value) if of.block => {
                let value = *value;
                self.assign(vec![value], of.code);
                Code(vec![Piece::Value(value)])
            }
            _ => of.code,
        }
    }

    fn assign(&mut self, targets: Vec<usize>, code: Code) {
        self.body.statements.push(Statement { targets, code });
    }

    /// A value's layer, and its preferred name.
    fn value(&mut self, id: NodeId, name: String) -> usize {
        self.body.values.push(name);
        self.values.insert(id, self.body.values.len() - 1);
        self.body.values.len() - 1
    }

    /// A variable name for a layer.
    fn name(&self, place: Place) -> String {
        let steps = self.from.tree.between(self.class, place);
        let parts: Vec<&str> = steps.iter().map(|step| self.from.tree.branch(*step).name.as_str()).collect();
        names::variable(&parts.join("_"))
    }

    fn layer(&mut self, id: NodeId) -> Result<(), String> {
        let (net, from) = (self.from.net, self.from);
        let (node, flat) = (net.node(id), from.flat[id.index()]);
        let mut operands: Vec<Operand> = Vec::new();
        for input in net.inputs(id) {
            let of = self.operand(input);
            operands.push(Operand { of, shape: net.node(input).shape, flat: from.flat[input.index()] });
        }
        let Some(place) = from.tree.place(id) else { return Ok(()) };
        let module = from.modules[id.index()].as_ref().map(|_| Code::of(&self.path(place)));
        let of = layer::expression(node, operands, flat, module);
        let of = of.map_err(|why| format!("node `{}`: {why}", node.name))?;
        let name = self.name(place);
        let value = self.value(id, name);
        self.place(id, value, of);
        Ok(())
    }

    /// A value that is read once is inlined where the line stays short; any other is assigned to a variable.
    fn place(&mut self, id: NodeId, value: usize, of: Expression) {
        let seen = self.body.outputs.contains(&id);
        let uses = self.uses.get(&id).copied().unwrap_or_default();
        let short = of.layers <= LAYERS && of.code.columns() <= COLUMNS && !of.ends;
        if (uses == 1 && !seen && short) || (uses == 0 && seen) {
            self.pending.insert(value, of);
        } else {
            self.assign(vec![value], of.code);
        }
    }

    fn call(&mut self, place: Place) {
        let Some(made) = self.from.made.get(&place) else { return };
        let arguments: Vec<Code> = made.inputs.iter().map(|id| self.argument(*id)).collect();
        let called = Code::of(&self.path(place)).text("(");
        let code = called.and(Code::joined(arguments, ", ")).text(")");
        let name = self.name(place);
        if let [only] = made.outputs[..] {
            let value = self.value(only, name);
            self.place(only, value, Expression { code, hold: Hold::Whole, layers: 1, ends: false, block: true });
            return;
        }
        let of = |id: &NodeId| {
            let end = self.from.tree.place(*id).map(|to| self.from.tree.between(place, to)).unwrap_or_default();
            let parts: Vec<&str> = end.iter().map(|step| self.from.tree.branch(*step).name.as_str()).collect();
            names::variable(&format!("{name}_{}", parts.join("_")))
        };
        let names: Vec<(NodeId, String)> = made.outputs.iter().map(|id| (*id, of(id))).collect();
        let targets = names.into_iter().map(|(id, name)| self.value(id, name)).collect();
        self.assign(targets, code);
    }
}

/// The layers that the logits do not depend on: they are made, for their weights, but not called.
pub fn idle(net: &Net) -> BTreeSet<NodeId> {
    let mut alive = BTreeSet::from([net.output()]);
    for id in net.nodes().map(|(id, _)| id).collect::<Vec<_>>().into_iter().rev() {
        if alive.contains(&id) {
            alive.extend(net.inputs(id));
        }
    }
    net.nodes().map(|(id, _)| id).filter(|id| !alive.contains(id)).collect()
}
