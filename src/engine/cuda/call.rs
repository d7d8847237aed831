//! One launch of a kernel, as a value.

/// A file of kernels.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name, also in messages.
    pub name: &'static str,
    /// Its text, with what all files share in front.
    pub text: &'static str,
}

/// The file of a name in `kernels/`.
macro_rules! file {
    ($name:literal) => {
        $crate::engine::cuda::call::File {
            name: $name,
            text: concat!(
                "#line 1 \"common.cuh\"\n",
                include_str!("common.cuh"),
                "\n#line 1 \"",
                $name,
                "\"\n",
                include_str!($name)
            ),
        }
    };
}
pub(super) use file;

/// Macros with which a file is compiled, for a family of shapes; an empty name is none.
pub type Macros = [(&'static str, usize); 2];

/// A kernel of a file.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The file.
    pub file: File,
    /// The function.
    pub name: &'static str,
    /// For which shapes it is compiled.
    pub macros: Macros,
}

impl Kernel {
    /// A kernel that is compiled once for all shapes.
    pub const fn of(file: File, name: &'static str) -> Kernel {
        Kernel { file, name, macros: [("", 0); 2] }
    }

    /// What tells it from others.
    pub fn key(&self) -> (&'static str, &'static str, Macros) {
        (self.file.name, self.name, self.macros)
    }
}

/// How many threads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks.
    pub blocks: [usize; 3],
    /// Threads of a block, `x` and `y`.
    pub threads: [usize; 2],
}

/// Threads of a block where a kernel says nothing else; `THREADS` in `kernels/common.cuh`.
pub const THREADS: usize = 256;

/// Channels that stand side by side in a block.
const ACROSS: usize = 32;

impl Grid {
    /// A thread for every number.
    pub fn flat(len: usize) -> Grid {
        Grid { blocks: [len.div_ceil(THREADS), 1, 1], threads: [THREADS, 1] }
    }

    /// Blocks whose threads stand in columns, one a channel, to be added up; `y` and `z` blocks of each.
    pub fn columns(c: usize, y: usize, z: usize) -> Grid {
        let across = c.next_power_of_two().min(ACROSS);
        Grid { blocks: [c.div_ceil(across), y, z], threads: [across, THREADS / across] }
    }
}

/// A launch: a kernel and the one structure that it takes.
#[derive(Clone, Copy, Debug)]
pub struct Call<A> {
    /// The kernel.
    pub kernel: Kernel,
    /// How many threads.
    pub grid: Grid,
    /// What it is told.
    pub arguments: A,
}

/// Pixels of a part of a sum over a batch, at least.
const RUN: usize = 1 << 9;

/// Numbers of all parts of such a sum, at most (16 MiB).
const PARTS: usize = 1 << 22;

/// How a sum over all pixels of a batch is divided, so that its order depends on shapes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Pixels of every part but perhaps the last.
    pub run: usize,
    /// Parts.
    pub count: usize,
}

impl Parts {
    /// For a sum of `len` numbers over `pixels`.
    pub fn of(len: usize, pixels: usize) -> Parts {
        let most = (PARTS / len.max(1)).max(1);
        let run = pixels.div_ceil(most).max(RUN);
        Parts { run, count: pixels.div_ceil(run) }
    }
}
