//! The vector instructions that kernels run on, chosen once and passed on as a value.

use std::fmt;

/// A set of vector instructions that this machine has.
///
/// A value is a proof: it can only be got from [`Isa::widest`] or [`Isa::available`], which ask the machine.
#[derive(Clone, Copy, Debug)]
pub struct Isa(Level);

/// The sets, each with the proof that the machine has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    /// What the target guarantees: SSE2 on x86-64 (a fused multiply-add is a function call there), NEON on AArch64.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// AVX-512 F, BW, CD, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
}

impl Isa {
    /// Every set this machine has, the portable one first.
    pub fn available() -> Vec<Isa> {
        #[cfg(target_arch = "x86_64")]
        let wider = [pulp::x86::V3::try_new().map(Level::Avx2), pulp::x86::V4::try_new().map(Level::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let wider = [None::<Level>];
        [Some(Level::Portable)].into_iter().chain(wider).flatten().map(Isa).collect()
    }

    /// The set with the widest vectors.
    pub fn widest() -> Isa {
        Isa::available().last().copied().unwrap_or(Isa(Level::Portable))
    }

    /// Runs `f` compiled for these instructions.
    ///
    /// `f` must be `#[inline(always)]`: a closure that is called and not inlined is compiled for the baseline, where a fused
    /// multiply-add is a function call.
    #[inline(always)]
    pub fn run<R>(self, mut f: impl FnMut() -> R) -> R {
        match self.0 {
            Level::Portable => f(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(v3) => compiled_for(v3, f),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(v4) => compiled_for(v4, f),
        }
    }

    /// The set, to be matched on.
    #[inline(always)]
    pub(crate) fn level(self) -> Level {
        self.0
    }

    /// Lanes of `f32` in a vector register.
    pub fn lanes(self) -> usize {
        match self.0 {
            Level::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => 8,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => 16,
        }
    }
}

/// Runs `f` compiled for an instruction set.
///
/// Calling a closure that could be called again as one that is called once goes through a shim of the compiler's that need not
/// be inlined; `f` is therefore asked to be callable again, and the closure around it gives its only capture away.
#[inline(always)]
pub(crate) fn compiled_for<S: pulp::Simd, R>(set: S, f: impl FnMut() -> R) -> R {
    set.vectorize(
        #[inline(always)]
        move || {
            let mut f = f;
            f()
        },
    )
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
        })
    }
}
