# make tune   installs everything and runs a small real study; ends with an agent among all rules
# make test   installs everything and runs the tests      make test-all  the slow ones too
#             (PostgreSQL, SLURM, task-spooler, shellcheck, Chromium: tested where they are installed)
# make check  format, lint, types, import contracts        make bench     the benchmarks
# make docs   builds the site into site/                    make docs-serve  shows it while it is written
# make figures  the figures of docs/, a quarter of an hour
# make hydra14  the sweeper, the commands and the configuration on Hydra 1.4
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILED := $(VENV)/.compiled
VENV14 := .venv-hydra14
READY14 := $(VENV14)/.ready
HYDRA14 := hydra-core==1.4.0rc3 hydra-optuna-sweeper==1.4.0rc3 omegaconf==2.4.1rc1
# What meets Hydra: its grammar, its plugins, its composition, every door once.
HYDRA14_TESTS := tests/sweeper tests/configuration tests/host/test_locations.py \
	tests/cli/test_arguments.py tests/cli/test_door.py \
	$(addprefix tests/cli/test_tune.py::, test_one_command_ends_with_best_parameters_and_their_receipts \
		test_two_local_workers_share_one_exact_budget \
		test_the_command_line_adds_to_and_replaces_the_search_space \
		test_without_m_the_composed_configuration_is_scored_as_a_trial_would_be \
		test_training_takes_the_best_parameters_and_the_agent_has_them \
		test_overwrite_starts_afresh_and_skip_leaves_alone) \
	tests/cli/test_train.py::test_multirun_makes_one_folder_for_each_seed \
	tests/cli/test_train.py::test_a_user_s_file_given_with_s_is_the_one_that_runs \
	tests/cli/test_evaluate.py::test_a_run_is_evaluated_again_on_its_own_clinic
RUN_NAME ?= make_tune

.PHONY: install install14 tune test test-all check reference figures docs docs-serve bench hydra14 clean
install: $(COMPILED)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed: install it, or set PYTHON=" >&2; exit 2; }
	@echo "installing into $(VENV), which takes some minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(CURDIR)/abx_amr $(CURDIR)/hydra_plugins \
		$$($(BIN)/python -c 'import site; print(*site.getsitepackages())') || true  # some are no Python
	@touch $@

$(COMPILED): $(READY)
	$(BIN)/abx compile
	@touch $@

# The published two-antibiotic clinic, shown to agents with the time that is left.
TUNE_CLINIC := experiment=paper_two environment.include_time_remaining=true
tune: $(COMPILED)
	$(BIN)/abx-tune -m +tuning=policy_search_default $(TUNE_CLINIC) run_name=$(RUN_NAME) \
		tuning.n_trials=4 tuning.n_seeds_per_trial=2 'tuning.final={top: 2, seeds: 6}'
	$(BIN)/abx-train best_params_from=$(RUN_NAME) $(TUNE_CLINIC) run_name=$(RUN_NAME)_agent
	$(BIN)/abx-plan $(TUNE_CLINIC) 'plan.runs=[$(RUN_NAME)_agent]'
	@echo "(abx-train and the other commands: source $(BIN)/activate)"

# Three processes on two cores: a fifth of what the tests take is waiting for others.
test: $(COMPILED)
	$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m "not slow"

test-all: $(COMPILED)
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every configuration key, from conf/ and the classes that take them: docs/reference/.
reference: $(READY)
	$(BIN)/python docs/reference.py

# The figures that the pages show, by their commands in full size: docs/figures/. By hand.
figures: $(COMPILED)
	$(BIN)/python docs/figures.py

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html"

docs-serve: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

bench: $(COMPILED)
	$(BIN)/python -m benchmarks

# A second environment: Hydra 1.4 with the upstream sweeper beside ours.
hydra14: $(READY14) $(COMPILED)
	$(VENV14)/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not slow" $(HYDRA14_TESTS)

install14: $(READY14)

# Over the first environment, of which it hides what Hydra 1.4 replaces.
$(READY14): $(READY) Makefile
	@echo "installing Hydra 1.4 into $(VENV14), over $(VENV)"
	rm -rf $(VENV14)
	$(BIN)/python -m venv --without-pip $(VENV14)
	$(BIN)/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' \
		> $$($(VENV14)/bin/python -c 'import site; print(site.getsitepackages()[0])')/over.pth
	$(BIN)/python -m pip --python $(VENV14)/bin/python install --quiet --disable-pip-version-check \
		--no-deps $(HYDRA14)
	@touch $@

clean:
	rm -rf $(VENV) $(VENV14)
