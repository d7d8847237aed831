//! Names in Python.

use std::collections::BTreeSet;

use super::tree::Kind;

/// Keywords.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Names that a file uses already.
const TAKEN: [&str; 13] = [
    "F",
    "Net",
    "Path",
    "attention",
    "build",
    "dilated_avg_pool2d",
    "json",
    "load",
    "math",
    "nn",
    "read_weights",
    "self",
    "torch",
];

/// Whether an attribute can be written with a dot.
fn is_identifier(name: &str) -> bool {
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && !KEYWORDS.contains(&name)
}

/// The access to a module in another one.
pub fn access(kind: Kind, owner: &str, name: &str) -> String {
    match kind {
        Kind::List => format!("{owner}[{name}]"),
        Kind::Dict => format!("{owner}[\"{name}\"]"),
        Kind::Leaf | Kind::Class | Kind::Owner if is_identifier(name) => format!("{owner}.{name}"),
        Kind::Leaf | Kind::Class | Kind::Owner => format!("getattr({owner}, \"{name}\")"),
    }
}

/// The code before and after a module that is set in another one.
pub fn assignment(kind: Kind, owner: &str, name: &str) -> (String, String) {
    match kind {
        Kind::List => (format!("{owner}.append("), ")".into()),
        Kind::Leaf | Kind::Class | Kind::Owner if !is_identifier(name) => {
            (format!("{owner}.add_module(\"{name}\", "), ")".into())
        }
        Kind::Dict | Kind::Leaf | Kind::Class | Kind::Owner => {
            (format!("{} = ", access(kind, owner, name)), String::new())
        }
    }
}

/// A variable's name: keywords and names in use get an underscore appended.
pub fn variable(text: &str) -> String {
    let mut name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        name.insert(0, 'x');
    }
    if KEYWORDS.contains(&name.as_str()) || TAKEN.contains(&name.as_str()) {
        name.push('_');
    }
    name
}

/// A class's name: `sep_conv_3x3` to `SepConv3x3`, `block12` to `Block`.
pub fn class(text: &str) -> String {
    let of_size = |word: &str| word.contains('x') && word.bytes().all(|b| b.is_ascii_digit() || b == b'x');
    let mut name = String::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()) {
        if of_size(word) {
            if name.ends_with(|c: char| c.is_ascii_digit()) {
                name.push('_');
            }
            name.push_str(word);
            continue;
        }
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let mut letters = word.chars();
        name.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        name.extend(letters);
    }
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && !KEYWORDS.contains(&name.as_str());
    if is_name { name } else { format!("Block{name}") }
}

/// The name wanted, with a number appended where it is in use already.
pub fn free(wanted: &str, used: &mut BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut k = 1;
    while !used.insert(name.clone()) {
        k += 1;
        let between = if wanted.ends_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        name = format!("{wanted}{between}{k}");
    }
    name
}

/// Names that classes of a file must not have.
pub fn taken() -> BTreeSet<String> {
    TAKEN.map(str::to_owned).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_python() {
        let classes = ["sep_conv_3x3", "conv_7x1_1x7", "block12", "relu1", "0", "layer/conv", "none"].map(class);
        assert_eq!(classes, ["SepConv3x3", "Conv7x1_1x7", "Block", "Relu", "Block", "LayerConv", "BlockNone"]);
        assert_eq!(["class", "3", "a/b", "attention"].map(variable), ["class_", "x3", "a_b", "attention_"]);
        assert_eq!(access(Kind::Class, "self", "class"), "getattr(self, \"class\")");
        assert_eq!(assignment(Kind::Owner, "self.conv", "bn").0, "self.conv.bn = ");
    }

    #[test]
    fn names_in_use_are_numbered() {
        let mut used = BTreeSet::from(["Block".to_owned(), "x1".to_owned()]);
        assert_eq!(["Block", "Block", "x1", "y"].map(|n| free(n, &mut used)), ["Block2", "Block3", "x1_2", "y"]);
    }
}
