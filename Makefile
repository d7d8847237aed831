.DEFAULT_GOAL := help
.PHONY: help search test cuda-machine test-cuda cuda-venv cuda-compile examples check prove bench bench-count bench-peer learn-peer peer-venv doc golden pictures onnx-venv onnx-check onnx-graphs zoo-venv zoo torch-venv torch-check cifar-check table-check break fuzz fuzz-coverage long attack-long methods study watch-check optuna-venv optuna-check slurm-unpack slurm-check

PICTURES ?= target/pictures
# The Python that has PyTorch, the processes a case, and the cases (all of them when empty) of bench-peer.
PYTHON ?= .venv/bin/python
ROUNDS ?= 5
CASES ?=
# The kernel families of bench (all of them when empty), as a part of a name.
FAMILY ?=

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

search: ## Run, or continue, the tiny search on embedded data
	cargo run --release -- search

# Where the images of study are.
DATA ?=

study: ## Run, or continue, the study of docs/search.md; DATA=cifar10:DIR or DATA=hf:DIR names CIFAR-10
	$(if $(DATA),,$(error study needs DATA=cifar10:DIR or DATA=hf:DIR, which names CIFAR-10))
	cargo run --release -- study search_spaces/study-cifar10.toml --data "$(DATA)" --out results/study-cifar10

test: ## Run every test, also behind one that fails
	cargo test --no-fail-fast

examples: ## Build and run the programs of examples/
	cargo test --test examples

check: ## Everything a change must pass, cheapest first
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo test --test layering
	cargo test

bench: ## Time every kernel family, and convolutions beside stock candle's in the same run; FAMILY=conv narrows it
	cargo bench --bench kernels -- $(FAMILY)

bench-count: ## Time the counting of networks, one at a time and many on all cores
	cargo bench --bench count

bench-peer: ## Time searches and trainings beside PyTorch's; CASES=pgd ROUNDS=3 PYTHON=/path/to/python narrow it
	cargo build --release
	python3 benches/peer/compare.py --python "$(PYTHON)" --rounds $(ROUNDS) --cases "$(CASES)"

# The Python that has Optuna and its dashboard, and the run of optuna-check.
OPTUNA_PYTHON ?= target/optuna-venv/bin/python
OPTUNA_RUN ?= results/example

optuna-venv: ## Make target/optuna-venv with Optuna and optuna-dashboard for optuna-check
	test -x target/optuna-venv/bin/python || python3 -m venv target/optuna-venv
	target/optuna-venv/bin/python -c "import optuna, optuna_dashboard" 2>/dev/null || \
		target/optuna-venv/bin/python -m pip install --quiet optuna optuna-dashboard

optuna-check: ## Open the candidates of a run by Optuna and its dashboard; OPTUNA_PYTHON=/path/to/python OPTUNA_RUN=results/night
	cargo run -- report $(OPTUNA_RUN) --optuna target/optuna-check.log
	$(OPTUNA_PYTHON) tests/optuna/check.py target/optuna-check.log $(OPTUNA_RUN)/ranked.json

watch-check: ## Show the dashboard of `watch` on a real terminal, and give it back; needs tmux
	cargo test --test watch -- --include-ignored

# The folder of CIFAR-10's parquet files and the seeds of learn-peer.
IMAGES ?=
# The table of table-check.
TABLE ?=
SEEDS ?= 0 1
LEARNT = $(abspath results/learning)

learn-peer: ## Train a small network here and in PyTorch and compare accuracies; IMAGES=DIR has CIFAR-10 as parquet
	$(if $(IMAGES),,$(error learn-peer needs IMAGES=DIR, a folder with train*.parquet and test*.parquet))
	mkdir -p $(LEARNT)
	for seed in $(SEEDS); do \
		cargo bench --bench learning -- --data "hf:$(abspath $(IMAGES))" --seed $$seed \
			--json $(LEARNT)/robustnas-seed$$seed.json && \
		$(PYTHON) benches/peer/learning.py --data "$(abspath $(IMAGES))" --seed $$seed \
			--json $(LEARNT)/pytorch-seed$$seed.json || exit 1; \
	done
	python3 benches/peer/learning_compare.py $(LEARNT)

# Minutes after which `methods` begins no further training.
MINUTES ?= 120

methods: ## Train a small network by every method, attack what comes out, write docs/methods.md; IMAGES=DIR as for learn-peer, MINUTES=30
	$(if $(IMAGES),,$(error methods needs IMAGES=DIR, a folder with train*.parquet and test*.parquet))
	cargo build --release --bin robustnas
	python3 benches/methods/run.py --data "hf:$(abspath $(IMAGES))" --threads 2 --minutes $(MINUTES)
	python3 benches/methods/report.py

peer-venv: ## Make .venv with PyTorch and the official AutoAttack for bench-peer and learn-peer
	python3 -m venv .venv
	.venv/bin/python -m pip install torch numpy pyarrow pillow git+https://github.com/fra31/auto-attack

