//! The layers' names as a tree, and which of its branches become classes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::arch::net::{Net, NodeId};
use crate::arch::op::Op;

/// A branch of the tree.
pub type Place = usize;

/// The root: the whole network.
pub const ROOT: Place = 0;

/// How the layers under a name are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A single layer.
    Leaf,
    /// A class of its own, which is called.
    Class,
    /// A layer that has others as attributes.
    Owner,
    /// A list.
    List,
    /// A dictionary.
    Dict,
}

/// A part of a name.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Between two dots.
    pub name: String,
    /// Its parent.
    pub parent: Option<Place>,
    /// Its children, in the order of the network.
    pub children: Vec<Place>,
    /// The layer of this name.
    pub layer: Option<NodeId>,
    /// Whether a module is in it.
    pub has_module: bool,
    /// How it is stored.
    pub kind: Kind,
}

/// An item that a class calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A layer.
    Layer(NodeId),
    /// A nested class.
    Class(Place),
}

/// The tree.
pub struct Tree {
    branches: Vec<Branch>,
    /// The branch of every layer; none for the input.
    of: Vec<Option<Place>>,
    /// What every class calls, in order.
    items: HashMap<Place, Vec<Item>>,
}

impl Tree {
    /// Builds the tree from the names; `is_module` tells which layers are modules.
    ///
    /// # Errors
    /// A name that PyTorch does not allow for a module.
    pub fn new(net: &Net, is_module: impl Fn(NodeId) -> bool) -> Result<Self, String> {
        let root = Branch {
            name: String::new(),
            parent: None,
            children: Vec::new(),
            layer: None,
            has_module: true,
            kind: Kind::Class,
        };
        let mut tree = Tree { branches: vec![root], of: vec![None; net.len()], items: HashMap::new() };
        let mut known: HashMap<(Place, &str), Place> = HashMap::new();
        for (id, node) in net.nodes().filter(|(_, node)| !matches!(node.op, Op::Input { .. })) {
            let mut at = ROOT;
            for name in node.name.split('.') {
                at = *known.entry((at, name)).or_insert_with(|| tree.grow(at, name));
            }
            tree.branches[at].layer = Some(id);
            tree.of[id.index()] = Some(at);
            if is_module(id) {
                let mut up = Some(at);
                while let Some(place) = up {
                    tree.branches[place].has_module = true;
                    up = tree.branches[place].parent;
                }
            }
        }
        for place in (1..tree.branches.len()).rev() {
            tree.branches[place].kind = tree.usual(place, &is_module);
        }
        (1..tree.branches.len()).try_for_each(|place| tree.check_name(net, place))?;
        tree.order(net, ROOT);
        Ok(tree)
    }

    fn grow(&mut self, parent: Place, name: &str) -> Place {
        let place = self.branches.len();
        let name = name.to_owned();
        let (children, layer) = (Vec::new(), None);
        self.branches.push(Branch { name, parent: Some(parent), children, layer, has_module: false, kind: Kind::Leaf });
        self.branches[parent].children.push(place);
        place
    }

    /// A branch.
    pub fn branch(&self, place: Place) -> &Branch {
        &self.branches[place]
    }

    /// The branch of a layer.
    pub fn place(&self, layer: NodeId) -> Option<Place> {
        self.of[layer.index()]
    }

    /// What a class calls, in order.
    pub fn items(&self, class: Place) -> &[Item] {
        self.items.get(&class).map_or(&[], Vec::as_slice)
    }

    /// The classes, nested ones first.
    pub fn classes(&self) -> Vec<Place> {
        let mut found: Vec<Place> = self.items.keys().copied().collect();
        found.sort_by_key(|place| (self.height(*place), *place));
        found
    }

    /// The depth of nested classes.
    pub fn height(&self, class: Place) -> usize {
        let within = self.items(class).iter().map(|item| match item {
            Item::Layer(_) => 0,
            Item::Class(place) => 1 + self.height(*place),
        });
        within.max().unwrap_or(0)
    }

    /// The whole name.
    pub fn path(&self, place: Place) -> String {
        let branch = self.branch(place);
        match branch.parent {
            None | Some(ROOT) => branch.name.clone(),
            Some(parent) => format!("{}.{}", self.path(parent), branch.name),
        }
    }

    /// The names from a branch to one within.
    pub fn between(&self, from: Place, to: Place) -> Vec<Place> {
        let mut steps = Vec::new();
        let mut at = to;
        while at != from {
            steps.push(at);
            at = self.branch(at).parent.unwrap_or(from);
        }
        steps.reverse();
        steps
    }

    /// Whether a layer is in a branch.
    pub fn holds(&self, place: Place, layer: NodeId) -> bool {
        let mut at = self.place(layer);
        while let Some(found) = at {
            if found == place {
                return true;
            }
            at = self.branch(found).parent;
        }
        false
    }

    /// A class where several layers have a prefix in common; a name with a single child, or with numbered children, is
    /// a dictionary or a list.
    fn usual(&self, place: Place, is_module: &impl Fn(NodeId) -> bool) -> Kind {
        let Branch { children, layer, has_module, .. } = self.branch(place);
        let numbered = || children.iter().all(|c| self.branch(*c).name.bytes().all(|b| b.is_ascii_digit()));
        if children.is_empty() {
            Kind::Leaf
        } else if layer.is_some_and(is_module) {
            Kind::Owner
        } else if !has_module || layer.is_none() && children.len() == 1 || numbered() {
            self.loose(place)
        } else {
            Kind::Class
        }
    }

