//! From a graph to a plan: rewritten, scheduled, and after each step held to what it says of itself.

use super::call::check;
use super::fuse::{Fusion, fuse};
use super::params::ParamLayout;
use super::plan::{Plan, Setting, Wrt};
use super::schedule::Scheduler;
use crate::arch::net::Net;
use crate::error::{Error, Result};

impl Plan {
    /// Compiles a network.
    ///
    /// # Errors
    /// [`Error::Internal`] for calls that do not fit together. Whether it reads only what is there is checked when a backend
    /// prepares it, in the order in which that runs it.
    pub fn compile(net: &Net, params: &ParamLayout, wrt: Wrt, setting: Setting, fusion: Fusion) -> Result<Plan> {
        let Setting { statistics, choice } = setting;
        let internal = |why: String| Error::Internal(format!("a plan for {wrt:?}, {setting:?}: {why}"));
        let nodes = fuse(net, params, fusion, choice);
        check(&nodes, net.input_shape(), net.node(net.output()).shape, params.trainable()).map_err(internal)?;
        Ok(Scheduler::new(nodes, wrt, statistics, fusion).finish(params.trainable(), net.mix_len()))
    }
}
