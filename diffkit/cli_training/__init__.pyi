from .job import run as run
from .options import resumed as resumed
from .predict import predict as predict
