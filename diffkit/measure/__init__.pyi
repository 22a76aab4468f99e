from . import bench as bench
from . import beside as beside
from . import floors as floors
from . import goals as goals
from .bootstrap import bootstrap_interval as bootstrap_interval
from .caches import engine_cache as engine_cache
from .caches import fill_engine_cache as fill_engine_cache
from .cells import KEPT as KEPT
from .cells import (
    CorruptCellError as CorruptCellError,
)
from .cells import (
    Store as Store,
)
from .cells import (
    measuring_code as measuring_code,
)
from .claims import Claim as Claim
from .claims import read_claims as read_claims
from .curves import curve_rows as curve_rows
from .descent import Descent as Descent
from .descent import descend as descend
from .descent import largest_that as largest_that
from .descent import on_vector as on_vector
from .exact_laws import ExactLaw as ExactLaw
from .exact_laws import exact_law as exact_law
from .executors import Cluster as Cluster
from .executors import Executor as Executor
from .executors import Local as Local
from .experiment import (
    MODES as MODES,
)
from .experiment import (
    Experiment as Experiment,
)
from .experiment import (
    Findings as Findings,
)
from .experiment import (
    Found as Found,
)
from .experiment import (
    Mode as Mode,
)
from .experiment import (
    Registry as Registry,
)
from .experiment import (
    Verdict as Verdict,
)
from .experiment import (
    discover as discover,
)
from .experiment import (
    experiment_paths as experiment_paths,
)
from .experiment import (
    load_experiment as load_experiment,
)
from .experiment import (
    project_root as project_root,
)
from .forms import Form as Form
from .forms import symbolic_forms as symbolic_forms
from .goals import Goal as Goal
from .gradient import (
    GradientCost as GradientCost,
)
from .gradient import (
    Problem as Problem,
)
from .gradient import (
    measure_gradient as measure_gradient,
)
from .gradient import (
    runtime_of as runtime_of,
)
from .gradient import (
    warm_up as warm_up,
)
from .laws import DECISIVE as DECISIVE
from .laws import Choice as Choice
from .laws import Interval as Interval
from .laws import Law as Law
from .laws import bootstrap_law as bootstrap_law
from .laws import choose_law as choose_law
from .laws import fit_law as fit_law
from .limits import (
    STATUSES as STATUSES,
)
from .limits import THREAD_VARIABLES as THREAD_VARIABLES
from .limits import (
    Limits as Limits,
)
from .limits import (
    Outcome as Outcome,
)
from .limits import default_guard as default_guard
from .machine import PACKAGES as PACKAGES
from .machine import PEERS as PEERS
from .machine import (
    Machine as Machine,
)
from .machine import blas_pools as blas_pools
from .machine import clock_text as clock_text
from .machine import (
    commit_of as commit_of,
)
from .machine import counters_text as counters_text
from .machine import (
    package_versions as package_versions,
)
from .machine import (
    this_machine as this_machine,
)
from .machine import (
    versions_text as versions_text,
)
from .networks import COMPARED_NETWORKS as COMPARED_NETWORKS
from .networks import Network as Network
from .networks import measure_network as measure_network
from .passes import GradientTime as GradientTime
from .passes import time_gradient as time_gradient
from .processes import LimitedRunner as LimitedRunner
from .processes import run_limited as run_limited
from .processes import start_method as start_method
from .reference import (
    Reference as Reference,
)
from .reference import (
    reference_gradient as reference_gradient,
)
from .rows import (
    BOOKKEEPING as BOOKKEEPING,
)
from .rows import (
    CELL_METRIC as CELL_METRIC,
)
from .rows import (
    HARNESS_METRIC as HARNESS_METRIC,
)
from .rows import (
    Case as Case,
)
from .rows import (
    Row as Row,
)
from .rows import (
    Scalar as Scalar,
)
from .rows import (
    case as case,
)
from .store.comparison import Comparison as Comparison
from .store.comparison import Difference as Difference
from .store.comparison import compare_rows as compare_rows
from .store.finished import finished as finished
from .store.finished import note_finished as note_finished
from .store.results import COLUMNS as COLUMNS
from .store.results import Results as Results
from .store.results import Run as Run
from .store.results import describe_store as describe_store
from .store.results import find_results as find_results
from .store.results import list_runs as list_runs
from .store.results import stored_rows as stored_rows
from .store.run_store import RunStore as RunStore
from .store.run_store import open_run as open_run
from .store.run_store import store_path as store_path
from .sweep import (
    Cell as Cell,
)
from .sweep import (
    Sweep as Sweep,
)
from .sweep import (
    SweepInterruptedError as SweepInterruptedError,
)
from .sweep import (
    run_sweep as run_sweep,
)
from .sweep import (
    run_sweeps as run_sweeps,
)
from .time_left import TimeLeft as TimeLeft
from .timers import (
    Timing as Timing,
)
from .timers import (
    interleaved as interleaved,
)
from .timers import (
    ratio as ratio,
)
from .timers import (
    time_call as time_call,
)
from .timers import (
    time_once as time_once,
)
from .user_code import (
    load_attribute as load_attribute,
)
from .user_code import (
    load_file as load_file,
)
from .ways import WAYS as WAYS
from .ways import Way as Way
from .ways import prepare_by as prepare_by
from .ways import relative_error as relative_error
