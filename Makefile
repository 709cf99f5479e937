# Needs python3 (3.11 or newer) with pip; everything else goes into .venv.
#
#   make demo        compile a Sudoku solver, run it, check every step
#   make test        the tests
#   make lint        ruff, mypy
#
# These take minutes to hours:
#
#   make verify-all  every program in programs/ against wasmtime, at -O0 and -O1
#   make spec        the WebAssembly specification's scripts (SPEC=folder with *.wast)
#   make mutants     step programs with one step changed: verify has to tell each one
#   make soft        the first tokens of every program in programs/ under real softmax
#   make replay      ten long traces under real softmax, every position
#   make chains      code that long runs come to decodes the same tokens, of every program and of random ones
#   make random      random programs against wasmtime
#   make fuzz        hostile input for each door, SECONDS each (600)
#   make npm         modules that other people published on npm (needs npm)
#   make random3     random programs with what WebAssembly 3.0 added (npm is needed)
#   make stores      random instances that share memories, tables and globals, against wasmtime, with SEED=number
#   make simd        every instruction of SIMD against wasmtime, at both levels, on random operands
#   make csmith      random C programs against wasmtime (needs csmith)
#   make emscripten  C and C++ that throw, compiled by Emscripten, against wasmtime and Node (needs emcc)
#   make wasi-files  random calls of WASI's functions on files against wasmtime
#   make hf          programs as folders for Hugging Face, in a process without this project; other libraries that read them
#   make hybrid      experts inside small language models: the tables of docs/hybrid.md
#   make gpu         real softmax, both engines on torch and language models on a GPU, against the CPU (needs a GPU)
#   make circuits    circuit discovery and training on compiled models: the tables of docs/ground-truth.md
#   make large       a module of a million steps, compiled, run and verified, with what that takes
#   make check-docs  the commands in README.md and docs/ print what is written there
#   make page        the page of `explain` in headless Chromium (needs a chromium)
#   make bench       speed and memory
#   make size        megabytes of an installation without extras
#   make worker      a worker of a Dask cluster, for SCHEDULER=tcp://host:8786; verify-all, random, mutants and replay use
#                    such a cluster with DISTRIBUTED=tcp://host:8786, or with DISTRIBUTED=local:2 two workers here
#   make samples     a part of each of the above that takes some ten minutes, with SEED=number; what CI runs beside the tests

PYTHON ?= python3
SPEC ?=
SECONDS ?= 600
SEED ?= 0
DISTRIBUTED ?=
SCHEDULER ?= tcp://localhost:8786
BIN := .venv/bin
W2X := $(BIN)/wasm2xformer
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
RUN := .venv/run.stamp
DEV := .venv/dev.stamp
WHERE = $(if $(DISTRIBUTED),--distributed $(DISTRIBUTED))

SUDOKU := programs/i32/sudoku.wasm
MODEL := build/sudoku.safetensors
ROWS := $(foreach i,0 1 2 3 4 5 6 7 8,--invoke row $(i))

.PHONY: demo test lint verify-all spec mutants soft replay random fuzz npm hf hybrid moe check-docs page published bench samples size clean

demo: $(RUN)
	@mkdir -p build
	@echo; echo "A Sudoku solver written in C, compiled into a transformer. Its puzzle 1 is Arto Inkala's hardest:"
	@sed -n '/hardest Sudoku/{n;p;}' programs/i32/sudoku.c | tr -dc 0-9 | tr 0 . | fold -w 9; echo
	@echo; echo "\$$ wasm2xformer $(SUDOKU) -o $(MODEL)"
	@$(W2X) $(SUDOKU) -o $(MODEL)
	@echo; echo "\$$ wasm2xformer run $(MODEL) --invoke solve 1 --invoke row 0 ... --invoke row 8"
	@echo "(how many digits it tried, then the solution, row by row)"
	@$(W2X) run $(MODEL) --invoke solve 1 $(ROWS)
	@echo; echo "\$$ wasm2xformer verify $(SUDOKU) --model $(MODEL) --invoke solve 1 --invoke row 0 ... --invoke row 8"
	@$(W2X) verify $(SUDOKU) --model $(MODEL) --invoke solve 1 $(ROWS)

# Sequences of these are short, and the code for long ones is what is to be tested.
verify-all spec mutants soft replay random random3 stores fuzz npm simd csmith emscripten wasi-files samples chains: \
	export WASM2XFORMER_CODE = whole

test: $(DEV)
	$(BIN)/python -m pytest -n 2

# mypy wants the packages where they are once installed.
lint: $(DEV)
	$(BIN)/ruff check .
	@mkdir -p build/types/wasm2xformer
	@for name in compiler runtime; do ln -sfn ../../../$$name build/types/wasm2xformer/$$name; done
	@for name in __init__ __main__; do ln -sfn ../../../wasm2xformer/$$name.py build/types/wasm2xformer/$$name.py; done
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p wasm2xformer

