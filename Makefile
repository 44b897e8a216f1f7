# Aliases of `python -m cvlab COMMAND` in an environment of their own, which `make setup` makes.
.PHONY: help setup lectures test nbval lint report slides book compare record contents student refresh lab app release bench knocks seeds twice pretrain sheets ladder lock clean distclean

# Arguments are taken as they were given: Make would read a $ in a path as a name or a command.
quoted = '$(subst ','\'',$(value $(1)))'
given = $(if $(filter undefined,$(origin $(1))),$(value $(2)),$(value $(1)))
one_of = $(if $(filter undefined,$(origin $(1)))$(findstring |$(value $(1))|,|$(2)|),,$(error $(3) '$(value $(1))': use $(1)=$(2)))
$(call one_of,PROFILE,quick|laptop|lecture,There is no profile)
$(call one_of,BACKEND,tensorflow|jax|torch,There is no backend)
export CVLAB_PHOTOS := $(call given,PHOTOS,CVLAB_PHOTOS)
export CVLAB_OTHER := $(call given,OTHER,CVLAB_OTHER)
export CVLAB_WEIGHTS := $(call given,WEIGHTS,CVLAB_WEIGHTS)
export CVLAB_BASE := $(call given,BASE,CVLAB_BASE)
export KERAS_BACKEND := $(or $(call given,BACKEND,KERAS_BACKEND),tensorflow)
unexport PHOTOS OTHER WEIGHTS BASE
export CVLAB_CACHE ?= $(CURDIR)/build/cache
export TF_FORCE_GPU_ALLOW_GROWTH := true
# JAX has an environment without TensorFlow. PyTorch is yours to install into .venv.
VENV := .venv$(if $(filter jax,$(KERAS_BACKEND)),-jax)
LOCK := requirements$(if $(filter .venv-jax,$(VENV)),-jax,$(if $(GPU),-gpu)).lock
PY := $(VENV)/bin/python
READY := $(VENV)/.ready-$(LOCK)
CVLAB := $(PY) -m cvlab
profile = $(if $(value PROFILE),--profile $(call quoted,PROFILE))
jobs = $(patsubst -j%,-j %,$(filter-out -j,$(filter -j%,$(MAKEFLAGS))))

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'
setup: $(READY) ## install everything into .venv (GPU=1: with CUDA libraries)
$(READY): $(LOCK) pyproject.toml .ci/setup
	@bash .ci/setup $(VENV) $(LOCK)
	@rm -f $(VENV)/.ready-* && touch $@
lectures: $(READY) ## execute every notebook (PROFILE=, PHOTOS=, OTHER=, WEIGHTS=, BASE=, BACKEND=, -j2)
	@$(CVLAB) lectures $(profile) $(jobs)
report: ## write the report of a run again (PROFILE=, as for the next two)
slides: ## reveal.js slides of the notebooks, as executed or as committed
record: ## keep the times and findings of a whole run with the course
report slides record: $(READY)
	@$(CVLAB) $@ $(profile)
compare: $(READY) ## two runs side by side (A=build/quick B=build/laptop)
	@$(CVLAB) compare $(foreach run,A B,$(if $(value $(run)),$(call quoted,$(run))))
book: ## the course as a static site, in build/book/
contents: ## write contents, times and links between the notebooks again
student: ## copies without solutions and outputs (FORMAT=nbgrader: assignments for graders)
lab: ## open a working copy of the course in JupyterLab (MASTERS=1: the committed notebooks)
pretrain: ## train the embedded base again on drawn animals (15 minutes)
book contents pretrain: $(READY)
	@$(CVLAB) $@
student: $(READY)
	@$(CVLAB) student $(if $(value FORMAT),--format $(call quoted,FORMAT))
lab: $(READY)
	@$(CVLAB) lab $(if $(MASTERS),--masters)
release: $(READY) ## wheel and sdist, tried in an empty environment (VERSION=0.2.0, NOTEBOOKS=...)
	@$(CVLAB) release $(call quoted,VERSION) $(NOTEBOOKS)
app: $(READY) ## a model behind a web page on this machine (MODEL=, PORT=; needs the extra app)
	@$(CVLAB) app $(if $(value MODEL),--model $(call quoted,MODEL)) $(if $(value PORT),--port $(call quoted,PORT))
refresh: $(READY) ## run the committed notebooks again and keep their outputs (NOTEBOOKS=...)
	@$(CVLAB) refresh $(jobs) $(NOTEBOOKS)
# Two tests at a time, each on its part of the cores; without oneDNN, whose allocator keeps memory.
test: $(READY) ## unit tests, lint, types, then every notebook against its committed outputs
	n=$$(( ($$(getconf _NPROCESSORS_ONLN) + 1) / 2 )); TF_NUM_INTRAOP_THREADS=$$n OMP_NUM_THREADS=$$n TF_ENABLE_ONEDNN_OPTS=0 $(PY) -m pytest -n 2 --dist worksteal
	@$(if $(filter tensorflow,$(KERAS_BACKEND)),$(MAKE) --keep-going --no-print-directory -j2 nbval lint)
nbval: $(READY) ## every notebook against its committed outputs
	@$(CVLAB) check
lint: $(READY) ## what ruff, mypy and zizmor (workflows) say
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy && $(VENV)/bin/zizmor --offline -q .github

bench: $(READY) ## measure speed as ratios in one run (LONG=1: time to accuracy as well; PAGE=1: for the book)
	@$(PY) -m tests.bench.bench $(if $(LONG),--long) $(if $(PAGE),--page) $(if $(ONLY),--only $(call quoted,ONLY))
knocks: $(READY) ## kills, full disks and bad input by the thousand (half an hour)
	$(PY) -m tests.knocks.kill && $(PY) -m tests.knocks.disk && $(PY) -m tests.knocks.fuzz
seeds: $(READY) ## do the notebooks' verdicts hold for 20 other seeds? (hours; SEEDS=2: fewer)
	$(PY) -m tests.knocks.seeds $(if $(SEEDS),--seeds $(call quoted,SEEDS))
twice: $(READY) ## do two runs on one machine find the same?
	$(PY) -m tests.knocks.twice $(profile)
sheets: $(READY) ## contact sheets of the drawn images, to look at, in build/sheets/
	@$(CVLAB) sheets build/sheets
# Not the seeds from 0, 10 or 20, on which settings were found (two epochs: after a look at seed 30).
ladder: $(READY) ## measure the whole ladder over five seeds, and draw the README's figure again
	mkdir -p build && $(CVLAB) ladder --first 30 --out build/ladder.json && cp build/ladder.svg lectures/ladder.svg
UV := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev
lock: ## solve the dependencies again (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: install it with 'pip install uv'." >&2; exit 2; }
	$(UV) --extra tensorflow --upgrade pyproject.toml -o requirements.lock
	$(UV) --extra gpu --constraints requirements.lock pyproject.toml -o requirements-gpu.lock
	$(UV) --extra jax --upgrade pyproject.toml -o requirements-jax.lock
clean: ## remove executed notebooks and tool caches
	rm -rf build/quick build/laptop build/lecture build/student build/compare.html .pytest_cache .mypy_cache .ruff_cache .hypothesis
distclean: clean ## also remove the environments and cached data
	rm -rf build .venv .venv-jax *.egg-info
