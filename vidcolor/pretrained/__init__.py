"""The networks that the package ships; their model cards describe them.

`network.Network.load()` reads `strong`, which tracks best, and
`network.Network.load('paper')` the network of Vondrick et al. 2018.
"""

import pathlib

NETWORKS = {
    name: pathlib.Path(__file__).with_name(f'{name}.npz')
    for name in ('strong', 'paper')
}
SHIPPED = NETWORKS['strong']
