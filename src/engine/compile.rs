//! From a graph to a plan: fused, scheduled, and held to what it says of itself.

use super::fuse::{Fusion, fuse};
use super::params::ParamLayout;
use super::plan::{Plan, Setting, Wrt};
use super::schedule::Scheduler;
use super::verify::verify;
use crate::arch::net::Net;
use crate::error::{Error, Result};

impl Plan {
    /// Compiles a network.
    ///
    /// # Errors
    /// [`Error::Internal`] for a plan that reads what does not stand where it is read.
    pub fn compile(net: &Net, params: &ParamLayout, wrt: Wrt, setting: Setting, fusion: Fusion) -> Result<Plan> {
        let Setting { statistics, choice } = setting;
        let nodes = fuse(net, params, fusion, choice);
        let plan = Scheduler::new(nodes, wrt, statistics, fusion).finish(params.trainable(), net.mix_len());
        verify(&plan).map_err(|why| Error::Internal(format!("a plan for {wrt:?}, {setting:?}: {why}")))?;
        Ok(plan)
    }
}
