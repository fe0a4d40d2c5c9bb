"""The network that the package ships; MODEL_CARD.md describes it.

`network.Network.load()` reads it.
"""

import pathlib

SHIPPED = pathlib.Path(__file__).with_name('strong.npz')
