//! Blocks of one form as one class: which of their constants are its arguments, and its code.

use std::collections::{BTreeSet, HashMap};

use super::body::{Body, Made, Statement};
use super::code::{Code, Number, Piece, Role};
use super::names;
use super::tree::Place;

/// Fractions `k / m` of an argument as which a number of channels may be written, the simplest first.
fn shares() -> impl Iterator<Item = (usize, usize)> {
    let multiples = (2..=8).chain([16, 32]);
    let parts = [3, 4, 8].into_iter().flat_map(|m| (2..m).map(move |k| (k, m)));
    multiples.clone().map(|k| (k, 1)).chain(multiples.map(|m| (1, m))).chain(parts)
}

/// How a constant is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    /// The same in every block.
    Always,
    /// An argument.
    Argument(usize),
    /// `k / m` of an argument.
    Share(usize, usize, usize),
}

/// A class.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// The names of its blocks.
    pub used: Vec<String>,
    body: Body,
    arguments: Vec<String>,
    /// The roles of the arguments.
    roles: Vec<Role>,
    written: Vec<Written>,
    /// For every input, the argument of `forward`.
    reads: Vec<usize>,
}

/// Blocks of one form.
pub struct Blocks {
    /// Their positions.
    pub places: Vec<Place>,
    /// Their names.
    pub paths: Vec<String>,
    /// Their bodies.
    pub bodies: Vec<Body>,
}

impl Class {
    /// The class of some blocks, and the arguments of each.
    pub fn new(class: usize, name: String, blocks: Blocks) -> (Self, HashMap<Place, Made>) {
        let Blocks { places, paths, bodies } = blocks;
        let (arguments, roles, written, first) = arguments(&bodies);
        let reads = reads(&bodies);
        let mut made = HashMap::new();
        for (place, body) in places.into_iter().zip(&bodies) {
            let all: Vec<&Number> = body.numbers().collect();
            let numbers = first.iter().zip(&roles).map(|(at, role)| Number { role: *role, ..all[*at].clone() });
            let mut inputs = Vec::new();
            for (read, layer) in reads.iter().zip(&body.inputs) {
                if *read == inputs.len() {
                    inputs.push(*layer);
                }
            }
            made.insert(place, Made { class, numbers: numbers.collect(), inputs, outputs: body.outputs.clone() });
        }
        let body = bodies.into_iter().next().unwrap_or_default();
        (Class { name, used: paths, body, arguments, roles, written, reads }, made)
    }

    /// Its Python; `classes` are the earlier ones, `branches` whether `forward` takes the batch-norm branch.
    pub fn python(&self, classes: &[Class], doc: &str, branches: bool) -> String {
        let body = &self.body;
        let split = body.numbers_made();
        let mut lines =
            vec![format!("class {}(nn.Module):", self.name), format!("    \"\"\"{doc}\"\"\""), String::new()];
        lines.push(format!("    def __init__({}):", parts(&["self"], &self.signature())));
        lines.push("        super().__init__()".into());
        let computed: BTreeSet<usize> = self.written[split..].iter().filter_map(Written::argument).collect();
        for argument in computed {
            let name = &self.arguments[argument];
            lines.push(format!("        self.{name} = {name}"));
        }
        let mut at = 0;
        for code in &body.makes {
            lines.push(format!("        {}", self.text(code, classes, &mut at, "", &Variables::default())));
        }
        let (inputs, variables) = self.variables();
        lines.push(String::new());
        let call = if branches { "branch=0".to_owned() } else { String::new() };
        let call: Vec<String> = inputs.iter().cloned().chain((!call.is_empty()).then_some(call)).collect();
        lines.push(format!("    def forward({}):", parts(&["self"], &call)));
        if branches {
            lines.push("        for module in self.modules():".into());
            lines.push("            if isinstance(module, MultiBatchNorm):".into());
            lines.push("                module.branch = branch".into());
        }
        for (n, Statement { targets, code }) in body.statements.iter().enumerate() {
            let own = Variables { inputs: &inputs, values: &variables[n] };
            let text = self.text(code, classes, &mut at, "self.", &own);
            let own = Variables { inputs: &inputs, values: &variables[n + 1] };
            let names: Vec<&str> = targets.iter().map(|target| own.value(*target)).collect();
            lines.push(format!("        {} = {text}", names.join(", ")));
        }
        let last = Variables { inputs: &inputs, values: &variables[body.statements.len()] };
        let texts = body.returns.iter().map(|code| self.text(code, classes, &mut at, "self.", &last));
        let texts: Vec<String> = texts.collect();
        lines.push(format!("        return {}", texts.join(", ")));
        lines.join("\n") + "\n"
    }

