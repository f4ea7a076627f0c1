# OpenPPU. `make` lists what can be made; everything generated goes to build/ and .venv/.

PYTHON ?= python3
CONFIG ?= demo
SET ?=
PART ?= all
MUTATE ?= tile
JOBS ?= 2
BUILD := build
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OPTIONS := --config $(CONFIG) $(addprefix --set ,$(SET))

BENCHES := $(filter-out __init__,$(basename $(notdir $(wildcard sim/openppu_sim/bench/*.py))))

# A page or picture, the figures that it needs, the module that prints it, the targets that measure.
define page_of_figures
@for file in $(2); do test -f $$file || { echo "$(1) stays: no $$file (make $(4))"; exit 0; }; done; \
  echo '$(BIN)/python -m $(3) > $(1)'; $(BIN)/python -m $(3) > $(1).new && mv $(1).new $(1) || { rm -f $(1).new; exit 1; }
endef

# The tools (Yosys, the compilers) find each other through PATH; WAVES=1 reaches the testbenches.
export PATH := $(CURDIR)/$(BIN):$(PATH)
ifdef WAVES
export WAVES
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help venv sim train test test-slow formal mutation verilog bench lint format docs pictures synth pnr synthesis-page synth-hbm pnr-hbm hbm-synthesis-page synth-link pnr-link link-synthesis-page clean distclean

help: ## list the targets
	@echo "usage: make TARGET [CONFIG=demo] [SET='tile.rows=16 tile.columns=16'] [WAVES=1] [JOBS=2]"
	@sed -n 's/^\([a-z-]*\):.* ## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 22

venv: $(INSTALLED) ## make .venv with every pinned dependency

sim: $(INSTALLED) ## classify handwritten digits on the RTL, every bit and cycle checked; HBM2e traffic; a link; two chips
	$(BIN)/python -m openppu_sim.digits $(OPTIONS)
	$(BIN)/python -m openppu_verif.hbm.demo
	$(BIN)/python -m openppu_verif.link.demo
	$(BIN)/python -m openppu_verif.chip.demo

train: $(INSTALLED) ## let two linked chips learn to read digits, on the RTL, until they know 90 % of the test images
	$(BIN)/python -m openppu_verif.chip.training

test: $(INSTALLED) ## run the tests, but for those marked slow
	$(BIN)/python -m pytest -n $(JOBS) -m 'not slow'

test-slow: $(INSTALLED) ## run the slow tests alone
	$(BIN)/python -m pytest -n $(JOBS) -m slow

formal: $(INSTALLED) ## prove the properties of the tile and of the memory controller
	$(BIN)/python -m openppu_verif.formal

mutation: $(INSTALLED) ## break the netlist of MUTATE (tile, hbm, link, chip) in many ways and count what the tests miss
	$(BIN)/python -m openppu_verif.mutation --part $(MUTATE)

verilog: $(INSTALLED) ## write the Verilog of CONFIG: a file a part, or PART alone
	$(BIN)/openppu verilog $(OPTIONS) --part $(PART)

bench: $(INSTALLED) ## measure, and compare with the goals
	$(BIN)/openppu bench $(OPTIONS)
	$(BIN)/python -m openppu_verif.hbm.efficiency
	$(BIN)/python -m openppu_verif.hbm.load_curve
	$(BIN)/python -m openppu_verif.link.figures
	$(BIN)/python -m openppu_verif.link.mesh
	$(BIN)/python -m openppu_verif.link.engine_figures
	$(BIN)/python -m openppu_verif.link.model_check
	$(BIN)/python -m openppu_verif.chip.model_check
	$(BIN)/python -m openppu_verif.chip.figures

lint: $(INSTALLED) ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## mend the format
	$(BIN)/ruff format .

docs: $(INSTALLED) ## write the generated pages of docs/, those of figures if they have been measured
	$(BIN)/python -m openppu.config > docs/configuration.md
	$(BIN)/python -m openppu.hbm.registers > docs/hbm-registers.md
	$(BIN)/python -m openppu.link.registers > docs/link-registers.md
	$(BIN)/python -m openppu.command.registers > docs/command-registers.md
	$(BIN)/python -m openppu.command.instructions > docs/commands.md
	$(BIN)/python -m openppu.host.blocks > docs/registers.md
	$(call page_of_figures,docs/benchmarks.md,$(BENCHES:%=$(BUILD)/bench/%.json),openppu_sim.report.benchmark_table,bench)
	$(call page_of_figures,docs/images/hbm-load.svg,$(BUILD)/bench/hbm_load.json,openppu_sim.report.hbm_load,bench)
	$(call page_of_figures,docs/synthesis.md,$(BUILD)/synth/synth.json $(BUILD)/pnr/pnr.json,openppu_sim.synthesis page,synth pnr)
	$(call page_of_figures,docs/hbm-synthesis.md,$(BUILD)/synth-hbm/synth-hbm.json $(BUILD)/pnr-hbm/pnr-hbm.json,openppu_sim.synthesis page-hbm,synth-hbm pnr-hbm)
	$(call page_of_figures,docs/link-synthesis.md,$(BUILD)/synth-link/synth-link.json $(BUILD)/pnr-link/pnr-link.json,openppu_sim.synthesis page-link,synth-link pnr-link)

pictures: $(VENV)/.installed-pictures ## draw the memory's command timing, as the RTL plays it
	$(BIN)/python -m openppu_verif.hbm.timing_pictures

synth: $(INSTALLED) ## map the tile with Yosys; cells, LUTs, flip-flops by format set
	$(BIN)/python -m openppu_sim.synthesis synth

pnr: $(VENV)/.installed-pnr ## place and route the ecp5 tile; Fmax
	$(BIN)/python -m openppu_sim.synthesis pnr

synthesis-page: synth pnr ## write docs/synthesis.md from the figures of both
	$(BIN)/python -m openppu_sim.synthesis page > docs/synthesis.md

synth-hbm: $(INSTALLED) ## map the memory controller with Yosys, by queue entries
	$(BIN)/python -m openppu_sim.synthesis synth-hbm

pnr-hbm: $(VENV)/.installed-pnr ## place and route the memory controllers that fit an ECP5-85
	$(BIN)/python -m openppu_sim.synthesis pnr-hbm

synth-link: $(INSTALLED) ## map a port of the link with Yosys
	$(BIN)/python -m openppu_sim.synthesis synth-link

pnr-link: $(VENV)/.installed-pnr ## place and route ports of the link
	$(BIN)/python -m openppu_sim.synthesis pnr-link

link-synthesis-page: synth-link pnr-link ## write docs/link-synthesis.md from the figures of both
	$(BIN)/python -m openppu_sim.synthesis page-link > docs/link-synthesis.md

hbm-synthesis-page: synth-hbm pnr-hbm ## write docs/hbm-synthesis.md from the figures of both
	$(BIN)/python -m openppu_sim.synthesis page-hbm > docs/hbm-synthesis.md

clean: ## delete build/ and caches
	rm -rf $(BUILD) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find hw sim verif tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## delete .venv too
	rm -rf $(VENV)

# Python packages, into .venv. A changed pyproject.toml installs again.

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 or newer, or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is too old: Python 3.11 or newer is needed; say make PYTHON=/path/to/python3" >&2; exit 2; }
	@for tool in c++ perl; do command -v $$tool > /dev/null || { echo "make: $$tool is missing: on Debian, apt-get install g++ perl" >&2; exit 2; }; done
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "make: $(PYTHON) cannot make virtual environments: on Debian, apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/.installed-pnr $(VENV)/.installed-pictures: $(VENV)/.installed-%: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@
