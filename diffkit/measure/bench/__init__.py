"""Two versions of the code measured side by side, so that a change can be judged.

`worker` has the list of benchmarks and runs them in a process of one version;
`session` keeps two such processes and samples them in turn; `verdicts` turns the
samples into ratios with intervals; `record` is their form on disk.
"""

import lazy_loader as lazy

# The benchmarks load networks and the engine; `diffkit --help` needs neither.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
