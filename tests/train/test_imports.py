import subprocess
import sys

HEAVY = ("numba", "sympy", "pandas", "matplotlib", "sklearn", "rich")


def test_building_networks_loads_nothing_heavy():
    code = (
        "import sys, diffkit as dk; dk.nn.mlp((4, 3)); dk.losses.mse; dk.optim.adam(); "
        "dk.train.Batches(10, 2); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
