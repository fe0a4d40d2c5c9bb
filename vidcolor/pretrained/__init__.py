"""The networks that the package ships; their model cards describe them.

`network.Network.load()` reads `strong`, which tracks best. `permissive` is a
network like it, trained on clips whose licence permits commercial use alone.
`paper` is the network of Vondrick et al. 2018.
"""

import pathlib

NETWORKS = {
    name: pathlib.Path(__file__).with_name(f'{name}.npz')
    for name in ('strong', 'permissive', 'paper')
}
SHIPPED = NETWORKS['strong']
