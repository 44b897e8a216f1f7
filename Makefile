# Two commands do everything: `make lectures` and `make test`. `make help` lists the rest.

PROFILE ?= quick
# Asked here, before anything that is not a profile can reach a shell or a notebook.
ifneq ($(words $(value PROFILE))$(filter quick laptop lecture,$(value PROFILE)),1$(strip $(value PROFILE)))
$(error There is no profile '$(value PROFILE)': use PROFILE=quick, laptop or lecture)
endif
# Real photos (a zip or a folder) and the weights of a pretrained base, for laptop and lecture:
# PHOTOS and WEIGHTS, or else CVLAB_PHOTOS and CVLAB_WEIGHTS; BASE names another base than the
# profile's. They are taken as they were given, for Make would read a $ in a path as the name of
# something, or as a command.
given = $(if $(filter undefined,$(origin $(1))),$(value CVLAB_$(1)),$(value $(1)))
# Set GPU=1 once, at set-up, to install the CUDA libraries as well.
GPU ?=

# What Keras runs on, in tests and notebooks: BACKEND, or else KERAS_BACKEND. JAX gets an environment of
# its own; PyTorch is the user's to install into .venv.
ifeq ($(origin BACKEND),undefined)
BACKEND := $(or $(value KERAS_BACKEND),tensorflow)
endif
ifneq ($(words $(value BACKEND))$(filter tensorflow jax torch,$(value BACKEND)),1$(strip $(value BACKEND)))
$(error The course runs on BACKEND=tensorflow, jax or torch, not on '$(value BACKEND)')
endif
export KERAS_BACKEND := $(BACKEND)
JAX := $(filter jax,$(BACKEND))

