# Needs Python 3.11 or newer and git. `make` alone says what there is.
PYTHON ?= python3
# More options for pip, an index for example; the README has one.
PIP_FLAGS ?=
# Of the book: published, quick or full.
PROFILE ?= published

# Touched last, so that an install that was interrupted is done again.
READY := .venv/.installed
PIP := .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

.PHONY: help install book pdf slides course test lint clean

help:  ## list the commands
	@sed -n 's/^\([a-z][a-z]*\):.*## /  make \1: /p' Makefile

install: $(READY)  ## install the book's tools into .venv

book: $(READY)  ## execute every notebook and render the book
	.venv/bin/python -m effcnn book --profile $(PROFILE)

pdf: $(READY)  ## print the whole book into one PDF; it wants Chromium
	$(PIP) -e '.[site]'
	.venv/bin/python -m effcnn book --pdf --profile $(PROFILE)

slides: book  ## make a deck of slides of every part with chapters, HTML and PDF; it needs Chromium
	$(PIP) playwright
	.venv/bin/python -m effcnn slides --pdf

course: $(READY)  ## write the students' notebooks, and zips to hand out
	.venv/bin/python -m effcnn course

test: $(READY)  ## run the tests
	.venv/bin/python -m pytest

lint: $(READY)  ## check style and format
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check

clean:  ## remove what was built, but not .venv, data or runs
	rm -rf _build _course _slides book/*.ipynb .pytest_cache .ruff_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo 'error: $(PYTHON) is not Python 3.11 or newer; try make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@echo 'Installing into .venv; this takes minutes.'
# torch first and alone: whatever asks for torch later then finds this one and brings no other.
	$(PIP) torch
	$(PIP) -e '.[book,cluster,test]'
	@touch $@