# The CUDA machine in software, and what builds candle with it. NVCC stands in for the compiler of candle's own kernels.
CUDA_MACHINE = $(abspath target/cuda-machine)
CUDA_TARGET ?= target/cuda
CUDA_ENV = env -u CUDA_PATH -u CUDA_ROOT -u CUDA_TOOLKIT_ROOT_DIR CUDA_HOME=$(CUDA_MACHINE) CUDARC_CUDA_VERSION=13000 \
	CUDA_COMPUTE_CAP=90 NVCC=$(abspath tests/cuda-machine/nvcc) LD_LIBRARY_PATH=$(CUDA_MACHINE)/lib$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}
# Kernels run in the machine, not in this crate's vector code: optimising it takes longer than it saves.
CUDA_CARGO = --target-dir $(CUDA_TARGET) --no-default-features --features cuda \
	--config profile.dev.opt-level=1 --config profile.dev.package.robustnas.opt-level=0
# Orders of threads and blocks that test-cuda runs, and what the machine makes of kernels: `cpp`, what the C++ compiler
# understands of them, or `ptx`, what the real NVRTC makes of them.
CUDA_SEEDS ?= 0 1 2
CUDA_FRONT ?= cpp

target/cuda-machine/lib/stamp: $(wildcard tests/cuda-machine/*.* tests/cuda-machine/include/* tests/cuda-machine/include/*/*)
	cargo fetch
	tests/cuda-machine/build.sh target/cuda-machine

cuda-machine: target/cuda-machine/lib/stamp ## Build the CUDA machine in software into target/cuda-machine; needs g++

test-cuda: cuda-machine ## Test the CUDA backend on the machine in software, every access checked; CUDA_SEEDS="0 1 2" CUDA_FRONT=ptx
	$(CUDA_ENV) cargo test $(CUDA_CARGO) --test cuda --no-run
	for seed in $(CUDA_SEEDS); do \
		SOFT_SEED=$$seed SOFT_FRONT=$(CUDA_FRONT) $(CUDA_ENV) cargo test $(CUDA_CARGO) --test cuda -- --test-threads=1 || exit 1; \
	done

# The Python that has NVIDIA's NVRTC.
CUDA_PYTHON ?= target/cuda-machine/venv/bin/python

cuda-venv: ## Make target/cuda-machine/venv with NVIDIA's NVRTC for cuda-compile and CUDA_FRONT=ptx; nothing else of CUDA
	test -x target/cuda-machine/venv/bin/python || python3 -m venv target/cuda-machine/venv
	target/cuda-machine/venv/bin/python -m pip install --quiet --no-deps nvidia-cuda-nvrtc==13.0.88

cuda-compile: ## Compile every CUDA kernel by the real NVRTC and print what it takes; CUDA_PYTHON=/path/to/python has the wheel
	$(CUDA_PYTHON) tests/cuda-machine/check_real.py

doc: ## Build the documentation; a warning is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

golden: ## Write the golden costs of the search spaces, and the golden PyTorch files, anew; read the difference
	UPDATE=1 cargo test --test search_spaces --test torch_export
	git diff --stat -- tests/golden

pictures: ## Draw the pictures of the drawing tests into PICTURES (target/pictures)
	mkdir -p $(PICTURES)
	DRAWINGS=$(abspath $(PICTURES)) cargo test --test drawings
	ROBUSTNAS_PICTURES=$(abspath $(PICTURES)) cargo test --test report

# The Python that has ONNX Runtime.
ONNX_PYTHON ?= target/onnx-venv/bin/python

onnx-venv: ## Make target/onnx-venv with ONNX Runtime for onnx-check
	test -x target/onnx-venv/bin/python || python3 -m venv target/onnx-venv
	target/onnx-venv/bin/python -c "import onnx, onnxruntime, numpy" 2>/dev/null || \
		target/onnx-venv/bin/python -m pip install --quiet onnx onnxruntime numpy

onnx-check: ## Compare exported networks, and 300 random graphs, with ONNX Runtime; ONNX_PYTHON=/path/to/python is another Python
	ONNX_PYTHON=$(abspath $(ONNX_PYTHON)) cargo test --test onnx_export -- --nocapture --include-ignored

# The random graphs of onnx-graphs: how many, and of which seed.
GRAPHS ?= 5000
SEED ?= 2

onnx-graphs: ## Compare thousands of small random graphs with ONNX Runtime; GRAPHS=5000 SEED=2
	ROBUSTNAS_GRAPHS=$(GRAPHS) ROBUSTNAS_SEED=$(SEED) ONNX_PYTHON=$(abspath $(ONNX_PYTHON)) \
		cargo test --test onnx_export -- --nocapture --ignored random_graphs