SHELL := /bin/bash
VENV := .venv$(if $(JAX),-jax)
PY := $(VENV)/bin/python
LOCK := $(if $(JAX),requirements-jax.lock,$(if $(GPU),requirements-gpu.lock,requirements.lock))
READY := $(VENV)/.ready-$(LOCK)
OUT := build/$(PROFILE)
SOURCES := $(sort $(wildcard lectures/[0-9][0-9]_*.ipynb))
EXECUTED := $(SOURCES:lectures/%=$(OUT)/%)
PACKAGE := $(wildcard cvlab/*.py cvlab/*/*.py cvlab/*/*/*.py cvlab/course/recorded.json cvlab/course/lecture.toml cvlab/models/weights/*)

# The notebooks run in lectures/, so paths given here must not depend on the folder. (Make's own
# abspath would split a path at its spaces.)
quoted = '$(subst ','\'',$(1))'
absolute = $(if $(1),$(shell case $(call quoted,$(1)) in (/*) echo $(call quoted,$(1));; (*) echo "$$PWD"/$(call quoted,$(1));; esac))
export CVLAB_PHOTOS := $(call absolute,$(call given,PHOTOS))
export CVLAB_WEIGHTS := $(call absolute,$(call given,WEIGHTS))
export CVLAB_BASE := $(call given,BASE)
unexport PHOTOS WEIGHTS BASE
export CVLAB_CACHE ?= $(CURDIR)/build/cache
# With -j2 two notebooks may share one graphics card.
export TF_FORCE_GPU_ALLOW_GROWTH := true
# TensorFlow leaves oneDNN's convolutions off where a processor has no AVX-512, as on many AMDs: there
# they are about a fifth faster over a notebook.
export TF_ENABLE_ONEDNN_OPTS ?= 1
export PYTHONUTF8 := 1

.PHONY: help setup lectures executed summed slides compare record contents student test nbval lint knocks seeds twice lab bench refresh pretrain sheets ladder lock clean distclean FORCE
.DEFAULT_GOAL := help
# A recipe that is stopped must not leave a target that looks finished.
.DELETE_ON_ERROR:

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "make lectures takes PROFILE=quick|laptop|lecture, PHOTOS=path, BASE=name, WEIGHTS=path,"
	@echo "BACKEND=tensorflow|jax|torch and -j2."

setup: $(READY) ## install everything into .venv (GPU=1: with CUDA libraries)

$(READY): $(LOCK) pyproject.toml .ci/setup
	@bash .ci/setup $(VENV) $(LOCK)
	@rm -f $(VENV)/.ready-*
	@touch $@

lectures: $(READY) $(OUT)/.inputs ## execute every notebook into build/PROFILE
	@$(MAKE) --keep-going --no-print-directory executed CHECKED=1 || true
	@$(MAKE) --keep-going --no-print-directory summed CHECKED=1 || true
	@$(PY) -m cvlab.publish.report build $(OUT) $(SOURCES); made=$$?; \
	$(PY) -m cvlab.publish.outcomes $(OUT) $(SOURCES) && exit $$made

# 13 sums up what the others have measured, so it runs after them, and again when they did.
SUMMARY := $(filter $(OUT)/13_%,$(EXECUTED))
# Those that take longest start early, so that no core waits for them at the end. Beside 05, which
# draws the pictures, starts one that needs none; 11 and 09 come between 05 and the two that go on from
# its network, which they would have to train if it were not there yet.
LONG := $(foreach number,05 03 11 09 06 07 10 08 02 12,$(filter $(OUT)/$(number)_%,$(EXECUTED)))
executed: $(filter $(OUT)/00_%,$(EXECUTED)) $(LONG) $(filter-out $(SUMMARY),$(EXECUTED))
summed: $(SUMMARY)
$(SUMMARY): $(wildcard $(OUT)/records/0[5-9]*.json $(OUT)/records/1[0-2]*.json)

$(OUT)/%.ipynb: lectures/%.ipynb $(PACKAGE) $(OUT)/.inputs | $(READY)
	@rm -f $(filter-out $@,$(SUMMARY))
	@$(share)$(PY) -m cvlab.publish.execution execute $< $@ --profile $(PROFILE)

# With -j2 two notebooks share the cores: each takes its part of them, instead of both taking all.
jobs = $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS)))
share = $(if $(jobs),$(call part,$(jobs)))
part = cores=$$(( $$(getconf _NPROCESSORS_ONLN) / $(1) )); test $$cores -gt 0 || cores=1; export TF_NUM_INTRAOP_THREADS=$$cores OMP_NUM_THREADS=$$cores;

ifndef CHECKED
# Holds what the last run was made from: paths of photos and weights, the base, the backend, checksums
# of the package and of each notebook. Where one of them is another now, what was made from it is
# taken away, since times alone would lie after the clock was set back. Asked once, when the run begins
# (CHECKED).
$(OUT)/.inputs: FORCE
	@for path in "$$CVLAB_PHOTOS" "$$CVLAB_WEIGHTS"; do \
	  test -z "$$path" -o -e "$$path" || { echo "There is nothing at $$path: check PHOTOS= and WEIGHTS=." >&2; exit 2; }; \
	done
	@mkdir -p $(OUT)
	@inputs="photos=$$CVLAB_PHOTOS base=$$CVLAB_BASE weights=$$CVLAB_WEIGHTS backend=$$KERAS_BACKEND package=$$(cat $(PACKAGE) | cksum)"; \
	echo "$$inputs" | cmp -s - $@ || { rm -f $(EXECUTED); echo "$$inputs" > $@; }
	@mkdir -p $(OUT)/.sums
	@for source in $(SOURCES); do \
	  name=$$(basename $$source); sum=$$(cksum < $$source); \
	  echo "$$sum" | cmp -s - $(OUT)/.sums/$$name || \
	    { rm -f $(OUT)/$$name $(SUMMARY); echo "$$sum" > $(OUT)/.sums/$$name; }; \
	done
endif

slides: $(READY) ## reveal.js slides of the notebooks, as executed for PROFILE or as committed
	@$(PY) -m cvlab.publish.report slides $(OUT)/slides $(or $(wildcard $(EXECUTED)),$(SOURCES))

compare: $(READY) ## two runs side by side (A=build/quick B=build/laptop)
	@test -n "$(A)" -a -n "$(B)" || { echo "Name two runs: make compare A=build/quick B=build/laptop" >&2; exit 2; }
	@$(PY) -m cvlab.publish.report compare $(A) $(B) --out build/compare.html

record: $(READY) ## keep the times and findings of the last whole run of PROFILE with the course
	@$(PY) -m cvlab.publish.results $(OUT)
	@$(MAKE) --no-print-directory contents

contents: $(READY) ## write contents, times and links between the notebooks anew
	@$(PY) -m cvlab.publish.contents $(SOURCES)

student: $(READY) ## copies without solutions and outputs, for students, in build/student/
	@rm -rf build/student
	@$(PY) -m cvlab.publish.student build/student $(SOURCES)

# Two tests at a time, each on its part of the cores: the networks of tests are small. Each process
# has one half of the list, so that tests of a file share what it has trained, and helps with the other.
# Without oneDNN, whose allocator would keep the memory of the largest network to the end of the run;
# the notebooks are compared with it.
unit = $(call part,2) TF_ENABLE_ONEDNN_OPTS=0 $(PY) -m pytest -n 2 --dist worksteal

ifneq ($(BACKEND),tensorflow)
test: $(READY)
	$(unit)
else
test: $(READY) ## unit tests, lint, types, then every notebook against its committed outputs
	$(unit)
	@$(MAKE) --keep-going --no-print-directory -j2 nbval lint
endif

lint: $(READY) ## what ruff and mypy say
	@told=$$( { $(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy; } 2>&1); \
	failed=$$?; echo "$$told"; exit $$failed

# Two notebooks at a time, in the same order as when they are executed: a small network is not
# trained faster by a second core, but two of them are by two. `lint` takes a core that has none left.
NBVAL := $(patsubst $(OUT)/%.ipynb,nbval/%,$(LONG) $(filter-out $(LONG),$(EXECUTED)))
nbval: $(NBVAL)
nbval/%: lectures/%.ipynb FORCE | $(READY)
	@$(share)export TQDM_DISABLE=1; \
	told=$$($(PY) -m pytest -q -p no:cacheprovider --nbval --nbval-current-env --nbval-cell-timeout=600 $< 2>&1); \
	failed=$$?; echo "$*"; echo "$$told"; exit $$failed

knocks: $(READY) ## kills, full disks and bad input by the thousand (half an hour)
	$(PY) -m tests.knocks.kill
	$(PY) -m tests.knocks.disk
	$(PY) -m tests.knocks.fuzz

seeds: $(READY) ## do the notebooks' verdicts hold for 20 other seeds? (hours; SEEDS=2: fewer)
	$(PY) -m tests.knocks.seeds --seeds $(call quoted,$(or $(SEEDS),20))

twice: $(READY) ## does `make lectures` find the same twice on one machine?
	$(PY) -m tests.knocks.twice --profile $(PROFILE)

lab: $(READY) ## open the course in JupyterLab
	$(PY) -m jupyterlab $(firstword $(SOURCES))

bench: $(READY) ## measure speed as ratios in one run (LONG=1: time to accuracy as well)
	@$(PY) -m tests.bench.bench $(if $(LONG),--long) $(if $(ONLY),--only $(call quoted,$(ONLY)))

refresh: $(READY) ## run the committed notebooks again and keep their outputs (NOTEBOOKS=...)
	$(PY) -m cvlab.publish.execution refresh $(or $(NOTEBOOKS),$(SOURCES))

pretrain: $(READY) ## train the embedded base anew on drawn animals (a quarter of an hour)
	$(PY) -m cvlab.experiments.pretrain

sheets: $(READY) ## contact sheets of the drawn pictures, to look at, in build/sheets/
	@$(PY) -m cvlab.experiments.contact_sheets build/sheets

# Not the seeds from 0, 10 or 20, on whose pictures the settings were found.
ladder: $(READY) ## measure the whole ladder over five seeds, and draw the README's picture anew
	@mkdir -p build
	$(PY) -m cvlab.experiments.ladder --first 30 --out build/ladder.json
	cp build/ladder.svg lectures/ladder.svg

lock: ## solve the dependencies anew (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: install it with 'pip install uv'." >&2; exit 2; }
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra tensorflow --extra dev --upgrade pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev --extra gpu --constraints requirements.lock pyproject.toml -o requirements-gpu.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev --extra jax --upgrade pyproject.toml -o requirements-jax.lock

clean: ## remove executed notebooks and tool caches
	rm -rf build/quick build/laptop build/lecture build/student build/compare.html .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## also remove .venv and cached data
	rm -rf build .venv .venv-jax *.egg-info