    /// A line with constants and names filled in; `at` counts the constants, `owner` is the prefix of arguments.
    fn text(&self, code: &Code, classes: &[Class], at: &mut usize, owner: &str, names: &Variables<'_>) -> String {
        let mut text = String::new();
        for piece in &code.0 {
            match piece {
                Piece::Text(part) => text += part,
                Piece::Value(value) => text += names.value(*value),
                Piece::Input(read) => text += &names.inputs[self.reads[*read]],
                Piece::Number(number, keyword) => {
                    let written = &self.written[*at];
                    *at += 1;
                    match keyword {
                        Some((_, usual)) if *written == Written::Always && number.text == *usual => {}
                        Some((keyword, _)) => text += &format!(", {keyword}={}", self.number(number, written, owner)),
                        None => text += &self.number(number, written, owner),
                    }
                }
                Piece::Make(class, numbers) => {
                    let class = &classes[*class];
                    let (mut given, mut named) = (Vec::new(), Vec::new());
                    for (number, (name, role)) in numbers.iter().zip(class.arguments.iter().zip(&class.roles)) {
                        let value = self.number(number, &self.written[*at], owner);
                        *at += 1;
                        if role.counts_channels() {
                            given.push(value);
                        } else {
                            named.push(format!("{name}={value}"));
                        }
                    }
                    given.extend(named);
                    text += &format!("{}({})", class.name, given.join(", "));
                }
            }
        }
        text
    }

    fn number(&self, number: &Number, written: &Written, owner: &str) -> String {
        let name = |argument: &usize| format!("{owner}{}", self.arguments[*argument]);
        match written {
            Written::Always => number.text.clone(),
            Written::Argument(argument) => name(argument),
            Written::Share(k, 1, argument) => format!("{k} * {}", name(argument)),
            Written::Share(1, m, argument) => format!("{} // {m}", name(argument)),
            Written::Share(k, m, argument) => format!("{k} * {} // {m}", name(argument)),
        }
    }

    /// The arguments: numbers of channels, which are positional, then the others.
    fn signature(&self) -> Vec<String> {
        let of = |counts: bool| {
            let pairs = self.arguments.iter().zip(&self.roles);
            pairs.filter(move |(_, role)| role.counts_channels() == counts).map(|(name, _)| name.clone())
        };
        of(true).chain(of(false)).collect()
    }

    /// The names of the inputs, and of the values before every statement and after the last. The main path keeps the
    /// name `x` where nothing reads it later.
    fn variables(&self) -> (Vec<String>, Vec<Vec<Option<String>>>) {
        let count = self.reads.iter().max().map_or(0, |last| last + 1);
        let inputs: Vec<String> =
            if count == 1 { vec!["x".into()] } else { (0..count).map(|i| format!("x{i}")).collect() };
        let body = &self.body;
        let mut used: BTreeSet<String> = inputs.iter().cloned().chain(["x".into(), "branch".into()]).collect();
        let codes: Vec<&Code> = body.statements.iter().map(|s| &s.code).collect();
        let mut names: Vec<Option<String>> = vec![None; body.values.len()];
        // What is called x: an input, or a value.
        let mut trunk = if count == 1 { Some(Piece::Input(0)) } else { None };
        let reads = |code: &Code, piece: &Piece| match piece {
            Piece::Input(_) => code.0.iter().any(|p| matches!(p, Piece::Input(_))),
            other => code.0.contains(other),
        };
        let mut all = vec![names.clone()];
        for (n, Statement { targets, code }) in body.statements.iter().enumerate() {
            let is_last =
                |piece: &Piece| !codes[n + 1..].iter().copied().chain(&body.returns).any(|later| reads(later, piece));
            let goes_on = trunk.as_ref().is_some_and(|piece| reads(code, piece) && is_last(piece));
            match targets[..] {
                [only] if goes_on => {
                    names[only] = Some("x".into());
                    trunk = Some(Piece::Value(only));
                }
                _ => {
                    for target in targets {
                        names[*target] = Some(names::free(&body.values[*target], &mut used));
                    }
                }
            }
            all.push(names.clone());
        }
        (inputs, all)
    }
}