# The Python that has PyTorch, torchvision, timm, onnx and onnxruntime; the folder of the results, networks by a part of
# their name, and verdicts to try again (refused,wrong).
ZOO_PYTHON ?= target/zoo-venv/bin/python
ZOO_OUT ?= results/zoo
ONLY ?=
AGAIN ?=

zoo-venv: ## Make target/zoo-venv with PyTorch, torchvision, timm and ONNX Runtime for zoo (gigabytes)
	test -x target/zoo-venv/bin/python || python3 -m venv target/zoo-venv
	target/zoo-venv/bin/python -c "import torch, torchvision, timm, onnx, onnxruntime, onnxscript" 2>/dev/null || \
		target/zoo-venv/bin/python -m pip install --quiet torch torchvision timm onnx onnxruntime onnxscript

zoo: ## Export the networks people use by both of PyTorch's exporters and read them; continues; ONLY=timm AGAIN=refused
	cargo build --release
	$(ZOO_PYTHON) tests/zoo/zoo.py --program target/release/robustnas --out $(ZOO_OUT) --only "$(ONLY)" --again "$(AGAIN)"

cifar-check: ## Read CIFAR-10 as downloaded from the Hugging Face hub; IMAGES=DIR has it as parquet
	$(if $(IMAGES),,$(error cifar-check needs IMAGES=DIR, a folder with train*.parquet and test*.parquet))
	ROBUSTNAS_CIFAR10=$(abspath $(IMAGES)) cargo test --test data_hf -- --nocapture --ignored

table-check: ## Compare the search strategies on NAS-RobBench-201, and their constants; TABLE=FILE has its CIFAR-10 columns
	$(if $(TABLE),,$(error table-check needs TABLE=FILE, the table's CIFAR-10 columns as docs/search.md tells))
	ROBUSTNAS_NB201=$(abspath $(TABLE)) cargo test --release --test study -- --nocapture --ignored

# The Python that has PyTorch.
TORCH_PYTHON ?= target/torch-venv/bin/python

torch-venv: ## Make target/torch-venv with PyTorch for torch-check
	test -x target/torch-venv/bin/python || python3 -m venv target/torch-venv
	target/torch-venv/bin/python -c "import torch, numpy" 2>/dev/null || \
		target/torch-venv/bin/python -m pip install --quiet torch numpy

torch-check: ## Compare exported networks with PyTorch; TORCH_PYTHON=/path/to/python is another Python
	TORCH_PYTHON=$(abspath $(TORCH_PYTHON)) cargo test --test torch_export -- --include-ignored --nocapture

# What break does: kills at random moments, every how many system calls, damaged files.
KILLS ?= 1000
STRIDE ?= 1
DAMAGED ?= 200

break: ## Kill searches at random moments and at system calls (strace), and damage files; KILLS=1000 STRIDE=1 DAMAGED=200
	ROBUSTNAS_KILLS=$(KILLS) ROBUSTNAS_STRIDE=$(STRIDE) ROBUSTNAS_DAMAGED=$(DAMAGED) ROBUSTNAS_SEED=$(SEED) \
		cargo test --release --test kills -- --nocapture --ignored --test-threads 1 \
		$$(command -v strace >/dev/null || { echo 'LEFT OUT: there is no strace, so no system call is killed' >&2; echo --skip system_call; })

# The readers of fuzz (all of them when empty), by a part of their name, and the seconds for each.
TARGET ?=
SECONDS ?= 600

fuzz: ## Change well-formed inputs of every reader for a time; TARGET=onnx SECONDS=600 SEED=2
	ROBUSTNAS_FUZZ_TARGET=$(TARGET) ROBUSTNAS_FUZZ_SECONDS=$(SECONDS) ROBUSTNAS_SEED=$(SEED) \
		cargo test --release --test fuzz_corpus -- --nocapture changed_inputs

fuzz-coverage: ## The same guided by coverage; needs a nightly toolchain and cargo-fuzz
	TARGET=$(TARGET) cargo +nightly fuzz run readers -- -max_total_time=$(SECONDS) -rss_limit_mb=1024 -timeout=5

long: ## Kill a run and its workers twenty times, and a study, and compare their answers with those of undisturbed ones
	ROBUSTNAS_KILLS=20 cargo test --release --test kill_and_resume --test workers --test study_training -- --include-ignored

prove: ## Compare every plan of every family and supernet, with all fusions, with a plain executor (about two hours)
	cargo test --release --test plans -- --ignored --nocapture

slurm-unpack: ## Unpack Debian's Slurm into target/, for slurm-check; needs apt and a package list
	tests/slurm/unpack.sh target/slurm/slurm

slurm-check: ## Run a search by a Slurm of two nodes on this machine, lose one, compare the answer; needs Debian's apt
	cargo build --bin robustnas
	tests/slurm/check.sh target/debug/robustnas target/slurm

attack-long: ## Compare the long attacks with the official code's results on a given network
	cargo test --test attack_oracle -- --nocapture --test-threads 1 --include-ignored