    /// A list, where the children are numbered without a gap, or a dictionary.
    fn loose(&self, place: Place) -> Kind {
        let with_modules = self.branch(place).children.iter().filter(|c| self.branch(**c).has_module);
        let counts = with_modules.enumerate().all(|(i, c)| self.branch(*c).name == i.to_string());
        if counts { Kind::List } else { Kind::Dict }
    }

    /// Orders the items that a class calls, then those of its nested classes. Layers that cannot be called together,
    /// because an item between them depends on one and is needed by another, do not become a class.
    fn order(&mut self, net: &Net, class: Place) {
        let items = loop {
            match self.sorted(net, class) {
                Ok(items) => break items,
                Err(part) => self.branches[part].kind = self.loose(part),
            }
        };
        for item in &items {
            if let Item::Class(place) = item {
                self.order(net, *place);
            }
        }
        self.items.insert(class, items);
    }

    /// The items in order, or a nested class that depends on itself.
    fn sorted(&self, net: &Net, class: Place) -> Result<Vec<Item>, Place> {
        let mut owner: BTreeMap<NodeId, Item> = BTreeMap::new();
        for (id, _) in net.nodes().filter(|(id, _)| self.holds(class, *id)) {
            owner.insert(id, self.item(class, id));
        }
        // By their first layers, with the items that each depends on.
        let (mut first, mut waits) = (BTreeMap::<Item, NodeId>::new(), BTreeMap::<Item, BTreeSet<Item>>::new());
        for (id, item) in &owner {
            first.entry(*item).or_insert(*id);
            let needs = net.inputs(*id).into_iter().filter_map(|i| owner.get(&i)).filter(|other| *other != item);
            waits.entry(*item).or_default().extend(needs);
        }
        let mut order = Vec::with_capacity(first.len());
        let mut left: Vec<Item> = first.keys().copied().collect();
        left.sort_by_key(|item| first[item]);
        let mut done = BTreeSet::new();
        while !left.is_empty() {
            let ready = left.iter().position(|item| waits[item].is_subset(&done));
            let Some(at) = ready else {
                let stuck = left.iter().find_map(|item| match item {
                    Item::Class(place) => Some(*place),
                    Item::Layer(_) => None,
                });
                // Single layers can be ordered: the network has no cycle.
                return stuck.map_or(Ok(order), Err);
            };
            let item = left.remove(at);
            done.insert(item);
            order.push(item);
        }
        Ok(order)
    }

    /// The item of a class that a layer belongs to: the outermost class around it, or itself.
    fn item(&self, class: Place, layer: NodeId) -> Item {
        let steps = self.place(layer).map(|to| self.between(class, to)).unwrap_or_default();
        let within = steps.into_iter().find(|step| self.branch(*step).kind == Kind::Class);
        within.map_or(Item::Layer(layer), Item::Class)
    }

    /// # Errors
    /// A name that PyTorch does not allow for a module.
    fn check_name(&self, net: &Net, place: Place) -> Result<(), String> {
        let Branch { name, parent, has_module, .. } = self.branch(place);
        let owner = parent.filter(|p| self.branch(*p).kind == Kind::Owner).and_then(|p| self.branch(p).layer);
        let of_owner = owner.is_some_and(|id| {
            let weighs = matches!(net.node(id).op, Op::Conv2d { .. } | Op::ConvNorm { .. } | Op::Linear { .. });
            LAYER.contains(&name.as_str()) || !weighs && NORMALISATION.contains(&name.as_str())
        });
        let taken = name.starts_with('_') || MODULE.contains(&name.as_str()) || of_owner;
        if !has_module || !taken && !name.is_empty() && name.bytes().all(|b| (b' '..127).contains(&b) && b != b'"') {
            return Ok(());
        }
        let why = if taken {
            "modules of PyTorch have an attribute of that name"
        } else {
            "it is not a valid name of a module"
        };
        let path = self.path(place);
        let of = self.branch(place).layer.map_or(&path, |id| &net.node(id).name);
        Err(format!(
            "layer `{of}`: `{name}` cannot be exported to PyTorch, as {why}; rename the layer in the arch.json"
        ))
    }
}

/// Attributes that every module has, dictionaries and lists among them.
const MODULE: [&str; 63] = [
    "T_destination",
    "add_module",
    "append",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "clear",
    "compile",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extend",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "insert",
    "ipu",
    "items",
    "keys",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "pop",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "update",
    "values",
    "xpu",
    "zero_grad",
];

/// Attributes that normalisations have, and convolutions and matrices have not.
const NORMALISATION: [&str; 6] = ["affine", "eps", "momentum", "num_features", "running_mean", "running_var"];

/// Attributes of layers.
const LAYER: [&str; 22] = [
    "bias",
    "branch",
    "dilation",
    "full",
    "groups",
    "hamming",
    "in_channels",
    "in_features",
    "inplace",
    "kernel_size",
    "mean",
    "measure",
    "out_channels",
    "out_features",
    "output_padding",
    "p",
    "padding",
    "padding_mode",
    "rate",
    "std",
    "stride",
    "weight",
];
