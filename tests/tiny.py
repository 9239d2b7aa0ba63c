"""Sweep files of runs that take a second or less."""

DEFAULTS = """
[defaults]
dataset = "mnist-sample"
model = "1.5k-dw"
batch_size = 32
train_images = 160
holdout = 40
"""
LONG = f"{DEFAULTS}\n[cells.long]\nepochs = 20\ntechniques = 'sam+swa'\nkeep_epochs = '0'\n"
SHORT = "[cells.short]\nepochs = 1\nseeds = '1'\n"
