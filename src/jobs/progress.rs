//! How a job tells people how far it is.

/// Where a job tells how it gets on. None of it reaches a file.
pub trait Progress {
    /// Something worth a line.
    fn note(&mut self, text: &str);
    /// A stage of `steps` steps begins, `done` of them already taken.
    fn begin(&mut self, stage: &str, done: u64, steps: u64);
    /// A step was taken.
    fn step(&mut self, detail: &str);
    /// The stage is over.
    fn end(&mut self);
}

/// Tells nobody.
impl Progress for () {
    fn note(&mut self, _: &str) {}
    fn begin(&mut self, _: &str, _: u64, _: u64) {}
    fn step(&mut self, _: &str) {}
    fn end(&mut self) {}
}
