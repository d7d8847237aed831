//! Python with placeholders for constants, operands and values, so that blocks that differ in constants only can share
//! a class.

/// The role of a constant, which names the constructor argument that it becomes where it differs between blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Input and output channels.
    Channels,
    /// Input channels.
    In,
    /// Output channels.
    Out,
    /// Channel groups.
    Groups,
    /// The first channel of a slice.
    First,
    /// The end of a slice of channels.
    End,
    /// Heads of attention.
    Heads,
    /// Kernel size.
    Kernel,
    /// Stride.
    Stride,
    /// Padding.
    Padding,
    /// Dilation.
    Dilation,
    /// Rows and columns.
    Size,
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// A dropout rate.
    Rate,
    /// An initial weight.
    Init,
}

impl Role {
    /// The argument's name, PyTorch's where it has one.
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

    /// Whether it counts channels: equal or proportional ones may share an argument.
    pub fn counts_channels(self) -> bool {
        matches!(self, Role::Channels | Role::In | Role::Out | Role::Groups | Role::First | Role::End)
    }

    /// Whether two constants that are equal in every block may share an argument.
    pub fn may_be(self, other: Role) -> bool {
        self == other || self.counts_channels() && other.counts_channels()
    }
}

/// A constant of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its role.
    pub role: Role,
    /// As Python writes it.
    pub text: String,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// A constant; with a keyword `, keyword=number`, which is left out where it is always the default.
    Number(Number, Option<(&'static str, &'static str)>),
    /// A call of a class's constructor with the constants of this block.
    Make(usize, Vec<Number>),
    /// A value of the same block.
    Value(usize),
    /// An input, by index.
    Input(usize),
}

/// Code, a line or less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(pub Vec<Piece>);

impl Code {
    /// Text alone.
    pub fn of(text: &str) -> Self {
        Code::default().text(text)
    }

    /// With text appended.
    pub fn text(mut self, text: &str) -> Self {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
        self
    }

    /// With a constant appended.
    pub fn number(mut self, role: Role, number: impl ToString) -> Self {
        self.0.push(Piece::Number(Number { role, text: number.to_string() }, None));
        self
    }

    /// With `, keyword=number` appended, unless that is the default in every block.
    pub fn keyword(mut self, keyword: &'static str, role: Role, number: impl ToString, usual: &'static str) -> Self {
        self.0.push(Piece::Number(Number { role, text: number.to_string() }, Some((keyword, usual))));
        self
    }

    /// With code appended.
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

    /// Approximate width in columns; the same for blocks that differ in constants only.
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

    /// Its constants in order.
    pub fn numbers(&self) -> impl Iterator<Item = &Number> {
        self.0.iter().flat_map(|piece| match piece {
            Piece::Number(number, _) => std::slice::from_ref(number),
            Piece::Make(_, numbers) => numbers.as_slice(),
            Piece::Text(_) | Piece::Value(_) | Piece::Input(_) => &[],
        })
    }

    /// The code without the values of constants: equal for blocks of one class.
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

/// The precedence of an expression.
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
    /// Its precedence.
    pub hold: Hold,
    /// Layers in it.
    pub layers: usize,
    /// Whether the line ends after it: an activation.
    pub ends: bool,
    /// Whether a block is called in it.
    pub block: bool,
}

impl Expression {
    /// A name.
    pub fn name(piece: Piece) -> Self {
        Expression { code: Code(vec![piece]), hold: Hold::Whole, layers: 0, ends: false, block: false }
    }

    /// With a method or an index appended.
    pub fn then(self, text: &str) -> Self {
        let (layers, ends, block) = (self.layers, self.ends, self.block);
        Expression { code: self.at_least(Hold::Whole).text(text), hold: Hold::Whole, layers, ends, block }
    }

    /// Its code, in brackets where a higher precedence is needed.
    pub fn at_least(self, hold: Hold) -> Code {
        if self.hold >= hold { self.code } else { Code::of("(").and(self.code).text(")") }
    }
}
