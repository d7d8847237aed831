//! A network as PyTorch code: one file of plain `torch.nn` classes, and the weights under their names there.
//!
//! The layers' names are a tree (`stage0.block0.conv1`). A branch of several layers becomes a class (`tree`); blocks
//! that differ in constants only become one class with arguments (`class`). Names of parameters are the same in both
//! programs, so `load_state_dict` reads what is written, and `--weights` reads what PyTorch trained.

mod body;
mod class;
mod code;
mod example;
mod file;
mod helper;
mod layer;
mod names;
mod tree;

pub use example::example;

use std::collections::{BTreeSet, HashMap};

use crate::arch::net::{Net, NodeId};
use crate::error::{Error, Result};

use body::{Body, Made, Source};
use class::{Blocks, Class};
use helper::Helper;
use tree::{Place, ROOT, Tree};

/// A network to write.
#[derive(Clone, Copy)]
pub struct Export<'a> {
    /// The graph.
    pub net: &'a Net,
    /// Its description, for a comment.
    pub summary: &'a str,
}

/// The file `net.py`: classes with the layers' names, `build()` and `load(path)`.
///
/// The network takes pixels `[n, c, h, w]` in `[0, 1]` and returns logits `[n, classes]`; what
/// normalisation of pixels there is, is among its layers. The same network gives the same text.
///
/// # Errors
/// [`Error::Net`] naming a mixed sum, or a layer whose name PyTorch does not allow for a module, and what to do.
pub fn write(export: &Export<'_>) -> Result<String> {
    export.net.validate()?;
    let classes = classes(export.net).map_err(Error::Net)?;
    file::write(export, &classes)
}

/// The classes of a network, nested ones first; the last is the network.
fn classes(net: &Net) -> Result<Vec<Class>, String> {
    let flat = layer::flat(net);
    let module = |id, node| layer::module(node, &net.input_shapes(id), flat_inside(net, &flat, id));
    let modules: Vec<_> = net.nodes().map(|(id, node)| module(id, node)).collect();
    let tree = Tree::new(net, |id| modules[id.index()].is_some())?;
    let idle = body::idle(net);
    let (mut classes, mut used, mut made) = (Vec::<Class>::new(), names::taken(), HashMap::<Place, Made>::new());
    used.extend(helpers(net, &flat).into_iter().map(|helper| helper.name().to_owned()));
    let places = tree.classes();
    for level in places.chunk_by(|a, b| tree.height(*a) == tree.height(*b)) {
        let mut forms: Vec<(String, Blocks)> = Vec::new();
        for place in level {
            let source = Source { net, tree: &tree, flat: &flat, modules: &modules, idle: &idle, made: &made };
            let body = body::write(&source, *place)?;
            add(&mut forms, body, *place, tree.path(*place));
        }
        for (_, blocks) in forms {
            let root = blocks.places == [ROOT];
            let name = names::class(&tree.branch(blocks.places[0]).name);
            let name = if root { "Net".to_owned() } else { names::free(&name, &mut used) };
            let (class, blocks) = Class::new(classes.len(), name, blocks);
            classes.push(class);
            made.extend(blocks);
        }
    }
    Ok(classes)
}

/// Adds a block to those of its form.
fn add(forms: &mut Vec<(String, Blocks)>, body: Body, place: Place, path: String) {
    let form = body.form();
    let of = |(other, _): &(String, Blocks)| *other == form;
    let at = forms.iter().position(of).unwrap_or_else(|| {
        forms.push((form.clone(), Blocks { places: Vec::new(), paths: Vec::new(), bodies: Vec::new() }));
        forms.len() - 1
    });
    let (_, blocks) = &mut forms[at];
    blocks.places.push(place);
    blocks.paths.push(path);
    blocks.bodies.push(body);
}

/// Whether a layer works on vectors `[n, c]`.
fn flat_inside(net: &Net, flat: &[bool], id: NodeId) -> bool {
    flat[id.index()] && net.inputs(id).iter().all(|input| flat[input.index()])
}

/// The helpers that a network needs, in order.
fn helpers(net: &Net, flat: &[bool]) -> BTreeSet<Helper> {
    net.nodes().filter_map(|(id, node)| Helper::of(&node.op, flat_inside(net, flat, id))).collect()
}