verify-all: $(DEV)
	$(BIN)/python -m tests.verify_all $(WHERE)

spec: $(DEV)
	$(BIN)/python -m tests.spec $(SPEC)

mutants: $(DEV)
	$(BIN)/python -m tests.mutants $(WHERE)

soft: $(DEV)
	$(BIN)/python -m tests.soft_all

replay: $(DEV)
	$(BIN)/python -m tests.replay_all $(WHERE)

# From a checkout of the same commit. A worker whose item ended it is started again.
.PHONY: worker
worker: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m dask worker $(SCHEDULER) --nworkers -1 --nthreads 1 --memory-limit 0 --no-dashboard \
	  --preload tests.campaign.sources

.PHONY: chains
chains: $(DEV)
	$(BIN)/python -m tests.chains_all --random 20 --seed $(SEED)
	$(BIN)/python -m tests.chains_all
	WASM2XFORMER_CHAINS=always $(BIN)/python -m pytest tests/test_verify_programs.py tests/test_floats.py
	WASM2XFORMER_CHAINS=always $(BIN)/python -m tests.random --count 10 --seed $(SEED)
	WASM2XFORMER_CHAINS=always $(BIN)/python -m tests.fuzz --seconds 60 --door tokens --door checkpoint

random: $(DEV)
	$(BIN)/python -m tests.random $(WHERE)

# Modules with what WebAssembly 3.0 added, by a newer binaryen than distributions have.
.PHONY: random3 binaryen
binaryen: build/binaryen/node_modules
build/binaryen/node_modules:
	npm install --prefix build/binaryen --no-fund --no-audit --silent binaryen@132.0.0
random3: $(DEV) binaryen
	$(BIN)/python -m tests.random --kind ttf3 --kind ttf_gc --count 100 --seed $(SEED)

.PHONY: stores
stores: $(DEV)
	$(BIN)/python -m tests.stores --count 40 --seed $(SEED)

fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(filter-out 0,$(SEED)),--seed $(SEED))

npm: $(DEV)
	$(BIN)/python -m tests.npm

.PHONY: simd
simd: $(DEV)
	$(BIN)/python -m tests.simd --families
	$(BIN)/python -m tests.simd --families --opt-level 0

.PHONY: csmith wasi-files emscripten
csmith: $(DEV)
	$(BIN)/python -m tests.csmith

emscripten: $(DEV)
	$(BIN)/python -m tests.emscripten

.PHONY: large
large: $(DEV)
	$(BIN)/python -m tests.large

wasi-files: $(DEV)
	$(BIN)/python -m tests.wasi_edges
	$(BIN)/python -m tests.wasi_files --count 200

hf: $(DEV)
	@$(PIP) -e '.[dev,readers]'
	$(BIN)/python -m tests.hf
	$(BIN)/python -m pytest tests/hf_examples.py

# On a machine with a GPU.
.PHONY: gpu
gpu: $(DEV)
	$(BIN)/python -m tests.gpu

.PHONY: circuits
circuits: $(DEV)
	$(BIN)/python -m tests.circuits

# Twenty programs as mixtures of experts, and the tools that look into mixtures.
moe: $(DEV)
	@$(PIP) -e '.[hf]'
	$(BIN)/python -m tests.mixtures
	$(BIN)/python -m tests.moe_tools

check-docs: $(DEV)
	$(BIN)/python -m pytest tests/check_docs.py

page: $(DEV)
	@$(PIP) -e '.[page]'
	$(BIN)/python -m pytest -s tests/page.py
	$(BIN)/python -m pytest -s tests/page_views.py

# The page that docs/ shows, and its animation, made anew.
published: $(DEV)
	@$(PIP) -e '.[page]'
	$(W2X) explain docs/three_plus_five.wat --invoke add 3 5 -o docs/three_plus_five.html
	$(BIN)/python docs/animate.py docs/three_plus_five.html docs/three_plus_five.gif

samples: $(DEV)
	$(BIN)/python -m tests.verify_all --sample 12 --seed $(SEED)
	$(BIN)/python -m tests.random --ttf --count 20 --seed $(SEED)
	$(BIN)/python -m tests.spec $(SPEC)

hybrid: $(DEV)
	$(BIN)/python -m tests.hybrid

bench: $(DEV)
	$(W2X) bench

size:
	@rm -rf build/size && $(PYTHON) -m venv build/size
	@build/size/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt .
	@du -sm build/size | cut -f1

clean:
	rm -rf .venv build *.egg-info

$(RUN): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("python 3.11 or newer is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@echo "installing into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -e .
	@touch $@

$(DEV): $(RUN)
	@echo "installing what the tests need"
	@$(PIP) -e '.[dev,c,bench]'
	@touch $@
