"""effcnn: small CNNs, eight techniques, and what each of them really gives."""

__version__ = "0.1.0"


def load(run):
    """The trained net of a run that kept its weights; see `effcnn.runs.load`."""
    from effcnn import runs  # so that `import effcnn` costs nothing

    return runs.load(run)
