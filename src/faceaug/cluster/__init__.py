"""Work on several machines: the executor of ``faceaug.executor`` on a cluster, with Ray as its engine.

::

    caller --map--> executor (windows of chunks, results in order, resends, nodes that lose a disk)
                       --Engine--> ray_engine --> worker (one chunk, on some node) --> nodes (versions, what it sees)

Nothing here is loaded by ``import faceaug``; Ray itself, the extra ``faceaug[ray]``, only by ``open_ray``. Another
engine needs the methods of ``faceaug.cluster.executor.Engine``. See docs/cluster.md.
"""

from faceaug.cluster.executor import ClusterExecutor as ClusterExecutor
from faceaug.cluster.ray_engine import open_ray as open_ray
