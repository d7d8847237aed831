//! Python in the making: text with places for numbers, operands and values, so that blocks that differ in their numbers
//! alone are seen to be one class.

/// What a number says, which names the constructor's argument that it becomes where it differs from block to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Channels that go in and come out.
    Channels,
    /// Channels that go in.
    In,
    /// Channels that come out.
    Out,
    /// Channel groups.
    Groups,
    /// The first channel of some.
    First,
    /// The channel behind the last of some.
    End,
    /// Heads of attention.
    Heads,
    /// A window's taps.
    Kernel,
    /// A window's step.
    Stride,
    /// Zeros around.
    Padding,
    /// Distance between taps.
    Dilation,
    /// Rows and columns.
    Size,
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// A share that is dropped.
    Rate,
    /// What a weight starts at.
    Init,
}

impl Role {
    /// The argument's name, in PyTorch's words where it has some.
    pub fn name(self) -> &'static str {
        match self {
            Role::Channels => "channels",
            Role::In => "in_channels",
            Role::Out => "out_channels",
            Role::Groups => "groups",
            Role::First => "first",
            Role::End => "end",
            Role::Heads => "heads",
            Role::Kernel => "kernel_size",
            Role::Stride => "stride",
            Role::Padding => "padding",
            Role::Dilation => "dilation",
            Role::Size => "size",
            Role::Height => "height",
            Role::Width => "width",
            Role::Rate => "rate",
            Role::Init => "init",
        }
    }

    /// Whether it counts channels: such numbers may be told apart by being equal, or multiples.
    pub fn counts_channels(self) -> bool {
        matches!(self, Role::Channels | Role::In | Role::Out | Role::Groups | Role::First | Role::End)
    }

    /// Whether two numbers that are the same in every block may be one argument.
    pub fn may_be(self, other: Role) -> bool {
        self == other || self.counts_channels() && other.counts_channels()
    }
}

/// A number of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// What it says.
    pub role: Role,
    /// As Python writes it.
    pub text: String,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// A number; with a keyword `, keyword=number`, which is left out where it is always the default.
    Number(Number, Option<(&'static str, &'static str)>),
    /// What the class called so is made with, and the numbers of this block.
    Make(usize, Vec<Number>),
    /// A value of the same block.
    Value(usize),
    /// What comes in from outside, by the place where it is read.
    Input(usize),
}

/// A line, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(pub Vec<Piece>);

impl Code {
    /// Text alone.
    pub fn of(text: &str) -> Self {
        Code::default().text(text)
    }

    /// With text behind.
    pub fn text(mut self, text: &str) -> Self {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
        self
    }

    /// With a number behind.
    pub fn number(mut self, role: Role, number: impl ToString) -> Self {
        self.0.push(Piece::Number(Number { role, text: number.to_string() }, None));
        self
    }

    /// With `, keyword=number` behind, unless that is the default in every block.
    pub fn keyword(mut self, keyword: &'static str, role: Role, number: impl ToString, usual: &'static str) -> Self {
        self.0.push(Piece::Number(Number { role, text: number.to_string() }, Some((keyword, usual))));
        self
    }

    /// With more code behind.
    pub fn and(self, more: Code) -> Self {
        more.0.into_iter().fold(self, |mut all, piece| match piece {
            Piece::Text(text) => all.text(&text),
            other => {
                all.0.push(other);
                all
            }
        })
    }

    /// Parts with text between them.
    pub fn joined(parts: impl IntoIterator<Item = Code>, between: &str) -> Self {
        parts.into_iter().enumerate().fold(Code::default(), |all, (i, part)| {
            let all = if i > 0 { all.text(between) } else { all };
            all.and(part)
        })
    }

    /// About how many columns it takes; the same for blocks that differ in their numbers.
    pub fn columns(&self) -> usize {
        let of = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Number(_, None) => 3,
            Piece::Number(_, Some((keyword, _))) => keyword.len() + 5,
            Piece::Make(_, numbers) => 8 + 5 * numbers.len(),
            Piece::Value(_) => 8,
            Piece::Input(_) => 2,
        };
        self.0.iter().map(of).sum()
    }

    /// Its numbers in order.
    pub fn numbers(&self) -> impl Iterator<Item = &Number> {
        self.0.iter().flat_map(|piece| match piece {
            Piece::Number(number, _) => std::slice::from_ref(number),
            Piece::Make(_, numbers) => numbers.as_slice(),
            Piece::Text(_) | Piece::Value(_) | Piece::Input(_) => &[],
        })
    }

    /// The same code without what its numbers are: equal for blocks of one class.
    pub fn form(&self) -> String {
        let of = |piece: &Piece| match piece {
            Piece::Text(text) => format!("{text:?}"),
            Piece::Number(Number { role, .. }, keyword) => format!("<{role:?} {keyword:?}>"),
            Piece::Make(class, numbers) => format!("<make {class} {}>", numbers.len()),
            Piece::Value(value) => format!("<value {value}>"),
            Piece::Input(input) => format!("<input {input}>"),
        };
        self.0.iter().map(of).collect()
    }
}

/// How tightly an expression holds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// A sum.
    Sum,
    /// A product.
    Product,
    /// A name or a call.
    Whole,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expression {
    /// Its text.
    pub code: Code,
    /// How tightly it holds.
    pub hold: Hold,
    /// Layers in it.
    pub layers: usize,
    /// Whether the line ends behind it: an activation.
    pub ends: bool,
    /// Whether a block is called in it.
    pub block: bool,
}

impl Expression {
    /// A name.
    pub fn name(piece: Piece) -> Self {
        Expression { code: Code(vec![piece]), hold: Hold::Whole, layers: 0, ends: false, block: false }
    }

    /// With a method or an index behind.
    pub fn then(self, text: &str) -> Self {
        let (layers, ends, block) = (self.layers, self.ends, self.block);
        Expression { code: self.at_least(Hold::Whole).text(text), hold: Hold::Whole, layers, ends, block }
    }

    /// Its code where something at least so tight is needed.
    pub fn at_least(self, hold: Hold) -> Code {
        if self.hold >= hold { self.code } else { Code::of("(").and(self.code).text(")") }
    }
}