impl Written {
    fn argument(&self) -> Option<usize> {
        match self {
            Written::Always => None,
            Written::Argument(argument) | Written::Share(_, _, argument) => Some(*argument),
        }
    }
}

/// The names in use at a line.
#[derive(Default)]
struct Variables<'a> {
    inputs: &'a [String],
    values: &'a [Option<String>],
}

impl Variables<'_> {
    fn value(&self, value: usize) -> &str {
        self.values.get(value).and_then(Option::as_deref).unwrap_or("x")
    }
}

fn parts(first: &[&str], others: &[String]) -> String {
    first.iter().copied().chain(others.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
}

/// The arguments' names and roles, how every constant is written, and for every argument a constant with its value.
fn arguments(bodies: &[Body]) -> (Vec<String>, Vec<Role>, Vec<Written>, Vec<usize>) {
    let rows: Vec<Vec<&Number>> = bodies.iter().map(|body| body.numbers().collect()).collect();
    let (mut names, mut roles, mut written, mut first) = (Vec::new(), Vec::<Role>::new(), Vec::new(), Vec::new());
    let children = bodies.first().map_or(&[][..], |body| &body.children);
    let mut used: BTreeSet<String> = children.iter().cloned().chain(["self".into(), "training".into()]).collect();
    let length = rows.first().map_or(0, Vec::len);
    for at in 0..length {
        let role = rows[0][at].role;
        let column = |at: usize| rows.iter().map(move |row| row[at].text.as_str());
        if column(at).all(|text| text == rows[0][at].text) {
            written.push(Written::Always);
            continue;
        }
        let is = |argument: usize, of: &dyn Fn(&str, &str) -> bool| {
            role.may_be(roles[argument]) && column(at).zip(column(first[argument])).all(|(own, other)| of(own, other))
        };
        let share =
            |own: &str, other: &str, (k, m): (usize, usize)| match (own.parse::<usize>(), other.parse::<usize>()) {
                (Ok(own), Ok(other)) => m * own == k * other,
                _ => false,
            };
        let all = 0..roles.len();
        let same = all.clone().find(|a| is(*a, &|own, other| own == other)).map(Written::Argument);
        let part = || {
            let mut pairs = shares().flat_map(|of| all.clone().map(move |a| (of, a)));
            let found = pairs.find(|(of, a)| is(*a, &|own, other| share(own, other, *of)));
            found.map(|((k, m), a)| Written::Share(k, m, a))
        };
        let found = same.or_else(|| if role.counts_channels() { part() } else { None });
        written.push(found.unwrap_or_else(|| {
            names.push(names::free(role.name(), &mut used));
            roles.push(role);
            first.push(at);
            Written::Argument(roles.len() - 1)
        }));
    }
    (names, roles, written, first)
}

/// The argument of `forward` for every input: inputs at which every block reads the same layer share one.
fn reads(bodies: &[Body]) -> Vec<usize> {
    let count = bodies.first().map_or(0, |body| body.inputs.len());
    let (mut reads, mut first) = (Vec::with_capacity(count), Vec::<usize>::new());
    for at in 0..count {
        let same = |other: &usize| bodies.iter().all(|body| body.inputs[at] == body.inputs[*other]);
        reads.push(first.iter().position(same).unwrap_or_else(|| {
            first.push(at);
            first.len() - 1
        }));
    }
    reads
}
